//! A backup: key, number, newest entry, base, pack, segment, entry; whole or in slices.

use std::rc::Rc;

use bytes::Bytes;
use proto::repository::log_entry::Kind;
use proto::repository::{Init, Reset};
use repository::log::fold::Rebase;

use crate::append::{Append, Outcome};
use crate::content::name;
use crate::entries::{Committed, Position, Seen, Slot};
use crate::histories::continues;
use crate::noting::{Noted, Noting};
use crate::plan::{Begun, Plan, Style, Task, Uploaded};
use crate::process::{Process, Turn};
use crate::reading::{Look, damage};
use crate::rules::{Flaw, Rules};
use crate::world::World;

/// One worker on one backup.
#[derive(Clone, Hash)]
pub(crate) struct Writer {
    id: u8,
    job: u8,
    /// The master key it wraps with.
    master: u8,
    /// The emails that the server has while it works.
    sees: u8,
    style: Style,
    /// How often it starts again when it lost.
    tries: u8,
    serial: u8,
    /// It has committed a slice of the live chain.
    in_chain: bool,
    data_key: Option<u8>,
    number: u64,
    uploaded: Option<Uploaded>,
    /// It compares the log with what it remembers, and notes what it misses.
    wary: bool,
    memory: Option<Position>,
    /// The operator accepts the history that the store shows.
    accepts: bool,
    gives_up: bool,
    /// It has noted that a part of its base was missing.
    has_met: bool,
    /// It went on from what is no continuation of what it remembers. Known to the model only.
    has_misread: bool,
    at: At,
}

#[derive(Clone, Hash)]
enum At {
    LoadKey,
    CreateKey,
    ReadKeyBack,
    Draw,
    Read,
    Begin(Append),
    Accept,
    Accepting(Append),
    List(Rc<Begun>),
    /// With the base that it doubted; without one it missed a part of its base.
    Note(Noting, Option<Rc<Begun>>),
    Base(Rc<Begun>),
    Pack(Rc<Plan>),
    Segment(Rc<Plan>),
    Commit(Rc<Plan>, Append),
    Done(Seen),
    Stopped(Stop),
}

/// Why it announced nothing.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Stop {
    Lost,
    Erased,
    WrongKey,
    Refused,
    /// The log is not a continuation of what it remembers.
    History,
    /// What the log names is not what it says.
    Corrupt,
    /// It got no answer, and says that the outcome is unknown.
    Unknown,
}

impl Writer {
    /// A backup of a mailbox whose key it holds, of the server's emails `sees`.
    pub(crate) fn new(id: u8, sees: u8, style: Style) -> Writer {
        Writer {
            id,
            job: id,
            master: 0,
            sees,
            style,
            tries: 1,
            serial: 0,
            in_chain: false,
            data_key: Some(0),
            number: 0,
            uploaded: None,
            wary: false,
            memory: None,
            accepts: false,
            gives_up: false,
            has_met: false,
            has_misread: false,
            at: At::Draw,
        }
    }

    /// It has yet to find or make the mailbox's key.
    pub(crate) fn without_key(self, master: u8) -> Writer {
        Writer { master, data_key: None, at: At::LoadKey, ..self }
    }

    /// Another worker's try at the same job.
    pub(crate) fn of_job(self, job: u8) -> Writer {
        Writer { job, ..self }
    }

    pub(crate) fn tries(self, tries: u8) -> Writer {
        Writer { tries, ..self }
    }

    /// It remembers what it reads, and notes what it misses.
    pub(crate) fn wary(self) -> Writer {
        Writer { wary: true, ..self }
    }

    /// It knows how far the log had come.
    pub(crate) fn remembering(self, memory: Position) -> Writer {
        Writer { wary: true, memory: Some(memory), ..self }
    }

    pub(crate) fn accepting(self) -> Writer {
        Writer { accepts: true, ..self }
    }

    pub(crate) fn giving_up(self) -> Writer {
        Writer { gives_up: true, ..self }
    }

    pub(crate) fn start(self) -> Process {
        Process::Writer(self)
    }

