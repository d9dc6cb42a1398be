use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use coordination::BudgetRules;
use model::JobKind;
use planning::{Calendar, RetryPolicy, TimeZone};
use repository::{KeyRing, ObjectStore};

use crate::error::{Error, Result};

/// Everything a worker is told before it starts. Secrets are in types that do not show them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who it is, for people: host and process for instance. Stands in the catalogue, in logs of repositories and on the board.
    pub name: String,
    /// How many jobs of each kind it runs at once.
    pub slots: Slots,
    /// The mail servers it knows.
    pub servers: Vec<MailServer>,
    /// Where backups lie; the first is the usual one, for mailboxes that name no zone.
    pub stores: Vec<BackupStore>,
    /// Where the mail servers are: no store may lie there.
    pub production_zone: String,
    /// The keys of all repositories.
    pub ring: Arc<dyn Rings>,
    /// The windows in which scheduled work may run.
    pub windows: planning::Settings,
    /// Of mailboxes that name none.
    pub time_zone: TimeZone,
    /// When what failed is tried again, and how often.
    pub retry: RetryPolicy,
    /// How long a job may run under one claim.
    pub limits: Limits,
    /// Rhythms and waits.
    pub times: Times,
}

/// Where the key ring comes from. It may be rotated while a worker runs, so each repository is opened with the current one.
pub trait Rings: std::fmt::Debug + Send + Sync {
    /// The ring as it is now.
    fn current(&self) -> KeyRing;
}

impl Rings for KeyRing {
    /// A ring that never changes.
    fn current(&self) -> KeyRing {
        self.clone()
    }
}

/// Jobs of each kind at once; 0: this worker leaves them to others. Each kind has slots of its own, so that a night's backlog
/// never delays what people wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// Backups by hand.
    pub manual: u16,
    /// Restores.
    pub restore: u16,
    /// Backups of the night.
    pub nightly: u16,
    /// Backups of the weekend.
    pub weekend: u16,
    /// Backups that are read again.
    pub verify: u16,
}

impl Default for Slots {
    /// For two cores: backups wait for servers and stores most of the time.
    fn default() -> Self {
        Slots { manual: 2, restore: 2, nightly: 6, weekend: 4, verify: 1 }
    }
}

impl Slots {
    /// Kinds that have any.
    pub(crate) fn lanes(self) -> impl Iterator<Item = (JobKind, NonZeroU16)> {
        let all = [
            (JobKind::Manual, self.manual),
            (JobKind::Restore, self.restore),
            (JobKind::Nightly, self.nightly),
            (JobKind::Weekend, self.weekend),
            (JobKind::Verify, self.verify),
        ];
        all.into_iter().filter_map(|(kind, slots)| NonZeroU16::new(slots).map(|slots| (kind, slots)))
    }
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct MailServer {
    /// Its lasting name: the catalogue's, the repositories' and that of its metrics; never an address.
    pub name: String,
    /// Its URL, who signs in (somebody who may read every account), and how requests are made.
    pub client: jmap::Config,
    /// What all workers together may ask of it.
    pub budget: BudgetRules,
    /// Sign in as the owner of a mailbox, too, for what each user has of their own.
    pub acts_as_owner: bool,
}

/// A store for backups.
#[derive(Debug, Clone)]
pub struct BackupStore {
    /// Its name in the catalogue.
    pub name: String,
    /// The zone that its descriptor must state.
    pub zone: String,
    /// Where it is.
    pub objects: Arc<dyn ObjectStore>,
}

/// How long a job may run under one claim; longer than that it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A backup, or a slice of one.
    pub backup: Duration,
    /// A restore.
    pub restore: Duration,
    /// Reading a backup again.
    pub verify: Duration,
}

impl Default for Limits {
    /// 6 hours, restores 24.
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Limits { backup: 6 * HOUR, restore: 24 * HOUR, verify: 6 * HOUR }
    }
}

impl Limits {
    pub(crate) fn of(self, kind: JobKind) -> Duration {
        match kind {
            JobKind::Restore | JobKind::Drill => self.restore,
            JobKind::Verify => self.verify,
            _ => self.backup,
        }
    }
}

/// Rhythms and waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Between two heartbeats. The reaper must wait for several of them.
    pub heartbeat: Duration,
    /// Between two renewals of a lease; a third of its life is good.
    pub renewal: Duration,
    /// Between two looks that people get at a job's progress.
    pub progress: Duration,
    /// A backup that can be cut into slices is, after this time.
    pub slice: Duration,
    /// From the request to drain to the end of [`run`](crate::run): three quarters of it for jobs to find a good end, the rest to
    /// write down what became of them.
    pub grace: Duration,
    /// When a job comes again whose mailbox is busy or paused.
    pub put_back: Duration,
    /// When a job comes again whose lease somebody else has.
    pub lease_wait: Duration,
    /// The longest pause of a server that a job waits through; for a longer one it gives its slot to others.
    pub patience: Duration,
    /// The pause before a ticket goes back because the catalogue cannot be asked.
    pub catalogue_pause: Duration,
}

impl Default for Times {
    /// Heartbeats 15 s, renewals 20 s, progress 2 s, slices 5 min, grace 25 s, the waits 30, 15, 30 and 2 s.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Times {
            heartbeat: seconds(15),
            renewal: seconds(20),
            progress: seconds(2),
            slice: seconds(300),
            grace: seconds(25),
            put_back: seconds(30),
            lease_wait: seconds(15),
            patience: seconds(30),
            catalogue_pause: seconds(2),
        }
    }
}

impl Settings {
    /// Whether a worker could run with these.
    ///
    /// # Errors
    /// [`Error::Settings`], in words for people; a store in production's zone is one of them.
    pub fn check(&self) -> Result<()> {
        let refuse = |reason: &'static str| Err(Error::Settings { reason });
        if self.slots.lanes().next().is_none() {
            return refuse("the worker has no slot for any kind of job");
        }
        if self.servers.is_empty() || self.stores.is_empty() {
            return refuse("the worker needs a mail server and a store");
        }
        if has_twins(self.servers.iter().map(|server| server.name.as_str()))
            || has_twins(self.stores.iter().map(|store| store.name.as_str()))
        {
            return refuse("two servers, or two stores, have the same name");
        }
        if self.stores.iter().any(|store| store.zone.is_empty()) {
            return refuse("a store names no zone");
        }
        if self.stores.iter().any(|store| is_same_zone(&store.zone, &self.production_zone)) {
            return refuse("a store lies in production's own zone: it would be lost together with the mail");
        }
        if Calendar::new(self.windows, self.time_zone.clone()).is_err() {
            return refuse("the windows contradict themselves");
        }
        Ok(())
    }
}

/// Whether two names mean one zone: people write them, so neither case nor blanks around them make another place.
pub fn is_same_zone(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn has_twins<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = BTreeSet::new();
    !names.all(|name| seen.insert(name))
}
