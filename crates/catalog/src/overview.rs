//! Numbers for metrics and alarms. Each is one statement over an index or over the mailboxes; ask every half a minute, not every second.

use model::{BackupState, JobKind, JobState, Plan, Timestamp};
use tokio_postgres::Row;

use crate::catalog::Catalog;
use crate::columns::{count, get, word};
use crate::error::Result;

/// How many jobs of a kind are in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCount {
    /// The kind.
    pub kind: JobKind,
    /// The state.
    pub state: JobState,
    /// How many; never 0.
    pub jobs: u64,
}

/// Tickets that are due and not at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLag {
    /// How many.
    pub tickets: u64,
    /// Since when the oldest is due.
    pub oldest: Option<Timestamp>,
}

/// Mailboxes of a plan whose newest good backup, or whose first day on the plan, is too long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// The plan.
    pub plan: Plan,
    /// How many that nothing keeps from being backed up.
    pub mailboxes: u64,
    /// How many that are paused.
    pub paused: u64,
}

/// Ages in seconds of the newest good backup of each mailbox of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Ages {
    /// The plan.
    pub plan: Plan,
    /// Mailboxes that have no good backup at all.
    pub without: u64,
    /// The oldest.
    pub max: Option<f64>,
    /// One per quantile asked for, in that order; empty if no mailbox has a good backup.
    pub quantiles: Vec<f64>,
}

impl Catalog {
    /// Jobs that are not over: waiting, running and dead. What was done is counted where it is done.
    pub async fn jobs_by_state(&self) -> Result<Vec<JobCount>> {
        let sql = "SELECT kind, 'waiting' AS state, count(*) AS jobs FROM jobs WHERE state = 'waiting' GROUP BY kind \
                   UNION ALL SELECT kind, 'running', count(*) FROM jobs WHERE state = 'running' GROUP BY kind \
                   UNION ALL SELECT kind, 'dead', count(*) FROM jobs WHERE state = 'dead' GROUP BY kind ORDER BY kind, state";
        let one = |row: &Row| {
            Ok(JobCount { kind: word(row, "kind")?, state: word(row, "state")?, jobs: count(row, "jobs")? })
        };
        self.query(sql, &[]).await?.iter().map(one).collect()
    }

    /// Since when the oldest waiting job of each kind is due; kinds without one are left out.
    pub async fn oldest_due(&self, now: Timestamp) -> Result<Vec<(JobKind, Timestamp)>> {
        let sql = "SELECT k.kind, j.run_at FROM unnest($1::text[]) AS k(kind) CROSS JOIN LATERAL (\
                       SELECT run_at FROM jobs WHERE state = 'waiting' AND kind = k.kind AND run_at <= $2 \
                       ORDER BY run_at LIMIT 1) AS j";
        let kinds: Vec<_> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let rows = self.query(sql, &[&kinds, &now]).await?;
        rows.iter().map(|row| Ok((word(row, "kind")?, get(row, "run_at")?))).collect()
    }

    /// How far publishing is behind.
    pub async fn outbox_lag(&self, now: Timestamp) -> Result<OutboxLag> {
        let sql = "SELECT count(*) AS tickets, min(run_at) AS oldest FROM jobs \
                   WHERE state = 'waiting' AND published_at IS NULL AND run_at <= $1";
        let row = self.one(sql, &[&now]).await?;
        Ok(OutboxLag { tickets: count(&row, "tickets")?, oldest: get(&row, "oldest")? })
    }

