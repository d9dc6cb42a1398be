use std::time::Duration;

use deadpool_postgres::GenericClient;
use model::{
    Attempt, BackupNumber, Date, Epoch, JobId, JobKind, JobState, MailboxId, SignedDuration, Timestamp,
};
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::catalog::{Catalog, changed, row};
use crate::columns::{Number, get, small_count, storable, word};
use crate::error::{Error, Result};
use crate::mailboxes::mailbox::{COLUMNS, Mailbox};
use crate::mailboxes::pauses::PAUSED;

/// The right to run a job, until somebody else claims a job of the same mailbox. Every write is checked against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which job.
    pub job: JobId,
    /// For whom; `None`: global.
    pub mailbox: Option<MailboxId>,
    /// The mailbox's, raised by this claim; a global job counts its own.
    pub epoch: Epoch,
}

/// A job that was just claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The right to run it.
    pub claim: Claim,
    /// What to do.
    pub kind: JobKind,
    /// For whom; `None`: global.
    pub mailbox: Option<Mailbox>,
    /// Which try this is. One past the last: bury it, its worker died each time.
    pub attempt: Attempt,
    /// Slices that ended well so far.
    pub slices: u32,
    /// Since when it was due.
    pub run_at: Timestamp,
    /// How long ago it was claimed for the first time, by the database's clock; zero: just now.
    pub worked: Duration,
    /// The slot it fills.
    pub slot_date: Option<Date>,
    /// When its window ends.
    pub deadline: Option<Timestamp>,
    /// The number that an earlier try drew.
    pub number: Option<BackupNumber>,
    /// What was asked for.
    pub parameters: Option<Value>,
}

/// What becomes of a ticket. Whatever it is but `Claimed`: acknowledge the delivery, another ticket will come if one is needed.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimAnswer {
    /// Run it.
    Claimed(Box<Claimed>),
    /// Its time has not come.
    NotDue,
    /// Another job of the mailbox runs; this one was put back.
    Busy,
    /// Its mailbox, server or plan is paused; it was put back.
    Paused,
    /// It runs already: the ticket was a second one.
    Running,
    /// It is done, dead or cancelled.
    Finished,
    /// A backup of a mailbox that is gone, or a restore to it; the job was cancelled.
    Gone,
    /// There is no such job.
    Unknown,
}

/// What is known when a claim is decided.
#[derive(Debug, Clone, Copy)]
struct Seen {
    kind: JobKind,
    state: JobState,
    run_at: Timestamp,
    scheduled: bool,
    gone: bool,
    paused: bool,
    busy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Claim,
    NotDue,
    Busy,
    Paused,
    Running,
    Finished,
    Gone,
}

fn decide(seen: Seen, now: Timestamp) -> Decision {
    match seen.state {
        JobState::Running => Decision::Running,
        state if state.is_finished() => Decision::Finished,
        // What stands at its account now is somebody else's.
        _ if seen.gone && (seen.kind.is_backup() || seen.kind == JobKind::Restore) => Decision::Gone,
        _ if seen.run_at > now => Decision::NotDue,
        _ if seen.paused && seen.scheduled => Decision::Paused,
        _ if seen.busy => Decision::Busy,
        _ => Decision::Claim,
    }
}

/// A job whose mailbox, server or plan is paused is looked at again after so long: a server's whole night may wait so.
const PAUSE: SignedDuration = SignedDuration::from_mins(5);

impl Catalog {
    /// Claims a job: attempt and the mailbox's epoch rise, its heart beats from now on. A job that cannot run now because its
    /// mailbox is busy is put back by `put_back`, one that is paused by five minutes; it gets another ticket then.
    pub async fn claim(
        &self,
        job: JobId,
        worker: &str,
        now: Timestamp,
        put_back: SignedDuration,
    ) -> Result<ClaimAnswer> {
        let later = now + put_back;
        match self.within(self.try_claim(job, worker, now, later)).await {
            // Two jobs of one mailbox, claimed at once: the other one was first.
            Err(error) if error.hurts("jobs_running") => {
                self.within(async { get_behind(&self.client().await?, job, later).await }).await?;
                Ok(ClaimAnswer::Busy)
            }
            answer => answer,
        }
    }

