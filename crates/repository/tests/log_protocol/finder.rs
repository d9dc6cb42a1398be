//! Looking whether the base of the next snapshot is there, and noting in the log what is not.

use crate::entries::Position;
use crate::noting::{Noted, Noting};
use crate::process::{Process, Turn};
use crate::reading::{Look, damage};
use crate::writer::Stop;
use repository::ObjectName;

/// A process that finds damage: a verification, a check, a restore.
#[derive(Clone, Hash)]
pub(crate) struct Finder {
    id: u8,
    look: Look,
    memory: Option<Position>,
    at: At,
}

#[derive(Clone, Hash)]
enum At {
    Read,
    Look(Vec<ObjectName>),
    Note(Noting),
    Done,
    Stopped(Stop),
}

impl Finder {
    pub(crate) fn start(id: u8, look: Look) -> Process {
        Process::Finder(Finder { id, look, memory: None, at: At::Read })
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        match &self.at {
            At::Stopped(stop) => Some(*stop),
            _ => None,
        }
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        match &self.at {
            At::Read => {
                let found = turn.world.tip(self.memory, turn.rules).map_err(|_| Stop::History);
                let found = found.and_then(|tip| {
                    let Some(tip) = tip else { return Ok(None) };
                    let base = turn.world.base(&tip, None, turn.rules)?;
                    Ok(Some((tip.position(), base.segments)))
                });
                let next = match found {
                    Ok(Some((position, segments))) => {
                        Finder { memory: Some(position), at: At::Look(segments), ..self.clone() }
                    }
                    Ok(None) => self.with(At::Done),
                    Err(stop) => self.with(At::Stopped(stop)),
                };
                turn.to("reads the log", Process::Finder(next));
            }
            At::Look(segments) => {
                let found = damage(turn.world, segments, self.look);
                let at = if found.is_empty() { At::Done } else { At::Note(Noting::of(found, self.memory)) };
                turn.to("looks at what the log names", Process::Finder(self.with(at)));
            }
            At::Note(noting) => noting.steps(&format!("finder {}", self.id), turn, |noted| {
                Process::Finder(self.with(match noted {
                    Noted::Again(noting) => At::Note(noting),
                    Noted::Written(_) | Noted::Known => At::Done,
                    Noted::Stopped(stop) => At::Stopped(stop),
                }))
            }),
            At::Done | At::Stopped(_) => {}
        }
    }

    fn with(&self, at: At) -> Finder {
        Finder { at, ..self.clone() }
    }
}