    /// Mailboxes without a good backup since the time given for their plan.
    pub async fn overdue(&self, since: &[(Plan, Timestamp)]) -> Result<Vec<Overdue>> {
        let sql = format!(
            "WITH late AS MATERIALIZED (SELECT m.plan, {paused} AS paused \
                 FROM mailboxes m JOIN unnest($1::text[], $2::timestamptz[]) AS s(plan, since) USING (plan) \
                 WHERE m.state = 'active' AND greatest(coalesce(m.newest_good_at, m.first_seen_at), m.plan_since) < s.since) \
             SELECT plan, count(*) FILTER (WHERE NOT paused) AS mailboxes, count(*) FILTER (WHERE paused) AS paused \
             FROM late GROUP BY plan ORDER BY plan",
            paused = crate::mailboxes::pauses::PAUSED
        );
        let plans: Vec<_> = since.iter().map(|(plan, _)| plan.as_str()).collect();
        let times: Vec<_> = since.iter().map(|(_, time)| *time).collect();
        let one = |row: &Row| {
            let (mailboxes, paused) = (count(row, "mailboxes")?, count(row, "paused")?);
            Ok(Overdue { plan: word(row, "plan")?, mailboxes, paused })
        };
        self.query(&sql, &[&plans, &times]).await?.iter().map(one).collect()
    }

    /// How old the newest good backups are, by plan.
    pub async fn newest_good_ages(&self, quantiles: &[f64], now: Timestamp) -> Result<Vec<Ages>> {
        let sql = "SELECT plan, count(*) FILTER (WHERE age IS NULL) AS without, max(age) AS max, \
                       coalesce(percentile_cont($1::double precision[]) WITHIN GROUP (ORDER BY age), '{}') AS quantiles \
                   FROM (SELECT plan, extract(epoch FROM $2::timestamptz - newest_good_at)::double precision AS age FROM mailboxes \
                       WHERE state = 'active' AND plan IS NOT NULL) AS mailboxes GROUP BY plan ORDER BY plan";
        let one = |row: &Row| {
            Ok(Ages {
                plan: word(row, "plan")?,
                without: count(row, "without")?,
                max: get(row, "max")?,
                quantiles: get(row, "quantiles")?,
            })
        };
        self.query(sql, &[&quantiles, &now]).await?.iter().map(one).collect()
    }

    /// How many mailboxes there are, by plan.
    pub async fn planned(&self) -> Result<Vec<(Plan, u64)>> {
        let sql = "SELECT plan, count(*) AS mailboxes FROM mailboxes \
                   WHERE state = 'active' AND plan IS NOT NULL GROUP BY plan ORDER BY plan";
        let rows = self.query(sql, &[]).await?;
        rows.iter().map(|row| Ok((word(row, "plan")?, count(row, "mailboxes")?))).collect()
    }

    /// How many of them are paused: each, its server or its plan.
    pub async fn paused(&self) -> Result<Vec<(Plan, u64)>> {
        let sql = format!(
            "SELECT m.plan, count(*) AS mailboxes FROM mailboxes m \
             WHERE m.state = 'active' AND m.plan IS NOT NULL AND {paused} GROUP BY m.plan ORDER BY m.plan",
            paused = crate::mailboxes::pauses::PAUSED
        );
        let rows = self.query(&sql, &[]).await?;
        rows.iter().map(|row| Ok((word(row, "plan")?, count(row, "mailboxes")?))).collect()
    }

    /// How many mailboxes have a newest backup of each state. Looks into the backups of every mailbox: ask every few minutes.
    pub async fn newest_backups(&self) -> Result<Vec<(BackupState, u64)>> {
        let sql = "SELECT b.state, count(*) AS mailboxes FROM mailboxes m CROSS JOIN LATERAL (\
                       SELECT CASE WHEN damaged_at IS NULL THEN state ELSE 'damaged' END AS state FROM backups \
                       WHERE mailbox = m.id ORDER BY finished_at DESC LIMIT 1) AS b \
                   WHERE m.state = 'active' GROUP BY b.state ORDER BY b.state";
        let rows = self.query(sql, &[]).await?;
        rows.iter().map(|row| Ok((word(row, "state")?, count(row, "mailboxes")?))).collect()
    }

    /// Mailboxes that nobody planned: they are not backed up. [`Catalog::unplanned_mailboxes`] names them.
    pub async fn unplanned(&self) -> Result<u64> {
        let sql = "SELECT count(*) AS mailboxes FROM mailboxes WHERE state = 'active' AND plan IS NULL";
        count(&self.one(sql, &[]).await?, "mailboxes")
    }
}
