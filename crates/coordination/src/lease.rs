use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::MailboxId;
use model::forms::{MOST_SECONDS, seconds};
use model::settings;

use crate::{CoordinationError, token};

settings! {
    /// How long leases live.
    #[derive(Debug, Clone, Copy)]
    pub struct LeaseTerms {
        /// How long nobody else works on a mailbox whose worker died, while Redis lives. It is renewed three times in that time, in
        /// whole seconds: therefore the least.
        pub ttl: Duration = Duration::from_secs(60), "worker.lease_seconds": seconds(3..=MOST_SECONDS);
        /// A holder counts itself out so much earlier, for clocks that run differently.
        pub margin: Duration = Duration::from_secs(5);
    }
}

impl LeaseTerms {
    /// The usual margin for leases that live so long.
    pub fn of(ttl: Duration) -> LeaseTerms {
        LeaseTerms { ttl, margin: ttl / 12 }
    }
}

/// One mailbox worked on by one worker at a time: saves work, proves nothing. What is written is guarded by the epoch.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Tries once. Never fails: without Redis the lease is granted unprotected, so that backups go on.
    async fn acquire(&self, mailbox: MailboxId) -> Grant;
    /// Makes it live as long again. A third of its life is a good rhythm.
    async fn renew(&self, lease: &mut Lease) -> Renewal;
    /// Gives it back at once; if that fails it ends by itself.
    async fn release(&self, lease: Lease);
}

/// Answer to an attempt to take a lease.
#[derive(Debug)]
pub enum Grant {
    /// It is ours, until [`Lease::deadline`].
    Held(Lease),
    /// Redis cannot say; go on, under the epoch alone, and renew: it becomes protected when Redis comes back.
    Unprotected(Lease, CoordinationError),
    /// Somebody else has it; come back later.
    Taken,
}

/// Answer to a renewal.
#[derive(Debug)]
pub enum Renewal {
    /// Ours again for its whole life.
    Renewed,
    /// Past its deadline, or somebody else has it: the job stops.
    Lost,
    /// Redis cannot say; ours until the deadline that stood before.
    Unreachable(CoordinationError),
}

/// The right to work on a mailbox, or the assumption of it.
#[derive(Debug)]
pub struct Lease {
    /// Whose.
    pub mailbox: MailboxId,
    pub(crate) token: String,
    pub(crate) deadline: Option<Instant>,
}

impl Lease {
    pub(crate) fn new(mailbox: MailboxId) -> Self {
        Self { mailbox, token: token::random(), deadline: None }
    }

    /// When the job has to have stopped, unless it is renewed; `None`: unprotected, it may go on.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether its deadline has passed.
    pub fn is_expired(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Ours, as a request says that was sent at `sent`: Redis started counting later than that.
    pub(crate) fn held(&mut self, sent: Instant, terms: LeaseTerms) {
        self.deadline = Some(sent + terms.ttl.saturating_sub(terms.margin));
    }
}
