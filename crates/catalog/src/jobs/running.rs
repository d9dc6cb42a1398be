//! What a worker says about the job it holds. Each is one conditional statement: a claim that was taken over changes nothing.

use model::{BackupNumber, ErrorClass, JobState, Timestamp};

use crate::catalog::Catalog;
use crate::columns::{Number, get, storable, word};
use crate::error::{Error, Result};
use crate::jobs::claim::Claim;

/// What somebody wants of a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// Go on.
    GoOn,
    /// Stop at the next boundary: the job shall be cancelled.
    Cancel,
}

/// Whether a slice got anywhere; one that did not counts as an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slice {
    /// It committed something.
    Progressed,
    /// It did not.
    Stalled,
}

/// When a job goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later {
    /// Not before.
    pub run_at: Timestamp,
    /// The end of the window it goes on in; `None`: as before.
    pub deadline: Option<Timestamp>,
}

impl From<Timestamp> for Later {
    fn from(run_at: Timestamp) -> Self {
        Later { run_at, deadline: None }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone)]
pub struct Failure<'a> {
    /// What kind of error.
    pub class: ErrorClass,
    /// The whole chain, for people; nothing secret.
    pub text: &'a str,
}

impl Failure<'_> {
    fn class(&self) -> &'static str {
        match self.class {
            ErrorClass::Transient { .. } => "transient",
            ErrorClass::Auth => "auth",
            ErrorClass::Permanent => "permanent",
            ErrorClass::Corrupt => "corrupt",
            ErrorClass::Fenced => "fenced",
            ErrorClass::Cancelled => "cancelled",
        }
    }
}

/// Sets the columns of a job that lets go of its worker and waits again, unless somebody wants it cancelled.
pub(crate) const WAITS_AGAIN: &str = "state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'waiting' END, \
     finished_at = CASE WHEN cancel_requested THEN now() END, \
     heartbeat_at = NULL, ticket = ticket + 1, published_at = NULL, taken_until = NULL";

const HELD: &str = "WHERE id = $1 AND epoch = $2 AND state = 'running'";

/// What an end of a run changes besides.
struct PutBack {
    later: Later,
    attempts_back: i32,
    slices: i32,
}

impl Catalog {
    /// Says that the job still runs, by the database's clock, and asks what it should do.
    ///
    /// # Errors
    /// [`Error::Fenced`] if it is not ours any more; this goes for every method that takes a claim.
    pub async fn heartbeat(&self, claim: &Claim) -> Result<Heartbeat> {
        let sql =
            format!("UPDATE jobs SET heartbeat_at = clock_timestamp() {HELD} RETURNING cancel_requested");
        let held = self.maybe(&sql, &[&claim.job.sql(), &claim.epoch.sql()]).await?.ok_or(Error::Fenced)?;
        Ok(if get(&held, "cancel_requested")? { Heartbeat::Cancel } else { Heartbeat::GoOn })
    }

    /// Draws the number of the backup that the job makes: the same over all its attempts and slices.
    pub async fn draw_number(&self, claim: &Claim) -> Result<BackupNumber> {
        let sql = format!(
            "UPDATE jobs SET number = coalesce(number, nextval('backup_numbers')) {HELD} RETURNING number"
        );
        let held = self.maybe(&sql, &[&claim.job.sql(), &claim.epoch.sql()]).await?.ok_or(Error::Fenced)?;
        Number::of(&held, "number")
    }

    /// Ends a slice; the job waits for its next one. Like the other ways to wait again it answers `Cancelled` instead of
    /// `Waiting` if somebody wanted that.
    pub async fn continue_later(
        &self,
        claim: &Claim,
        later: impl Into<Later>,
        slice: Slice,
    ) -> Result<JobState> {
        // Whoever gets on may fail as often as one that begins.
        let (attempts_back, slices) = if slice == Slice::Progressed { (i32::MAX, 1) } else { (0, 0) };
        let put_back = PutBack { later: later.into(), attempts_back, slices };
        self.put_back(claim, &put_back, None).await
    }

    /// Waits without having failed: the server asked for it (429, 503), or the worker shuts down. No attempt is used up.
    pub async fn snooze(&self, claim: &Claim, later: impl Into<Later>) -> Result<JobState> {
        self.put_back(claim, &PutBack { later: later.into(), attempts_back: 1, slices: 0 }, None).await
    }

    /// Waits for another attempt.
    pub async fn retry(&self, claim: &Claim, run_at: Timestamp, failure: &Failure<'_>) -> Result<JobState> {
        let put_back = PutBack { later: run_at.into(), attempts_back: 0, slices: 0 };
        self.put_back(claim, &put_back, Some(failure)).await
    }

    /// Gives up: the job is dead until somebody drives it again.
    pub async fn bury(&self, claim: &Claim, failure: &Failure<'_>) -> Result<()> {
        self.end(claim, JobState::Dead, Some(failure)).await
    }

    /// Ends a job that somebody wanted cancelled.
    pub async fn end_cancelled(&self, claim: &Claim) -> Result<()> {
        self.end(claim, JobState::Cancelled, None).await
    }

    async fn put_back(
        &self,
        claim: &Claim,
        put_back: &PutBack,
        failure: Option<&Failure<'_>>,
    ) -> Result<JobState> {
        let sql = format!(
            "UPDATE jobs SET {WAITS_AGAIN}, run_at = $3, deadline = coalesce($4, deadline), \
                 attempt = greatest(attempt - $5, 0), slices = slices + $6, \
                 error_class = coalesce($7, error_class), error = coalesce($8, error) {HELD} RETURNING state"
        );
        let PutBack { later, attempts_back, slices } = put_back;
        let (class, text) = (failure.map(Failure::class), failure.map(|failure| storable(failure.text)));
        let held = self
            .maybe(
                &sql,
                &[
                    &claim.job.sql(),
                    &claim.epoch.sql(),
                    &later.run_at,
                    &later.deadline,
                    attempts_back,
                    slices,
                    &class,
                    &text,
                ],
            )
            .await?;
        word(&held.ok_or(Error::Fenced)?, "state")
    }

    async fn end(&self, claim: &Claim, state: JobState, failure: Option<&Failure<'_>>) -> Result<()> {
        let sql = format!(
            "UPDATE jobs SET state = $3, finished_at = now(), heartbeat_at = NULL, \
                 error_class = coalesce($4, error_class), error = coalesce($5, error) {HELD}"
        );
        let (class, text) = (failure.map(Failure::class), failure.map(|failure| storable(failure.text)));
        let ended = self
            .execute(&sql, &[&claim.job.sql(), &claim.epoch.sql(), &state.as_str(), &class, &text])
            .await?;
        if ended == 1 { Ok(()) } else { Err(Error::Fenced) }
    }
}
