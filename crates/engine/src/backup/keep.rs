//! Commits of a backup that goes on, so that a process that is killed loses minutes of work, and looks at the log, so that of two
//! backups of one mailbox the one that cannot win any more ends early.

use std::time::Duration;

use tokio::time::Instant;

use super::counts::Counts;
use super::slice::{LEAST_BYTES, LEAST_EMAILS, Slice};

/// Commits of a run that goes on are at least this part of its time apart, so that a long one makes few of them: each is one
/// more log entry and one more segment to read.
const PART_OF_RUN: u32 = 16;
/// Until then they are this many times [`Slice::keep`] apart, less at the beginning.
const MOST_FIRSTS: u32 = 12;

/// Times the commits of a run that goes on.
#[derive(Debug)]
pub(crate) struct Keeping {
    first: Duration,
    began: Instant,
    kept: Instant,
    pub(crate) looked: Instant,
    emails: u64,
    bytes: u64,
}

impl Keeping {
    /// `counts` are those that the run begins with.
    pub(crate) fn of(slice: Option<&Slice>, counts: &Counts) -> Option<Keeping> {
        let (first, now) = (slice?.keep?, Instant::now());
        let (emails, bytes) = (counts.fetched, counts.fetched_bytes);
        Some(Keeping { first, began: now, kept: now, looked: now, emails, bytes })
    }

    /// Time from the last commit to the next.
    fn interval(&self) -> Duration {
        let run = self.kept - self.began;
        run.min(self.first * MOST_FIRSTS).max(self.first).max(run / PART_OF_RUN)
    }

    /// It is time to commit, and there is enough to be worth it.
    pub(crate) fn is_due(&self, counts: &Counts, now: Instant) -> bool {
        let is_enough = counts.fetched - self.emails >= LEAST_EMAILS
            || counts.fetched_bytes.saturating_sub(self.bytes) >= LEAST_BYTES;
        is_enough && now - self.kept >= self.interval()
    }

    pub(crate) fn keep(&mut self, counts: &Counts, now: Instant) {
        (self.kept, self.looked) = (now, now);
        (self.emails, self.bytes) = (counts.fetched, counts.fetched_bytes);
    }

    /// When to look for another writer's entry.
    pub(crate) fn next_look(&self) -> Instant {
        self.looked + self.first
    }
}

/// Returns at this time; never, if there is none.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// Times of the commits of a run of so many seconds that always has something to commit.
    fn commits(first: u64, seconds: u64) -> Vec<u64> {
        let slice = Slice {
            length: Duration::MAX,
            stop: CancellationToken::new(),
            keep: Some(Duration::from_secs(first)),
        };
        let mut keeping = Keeping::of(Some(&slice), &Counts::default()).expect("it keeps");
        let (mut counts, mut times) = (Counts::default(), Vec::new());
        for second in 1..=seconds {
            counts.fetched += LEAST_EMAILS;
            let now = keeping.began + Duration::from_secs(second);
            if keeping.is_due(&counts, now) {
                keeping.keep(&counts, now);
                times.push(second);
            }
        }
        times
    }

    #[test]
    fn commits_come_often_at_first_and_then_ever_more_seldom() {
        assert_eq!(commits(10, 600), [10, 20, 40, 80, 160, 280, 400, 520]);
        let day = commits(10, 86_400);
        assert!(day.len() < 100, "{}", day.len());
        for pair in day.windows(2) {
            let (work, lost) = (pair[1], pair[1] - pair[0]);
            assert!(lost <= 120 || lost <= work / 16 + 1, "{pair:?}");
        }
    }

    #[test]
    fn a_run_that_fetched_little_commits_nothing_by_itself() {
        let slice =
            Slice { length: Duration::MAX, stop: CancellationToken::new(), keep: Some(Duration::ZERO) };
        let keeping = Keeping::of(Some(&slice), &Counts::default()).expect("it keeps");
        let later = keeping.began + Duration::from_secs(3_600);
        let few = Counts { fetched: LEAST_EMAILS - 1, fetched_bytes: LEAST_BYTES - 1, ..Counts::default() };
        assert!(!keeping.is_due(&few, later));
        assert!(keeping.is_due(&Counts { fetched_bytes: LEAST_BYTES, ..few }, later));
    }
}
