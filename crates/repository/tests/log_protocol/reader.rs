//! Readers: a long one under a pin, and a short one that the grace time alone protects.

use std::collections::BTreeMap;

use repository::log::fold::segment_name;
use repository::log::prune_rules::Pin;
use repository::{Object, ObjectName};

use crate::content::Tables;
use crate::entries::Seen;
use crate::process::{Process, Turn};
use crate::world::World;

/// What protects the reader from the sweep.
#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Guard {
    Pin,
    Grace,
}

/// Reads the oldest snapshot, object by object.
#[derive(Clone, Hash)]
pub(crate) struct Reader {
    id: u8,
    guard: Guard,
    at: At,
}

#[derive(Clone, Hash)]
enum At {
    Begin,
    Pin(Target),
    Reread(Target),
    Reading(Pin, Reading),
    Unpin,
    Dead,
    Done,
    /// It could not read this although it was protected.
    Missed(String),
}

/// What it is going to read.
#[derive(Clone, Hash)]
struct Target {
    pin: Pin,
    emails: u8,
    /// Oldest first.
    segments: Vec<ObjectName>,
}

#[derive(Clone, Hash)]
struct Reading {
    since: u64,
    emails: u8,
    left: Vec<Object>,
    tables: Tables,
    packs: BTreeMap<ObjectName, u8>,
}

impl Reader {
    pub(crate) fn of_the_oldest(id: u8, guard: Guard) -> Process {
        Process::Reader(Reader { id, guard, at: At::Begin })
    }

    /// The entry from which it works without a pin.
    pub(crate) fn reads_without_pin_since(&self) -> Option<u64> {
        match &self.at {
            At::Reading(_, reading) if self.guard == Guard::Grace => Some(reading.since),
            _ => None,
        }
    }

    /// Its pin, from when it found it to hold until it takes it away.
    pub(crate) fn valid_pin(&self) -> Option<&Pin> {
        match &self.at {
            At::Reading(pin, _) if self.guard == Guard::Pin => Some(pin),
            _ => None,
        }
    }

    pub(crate) fn missed(&self) -> Option<&str> {
        match &self.at {
            At::Missed(what) => Some(what),
            _ => None,
        }
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        match &self.at {
            At::Begin => self.begin(turn),
            At::Pin(target) => {
                let put = |world: &mut World| drop(world.pins.insert(self.id, target.pin.clone()));
                turn.change("writes its pin", put, self.with(At::Reread(target.clone())));
            }
            At::Reread(target) => {
                let newest = turn.world.newest();
                let holds = turn.rules.pin_holds(&newest.state, &target.pin);
                let at = if holds { Reading::at(target, &newest) } else { At::Unpin };
                turn.to("reads the log behind its pin", self.with(at));
                self.die(turn);
            }
            At::Reading(pin, reading) => {
                self.read(pin, reading, turn);
                self.die(turn);
            }
            At::Unpin => self.unpin("removes its pin", At::Done, turn),
            At::Dead if turn.world.pins.contains_key(&self.id) => {
                self.unpin("its pin lapses", At::Dead, turn)
            }
            At::Dead | At::Done | At::Missed(_) => {}
        }
    }

    fn begin(&self, turn: &mut Turn<'_>) {
        let newest = turn.world.newest();
        let at = match (Target::the_oldest(&newest), self.guard) {
            (None, _) => At::Done,
            (Some(target), Guard::Pin) => At::Pin(target),
            (Some(target), Guard::Grace) => Reading::at(&target, &newest),
        };
        turn.to("reads the log", self.with(at));
    }

    fn read(&self, pin: &Pin, reading: &Reading, turn: &mut Turn<'_>) {
        let mut next = reading.clone();
        let Some(object) = next.left.pop() else {
            let unreadable =
                reading.tables.unreadable(&reading.packs) | (reading.emails & !reading.tables.emails);
            let at = if unreadable == 0 { At::Unpin } else { At::Missed(format!("emails {unreadable:#b}")) };
            return turn.to("has read everything", self.with(at));
        };
        let found = next.take(&object, turn.world);
        let erased = turn.world.newest().head().erased;
        let at = match found {
            Some(()) => At::Reading(pin.clone(), next),
            None if erased => At::Unpin,
            None => At::Missed(object.relative()),
        };
        turn.to("reads an object", self.with(at));
    }

    /// Only a pin's reader must be seen dying: from then on the pin lapses.
    fn die(&self, turn: &mut Turn<'_>) {
        if self.guard == Guard::Pin {
            turn.to("dies", self.with(At::Dead));
        }
    }

    fn unpin(&self, label: &'static str, at: At, turn: &mut Turn<'_>) {
        let delete = |world: &mut World| drop(world.pins.remove(&self.id));
        turn.change(label, delete, self.with(at));
    }

    fn with(&self, at: At) -> Process {
        Process::Reader(Reader { at, ..self.clone() })
    }
}

impl Target {
    fn the_oldest(seen: &Seen) -> Option<Target> {
        let (number, snapshot) = seen.state.snapshots.first_key_value()?;
        let pin = Pin::on(&seen.state, *number)?;
        let emails = u8::try_from(snapshot.emails).expect("a byte of emails");
        Some(Target { pin, emails, segments: snapshot.segments.iter().filter_map(segment_name).collect() })
    }
}

impl Reading {
    fn at(target: &Target, seen: &Seen) -> At {
        let left = target.segments.iter().rev().copied().map(Object::Segment).collect();
        let (since, emails) = (seen.number(), target.emails);
        let reading = Reading { since, emails, left, tables: Tables::default(), packs: BTreeMap::new() };
        At::Reading(target.pin.clone(), reading)
    }

    /// Packs are read once all segments are.
    fn take(&mut self, object: &Object, world: &World) -> Option<()> {
        match object {
            Object::Segment(name) => {
                let segment = world.segments().get(name)?;
                self.tables.add(segment);
                for pack in segment.packs() {
                    if !self.left.contains(&Object::Pack(pack)) {
                        self.left.insert(0, Object::Pack(pack));
                    }
                }
            }
            Object::Pack(name) => drop(self.packs.insert(*name, *world.packs().get(name)?)),
            _ => {}
        }
        Some(())
    }
}