    async fn try_claim(
        &self,
        job: JobId,
        worker: &str,
        now: Timestamp,
        later: Timestamp,
    ) -> Result<ClaimAnswer> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let Some((seen, mailbox)) = look(&transaction, job).await? else {
            return Ok(ClaimAnswer::Unknown);
        };
        let answer = match decide(seen, now) {
            Decision::Claim => take(&transaction, job, mailbox, worker).await.map(ClaimAnswer::Claimed)?,
            Decision::Busy => get_behind(&transaction, job, later).await.map(|()| ClaimAnswer::Busy)?,
            Decision::Paused => {
                new_ticket(&transaction, job, Some(now + PAUSE)).await.map(|()| ClaimAnswer::Paused)?
            }
            // The publisher's clock was ahead of ours: the ticket that is dropped now needs a successor.
            Decision::NotDue => new_ticket(&transaction, job, None).await.map(|()| ClaimAnswer::NotDue)?,
            Decision::Gone => {
                let sql = "UPDATE jobs SET state = 'cancelled', finished_at = now() WHERE id = $1";
                changed(&transaction, sql, &[&job.sql()]).await?;
                ClaimAnswer::Gone
            }
            Decision::Running => ClaimAnswer::Running,
            Decision::Finished => ClaimAnswer::Finished,
        };
        transaction.commit().await?;
        Ok(answer)
    }
}

/// Locks the job; the mailbox is locked after it, as everywhere.
async fn look(on: &impl GenericClient, job: JobId) -> Result<Option<(Seen, Option<MailboxId>)>> {
    let sql = format!(
        "SELECT j.kind, j.state, j.run_at, j.mailbox, j.slot_date IS NOT NULL AS scheduled, \
             coalesce(m.state = 'gone', false) AS gone, coalesce({PAUSED}, false) AS paused, \
             EXISTS (SELECT FROM jobs r WHERE r.mailbox = j.mailbox AND r.state = 'running') AS busy \
         FROM jobs j LEFT JOIN mailboxes m ON m.id = j.mailbox WHERE j.id = $1 FOR UPDATE OF j"
    );
    let Some(row) = row(on, &sql, &[&job.sql()]).await? else { return Ok(None) };
    let seen = Seen {
        kind: word(&row, "kind")?,
        state: word(&row, "state")?,
        run_at: get(&row, "run_at")?,
        scheduled: get(&row, "scheduled")?,
        gone: get(&row, "gone")?,
        paused: get(&row, "paused")?,
        busy: get(&row, "busy")?,
    };
    Ok(Some((seen, Number::maybe(&row, "mailbox")?)))
}

async fn take(
    on: &impl GenericClient,
    job: JobId,
    mailbox: Option<MailboxId>,
    worker: &str,
) -> Result<Box<Claimed>> {
    let mailbox = match mailbox {
        Some(id) => Some(raise_epoch(on, id).await?),
        None => None,
    };
    let sql = "UPDATE jobs SET state = 'running', behind = false, attempt = attempt + 1, worker = $2, heartbeat_at = clock_timestamp(), \
                   first_claimed_at = coalesce(first_claimed_at, now()), \
                   epoch = coalesce($3, coalesce(epoch, 0) + 1) WHERE id = $1 \
               RETURNING kind, epoch, attempt, slices, run_at, slot_date, deadline, number, parameters, \
                   extract(epoch FROM now() - first_claimed_at)::float8 AS worked";
    let epoch = mailbox.as_ref().map(|mailbox| mailbox.epoch.sql());
    let row = row(on, sql, &[&job.sql(), &storable(worker), &epoch]).await?.expect("it is locked");
    claimed(job, mailbox, &row).map(Box::new)
}

