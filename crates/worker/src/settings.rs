use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use coordination::BudgetRules;
use model::forms::{MOST_SECONDS, count, seconds};
use model::{JobKind, settings};
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

/// The most slots of one kind: a broker counts what it delivers ahead in 16 bits.
const MOST_SLOTS: u64 = u16::MAX as u64;

/// The shortest grace that leaves a second to write down what became of jobs, after three quarters of it for them to find an end.
const LEAST_GRACE: Duration = Duration::from_secs(4);

settings! {
    /// Jobs of each kind at once; 0: this worker leaves them to others. Each kind has slots of its own, so that a night's backlog
    /// never delays what people wait for. The usual numbers are for two cores: backups wait for servers and stores most of the time.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Slots {
        /// Backups by hand that one worker runs at once; 0: it leaves them to others.
        pub manual: u16 = 2, "worker.manual": count(0..=MOST_SLOTS);
        /// Restores that one worker runs at once; 0: it leaves them to others.
        pub restore: u16 = 2, "worker.restore": count(0..=MOST_SLOTS);
        /// Backups of the night that one worker runs at once; 0: it leaves them to others.
        pub nightly: u16 = 6, "worker.nightly": count(0..=MOST_SLOTS);
        /// Backups of the weekend that one worker runs at once; 0: it leaves them to others.
        pub weekend: u16 = 4, "worker.weekend": count(0..=MOST_SLOTS);
        /// Backups that one worker reads again at once; 0: it leaves them to others.
        pub verify: u16 = 1, "worker.verify": count(0..=MOST_SLOTS);
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

settings! {
    /// Rhythms and waits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Times {
        /// Between two heartbeats of a job. The producers wait for several of them (`producer.silent_seconds`).
        pub heartbeat: Duration = Duration::from_secs(15), "worker.heartbeat_seconds": seconds(1..=MOST_SECONDS);
        /// Between two renewals of a lease; a third of its life is good.
        pub renewal: Duration = Duration::from_secs(20);
        /// Between two looks that people get at a job's progress.
        pub progress: Duration = Duration::from_secs(2);
        /// After this time a backup that can be cut into slices lets others go first.
        pub slice: Duration = Duration::from_secs(300), "worker.slice_seconds": seconds(1..=MOST_SECONDS);
        /// From SIGTERM to the end of all jobs: three quarters of it for jobs to find a good end, the rest to write down what became of
        /// them. Less than 4 counts as 4. The process ends within five seconds more: 30 in all are what Kubernetes'
        /// terminationGracePeriodSeconds allows by default.
        pub grace: Duration = Duration::from_secs(25), "worker.grace_seconds": seconds(1..=MOST_SECONDS);
        /// When a job comes again whose mailbox is busy or paused.
        pub put_back: Duration = Duration::from_secs(30);
        /// When a job comes again whose lease somebody else has.
        pub lease_wait: Duration = Duration::from_secs(15);
        /// The longest pause of a server that a job waits through; for a longer one it gives its slot to others.
        pub patience: Duration = Duration::from_secs(30);
        /// The pause before a ticket goes back because the catalogue cannot be asked.
        pub catalogue_pause: Duration = Duration::from_secs(2);
    }
}

impl Times {
    /// The same, with the waits that fit leases that live so long, and a grace that is long enough.
    #[must_use]
    pub fn under(self, lease: Duration) -> Times {
        let grace = self.grace.max(LEAST_GRACE);
        Times { renewal: lease / 3, put_back: lease / 2, lease_wait: lease / 4, grace, ..self }
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
