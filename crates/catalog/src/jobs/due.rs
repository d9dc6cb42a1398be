//! What planning reads, and what it decided.

use model::{Date, JobKind, MailboxId, Plan, Timestamp};
use tokio_postgres::types::ToSql;

use crate::catalog::{Catalog, changed, row};
use crate::columns::{Number, get, small_count, word};
use crate::error::Result;
use crate::mailboxes::pauses::PAUSED;

/// What planning needs to know of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plannable {
    /// Which.
    pub id: MailboxId,
    /// Where its account is.
    pub server: String,
    /// What its owner bought.
    pub plan: Plan,
    /// Since when it is on this plan.
    pub plan_since: Timestamp,
    /// IANA name; `None`: the service's.
    pub time_zone: Option<String>,
    /// It, its server or its plan is paused.
    pub paused: bool,
    /// The newest slot of its plan's schedule that has a job, in whatever state.
    pub newest_slot: Option<Date>,
    /// It has a backup; its next one is no first one.
    pub backed_up: bool,
    /// A scheduled backup of it waits or runs; one that waits by the schedule of another plan is not counted.
    pub unfinished: bool,
    /// A scheduled backup of another plan than its present one waits: see [`Catalog::cancel_outdated`].
    pub outdated: bool,
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
    /// Mailboxes that are there and planned, by id, those after `after`; an empty page is the end. One whose server does not know its
    /// account is left out for a week, or until a listing names it again: its job would only die each night.
    pub async fn plannable(&self, after: Option<MailboxId>, limit: u32) -> Result<Vec<Plannable>> {
        let sql = format!(
            "SELECT m.id, m.server, m.plan, coalesce(m.plan_since, m.first_seen_at) AS plan_since, m.time_zone, \
                 {PAUSED} AS paused, m.first_backup_at IS NOT NULL AS backed_up, \
                 coalesce(u.unfinished, false) AS unfinished, coalesce(u.outdated, false) AS outdated, \
                 (SELECT max(j.slot_date) FROM jobs j WHERE j.mailbox = m.id AND j.slot_date IS NOT NULL \
                     AND j.kind = ($2::text[])[array_position($1::text[], m.plan)]) \
                 AS newest_slot \
             FROM mailboxes m CROSS JOIN LATERAL (\
                 SELECT bool_or(NOT o.outdated) AS unfinished, bool_or(o.outdated) AS outdated FROM (\
                     SELECT j.state = 'waiting' AND j.kind <> ($2::text[])[array_position($1::text[], m.plan)] AS outdated \
                     FROM jobs j WHERE j.mailbox = m.id AND j.state IN ('waiting', 'running') AND j.slot_date IS NOT NULL \
                         AND j.kind = ANY ($2)) AS o\
             ) AS u WHERE m.id > $3 AND m.state = 'active' AND m.plan IS NOT NULL AND m.plan = ANY ($1) \
                 AND (m.unknown_at IS NULL OR m.unknown_at < now() - interval '7 days' \
                     OR coalesce(m.listed_at, m.first_seen_at) > m.unknown_at) \
             ORDER BY m.id LIMIT $4"
        );
        let (plans, kinds) = schedules();
        let after = after.map_or(-1, Number::sql);
        let rows = self.query(&sql, &[&plans, &kinds, &after, &i64::from(limit)]).await?;
        let plannable = rows.iter().map(|row| {
            Ok(Plannable {
                id: Number::of(row, "id")?,
                server: get(row, "server")?,
                plan: word(row, "plan")?,
                plan_since: get(row, "plan_since")?,
                time_zone: get(row, "time_zone")?,
                paused: get(row, "paused")?,
                newest_slot: get(row, "newest_slot")?,
                backed_up: get(row, "backed_up")?,
                unfinished: get(row, "unfinished")?,
                outdated: get(row, "outdated")?,
            })
        });
        plannable.collect()
    }

    /// Mailboxes that have backups, those that are gone too (since `gone_since` or later, if it is given), and the newest slot of a
    /// verification that was planned; by id, those after `after`. What is paused is left out.
    pub async fn verifiable(
        &self,
        gone_since: Option<Timestamp>,
        after: Option<MailboxId>,
        limit: u32,
    ) -> Result<Vec<(MailboxId, Option<Date>)>> {
        let sql = format!(
            "SELECT m.id, (SELECT max(j.slot_date) FROM jobs j WHERE j.mailbox = m.id AND j.slot_date IS NOT NULL \
                 AND j.kind = 'verify') AS newest_slot \
             FROM mailboxes m WHERE m.id > $1 AND m.first_backup_at IS NOT NULL AND (m.gone_at IS NULL OR m.gone_at >= coalesce($3, m.gone_at)) \
                 AND NOT {PAUSED} ORDER BY m.id LIMIT $2"
        );
        let rows =
            self.query(&sql, &[&after.map_or(-1, Number::sql), &i64::from(limit), &gone_since]).await?;
        rows.iter().map(|row| Ok((Number::of(row, "id")?, get(row, "newest_slot")?))).collect()
    }

    /// Writes jobs down, each with its ticket to be published, all or nothing; answers how many are new. Not new are those
    /// whose slot has a job, and those whose mailbox has an unfinished one of that schedule: after an outage one catches up.
    pub async fn insert_due(&self, jobs: &[NewJob], now: Timestamp) -> Result<u64> {
        let columns = Columns::of(jobs);
        self.execute(INSERT, &columns.parameters(&now, &false)).await
    }

    /// The same for first backups of mailboxes of one server. `admit` is told how many first backups of that server were written
    /// down since `since`, and says how many more may be; nobody else counts or inserts there meanwhile. Those left over are
    /// planned another time.
    pub async fn insert_first(
        &self,
        server: &str,
        jobs: &[NewJob],
        since: Timestamp,
        admit: impl FnOnce(u32) -> u32,
        now: Timestamp,
    ) -> Result<u64> {
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            let turn =
                "SELECT pg_advisory_xact_lock(hashtextextended('malle/first/' || current_schema() || $1, 0))";
            changed(&transaction, turn, &[&server]).await?;
            let admitted = "SELECT count(*)::integer AS jobs FROM jobs j JOIN mailboxes m ON m.id = j.mailbox \
                            WHERE j.first AND j.created_at > $2 AND m.server = $1";
            let admitted = row(&transaction, admitted, &[&server, &since]).await?;
            let admitted = small_count(&admitted.expect("a count has a row"), "jobs")?;
            let room = usize::try_from(admit(admitted)).unwrap_or(usize::MAX);
            let columns = Columns::of(&jobs[..jobs.len().min(room)]);
            let new = changed(&transaction, INSERT, &columns.parameters(&now, &true)).await?;
            transaction.commit().await?;
            Ok(new)
        })
        .await
    }

    /// Cancels the scheduled jobs of these mailboxes that wait by the schedule of a plan that they are no longer on; answers how many.
    pub async fn cancel_outdated(&self, mailboxes: &[MailboxId]) -> Result<u64> {
        let sql = "UPDATE jobs j SET state = 'cancelled', cancel_requested = true, finished_at = now() FROM mailboxes m \
                   WHERE j.mailbox = ANY ($3) AND j.state = 'waiting' AND j.slot_date IS NOT NULL AND m.id = j.mailbox \
                       AND m.plan IS NOT NULL AND j.kind = ANY ($2) AND j.kind <> ($2::text[])[array_position($1::text[], m.plan)]";
        let (plans, kinds) = schedules();
        let mailboxes: Vec<_> = mailboxes.iter().map(|id| id.sql()).collect();
        self.execute(sql, &[&plans, &kinds, &mailboxes]).await
    }
}

