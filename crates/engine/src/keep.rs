//! Commits of a backup that goes on, so that a process that is killed loses minutes of work, and looks at the log, so that of two
//! backups of one mailbox the one that cannot win any more ends early.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::pump::Intake;
use crate::run::{Counts, Run};
use crate::slice::{Cursor, LEAST_BYTES, LEAST_EMAILS, PATIENCE, Paused, Slice};

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
    looked: Instant,
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
    fn is_due(&self, counts: &Counts, now: Instant) -> bool {
        let is_enough = counts.fetched - self.emails >= LEAST_EMAILS
            || counts.fetched_bytes.saturating_sub(self.bytes) >= LEAST_BYTES;
        is_enough && now - self.kept >= self.interval()
    }

    fn keep(&mut self, counts: &Counts, now: Instant) {
        (self.kept, self.looked) = (now, now);
        (self.emails, self.bytes) = (counts.fetched, counts.fetched_bytes);
    }

    /// When to look for another writer's entry.
    pub(crate) fn next_look(&self) -> Instant {
        self.looked + self.first
    }
}

impl Run<'_> {
    /// Commits what came when it is time, and notices another writer early.
    pub(crate) async fn keep_if_due(&mut self) -> Result<()> {
        let Some(keeping) = &mut self.keeping else { return Ok(()) };
        let now = Instant::now();
        if keeping.is_due(&self.counts, now) {
            keeping.keep(&self.counts, now);
            self.keep_fetched().await?;
        } else if keeping.next_look() <= now {
            keeping.looked = now;
            self.writer.look_for_rival().await?;
        }
        Ok(())
    }

    /// After an error of the server: takes what is under way, so that it can be committed.
    pub(crate) async fn take_rest(&mut self, intake: &mut Intake) {
        if !self.alarm.end() {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout_at(deadline, intake.next()).await {
                Ok(Ok(Some(step))) => {
                    if self.take(step).await.is_err() {
                        return;
                    }
                }
                // Of many requests under way many may fail alike.
                Ok(Err(error)) if !matches!(error, Error::Stopped) => {}
                _ => return,
            }
        }
    }

    /// Commits what came so far, if anything did.
    pub(crate) async fn keep_fetched(&mut self) -> Result<Paused> {
        if self.counts.fetched == 0 {
            return Ok(Paused::default());
        }
        let so_far = Paused {
            emails: self.counts.fetched,
            fetched_bytes: self.counts.fetched_bytes - self.fetched_before,
        };
        let (cursor, how) = (Cursor::of(&self.counts), self.how);
        self.writer.commit_slice(cursor, &how.origin, self.started, how.clock).await?;
        how.progress.kept(so_far);
        Ok(so_far)
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
