//! What planning reads, and what it decided.

use model::{Date, JobKind, MailboxId, Plan, Timestamp};

use crate::catalog::Catalog;
use crate::columns::{Number, get, word};
use crate::error::Result;
use crate::pauses::PAUSED;

/// What planning needs to know of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plannable {
    /// Which.
    pub id: MailboxId,
    /// What its owner bought.
    pub plan: Plan,
    /// IANA name; `None`: the service's.
    pub time_zone: Option<String>,
    /// It, its server or its plan is paused.
    pub paused: bool,
    /// The newest slot of its plan's schedule that has a job, in whatever state.
    pub newest_slot: Option<Date>,
    /// It has a backup; its next one is no first one.
    pub backed_up: bool,
}

/// A job that is due by schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// For whom; `None`: global.
    pub mailbox: Option<MailboxId>,
    /// The local date that names its slot; one job a mailbox, kind and date.
    pub slot_date: Date,
    /// Not before.
    pub run_at: Timestamp,
    /// When its window ends.
    pub deadline: Option<Timestamp>,
}

impl Catalog {
    /// Mailboxes that are there and planned, by id, those after `after`; an empty page is the end.
    pub async fn plannable(&self, after: Option<MailboxId>, limit: u32) -> Result<Vec<Plannable>> {
        let sql = format!(
            "SELECT m.id, m.plan, m.time_zone, {PAUSED} AS paused, m.first_backup_at IS NOT NULL AS backed_up, \
                 (SELECT max(j.slot_date) FROM jobs j WHERE j.mailbox = m.id AND j.slot_date IS NOT NULL \
                     AND j.kind = ($2::text[])[array_position($1::text[], m.plan)]) \
                 AS newest_slot \
             FROM mailboxes m WHERE m.id > $3 AND m.state = 'active' AND m.plan IS NOT NULL AND m.plan = ANY ($1) \
             ORDER BY m.id LIMIT $4"
        );
        let plans: Vec<_> = Plan::ALL.iter().map(|plan| plan.as_str()).collect();
        let kinds: Vec<_> = Plan::ALL.iter().map(|plan| JobKind::from(plan.schedule()).as_str()).collect();
        let after = after.map_or(-1, Number::sql);
        let rows = self.query(&sql, &[&plans, &kinds, &after, &i64::from(limit)]).await?;
        let plannable = rows.iter().map(|row| {
            Ok(Plannable {
                id: Number::of(row, "id")?,
                plan: word(row, "plan")?,
                time_zone: get(row, "time_zone")?,
                paused: get(row, "paused")?,
                newest_slot: get(row, "newest_slot")?,
                backed_up: get(row, "backed_up")?,
            })
        });
        plannable.collect()
    }

    /// Writes jobs down, each with its ticket to be published, all or nothing; answers how many are new. Not new are those
    /// whose slot has a job, and those whose mailbox has an unfinished one of that schedule: after an outage one catches up.
    pub async fn insert_due(&self, jobs: &[NewJob], now: Timestamp) -> Result<u64> {
        // In one order, so that two producers that insert the same slots wait for each other in that order.
        let sql = "INSERT INTO jobs (kind, mailbox, slot_date, run_at, deadline, created_at) \
                   SELECT n.*, $6::timestamptz FROM unnest($1::text[], $2::bigint[], $3::date[], $4::timestamptz[], $5::timestamptz[]) \
                   AS n(kind, mailbox, slot_date, run_at, deadline) ORDER BY mailbox, kind, slot_date DESC \
                   ON CONFLICT DO NOTHING";
        let kinds: Vec<_> = jobs.iter().map(|job| job.kind.as_str()).collect();
        let mailboxes: Vec<_> = jobs.iter().map(|job| job.mailbox.map(Number::sql)).collect();
        let slots: Vec<_> = jobs.iter().map(|job| job.slot_date).collect();
        let starts: Vec<_> = jobs.iter().map(|job| job.run_at).collect();
        let deadlines: Vec<_> = jobs.iter().map(|job| job.deadline).collect();
        self.execute(sql, &[&kinds, &mailboxes, &slots, &starts, &deadlines, &now]).await
    }
}
