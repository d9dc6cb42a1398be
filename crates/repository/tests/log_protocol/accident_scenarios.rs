//! Small casts on a store that loses things, is put back to an older copy, or is mixed with a fork of itself.

use repository::Object;

use crate::accidents::{Accident, Copier, Copying, Loss};
use crate::commits::Checkpointer;
use crate::content::name;
use crate::entries::Position;
use crate::finder::Finder;
use crate::plan::Style;
use crate::process::Process;
use crate::reading::Look;
use crate::recovery::alone;
use crate::rules::Rules;
use crate::scenarios::{after, backup, forget, playing, prune, series, shared, unshared};
use crate::search::Scenario;
use crate::world::World;
use crate::writer::Writer;

/// Snapshots 2 and 3; the second has a segment and a pack of its own behind those of the first.
fn grown(rules: Rules) -> World {
    after(vec![backup(1, 0b001), backup(2, 0b011)], rules)
}

/// The same, and entry 4 notes that the second pack is lost.
fn noted(rules: Rules) -> World {
    let mut world = grown(rules);
    world.lose(&Object::Pack(name(2, 0)));
    alone(&world, listing(9), rules)
}

fn new(id: u8, sees: u8, style: Style) -> Writer {
    Writer::new(id, sees, style).wary()
}

fn writer(id: u8) -> Process {
    new(id, 0b110, Style::Appending).start()
}

fn compacting(id: u8) -> Process {
    new(id, 0b110, Style::Compacting).start()
}

fn slices(id: u8, job: u8) -> Process {
    new(id, 0b1110, Style::Slices).of_job(job).start()
}

fn remembering(id: u8, memory: Position) -> Writer {
    Writer::new(id, 0b110, Style::Appending).remembering(memory)
}

fn listing(id: u8) -> Process {
    Finder::start(id, Look::Listing)
}

fn lost(losses: &[Loss]) -> Process {
    Accident::of(losses)
}

/// What lies at a number.
fn position(world: &World, number: u64) -> Position {
    world.slot(number).expect("the entry is there").position()
}

/// Packs and segments are lost or break.
pub(crate) fn losses(rules: Rules) -> Vec<Scenario> {
    let one = || lost(&[Loss::Object]);
    vec![
        playing("a writer, a finder, a lost object", grown(rules), vec![writer(3), listing(4), one()]),
        playing(
            "a writer, a finder that reads, one that lists, a broken pack, a lost object",
            grown(rules),
            vec![
                writer(3),
                series(vec![Finder::start(4, Look::Bytes), listing(5)]),
                lost(&[Loss::PackBreaks, Loss::Object]),
            ],
        ),
        playing(
            "a writer, a finder that reads, a broken pack",
            grown(rules),
            vec![writer(3), Finder::start(4, Look::Bytes), lost(&[Loss::PackBreaks])],
        ),
        playing(
            "a compacting writer, a finder, a lost object",
            grown(rules),
            vec![compacting(3), listing(4), one()],
        ),
        playing(
            "two writers, a finder, a lost object",
            grown(rules),
            vec![writer(3), new(4, 0b101, Style::Appending).start(), listing(5), one()],
        ),
        playing("slices, a finder, a lost object", shared(rules), vec![slices(3, 3), listing(4), one()]),
        playing(
            "known damage, a writer, slices, a lost object",
            noted(rules),
            vec![writer(3), slices(4, 4), one()],
        ),
        playing(
            "a finder, forget, prune, a writer, a lost object",
            unshared(rules),
            vec![series(vec![listing(4), forget(), prune(5)]), writer(3), one()],
        ),
    ]
}

