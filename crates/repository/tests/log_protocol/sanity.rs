//! Broken on purpose: a model that finds nothing wrong here would find nothing wrong anywhere.

use crate::rules::{Flaw, Rules};
use crate::scenarios;
use crate::search::{Scenario, explore};

/// Searches until the flaw shows; the violation must be the one that the flaw causes. `--nocapture` shows the traces.
pub(crate) fn check(flaw: Flaw, scenarios: fn(Rules) -> Vec<Scenario>, expected: &str) {
    let rules = Rules { flaw: Some(flaw) };
    let found = scenarios(Rules::default()).iter().find_map(|scenario| explore(scenario, rules).err());
    let Some(violation) = found else { panic!("nothing was found wrong with {flaw:?}") };
    eprintln!("{flaw:?}: {}\n{}", violation.what, violation.trace);
    assert!(violation.what.contains(expected), "{flaw:?}: {}\n{}", violation.what, violation.trace);
}

#[test]
fn a_writer_that_goes_behind_everything() {
    check(Flaw::AlwaysNext, scenarios::prunes, "reachable and missing");
}

#[test]
fn a_writer_that_does_not_look_at_what_is_condemned() {
    check(Flaw::BlindToCondemn, scenarios::prunes, "reachable and missing");
}

#[test]
fn a_writer_whose_base_was_rewritten() {
    check(Flaw::BlindToRewriting, scenarios::prunes, "reachable and missing");
}

#[test]
fn a_slice_behind_the_end_of_its_chain() {
    check(Flaw::BlindToForgottenProgress, scenarios::chains, "reachable and missing");
}

#[test]
fn a_pack_taken_along_after_it_was_condemned() {
    check(Flaw::ReusesBlindly, scenarios::prunes, "reachable and missing");
}

#[test]
fn a_second_worker_that_does_not_look_for_its_slot() {
    check(Flaw::IgnoresSlot, scenarios::writers, "is backed up twice");
}

#[test]
fn a_condemnation_tried_again_as_it_was() {
    check(Flaw::CondemnsStale, scenarios::prunes, "reachable and missing");
}

#[test]
fn a_prune_without_regard_for_chains() {
    check(Flaw::NoProgressRoots, scenarios::chains, "reachable and missing");
}

#[test]
fn a_prune_without_regard_for_pins() {
    check(Flaw::NoPins, scenarios::readers, "pinned and missing");
}

#[test]
fn a_sweep_that_does_not_look_at_the_pins_again() {
    check(Flaw::NoRecheckOfPins, scenarios::readers, "pinned and missing");
}

#[test]
fn a_reader_that_does_not_read_the_log_behind_its_pin() {
    check(Flaw::NoReread, scenarios::readers, "pinned and missing");
}

#[test]
fn a_pin_that_names_its_snapshot_only() {
    check(Flaw::PinBySnapshot, scenarios::readers, "pinned and missing");
}

#[test]
fn the_newest_snapshot_forgotten() {
    check(Flaw::ForgetsNewest, scenarios::writers, "the head names snapshot");
}

#[test]
fn the_base_of_a_live_chain_rewritten() {
    check(Flaw::RewritesChainBase, scenarios::chains, "the progress chain: emails");
}

#[test]
fn a_head_that_does_not_tell_of_a_rewriting() {
    check(Flaw::NoRewritten, scenarios::prunes, "by the head");
}

#[test]
fn a_sweep_that_does_not_wait_for_short_readers() {
    check(Flaw::NoGrace, scenarios::readers, "a reader missed");
}

#[test]
fn entries_deleted_behind_a_checkpoint() {
    check(Flaw::DeletesEntries, scenarios::sleepers, "entries are numbered");
}

#[test]
fn a_time_out_taken_for_a_no() {
    check(Flaw::TrustsTimeout, scenarios::the_first_log, "gave up and its snapshot is in the log");
}

#[test]
fn a_backup_after_the_erasure() {
    check(Flaw::IgnoresErased, scenarios::erasures, "after the erasure");
}

#[test]
fn a_backup_number_made_from_the_log() {
    check(Flaw::NumberFromLog, scenarios::writers, "is taken twice");
}

#[test]
fn a_key_moved_while_it_is_erased() {
    check(Flaw::RewrapsUnchecked, scenarios::erasures, "the key is there after the erasure");
}

#[test]
fn a_key_moved_before_entry_1() {
    check(Flaw::RewrapsBeforeEntryOne, scenarios::the_first_log, "no copy of the key is left");
}