    pub(crate) fn announced(&self) -> Option<&Seen> {
        match &self.at {
            At::Done(seen) => Some(seen),
            _ => None,
        }
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        match &self.at {
            At::Stopped(stop) => Some(*stop),
            _ => None,
        }
    }

    pub(crate) fn has_misread(&self) -> bool {
        self.has_misread
    }

    pub(crate) fn job(&self) -> String {
        format!("job {}", self.job)
    }

    /// What it signs its entries with.
    pub(crate) fn signature(&self) -> String {
        format!("writer {}", self.id)
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        match &self.at {
            At::LoadKey => self.load_key(turn),
            At::CreateKey => self.create_key(turn),
            At::ReadKeyBack => {
                let key = turn.world.keys.get(&self.master).copied();
                let at = if key.is_some() { At::Draw } else { At::Stopped(Stop::WrongKey) };
                turn.to("reads its key back", Process::Writer(Writer { data_key: key, at, ..self.clone() }));
            }
            At::Draw => self.draw(turn),
            At::Read => self.read(turn),
            At::Begin(append) => append.steps(turn, |outcome| {
                self.with(match outcome {
                    Outcome::Done(_) | Outcome::Taken(_) => At::Read,
                    Outcome::Again(append) => At::Begin(append),
                    Outcome::GaveUp => At::Stopped(Stop::Unknown),
                })
            }),
            At::Accept => self.accept(turn),
            At::Accepting(append) => append.steps(turn, |outcome| match outcome {
                Outcome::Done(seen) => {
                    let memory = Some(Slot::Opens(seen).position());
                    Process::Writer(Writer { memory, at: At::Read, ..self.clone() })
                }
                Outcome::Again(append) => self.with(At::Accepting(append)),
                Outcome::Taken(_) => self.with(At::Stopped(Stop::Lost)),
                Outcome::GaveUp => self.with(At::Stopped(Stop::Unknown)),
            }),
            At::List(begun) => {
                let found = damage(turn.world, &begun.base.segments, Look::Listing);
                let next = if found.is_empty() {
                    At::Base(begun.compared(turn.world))
                } else {
                    At::Note(Noting::of(found, self.memory), Some(begun.clone()))
                };
                turn.to("compares its base with a listing", self.with(next));
            }
            At::Note(noting, doubted) => self.note(noting, doubted.as_ref(), turn),
            At::Base(begun) => {
                let next = self.plan(begun, turn).unwrap_or_else(|| self.missed(begun, turn));
                turn.to("reads its base", next);
            }
            At::Pack(plan) => {
                let (name, blobs) = plan.pack.expect("there is one in this step");
                let put = |world: &mut World| world.put_pack(name, blobs);
                turn.change("writes a pack", put, self.with(At::Segment(plan.clone())));
            }
            At::Segment(plan) => {
                let (name, segment) = plan.segment.clone();
                let put = |world: &mut World| world.put_segment(name, segment);
                turn.change("writes a segment", put, self.append(plan, &plan.begun.before, turn.rules));
            }
            At::Commit(plan, append) => self.commit(plan, append, turn),
            At::Stopped(_) => self.upload_late(turn),
            At::Done(_) => {}
        }
    }

    /// An upload that was sent twice may arrive a second time long after its writer has gone.
    fn upload_late(&self, turn: &mut Turn<'_>) {
        if let Some((pack, blobs)) = self.uploaded.as_ref().map(Uploaded::pack)
            && !turn.world.packs().contains_key(&pack)
        {
            let put = |world: &mut World| world.put_pack(pack, blobs);
            turn.change("is gone, and its pack arrives once more", put, self.clone().start());
        }
    }

    fn load_key(&self, turn: &mut Turn<'_>) {
        let keys = &turn.world.keys;
        let (data_key, at) = match keys.get(&self.master) {
            Some(key) => (Some(*key), At::Draw),
            None if keys.is_empty() => (None, At::CreateKey),
            None => (None, At::Stopped(Stop::WrongKey)),
        };
        turn.to("loads the key", Process::Writer(Writer { data_key, at, ..self.clone() }));
    }

