//! Small casts that together play everything the protocol allows.

use crate::commits::{Checkpointer, Eraser, Forgets, Forgetter};
use crate::plan::Style;
use crate::process::Process;
use crate::pruner::{Pruner, Rewrites};
use crate::reader::{Guard, Reader};
use crate::recovery::alone;
use crate::rewrapper::Rewrapper;
use crate::rules::Rules;
use crate::search::Scenario;
use crate::sweeper::Sweeper;
use crate::world::{Actor, World};
use crate::writer::Writer;

/// A store in which `history` has happened, one after the other.
pub(crate) fn after(history: Vec<Process>, rules: Rules) -> World {
    let mut begun = World::empty();
    begun.keys.insert(0, 0);
    history.into_iter().fold(begun, |world, process| alone(&world, process, rules))
}

pub(crate) fn playing(name: &'static str, mut start: World, cast: Vec<Process>) -> Scenario {
    start.processes = cast.into_iter().map(Actor::new).collect();
    Scenario { name, start }
}

/// Snapshot 3 grew from snapshot 2 and shares its segment; a row of it says where the blob of a deleted email is.
pub(crate) fn shared(rules: Rules) -> World {
    after(vec![backup(1, 0b011), backup(2, 0b010)], rules)
}

/// Snapshots 2 and 3 have nothing in common.
pub(crate) fn unshared(rules: Rules) -> World {
    after(vec![backup(1, 0b001), compacting(2, 0b010)], rules)
}

pub(crate) fn backup(id: u8, sees: u8) -> Process {
    Writer::new(id, sees, Style::Appending).start()
}

pub(crate) fn compacting(id: u8, sees: u8) -> Process {
    Writer::new(id, sees, Style::Compacting).start()
}

fn slices(id: u8, job: u8, sees: u8) -> Process {
    Writer::new(id, sees, Style::Slices).of_job(job).start()
}

pub(crate) fn forget() -> Process {
    Forgetter::of(Forgets::AllButTheNewest)
}

fn abandon() -> Process {
    Forgetter::of(Forgets::TheChain)
}

pub(crate) fn prune(id: u8) -> Process {
    Pruner::start(id, Rewrites::Nothing)
}

fn repack(id: u8, rewrites: Rewrites) -> Process {
    Pruner::start(id, rewrites)
}

pub(crate) fn series(all: Vec<Process>) -> Process {
    Process::Series(all, 0)
}

/// Two writers begin the very first log: with the same master key, and with different ones.
pub(crate) fn the_first_log(_: Rules) -> Vec<Scenario> {
    let first = |id, master| Writer::new(id, 0b01, Style::Appending).without_key(master).start();
    vec![
        playing("two begin with one master key", World::empty(), vec![first(1, 0), first(2, 0)]),
        playing("two begin with two master keys", World::empty(), vec![first(1, 1), first(2, 2)]),
        playing(
            "two begin and one erases",
            World::empty(),
            vec![first(1, 0), series(vec![first(2, 0), Eraser::start()])],
        ),
        playing(
            "two begin with two master keys and the key is moved to a third",
            World::empty(),
            vec![first(1, 1), first(2, 2), Rewrapper::to(3)],
        ),
    ]
}

/// Writers on one base, with everything that may come between them.
pub(crate) fn writers(rules: Rules) -> Vec<Scenario> {
    let again = |id| Writer::new(id, 0b110, Style::Appending).of_job(3).start();
    vec![
        playing(
            "two writers, forget, checkpoint",
            shared(rules),
            vec![backup(3, 0b110), backup(4, 0b101), series(vec![forget(), Checkpointer::start()])],
        ),
        playing(
            "two workers on one job and a manual backup",
            shared(rules),
            vec![again(3), again(4), backup(5, 0b011)],
        ),
        playing(
            "a compacting writer, another, forget",
            shared(rules),
            vec![compacting(3, 0b111), backup(4, 0b001), forget()],
        ),
    ]
}

/// A chain of slices that is continued, overtaken, abandoned, pruned around.
pub(crate) fn chains(rules: Rules) -> Vec<Scenario> {
    let chain = |id| slices(id, 3, 0b0101);
    vec![
        playing(
            "a chain and a rewriting of its base",
            shared(rules),
            vec![chain(3), repack(5, Rewrites::Newest)],
        ),
        playing(
            "two workers on a chain that is abandoned",
            shared(rules),
            vec![chain(3), chain(4), abandon()],
        ),
        playing(
            "two workers on a chain, another backup",
            shared(rules),
            vec![chain(3), chain(4), backup(5, 0b0011)],
        ),
        playing(
            "a chain, abandoned, pruned",
            shared(rules),
            vec![chain(3), series(vec![forget(), abandon()]), prune(5)],
        ),
        playing(
            "a chain, checkpoints, another chain",
            shared(rules),
            vec![chain(3), slices(4, 4, 0b0111), Checkpointer::start()],
        ),
    ]
}