async fn raise_epoch(on: &impl GenericClient, id: MailboxId) -> Result<Mailbox> {
    let sql = format!("UPDATE mailboxes SET epoch = epoch + 1 WHERE id = $1 RETURNING {COLUMNS}");
    Mailbox::of(&row(on, &sql, &[&id.sql()]).await?.ok_or(Error::UnknownMailbox(id))?)
}

fn claimed(job: JobId, mailbox: Option<Mailbox>, row: &Row) -> Result<Claimed> {
    let epoch = Number::of(row, "epoch")?;
    Ok(Claimed {
        claim: Claim { job, mailbox: mailbox.as_ref().map(|mailbox| mailbox.id), epoch },
        kind: word(row, "kind")?,
        mailbox,
        attempt: Attempt(u64::from(small_count(row, "attempt")?)),
        slices: small_count(row, "slices")?,
        run_at: get(row, "run_at")?,
        worked: Duration::try_from_secs_f64(get(row, "worked")?).unwrap_or_default(),
        slot_date: get(row, "slot_date")?,
        deadline: get(row, "deadline")?,
        number: Number::maybe(row, "number")?,
        parameters: get::<Option<Json<Value>>>(row, "parameters")?.map(|json| json.0),
    })
}

/// Another job of the mailbox runs: this one is due at `later`, or when that one has ended (the trigger `jobs_next`).
async fn get_behind(on: &impl GenericClient, job: JobId, later: Timestamp) -> Result<()> {
    let sql = "UPDATE jobs SET behind = true, run_at = $2, ticket = ticket + 1, published_at = NULL, taken_until = NULL \
               WHERE id = $1 AND state = 'waiting'";
    changed(on, sql, &[&job.sql(), &later]).await.map(drop)
}

/// The ticket that brought us here is used up, also if its publisher has not marked it yet: a waiting job gets another one, at `later` or
/// when it is due anyway.
async fn new_ticket(on: &impl GenericClient, job: JobId, later: Option<Timestamp>) -> Result<()> {
    let sql = "UPDATE jobs SET run_at = coalesce($2::timestamptz, run_at), ticket = ticket + 1, published_at = NULL, taken_until = NULL \
               WHERE id = $1 AND state = 'waiting'";
    changed(on, sql, &[&job.sql(), &later]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn due() -> Seen {
        Seen {
            kind: JobKind::Nightly,
            state: JobState::Waiting,
            run_at: NOW,
            scheduled: true,
            gone: false,
            paused: false,
            busy: false,
        }
    }

    fn check(seen: Seen, decision: Decision) {
        assert_eq!(decide(seen, NOW), decision, "{seen:?}");
    }

    #[test]
    fn a_due_job_is_claimed_and_others_are_not() {
        check(due(), Decision::Claim);
        check(Seen { run_at: NOW + SignedDuration::from_micros(1), ..due() }, Decision::NotDue);
        check(Seen { state: JobState::Running, busy: true, ..due() }, Decision::Running);
        check(Seen { busy: true, ..due() }, Decision::Busy);
        for state in [JobState::Done, JobState::Dead, JobState::Cancelled] {
            check(Seen { state, gone: true, busy: true, ..due() }, Decision::Finished);
        }
    }

    #[test]
    fn what_is_gone_is_neither_backed_up_nor_written_to() {
        check(Seen { gone: true, ..due() }, Decision::Gone);
        check(Seen { gone: true, kind: JobKind::Restore, scheduled: false, ..due() }, Decision::Gone);
        check(Seen { gone: true, kind: JobKind::Verify, scheduled: false, ..due() }, Decision::Claim);
    }

    #[test]
    fn a_pause_holds_what_is_scheduled_and_not_what_people_ask_for() {
        check(Seen { paused: true, ..due() }, Decision::Paused);
        check(Seen { paused: true, scheduled: false, kind: JobKind::Manual, ..due() }, Decision::Claim);
    }
}