    fn create_key(&self, turn: &mut Turn<'_>) {
        if !turn.world.keys.contains_key(&self.master) {
            let create = |world: &mut World| _ = world.keys.insert(self.master, self.id);
            turn.change("creates the key", create, self.with(At::ReadKeyBack));
            turn.to("creates no key, and the answer is lost", self.clone().start());
        } else {
            turn.to("finds a key when it creates one", self.with(At::ReadKeyBack));
        }
    }

    fn draw(&self, turn: &mut Turn<'_>) {
        let mut number = turn.world.sequence + 1;
        if turn.rules.broken(Flaw::NumberFromLog) {
            number = turn.world.newest().head().highest_backup_number + 1;
        }
        let draw = |world: &mut World| world.sequence = number;
        turn.change("draws a number", draw, Process::Writer(Writer { number, at: At::Read, ..self.clone() }));
    }

    fn read(&self, turn: &mut Turn<'_>) {
        let tip = match turn.world.tip(self.memory, turn.rules) {
            Ok(tip) => tip,
            Err(_) => return self.find_another_history(turn),
        };
        let Some(tip) = tip else {
            let (init, key) = (Kind::Init(Init::default()), self.data_key.unwrap_or_default());
            let begin = Append::behind(&Committed::nothing(), &self.signature(), &init, key, turn.rules);
            let at = begin.map_or(At::Stopped(Stop::Refused), At::Begin);
            return turn.to("reads the log", self.with(at));
        };
        let mut read = self.clone();
        if self.wary {
            read.has_misread |= !continues(turn.world, self.memory, &tip);
            read.memory = Some(tip.position());
        }
        read.go_on(&tip, turn);
    }

    fn find_another_history(&self, turn: &mut Turn<'_>) {
        let at = if self.accepts { At::Accept } else { At::Stopped(Stop::History) };
        turn.to("finds another history", self.with(at));
    }

    fn go_on(&self, tip: &Slot, turn: &mut Turn<'_>) {
        let newest = turn.world.view(tip);
        let job = self.job();
        let chain_goes_on = newest.state.progress.iter().any(|(_, slice)| slice.job == job);
        let slot = newest.state.snapshots.iter().find(|(_, snapshot)| snapshot.slot == job);
        let at = if Some(newest.data_key) != self.data_key {
            At::Stopped(Stop::WrongKey)
        } else if newest.head().erased && !turn.rules.broken(Flaw::IgnoresErased) {
            At::Stopped(Stop::Erased)
        } else if let Some((number, _)) = slot.filter(|_| !turn.rules.broken(Flaw::IgnoresSlot)) {
            At::Done(turn.world.read(*number).unwrap_or(newest))
        } else if self.in_chain && !chain_goes_on {
            return turn.to("reads the log and finds its chain gone", self.lost(None));
        } else {
            match turn.world.base(tip, Some(&job), turn.rules) {
                Err(Stop::History) => return self.find_another_history(turn),
                Err(stop) => At::Stopped(stop),
                Ok(base) if base.is_doubtful && !turn.rules.broken(Flaw::DoubtsNothing) => {
                    At::List(Rc::new(Begun { before: newest, base }))
                }
                Ok(base) => At::Base(Rc::new(Begun { before: newest, base })),
            }
        };
        turn.to("reads the log", self.with(at));
    }

    /// Appends an entry that names what is remembered and what is there.
    fn accept(&self, turn: &mut Turn<'_>) {
        let Some(tip) = turn.world.slots().next_back() else { return };
        let before = turn.world.view(tip);
        let digest = |position: Position| Bytes::copy_from_slice(&position.digest);
        let reset = Reset {
            remembered: self.memory.map_or(0, |memory| memory.number),
            remembered_digest: self.memory.map(digest).unwrap_or_default(),
            found: tip.number(),
            found_digest: digest(tip.position()),
        };
        let kind = Kind::Reset(reset);
        let append = Append::behind(&before, &self.signature(), &kind, before.data_key, turn.rules);
        let at = append.map_or(At::Stopped(Stop::Erased), At::Accepting);
        turn.to("reads the log that it accepts", self.with(at));
    }

