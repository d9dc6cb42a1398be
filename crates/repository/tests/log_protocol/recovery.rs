//! Everything stops for ever; then one backup and one prune must bring the repository into order.

use repository::log::prune_rules::reachable;

use crate::commits::Eraser;
use crate::invariants::{self, Verdict};
use crate::plan::Style;
use crate::process::{Process, Turn};
use crate::pruner::{Pruner, Rewrites};
use crate::rules::Rules;
use crate::sweeper::Sweeper;
use crate::world::{Actor, World};
use crate::writer::{Stop, Writer};

/// Who comes to the rescue; nobody else bears these numbers.
const RESCUER: u8 = 200;

/// `Err` says what could not be brought into order.
pub(crate) fn is_possible(world: &World, rules: Rules) -> Verdict {
    let mut world = world.clone();
    world.processes.clear();
    world.pins.clear();
    let opened = world.log.first().map(|seen| seen.data_key);
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
        let opens = world.log.first().is_some_and(|first| world.opens(first));
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
