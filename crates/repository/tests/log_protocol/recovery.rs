//! Everything stops for ever; then one backup and one prune must bring the repository into order.

use proto::repository::log_entry::Kind;
use repository::log::prune_rules::reachable;

use crate::commits::{Eraser, Forgets, Forgetter};
use crate::finder::Finder;
use crate::invariants::{self, Verdict, demand, is_whole};
use crate::plan::Style;
use crate::process::{Process, Turn};
use crate::pruner::{Pruner, Rewrites};
use crate::reading::Look;
use crate::rules::Rules;
use crate::sweeper::Sweeper;
use crate::world::{Actor, World};
use crate::writer::{Stop, Writer};

/// Who comes to the rescue; nobody else bears these numbers.
const RESCUER: u8 = 200;

/// `Err` says what could not be brought into order.
pub(crate) fn is_possible(world: &World, rules: Rules) -> Verdict {
    if !world.harm.is_none() {
        return is_healed(world, rules);
    }
    let mut world = world.clone();
    world.processes.clear();
    world.pins.clear();
    let opened = world.created.first().map(|seen| seen.data_key);
    let master =
        world.keys.iter().find(|(_, key)| opened.is_none_or(|opened| opened == **key)).map(|(m, _)| *m);
    let writer = Writer::new(RESCUER, 0b1000, Style::Appending).without_key(master.unwrap_or(0));
    let erased = world.newest().head().erased;
    let world = alone(&world, writer.start(), rules);
    let Process::Writer(writer) = &world.processes[0].process else { unreachable!("a writer stays one") };
    if erased {
        let refused = matches!(writer.stopped(), Some(Stop::Erased | Stop::WrongKey));
        if !refused {
            return Err("a backup went through after the erasure".to_owned());
        }
        let world = alone(&world, Eraser::start(), rules);
        let opens = world.created.first().is_some_and(|first| world.opens(first));
        return if opens { Err("the key outlives a second erasure".to_owned()) } else { Ok(()) };
    }
    if writer.announced().is_none() {
        return Err(format!("a clean backup stopped with {:?}", writer.stopped()));
    }
    let mut world = world;
    while !world.newest().head().condemns.is_empty() {
        world = alone(&world, Sweeper::of_the_oldest(), rules);
    }
    let world = alone(&world, Pruner::start(RESCUER, Rewrites::Nothing), rules);
    invariants::of_the_store(&world)?;
    is_pruned(&world)
}

/// Whatever the store has lost: one look, one backup, and the newest snapshot is whole; forget and prune do the rest.
fn is_healed(world: &World, rules: Rules) -> Verdict {
    let backup = |id| Writer::new(id, 0b1111, Style::Appending).wary().accepting().start();
    let look = || Finder::start(RESCUER, Look::Bytes);
    let mut world = alone(world, look(), rules);
    world.pins.clear();
    if stopped(&world) == Some(Stop::History) {
        world = alone(&alone(&world, backup(RESCUER), rules), look(), rules);
    }
    demand(stopped(&world).is_none(), || format!("a look at the damage stopped with {:?}", stopped(&world)))?;
    let world = alone(&world, backup(RESCUER + 1), rules);
    let Process::Writer(writer) = &world.processes[0].process else { unreachable!("a writer stays one") };
    let announced = writer.announced().and_then(|seen| match seen.kind() {
        Some(Kind::Snapshot(snapshot)) => Some(snapshot.clone()),
        _ => None,
    });
    let Some(snapshot) = announced else {
        return Err(format!("a backup after the damage stopped with {:?}", writer.stopped()));
    };
    is_whole(&world, &snapshot.segments, Some(0b1111)).map_err(|what| format!("healed, and {what}"))?;
    invariants::of_the_store(&world)?;
    let before = world.created.len();
    let world = alone(&world, look(), rules);
    demand(world.created.len() == before, || "a look after the healing found more damage".to_owned())?;
    if world.newest().is_torn { Ok(()) } else { is_tidied(&world, rules) }
}

fn stopped(world: &World) -> Option<Stop> {
    match &world.processes[0].process {
        Process::Finder(finder) => finder.stopped(),
        _ => None,
    }
}

/// Old snapshots may be damaged for ever. Once they are forgotten a prune works again.
fn is_tidied(world: &World, rules: Rules) -> Verdict {
    let mut world = alone(world, Forgetter::of(Forgets::AllButTheNewest), rules);
    while !world.newest().head().condemns.is_empty() {
        world = alone(&world, Sweeper::of_the_oldest(), rules);
    }
    let world = alone(&world, Pruner::start(RESCUER, Rewrites::Nothing), rules);
    is_pruned(&world)
}

fn is_pruned(world: &World) -> Verdict {
    let needed =
        reachable(&world.newest().state, &world.footers()).map_err(|s| format!("segment {s} is missing"))?;
    let left: Vec<String> = world.stored().difference(&needed).map(repository::Object::relative).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("a prune left {left:?} behind")) }
}

/// The world after this process has run to its end with nobody about and every answer arriving.
pub(crate) fn alone(world: &World, process: Process, rules: Rules) -> World {
    let mut world = world.clone();
    world.processes = vec![Actor::new(process)];
    while let Some(next) = Turn::of(0, &world, rules).into_iter().next() {
        world = next.world;
    }
    world
}
