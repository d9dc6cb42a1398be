use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::forms::{MOST, MOST_SECONDS, count, seconds};
use model::settings;
use tokio::time::sleep;

use crate::adaptive::{Adaptive, Observation};
use crate::redis::places::Place;

settings! {
    /// What one mail server may be asked for, by all workers together.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct BudgetRules {
        /// Requests in flight that are always allowed, however busy it says it is.
        pub floor: u32 = 1;
        /// Requests in flight of all workers together, at most; fewer while the server is busy, and never more than it grants one user
        /// (JMAP's `maxConcurrentRequests`) once it has refused one for that.
        pub ceiling: u32 = 16, "requests_in_flight": count(1..=MOST);
        /// Requests in any minute of all workers together, at most; scaled down with the requests in flight when the server is busy.
        pub per_minute: u32 = 6_000, "requests_per_minute": count(1..=MOST);
        /// The longest that one request may take. Its share of the budget is held no longer, even if nobody gives it back.
        pub hold: Duration = Duration::from_secs(120), "request_seconds": seconds(1..=MOST_SECONDS);
        /// A latency below this is never a sign of overload.
        pub slow: Duration = Duration::from_secs(2);
        /// No growth for so long after it was lowered.
        pub calm: Duration = Duration::from_secs(5);
        /// Pause after 429 or 503 without `Retry-After`.
        pub pause: Duration = Duration::from_secs(5);
        /// `Retry-After` is believed up to this.
        pub longest_pause: Duration = Duration::from_secs(600);
        /// Requests in flight of one worker that cannot reach Redis.
        pub local: u32 = 2;
        /// Requests in any minute of one worker that cannot reach Redis.
        pub local_per_minute: u32 = 750;
    }
}

impl BudgetRules {
    /// The usual rules with these two, of which a worker alone has an eighth.
    pub fn new(ceiling: u32, per_minute: u32) -> Self {
        Self { ceiling, per_minute, ..Self::default() }.among(8)
    }

    /// One worker of so many has its part for itself while Redis is away.
    #[must_use]
    pub fn among(self, workers: u32) -> Self {
        let workers = workers.max(1);
        let (local, local_per_minute) =
            ((self.ceiling / workers).max(1), (self.per_minute / workers).max(20));
        Self { local, local_per_minute, ..self }
    }

    /// For one worker on its own.
    pub(crate) fn alone(&self) -> Self {
        Self { floor: 1, ceiling: self.local, per_minute: self.local_per_minute, ..*self }
    }

    /// Floor and ceiling, in order and at least 1, whatever the settings say.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        let ceiling = u64::from(self.ceiling.max(1));
        (u64::from(self.floor.max(1)).min(ceiling), ceiling)
    }
}

/// Load on mail servers, shared by all workers.
#[async_trait]
pub trait Budget: Send + Sync {
    /// A share for one request, or how long to wait before asking again. Never fails: without Redis a worker has a small
    /// fixed share of its own.
    async fn try_take(&self, server: &str, rules: &BudgetRules) -> Share;

    /// Gives the share back, and what was seen with it.
    async fn report(&self, permit: Permit, seen: Observation);

    /// Waits for a share, as long as it takes; drop the future to stop waiting.
    async fn take(&self, server: &str, rules: &BudgetRules) -> Permit {
        loop {
            match self.try_take(server, rules).await {
                Share::Granted(permit) => return permit,
                Share::Wait(time) => sleep(time).await,
            }
        }
    }
}

/// Answer to the request for a share.
#[derive(Debug)]
pub enum Share {
    /// One request may be made.
    Granted(Permit),
    /// Not now; ask again after this time.
    Wait(Duration),
}

/// The right to make one request. Dropped without a report it ends by itself: in Redis within seconds, in memory after
/// [`BudgetRules::hold`].
#[derive(Debug)]
#[must_use = "a share has to be given back"]
pub struct Permit {
    pub(crate) server: String,
    pub(crate) rules: BudgetRules,
    pub(crate) token: Box<str>,
    /// The budget as it was then.
    pub(crate) seen: Adaptive,
    /// By the clock of the budget's keeper, in milliseconds.
    pub(crate) taken: u64,
    /// By ours.
    pub(crate) since: Instant,
    pub(crate) local: bool,
    /// Its place in Redis, which is renewed until then.
    pub(crate) place: Option<Box<Place>>,
}

impl Permit {
    /// Whether it is of this worker's own share, because Redis could not be asked.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// How many requests may be in flight, as it stood when this one was granted.
    pub fn limit(&self) -> u64 {
        self.seen.in_flight(&self.rules)
    }

    /// Now, by the clock of the budget's keeper; never earlier than it really is, so that what was taken before an answer
    /// counts as taken before it: both parts are whole milliseconds, rounded down.
    pub(crate) fn now(&self) -> u64 {
        self.taken + crate::token::milliseconds(self.since.elapsed()) + 2
    }
}

/// How long to wait for a place in flight: nobody can say when one gets free.
pub(crate) const POLL: Duration = Duration::from_millis(50);
