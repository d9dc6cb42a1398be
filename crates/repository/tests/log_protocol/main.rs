//! The exhaustive model of the log protocol: every interleaving of small casts of writers, slices, forget, prune, sweep,
//! readers, finders of damage and erasure, with every lost answer, every death and every loss of the store, through the very
//! rules of `repository::log`.
//!
//! A state is the store and where every process stands; a step is one call of one process to the store. A process that dies
//! takes no further step, so every state is also the state after any of the deaths, and `recovery` must be possible from
//! each. A request that arrives long after its sender has gone is a process that sleeps before it and dies after it. A
//! create may happen or not and lose its answer either way (`append`).
//!
//! The store loses packs, segments and log entries, is put back to an older copy, or is mixed with a fork of itself
//! (`accidents`). How processes read such a log is in `reading`: the model's own words for what `Journal` and
//! `begin_snapshot` do. Whether what they read is one history is judged apart from that, in `histories`.
//!
//! `invariants` and `soundness` say what must hold. `sanity` and `accident_sanity` break one rule at a time and demand that
//! the search finds out.
//!
//! Not modelled: stores without conditional create, pages of one listing seen at different times (an object it misses is
//! condemned later), clocks (a pin lapses when its reader is dead, the grace time lasts as long as short readers need), what
//! is inside packs and rows beyond *which blob lies where*, two copies of entry 1, logs so long that a walk asks for a
//! listing, objects that are noted as sound again, and a broken pack together with the loss of the entry that noted it: a
//! listing does not find that pack again.

mod accident_sanity;
mod accident_scenarios;
mod accidents;
mod append;
mod commits;
mod content;
mod entries;
mod finder;
mod histories;
mod invariants;
mod noting;
mod plan;
mod process;
mod pruner;
mod reader;
mod reading;
mod recovery;
mod rewrapper;
mod rules;
mod sanity;
mod scenarios;
mod search;
mod soundness;
mod sweeper;
mod world;
mod writer;

use rules::Rules;
use search::{Scenario, explore};

fn check(scenarios: fn(Rules) -> Vec<Scenario>) {
    for scenario in scenarios(Rules::default()) {
        match explore(&scenario, Rules::default()) {
            Ok(found) => eprintln!(
                "{}: {} states, {} stores, {} steps, {:.1} s",
                scenario.name, found.states, found.stores, found.steps, found.seconds
            ),
            Err(violation) => panic!("{}\n{}", violation.what, violation.trace),
        }
    }
}

#[test]
fn two_writers_begin_the_first_log() {
    check(scenarios::the_first_log);
}

#[test]
fn writers_on_one_base() {
    check(scenarios::writers);
}

#[test]
fn chains_of_slices() {
    check(scenarios::chains);
}

#[test]
fn prunes_against_uploads() {
    check(scenarios::prunes);
}

#[test]
fn readers_against_sweeps() {
    check(scenarios::readers);
}

#[test]
fn erasures_against_everybody() {
    check(scenarios::erasures);
}

#[test]
fn objects_that_are_lost() {
    check(accident_scenarios::losses);
}

#[test]
fn entries_that_are_lost() {
    check(accident_scenarios::broken_logs);
}

#[test]
fn stores_put_back_and_mixed() {
    check(accident_scenarios::histories);
}

#[test]
fn writers_that_give_up() {
    check(accident_scenarios::giving_up);
}

#[test]
fn writers_that_sleep_for_years() {
    check(scenarios::sleepers);
}