/// A prune against those who upload and commit.
pub(crate) fn prunes(rules: Rules) -> Vec<Scenario> {
    vec![
        playing("a writer, forget, prune", unshared(rules), vec![backup(3, 0b101), forget(), prune(5)]),
        playing(
            "a compacting writer, forget, prune",
            unshared(rules),
            vec![compacting(3, 0b111), forget(), prune(5)],
        ),
        playing(
            "a writer and a prune that rewrites its base",
            shared(rules),
            vec![backup(3, 0b101), repack(5, Rewrites::Newest), Checkpointer::start()],
        ),
        playing(
            "two prunes, each rewriting another snapshot",
            shared(rules),
            vec![repack(4, Rewrites::Newest), repack(5, Rewrites::Oldest)],
        ),
        playing(
            "two prunes, one rewriting, and forget",
            unshared(rules),
            vec![prune(4), repack(5, Rewrites::Oldest), forget()],
        ),
        playing(
            "two sweeps of one condemnation and a writer",
            unshared(rules),
            vec![series(vec![forget(), prune(4)]), Sweeper::of_the_oldest(), backup(3, 0b101)],
        ),
        playing(
            "two writers and a prune",
            unshared(rules),
            vec![backup(3, 0b110), backup(4, 0b101), prune(5)],
        ),
        playing(
            "a writer, forget, prune, a pinned reader",
            unshared(rules),
            vec![backup(3, 0b101), forget(), prune(5), Reader::of_the_oldest(6, Guard::Pin)],
        ),
    ]
}

/// Readers against forget, rewriting and sweep.
pub(crate) fn readers(rules: Rules) -> Vec<Scenario> {
    let pinned = |id| Reader::of_the_oldest(id, Guard::Pin);
    let short = |id| Reader::of_the_oldest(id, Guard::Grace);
    vec![
        playing("a pinned reader, forget, prune", unshared(rules), vec![pinned(3), forget(), prune(5)]),
        playing(
            "a pinned reader and a rewriting of what it reads",
            shared(rules),
            vec![pinned(3), repack(5, Rewrites::Oldest)],
        ),
        playing(
            "a pinned reader, forget, prune, another sweep",
            unshared(rules),
            vec![pinned(3), series(vec![forget(), prune(5)]), Sweeper::of_the_oldest()],
        ),
        playing("a short reader, forget, prune", unshared(rules), vec![short(3), forget(), prune(5)]),
        playing(
            "a short reader and a rewriting of what it reads",
            shared(rules),
            vec![short(3), repack(5, Rewrites::Oldest)],
        ),
        playing(
            "a pinned reader, forget, a rewriting, a backup",
            unshared(rules),
            vec![pinned(3), series(vec![forget(), repack(5, Rewrites::Newest)]), backup(4, 0b110)],
        ),
    ]
}

/// An erasure against everybody.
pub(crate) fn erasures(rules: Rules) -> Vec<Scenario> {
    let fresh = |id| Writer::new(id, 0b1, Style::Appending).without_key(0).start();
    vec![
        playing(
            "erasure, a writer, a newcomer",
            unshared(rules),
            vec![Eraser::start(), backup(3, 0b110), fresh(4)],
        ),
        playing(
            "erasure, a chain, a checkpoint",
            unshared(rules),
            vec![Eraser::start(), slices(3, 3, 0b1101), Checkpointer::start()],
        ),
        playing(
            "erasure, forget, prune, a pinned reader",
            unshared(rules),
            vec![Eraser::start(), series(vec![forget(), prune(4)]), Reader::of_the_oldest(5, Guard::Pin)],
        ),
        playing(
            "erasure while the key is moved",
            unshared(rules),
            vec![Eraser::start(), Rewrapper::to(1), fresh(4)],
        ),
        playing("two erasures", unshared(rules), vec![Eraser::start(), Eraser::start(), backup(3, 0b110)]),
    ]
}

/// A writer that may sleep at any moment while years pass.
pub(crate) fn sleepers(rules: Rules) -> Vec<Scenario> {
    let year = || {
        let checkpoint = Checkpointer::start;
        series(vec![
            backup(10, 0b110),
            forget(),
            checkpoint(),
            prune(11),
            backup(12, 0b101),
            forget(),
            repack(13, Rewrites::Newest),
        ])
    };
    let quiet =
        || series(vec![forget(), prune(11), repack(13, Rewrites::Newest), Checkpointer::start(), prune(14)]);
    let mut all = vec![
        playing(
            "a sleeper and a year without backups",
            shared(rules),
            vec![Writer::new(3, 0b1101, Style::Appending).tries(2).start(), quiet()],
        ),
        playing(
            "a sleeper and a busy year",
            unshared(rules),
            vec![Writer::new(3, 0b1101, Style::Appending).tries(2).start(), year()],
        ),
        playing(
            "a sleeping chain and a year without backups",
            unshared(rules),
            vec![slices(3, 3, 0b1101), quiet()],
        ),
    ];
    if testkit::is_soak() {
        all.push(playing(
            "a sleeping chain and a busy year",
            unshared(rules),
            vec![slices(3, 3, 0b0101), year()],
        ));
    }
    all
}