    fn note(&self, noting: &Noting, doubted: Option<&Rc<Begun>>, turn: &mut Turn<'_>) {
        let world = turn.world;
        noting.steps(&self.signature(), turn, |noted| match (noted, doubted) {
            (Noted::Again(noting), _) => self.with(At::Note(noting, doubted.cloned())),
            (Noted::Written(seen), _) => {
                let memory = self.memory.map(|_| Slot::Opens(seen).position());
                Process::Writer(Writer { memory, at: At::Read, ..self.clone() })
            }
            (Noted::Known, Some(begun)) => self.with(At::Base(begun.compared(world))),
            (Noted::Known, None) => self.lost(None),
            (Noted::Stopped(stop), _) => self.with(At::Stopped(stop)),
        });
    }

    /// A part of its base is missing that was not known to be.
    fn missed(&self, begun: &Begun, turn: &Turn<'_>) -> Process {
        if !self.wary || self.has_met {
            return self.lost(None);
        }
        let found = damage(turn.world, &begun.base.segments, Look::Listing);
        let at = At::Note(Noting::of(found, self.memory), None);
        Process::Writer(Writer { has_met: true, at, ..self.clone() })
    }

    /// `None` when a segment of the base is missing and not known to be.
    fn plan(&self, begun: &Rc<Begun>, turn: &Turn<'_>) -> Option<Process> {
        let uploaded = self.uploaded.as_ref().filter(|pack| !pack.doomed(begun, turn));
        let name = name(self.id, self.serial);
        let task = Task { name, sees: self.sees, style: self.style, uploaded };
        let plan = task.plan(begun, turn.world, turn.rules)?;
        Some(self.with(if plan.pack.is_some() { At::Pack(plan) } else { At::Segment(plan) }))
    }

    fn append(&self, plan: &Rc<Plan>, before: &Seen, rules: Rules) -> Process {
        let kind = plan.kind(self.job(), self.number, rules);
        let append = Append::behind(before, &self.signature(), &kind, before.data_key, rules);
        let append = append.map(|append| if self.gives_up { append.giving_up() } else { append });
        self.with(append.map_or(At::Stopped(Stop::Refused), |append| At::Commit(plan.clone(), append)))
    }

    fn commit(&self, plan: &Rc<Plan>, append: &Append, turn: &mut Turn<'_>) {
        let rules = turn.rules;
        append.steps(turn, |outcome| match outcome {
            Outcome::Done(seen) => self.done(plan, seen),
            Outcome::Again(append) => self.with(At::Commit(plan.clone(), append)),
            Outcome::GaveUp if rules.broken(Flaw::GivesUpAsNotDone) => self.with(At::Stopped(Stop::Lost)),
            Outcome::GaveUp => self.with(At::Stopped(Stop::Unknown)),
            Outcome::Taken(found) => match rules.rebase(found.opens().map(|seen| &seen.entry), &plan.uses) {
                Rebase::Next => self.append(plan, found.created(), rules),
                Rebase::Lost => self.lost(Some(plan)),
                Rebase::Erased => self.with(At::Stopped(Stop::Erased)),
            },
        });
    }

    fn done(&self, plan: &Rc<Plan>, seen: Seen) -> Process {
        let memory = self.memory.map(|_| Slot::Opens(seen.clone()).position());
        if plan.is_slice() {
            let (serial, in_chain, uploaded) = (self.serial + 1, true, None);
            return Process::Writer(Writer {
                serial,
                in_chain,
                uploaded,
                memory,
                at: At::Read,
                ..self.clone()
            });
        }
        self.with(At::Done(seen))
    }

    /// Starts again from the newest entry under new names, or gives up. It takes along the pack it has uploaded.
    fn lost(&self, plan: Option<&Rc<Plan>>) -> Process {
        let uploaded = plan.and_then(|plan| Uploaded::by(plan)).or_else(|| self.uploaded.clone());
        if self.tries == 0 {
            return Process::Writer(Writer { uploaded, at: At::Stopped(Stop::Lost), ..self.clone() });
        }
        let (tries, serial) = (self.tries - 1, self.serial + 1);
        Process::Writer(Writer { tries, serial, in_chain: false, uploaded, at: At::Read, ..self.clone() })
    }

    fn with(&self, at: At) -> Process {
        Process::Writer(Writer { at, ..self.clone() })
    }
}
