//! Telling the catalogue what becomes of a job.

use std::time::Duration;

use catalog::{Claimed, Failure};
use model::{ErrorClass, JobState};
use tokio::time::{Instant, sleep};

use crate::disposition::{Disposition, Ended, Interrupt, Rules};
use crate::error::Error;
use crate::metrics::ending;
use crate::worker::Worker;

/// Waits before what could not be written is written again: a restarted Postgres is back by then.
const WAITS: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

impl Worker {
    /// Decides, writes it down, counts it. What cannot be written is found by the reaper.
    pub(crate) async fn settle(&self, claimed: &Claimed, ended: Ended, error: Option<Error>, since: Instant) {
        let rules = Rules { retry: self.settings.retry, lease_wait: self.settings.times.lease_wait };
        let random = getrandom::u64().expect("the system has randomness");
        let disposition = rules.dispose(ended, claimed.attempt, self.services.clock.now(), random);
        self.note_unknown(claimed, error.as_ref()).await;
        let text = error.as_ref().map_or_else(|| reason(ended).to_owned(), Error::chain);
        tell(ended, disposition, &text);
        let failure = Failure { class: class(ended), text: &text };
        let written = self.written(claimed, disposition, &failure).await;
        if let Err(error) = self.services.board.clear(claimed.claim.job).await {
            tracing::debug!(%error, "progress was not cleared");
        }
        let disposition = match written {
            Ok(disposition) => disposition,
            Err(catalog::Error::Fenced) => Disposition::LetGo,
            Err(error) => {
                let error = Error::from(error).chain();
                tracing::warn!(error, "what became of the job could not be written: the reaper will find it");
                return;
            }
        };
        self.services.metrics.count_end(claimed.kind, ended, disposition);
        if ending(disposition).is_some() {
            let worked = claimed.worked + since.elapsed();
            self.services.metrics.jobs.duration.of(claimed.kind).observe(worked.as_secs_f64());
        }
    }

    /// A mailbox whose account the server does not know gets no new job each night. Best effort: the next job says it again.
    async fn note_unknown(&self, claimed: &Claimed, error: Option<&Error>) {
        let (Some(Error::UnknownAccount), Some(mailbox)) = (error, claimed.claim.mailbox) else { return };
        let (catalog, now) = (&self.services.catalog, self.services.clock.now());
        if let Err(error) = catalog.mark_unknown(mailbox, now).await {
            tracing::warn!(
                error = Error::from(error).chain(),
                "an unknown mailbox could not be written down"
            );
        }
    }

    /// Answers what really became of it: who waits again may be cancelled instead.
    async fn written(
        &self,
        claimed: &Claimed,
        disposition: Disposition,
        failure: &Failure<'_>,
    ) -> catalog::Result<Disposition> {
        let (catalog, claim) = (&self.services.catalog, &claimed.claim);
        let state = match disposition {
            Disposition::Completed | Disposition::LetGo => return Ok(disposition),
            Disposition::Continue(later, slice) => {
                self.persist(|| catalog.continue_later(claim, later, slice)).await?
            }
            Disposition::Snooze(later) => self.persist(|| catalog.snooze(claim, later)).await?,
            Disposition::Retry(run_at) => self.persist(|| catalog.retry(claim, run_at, failure)).await?,
            Disposition::Bury => {
                self.persist(|| catalog.bury(claim, failure)).await?;
                JobState::Dead
            }
            Disposition::Cancel => {
                self.persist(|| catalog.end_cancelled(claim)).await?;
                JobState::Cancelled
            }
        };
        Ok(if state == JobState::Cancelled { Disposition::Cancel } else { disposition })
    }

    /// Writes to the catalogue, again and again for some seconds while it cannot be reached. Each of its writes may be repeated.
    pub(crate) async fn persist<T, F>(&self, write: impl Fn() -> F) -> catalog::Result<T>
    where
        F: Future<Output = catalog::Result<T>>,
    {
        for wait in WAITS {
            match write().await {
                Err(error) if matches!(error.class(), ErrorClass::Transient { .. }) => sleep(wait).await,
                written => return written,
            }
        }
        write().await
    }
}

/// One line for every claim that ended.
fn tell(ended: Ended, disposition: Disposition, reason: &str) {
    match disposition {
        Disposition::Completed => tracing::info!("job is done"),
        Disposition::Bury => tracing::error!(reason, "job is dead"),
        Disposition::Retry(run_at) => tracing::warn!(reason, %run_at, "job failed and is tried again"),
        Disposition::Continue(later, _) | Disposition::Snooze(later) => {
            tracing::info!(reason, run_at = %later.run_at, "job goes on later");
        }
        Disposition::Cancel => tracing::info!("job is cancelled"),
        Disposition::LetGo => tracing::warn!(?ended, "job was taken over"),
    }
}

/// Why, where no error says it.
fn reason(ended: Ended) -> &'static str {
    let by = match ended {
        Ended::Done | Ended::Failed { .. } | Ended::LooksAgain(_) => return "",
        Ended::Incomplete => return "its backup is not complete",
        Ended::Sliced { asked: None, progressed: true } => return "its slice is over",
        Ended::Sliced { asked: None, progressed: false } => return "its slice got nowhere",
        Ended::Closed(_) => return "its window is closed",
        Ended::LeaseTaken => return "somebody else has the mailbox's lease",
        Ended::Exhausted => return "its attempts are used up: workers died while they ran it",
        Ended::Sliced { asked: Some(by), .. } | Ended::Interrupted(by) => by,
    };
    match by {
        Interrupt::Fenced => "it was claimed by somebody else",
        Interrupt::LeaseLost => "its lease was lost",
        Interrupt::OutOfTime => "it took longer than it may",
        Interrupt::Cancelled => "somebody cancelled it",
        Interrupt::Draining => "the worker shuts down",
        Interrupt::WindowOver(_) => "its window closed",
        Interrupt::Throttled(_) => "the mail server's budget is spent for a while",
    }
}

fn class(ended: Ended) -> ErrorClass {
    match ended {
        Ended::Failed { class, .. } => class,
        _ => ErrorClass::Transient { retry_after: None },
    }
}