/// Log entries are lost or break.
pub(crate) fn broken_logs(rules: Rules) -> Vec<Scenario> {
    let long = after(vec![backup(1, 0b001), backup(2, 0b011), Checkpointer::start()], rules);
    let second = position(&long, 2);
    let known = |name, losses: &[Loss]| {
        let cast = vec![writer(3), listing(4), Checkpointer::start(), lost(losses)];
        playing(name, noted(rules), cast)
    };
    // Snapshot 4 is the only one that tells where the blob of an email is that it does not have.
    let alone_kept = after(vec![backup(1, 0b001), backup(2, 0b011), backup(6, 0b001), forget()], rules);
    let slices = new(3, 0b0111, Style::Slices).start();
    let chain = vec![slices, writer(4), lost(&[Loss::EntryBreaks])];
    let healed = alone(&noted(rules), writer(8), rules);
    vec![
        playing(
            "one that remembers entry 2, a lost entry",
            long,
            vec![remembering(3, second).start(), writer(4), lost(&[Loss::MiddleEntry])],
        ),
        known("known damage, a writer, a finder, a checkpoint, a broken entry", &[Loss::EntryBreaks]),
        known("known damage, a writer, a finder, a checkpoint, a lost entry", &[Loss::MiddleEntry]),
        known("known damage, a writer, a finder, a checkpoint, the newest entry lost", &[Loss::NewestEntry]),
        playing(
            "healed damage, a writer, a finder, a broken entry, a lost object",
            healed,
            vec![writer(3), listing(4), lost(&[Loss::EntryBreaks, Loss::Object])],
        ),
        playing(
            "a writer, a finder, a broken entry, a lost object",
            grown(rules),
            vec![writer(3), listing(4), lost(&[Loss::EntryBreaks, Loss::Object])],
        ),
        playing("a chain, a writer, a broken entry", alone_kept, chain),
        playing(
            "a prune, a writer, a snapshot's entry broken",
            unshared(rules),
            vec![prune(5), writer(3), lost(&[Loss::SnapshotBreaks])],
        ),
    ]
}

/// The store is put back to an older copy, or mixed with a fork.
pub(crate) fn histories(rules: Rules) -> Vec<Scenario> {
    let early = after(vec![backup(1, 0b001)], rules);
    let late = alone(&early, backup(2, 0b011), rules);
    let remembered = position(&late, 3);
    let put_back = |name, how, third: Process| {
        let copier = Copier::of(early.copied(), how);
        playing(name, late.clone(), vec![third, copier, writer(4)])
    };
    let stops = || remembering(3, remembered).start();
    let accepts = || remembering(3, remembered).accepting().start();

    let fork = alone(&alone(&early, backup(5, 0b101), rules), Checkpointer::start(), rules);
    let other = alone(&late, forget(), rules);
    let accepted = playing(
        "a store put back, one that accepts it, one that does not, a finder",
        late.clone(),
        vec![accepts(), Copier::of(early.copied(), Copying::AllBack), writer(4), listing(6)],
    );
    let mixed = |name, start: &World, copied: &World, how, third: Writer| {
        playing(name, start.clone(), vec![third.start(), Copier::of(copied.copied(), how), writer(4)])
    };
    let mut damaged = early.clone();
    damaged.lose(&Object::Pack(name(1, 0)));
    let damaged = alone(&alone(&damaged, listing(9), rules), Checkpointer::start(), rules);
    let shorter = alone(&early, backup(5, 0b101), rules);
    vec![
        put_back("a store put back, one that remembers, one that does not", Copying::AllBack, stops()),
        put_back("a log put back, one that remembers, one that does not", Copying::LogBack, stops()),
        put_back("a store put back, one that accepts it, one that does not", Copying::AllBack, accepts()),
        accepted,
        mixed(
            "a fork over it, one that remembers the last common entry",
            &other,
            &shorter,
            Copying::Over,
            remembering(3, position(&early, 2)),
        ),
        mixed(
            "a fork behind it, one that remembers the last common entry and accepts",
            &late,
            &fork,
            Copying::Behind,
            remembering(3, position(&early, 2)).accepting(),
        ),
        mixed("a fork over it, one that remembers", &other, &fork, Copying::Over, remembering(3, remembered)),
        mixed(
            "a fork over known damage, one that accepts it",
            &damaged,
            &shorter,
            Copying::Over,
            remembering(3, position(&damaged, 4)).accepting(),
        ),
    ]
}

/// Writers that give up when answers are lost again and again.
pub(crate) fn giving_up(rules: Rules) -> Vec<Scenario> {
    let worker = |id| Writer::new(id, 0b110, Style::Appending).of_job(3);
    vec![
        playing(
            "one that gives up, another worker on its job",
            shared(rules),
            vec![worker(3).giving_up().start(), worker(4).start(), backup(5, 0b011)],
        ),
        playing(
            "slices, one worker of which gives up",
            shared(rules),
            vec![
                Writer::new(3, 0b1110, Style::Slices).giving_up().start(),
                Writer::new(4, 0b1110, Style::Slices).of_job(3).start(),
            ],
        ),
    ]
}
