//! Loops that wait between their rounds, longer after failures, and end when they are told.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use planning::RetryPolicy;
use telemetry::Watchdog;
use tokio_util::sync::CancellationToken;

/// How long a loop may be silent before the role counts as stuck: beyond every time-out of a single call.
pub(crate) const STUCK: Duration = Duration::from_secs(600);

/// The waits of one loop.
pub(crate) struct Pulse {
    stop: CancellationToken,
    watchdog: Watchdog,
    every: Duration,
    after_failure: RetryPolicy,
    failures: u32,
}

impl Pulse {
    /// Waits `every` after a round that went well; after failures from `first` up to `longest`.
    pub(crate) fn new(
        stop: CancellationToken,
        watchdog: Watchdog,
        every: Duration,
        first: Duration,
        longest: Duration,
    ) -> Pulse {
        let after_failure =
            RetryPolicy { first_wait: first, longest_wait: longest.max(first), ..RetryPolicy::default() };
        Pulse { stop, watchdog, every, after_failure, failures: 0 }
    }

    /// Cancelled when the role ends: for rounds that take long.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Failed rounds in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// After a round that went well; `false`: end.
    pub(crate) async fn went_well(&mut self) -> bool {
        self.failures = 0;
        self.wait(self.every).await
    }

    /// After a round that left more to do: no wait.
    pub(crate) fn go_on(&mut self) -> bool {
        self.failures = 0;
        self.watchdog.tick();
        !self.stop.is_cancelled()
    }

    /// After a round that failed.
    pub(crate) async fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        let random = RandomState::new().hash_one(self.failures);
        self.wait(self.after_failure.after_throttling(self.failures, None, random)).await
    }

    /// After a round that would fail the same if it began again soon.
    pub(crate) async fn refused(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.wait(self.every).await
    }

    async fn wait(&self, time: Duration) -> bool {
        self.watchdog.tick();
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }

    /// The loop ends on purpose.
    pub(crate) fn finish(self) {
        self.watchdog.finish();
    }
}
