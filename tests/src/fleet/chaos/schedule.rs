//! What goes wrong in a run, and when.

use std::fmt;
use std::time::Duration;

/// Their numbers come first, then those of the workers.
pub(super) const PRODUCERS: usize = 2;
/// Processes.
pub(super) const WORKERS: usize = 3;
/// Of them all.
pub(super) const MAILBOXES: u32 = 24;
/// Mailboxes for which somebody asks for a backup by hand.
const REQUESTS: usize = 8;
/// Faults begin within this time.
const LENGTH: u64 = 9_000;
/// RabbitMQ 3.10 loses a quorum queue for good when it is killed just after the queue was declared (it says 541 to every consumer
/// from then on, until somebody deletes the queue): by this time all are declared, and no other is deleted in that run.
const SETTLED: u64 = 4_000;
/// Faults of services in a run; each kind comes once at most.
const OF_SERVICES: usize = 7;

/// Everything that goes wrong in a run; one seed makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub(super) seed: u64,
    pub(super) events: Vec<Event>,
    /// When mail changes and the next night begins.
    pub(super) second_night: Duration,
    /// When somebody asks for a backup of which mailbox.
    pub(super) requests: Vec<(Duration, u32)>,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) at: Duration,
    pub(super) fault: Fault,
}

/// Whom it strikes, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Role(usize, OfRole),
    Broker(OfBroker),
    Postgres(OfPostgres),
    Redis(OfRedis),
    Store(OfStore),
    Server(OfServer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfRole {
    /// SIGKILL.
    Killed,
    /// SIGSTOP, and SIGCONT after more than a lease and the reaper's patience.
    Stopped(Duration),
    /// SIGTERM.
    Drained,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfBroker {
    Killed(Duration),
    Frozen(Duration),
    QueueDeleted(&'static str),
    ConnectionsClosed,
    MemoryAlarm(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfPostgres {
    Killed(Duration),
    ConnectionsTerminated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfRedis {
    Flushed,
    Killed(Duration),
    Hanging(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfStore {
    Killed(Duration),
    Frozen(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfServer {
    /// Answers so, to every request or to one in three.
    Refusing { status: u16, per_mille: u32, time: Duration },
    /// Answers come so much later than they should.
    Hanging(Duration),
    /// Connections break, before or after a request was served.
    Resetting(Duration),
    /// The fleet's own user has another password there; after so long it stands in the file, too.
    PasswordChanged(Duration),
}

impl Schedule {
    /// The one of this seed.
    pub fn of(seed: u64) -> Schedule {
        let mut random = Random(seed);
        let mut faults = of_roles(&mut random);
        faults.push(match seed % 3 {
            0 => Fault::Broker(OfBroker::Killed(random.time(200, 2_000))),
            1 => Fault::Broker(OfBroker::QueueDeleted("malle.nightly")),
            _ => Fault::Broker(OfBroker::QueueDeleted("malle.manual")),
        });
        let mut others = of_services(&mut random);
        random.shuffle(&mut others);
        faults.extend(others.into_iter().take(OF_SERVICES));
        let at = |random: &mut Random| Duration::from_millis(random.between(300, LENGTH));
        let mut events: Vec<Event> = faults
            .into_iter()
            .map(|fault| match fault {
                Fault::Broker(OfBroker::Killed(_)) => Event { at: random.time(SETTLED, LENGTH), fault },
                _ => Event { at: at(&mut random), fault },
            })
            .collect();
        events.sort_by_key(|event| event.at);
        let second_night = Duration::from_millis(random.between(3_500, 6_000));
        let mut mailboxes: Vec<u32> = (0..MAILBOXES).collect();
        random.shuffle(&mut mailboxes);
        let requests =
            mailboxes.into_iter().take(REQUESTS).map(|mailbox| (at(&mut random), mailbox)).collect();
        Schedule { seed, events, second_night, requests }
    }

    /// The events of one lane, in their order.
    pub(super) fn of_lane<T>(&self, mut lane: impl FnMut(Fault) -> Option<T>) -> Vec<(Duration, T)> {
        self.events.iter().filter_map(|event| Some((event.at, lane(event.fault)?))).collect()
    }
}

/// A worker of each fate, a producer, and one more worker that sleeps: it wakes when another is likely to do its work.
fn of_roles(random: &mut Random) -> Vec<Fault> {
    let worker = |random: &mut Random| PRODUCERS + random.index(WORKERS);
    let long = |random: &mut Random| OfRole::Stopped(random.time(4_200, 6_200));
    let killed = Fault::Role(worker(random), OfRole::Killed);
    let stopped = Fault::Role(worker(random), long(random));
    let drained = Fault::Role(worker(random), OfRole::Drained);
    let how = [OfRole::Killed, long(random), OfRole::Drained][random.index(3)];
    let producer = Fault::Role(random.index(PRODUCERS), how);
    vec![killed, stopped, drained, producer, Fault::Role(worker(random), long(random))]
}

fn of_services(random: &mut Random) -> Vec<Fault> {
    let per_mille = [1_000, 333][random.index(2)];
    let refusing = |status, time| Fault::Server(OfServer::Refusing { status, per_mille, time });
    vec![
        Fault::Broker(OfBroker::Frozen(random.time(1_000, 4_000))),
        Fault::Broker(OfBroker::ConnectionsClosed),
        Fault::Broker(OfBroker::MemoryAlarm(random.time(1_000, 3_000))),
        Fault::Postgres(OfPostgres::Killed(random.time(100, 3_000))),
        Fault::Postgres(OfPostgres::ConnectionsTerminated),
        Fault::Redis(OfRedis::Flushed),
        Fault::Redis(OfRedis::Killed(random.time(500, 5_000))),
        Fault::Redis(OfRedis::Hanging(random.time(500, 5_000))),
        Fault::Store(OfStore::Killed(random.time(200, 2_000))),
        Fault::Store(OfStore::Frozen(random.time(1_000, 4_000))),
        refusing(429, random.time(1_000, 2_500)),
        refusing(503, random.time(1_000, 2_500)),
        Fault::Server(OfServer::Hanging(random.time(1_000, 4_000))),
        Fault::Server(OfServer::Resetting(random.time(1_000, 3_000))),
        Fault::Server(OfServer::PasswordChanged(random.time(3_000, 8_000))),
    ]
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}; the second night begins at {:?}", self.seed, self.second_night)?;
        self.events.iter().try_for_each(|event| writeln!(f, "  {:>8.3?}  {:?}", event.at, event.fault))
    }
}

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least)
    }

    fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("below a usize")
    }

    /// Milliseconds.
    fn time(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_makes_one_schedule_and_another_seed_another() {
        assert_eq!(Schedule::of(7), Schedule::of(7));
        assert_ne!(Schedule::of(7).events, Schedule::of(8).events);
    }

    /// Without who and for how long.
    fn kind(fault: Fault) -> String {
        let text = match fault {
            Fault::Role(number, how) if number < PRODUCERS => format!("producer {how:?}"),
            Fault::Role(_, how) => format!("worker {how:?}"),
            Fault::Server(OfServer::Refusing { status: 429, .. }) => "too many requests".to_owned(),
            other => format!("{other:?}"),
        };
        text.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn every_kind_of_fault_comes_within_the_first_five_seeds() {
        let kinds = |seeds: std::ops::Range<u64>| -> BTreeSet<String> {
            seeds.flat_map(|seed| Schedule::of(seed).events).map(|event| kind(event.fault)).collect()
        };
        let (few, all) = (kinds(0..5), kinds(0..500));
        assert_eq!(few, all, "{:#?}", all.difference(&few));
    }
}
