use std::time::Duration;

use model::{Attempt, BackupNumber, Date, Epoch, JobId, JobKind, JobState, MailboxId, Timestamp};
use tokio_postgres::Row;

use crate::catalog::Catalog;
use crate::columns::{Number, get, small_count, storable, word};
use crate::error::Result;
use crate::mailboxes::mailbox::Address;

/// A job, for people and programs that watch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// For whom; `None`: global.
    pub mailbox: Option<MailboxId>,
    /// What that mailbox is called now.
    pub address: Option<Address>,
    /// The slot it fills; `None`: somebody asked for it.
    pub slot_date: Option<Date>,
    /// Where it stands.
    pub state: JobState,
    /// Not before.
    pub run_at: Timestamp,
    /// When its window ends.
    pub deadline: Option<Timestamp>,
    /// Tries that were used up, the running one included.
    pub attempt: Attempt,
    /// Slices that ended well.
    pub slices: u32,
    /// Of its newest claim.
    pub epoch: Option<Epoch>,
    /// Who held it last.
    pub worker: Option<String>,
    /// Whether somebody wants it to stop.
    pub cancel_requested: bool,
    /// The number it drew.
    pub number: Option<BackupNumber>,
    /// Class and text of its newest failure.
    pub failure: Option<(String, String)>,
    /// When it was planned or asked for.
    pub created_at: Timestamp,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// When the broker confirmed its ticket; `None`: it has none there.
    pub published_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, kind, mailbox, slot_date, state, run_at, deadline, attempt, slices, epoch, worker, \
                       cancel_requested, number, error_class, error, created_at, finished_at, published_at, \
                       (SELECT address FROM mailboxes m WHERE m.id = jobs.mailbox) AS address";

impl Job {
    fn of(row: &Row) -> Result<Job> {
        Ok(Job {
            id: Number::of(row, "id")?,
            kind: word(row, "kind")?,
            mailbox: Number::maybe(row, "mailbox")?,
            address: get::<Option<&str>>(row, "address")?.map(Address::from),
            slot_date: get(row, "slot_date")?,
            state: word(row, "state")?,
            run_at: get(row, "run_at")?,
            deadline: get(row, "deadline")?,
            attempt: Attempt(u64::from(small_count(row, "attempt")?)),
            slices: small_count(row, "slices")?,
            epoch: Number::maybe(row, "epoch")?,
            worker: get(row, "worker")?,
            cancel_requested: get(row, "cancel_requested")?,
            number: Number::maybe(row, "number")?,
            failure: get::<Option<String>>(row, "error_class")?.zip(get(row, "error")?),
            created_at: get(row, "created_at")?,
            finished_at: get(row, "finished_at")?,
            published_at: get(row, "published_at")?,
        })
    }
}

/// What became of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// It waited, and will not run.
    Cancelled,
    /// It runs; its worker will hear of it with its next heartbeat.
    Requested,
    /// It was over, or never there.
    Over,
}

/// What became of a request to drive a job again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redrive {
    /// It waits, with all its attempts before it.
    Waiting,
    /// It is not dead.
    NotDead,
    /// A newer job of the same kind does its work: that one is unfinished.
    Superseded,
}

impl Catalog {
    /// The job, if it was not deleted.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = $1");
        self.maybe(&sql, &[&id.sql()]).await?.as_ref().map(Job::of).transpose()
    }

    /// Dead jobs of a kind by id, those after `after`.
    pub async fn dead_jobs(&self, kind: JobKind, after: Option<JobId>, limit: u32) -> Result<Vec<Job>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE state = 'dead' AND kind = $1 AND id > $2 ORDER BY id LIMIT $3"
        );
        let after = after.map_or(-1, Number::sql);
        let rows = self.query(&sql, &[&kind.as_str(), &after, &i64::from(limit)]).await?;
        rows.iter().map(Job::of).collect()
    }

    /// Takes a job back.
    pub async fn cancel(&self, id: JobId) -> Result<Cancel> {
        let sql = "UPDATE jobs SET cancel_requested = true, \
                       state = CASE state WHEN 'waiting' THEN 'cancelled' ELSE state END, \
                       finished_at = CASE state WHEN 'waiting' THEN now() END \
                   WHERE id = $1 AND state IN ('waiting', 'running') RETURNING state";
        Ok(match self.maybe(sql, &[&id.sql()]).await? {
            None => Cancel::Over,
            Some(row) if word::<JobState>(&row, "state")? == JobState::Cancelled => Cancel::Cancelled,
            Some(_) => Cancel::Requested,
        })
    }

    /// Gives a dead job all its attempts back; it is due at once.
    pub async fn redrive(&self, id: JobId, now: Timestamp) -> Result<Redrive> {
        let sql = "UPDATE jobs SET state = 'waiting', attempt = 0, run_at = $2, finished_at = NULL, ticket = ticket + 1, \
                       cancel_requested = false, published_at = NULL, taken_until = NULL \
                   WHERE id = $1 AND state = 'dead'";
        match self.execute(sql, &[&id.sql(), &now]).await {
            Ok(0) => Ok(Redrive::NotDead),
            Ok(_) => Ok(Redrive::Waiting),
            Err(error) if error.hurts("jobs_one_unfinished") => Ok(Redrive::Superseded),
            Err(error) => Err(error),
        }
    }

    /// Ends a dead job that nobody wants any more as cancelled, and writes into the audit log who did; whether it was dead.
    pub async fn drop_dead(&self, id: JobId, actor: &str, now: Timestamp) -> Result<bool> {
        let sql = "WITH dropped AS (UPDATE jobs SET state = 'cancelled', cancel_requested = true, finished_at = now() \
                       WHERE id = $1 AND state = 'dead' RETURNING id, kind, mailbox, number) \
                   INSERT INTO audit (at, actor, action, mailbox, number, details) \
                   SELECT $3, $2, 'job.dropped', mailbox, number, jsonb_build_object('job', id, 'kind', kind) FROM dropped";
        Ok(self.execute(sql, &[&id.sql(), &storable(actor), &now]).await? > 0)
    }

    /// Deletes jobs that ended well, or were cancelled, longer ago than `age`, at most `limit`; answers how many. Keep them
    /// longer than the longest outage that is caught up: planning looks at the newest job of a mailbox.
    pub async fn delete_finished(&self, age: Duration, limit: u32) -> Result<u64> {
        let sql = "DELETE FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM jobs WHERE state IN ('done', 'cancelled') \
                       AND finished_at < now() - make_interval(secs => $1) ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
        self.execute(sql, &[&age.as_secs_f64(), &i64::from(limit)]).await
    }

    /// The same of dead jobs: nobody redrove or dropped them for so long. What a restore left in an account is taken away by the
    /// mailbox's next backup, as after `drop`.
    pub async fn delete_dead(&self, age: Duration, limit: u32) -> Result<u64> {
        let sql = "DELETE FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM jobs WHERE state = 'dead' \
                       AND finished_at < now() - make_interval(secs => $1) LIMIT $2 FOR UPDATE SKIP LOCKED))";
        self.execute(sql, &[&age.as_secs_f64(), &i64::from(limit)]).await
    }
}
