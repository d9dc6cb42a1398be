//! Who takes part, and how one of them takes a step.

use crate::accidents::{Accident, Copier};
use crate::commits::{Checkpointer, Eraser, Forgetter};
use crate::finder::Finder;
use crate::pruner::Pruner;
use crate::reader::Reader;
use crate::rewrapper::Rewrapper;
use crate::rules::Rules;
use crate::sweeper::Sweeper;
use crate::world::{Actor, World};
use crate::writer::Writer;

/// One process. A process that takes no further step has died or ended.
#[derive(Clone, Hash)]
pub(crate) enum Process {
    Writer(Writer),
    Forgetter(Forgetter),
    Checkpointer(Checkpointer),
    Eraser(Eraser),
    Pruner(Pruner),
    Sweeper(Sweeper),
    Reader(Reader),
    Rewrapper(Rewrapper),
    Finder(Finder),
    Accident(Accident),
    Copier(Copier),
    /// One after the other; the number says who is at it.
    Series(Vec<Process>, usize),
}

impl Process {
    fn steps(&self, turn: &mut Turn<'_>) {
        match self {
            Process::Writer(writer) => writer.steps(turn),
            Process::Forgetter(forgetter) => forgetter.steps(turn),
            Process::Checkpointer(checkpointer) => checkpointer.steps(turn),
            Process::Eraser(eraser) => eraser.steps(turn),
            Process::Pruner(pruner) => pruner.steps(turn),
            Process::Sweeper(sweeper) => sweeper.steps(turn),
            Process::Reader(reader) => reader.steps(turn),
            Process::Rewrapper(rewrapper) => rewrapper.steps(turn),
            Process::Finder(finder) => finder.steps(turn),
            Process::Accident(accident) => accident.steps(turn),
            Process::Copier(copier) => copier.steps(turn),
            Process::Series(all, at) => series(all, *at, turn),
        }
    }

    /// Who of this process took the step that made it `after`.
    pub(crate) fn who_stepped(&self, after: &Process) -> &'static str {
        match (self, after) {
            (Process::Writer(_), _) => "writer",
            (Process::Forgetter(_), _) => "forgetter",
            (Process::Checkpointer(_), _) => "checkpointer",
            (Process::Eraser(_), _) => "eraser",
            (Process::Pruner(_), _) => "pruner",
            (Process::Sweeper(_), _) => "sweeper",
            (Process::Reader(_), _) => "reader",
            (Process::Rewrapper(_), _) => "rewrapper",
            (Process::Finder(_), _) => "finder",
            (Process::Accident(_), _) => "accident",
            (Process::Copier(_), _) => "copier",
            (Process::Series(all, _), Process::Series(_, at)) => all[*at].who_stepped(after),
            (Process::Series(..), _) => unreachable!("a series stays one"),
        }
    }

    /// This process, or those of the series.
    pub(crate) fn each(&self) -> &[Process] {
        match self {
            Process::Series(all, _) => all,
            one => std::slice::from_ref(one),
        }
    }
}

fn series(all: &[Process], at: usize, turn: &mut Turn<'_>) {
    let Some(current) = all.get(at) else { return };
    let before = turn.nexts.len();
    current.steps(turn);
    if turn.nexts.len() == before {
        return series(all, at + 1, turn);
    }
    for next in &mut turn.nexts[before..] {
        let mut all = all.to_vec();
        all[at] = next.world.processes[turn.me].process.clone();
        next.world.processes[turn.me] = Actor::new(Process::Series(all, at));
    }
}

/// One process's turn: from one world to every world that may come next.
pub(crate) struct Turn<'a> {
    pub(crate) world: &'a World,
    pub(crate) rules: Rules,
    me: usize,
    pub(crate) nexts: Vec<Next>,
}

/// A world that may come next.
pub(crate) struct Next {
    pub(crate) process: usize,
    pub(crate) label: &'static str,
    pub(crate) world: World,
}

impl<'a> Turn<'a> {
    /// Everything that process `me` may do next.
    pub(crate) fn of(me: usize, world: &'a World, rules: Rules) -> Vec<Next> {
        let mut turn = Turn { world, rules, me, nexts: Vec::new() };
        world.processes[me].process.steps(&mut turn);
        turn.nexts
    }

    /// A step that changes nothing in the store.
    pub(crate) fn to(&mut self, label: &'static str, process: Process) {
        self.change(label, |_| {}, process);
    }

    /// A step with a store call that changes something.
    pub(crate) fn change(&mut self, label: &'static str, change: impl FnOnce(&mut World), process: Process) {
        let mut world = self.world.clone();
        change(&mut world);
        world.processes[self.me] = Actor::new(process);
        self.nexts.push(Next { process: self.me, label, world });
    }
}