/// Plans, and in the same order the kind of job that each is served by.
fn schedules() -> (Vec<&'static str>, Vec<&'static str>) {
    Plan::ALL.iter().map(|plan| (plan.as_str(), JobKind::from(plan.schedule()).as_str())).unzip()
}

/// In one order, so that two producers that insert the same slots wait for each other in that order.
const INSERT: &str = "INSERT INTO jobs (kind, mailbox, slot_date, run_at, deadline, created_at, first) \
    SELECT n.*, $6::timestamptz, $7::boolean \
    FROM unnest($1::text[], $2::bigint[], $3::date[], $4::timestamptz[], $5::timestamptz[]) \
        AS n(kind, mailbox, slot_date, run_at, deadline) ORDER BY mailbox, kind, slot_date DESC \
    ON CONFLICT DO NOTHING";

/// Jobs as [`INSERT`] takes them.
struct Columns {
    kinds: Vec<&'static str>,
    mailboxes: Vec<Option<i64>>,
    slots: Vec<Date>,
    starts: Vec<Timestamp>,
    deadlines: Vec<Option<Timestamp>>,
}

impl Columns {
    fn of(jobs: &[NewJob]) -> Columns {
        Columns {
            kinds: jobs.iter().map(|job| job.kind.as_str()).collect(),
            mailboxes: jobs.iter().map(|job| job.mailbox.map(Number::sql)).collect(),
            slots: jobs.iter().map(|job| job.slot_date).collect(),
            starts: jobs.iter().map(|job| job.run_at).collect(),
            deadlines: jobs.iter().map(|job| job.deadline).collect(),
        }
    }

    fn parameters<'a>(&'a self, now: &'a Timestamp, first: &'a bool) -> [&'a (dyn ToSql + Sync); 7] {
        let Columns { kinds, mailboxes, slots, starts, deadlines } = self;
        [kinds, mailboxes, slots, starts, deadlines, now, first]
    }
}
