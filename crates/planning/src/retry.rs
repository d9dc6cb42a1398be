use std::time::Duration;

use model::Attempt;
use model::forms::{MOST, MOST_SECONDS, count, seconds};
use model::settings;

settings! {
    /// When a job that did not succeed is tried again; the wait goes into its `run_at`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct RetryPolicy {
        /// How often a job is tried at most, the first time included; then it is dead until somebody drives it again. With the usual
        /// waits that takes six hours: an outage of some hours costs no night.
        pub attempts: u32 = 12, "plan.attempts": count(1..=MOST);
        /// The wait after a job's first failure, without jitter; doubled with each further one.
        pub first_wait: Duration = Duration::from_secs(60), "plan.retry_seconds": seconds(1..=MOST_SECONDS);
        /// The longest wait that doubling leads to; not less than the first.
        pub longest_wait: Duration = Duration::from_secs(3600), "plan.longest_retry_seconds": seconds(1..=MOST_SECONDS);
        /// The longest `Retry-After` of a server that is followed.
        pub longest_retry_after: Duration = Duration::from_secs(6 * 3600);
    }
}

impl RetryPolicy {
    /// The wait after a failed attempt, or `None` after the last: the job is dead. `random` is any number.
    pub fn after_failure(
        &self,
        attempt: Attempt,
        retry_after: Option<Duration>,
        random: u64,
    ) -> Option<Duration> {
        (attempt.0 < u64::from(self.attempts)).then(|| self.wait(attempt.0, retry_after, random))
    }

    /// The wait after the server asked for less (429, 503) so many times in a row; uses no attempt up, and the window's
    /// end bounds it.
    pub fn after_throttling(&self, times: u32, retry_after: Option<Duration>, random: u64) -> Duration {
        self.wait(u64::from(times), retry_after, random)
    }

    /// From half the doubled wait to all of it, but never before the time that the server asked for, nor all of its clients at once.
    fn wait(&self, times: u64, retry_after: Option<Duration>, random: u64) -> Duration {
        let doublings = u32::try_from(times.saturating_sub(1)).unwrap_or(u32::MAX);
        let doubled = self.first_wait.saturating_mul(2_u32.saturating_pow(doublings));
        let most = doubled.min(self.longest_wait);
        let asked = retry_after.unwrap_or_default().min(self.longest_retry_after);
        (most / 2 + share(most / 2, random)).max(asked.saturating_add(share(asked / 4, random)))
    }
}

/// The part of a time that a random number stands for.
fn share(of: Duration, random: u64) -> Duration {
    let nanoseconds = (of.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn waits_double_up_to_the_longest_and_end_with_the_attempts() {
        let policy = RetryPolicy::default();
        let most =
            |attempt| policy.after_failure(Attempt(attempt), None, u64::MAX).map(|wait| wait.as_secs());
        assert_eq!([1, 2, 3, 5].map(most), [59, 119, 239, 959].map(Some));
        assert_eq!(policy.after_failure(Attempt(1), None, 0), Some(MINUTE / 2));
        let all: u64 = (1..12).filter_map(most).sum();
        assert!((5 * 3600..7 * 3600).contains(&all), "an outage of some hours costs no night: {all} s");
        assert_eq!((most(12), most(u64::MAX)), (None, None));
        assert_eq!(policy.after_throttling(1_000_000, None, 0), policy.longest_wait / 2);
        let asked = |random| policy.after_throttling(1, Some(MINUTE * 20), random).as_secs();
        assert_eq!([0, 1 << 63, u64::MAX].map(asked), [1200, 1350, 1499]);
    }

    proptest! {
        #[test]
        fn waits_keep_what_the_server_asked_for_and_the_bounds(
            times in any::<u32>(), asked in proptest::option::of(0..100_000_u64), random: u64,
        ) {
            let policy = RetryPolicy::default();
            let asked = asked.map(Duration::from_secs);
            let wait = policy.after_throttling(times, asked, random);
            let followed = asked.unwrap_or_default().min(policy.longest_retry_after);
            prop_assert!(wait >= followed.max(policy.first_wait / 2));
            prop_assert!(wait <= (followed * 5 / 4).max(policy.longest_wait));
        }
    }
}
