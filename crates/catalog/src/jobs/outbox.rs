//! Tickets on their way to the broker. A waiting job without `published_at` is its own outbox row: see the README.

use std::time::Duration;

use model::{JobId, JobKind, MailboxId, Timestamp};
use tokio_postgres::Row;

use crate::catalog::Catalog;
use crate::columns::{Number, get, small_count, word};
use crate::error::Result;

/// What is to be published: that a job may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Which job.
    pub job: JobId,
    /// Which queue.
    pub kind: JobKind,
    /// For whom.
    pub mailbox: Option<MailboxId>,
    /// Counts the job's tickets, from 1.
    pub number: u32,
    /// Since when it is due.
    pub run_at: Timestamp,
    /// The trace that led to the job, as a W3C `traceparent`; after its first ticket, that ticket's.
    pub traceparent: Option<String>,
}

impl Ticket {
    fn of(row: &Row) -> Result<Ticket> {
        Ok(Ticket {
            job: Number::of(row, "id")?,
            kind: word(row, "kind")?,
            mailbox: Number::maybe(row, "mailbox")?,
            number: small_count(row, "ticket")?,
            run_at: get(row, "run_at")?,
            traceparent: get(row, "traceparent")?,
        })
    }
}

impl Catalog {
    /// Takes tickets that are due, the oldest first, at most `limit` of each kind, so that no backlog of one kind delays
    /// another. Nobody else gets them for `hold`: publish, then [`Catalog::mark_published`].
    pub async fn take_unpublished(&self, limit: u32, hold: Duration, now: Timestamp) -> Result<Vec<Ticket>> {
        let sql = "UPDATE jobs SET taken_until = now() + make_interval(secs => $4) WHERE id = ANY (ARRAY(\
                       SELECT due.id FROM unnest($1::text[]) AS k(kind) CROSS JOIN LATERAL (\
                           SELECT id FROM jobs j WHERE j.state = 'waiting' AND j.published_at IS NULL AND j.kind = k.kind \
                               AND j.run_at <= $2 AND (j.taken_until IS NULL OR j.taken_until < now()) \
                           ORDER BY j.run_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS due)) \
                   RETURNING id, kind, mailbox, ticket, run_at, traceparent";
        let kinds: Vec<_> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let parameters = self.query(sql, &[&kinds, &now, &i64::from(limit), &hold.as_secs_f64()]).await?;
        let mut tickets: Vec<Ticket> = parameters.iter().map(Ticket::of).collect::<Result<_>>()?;
        tickets.sort_by_key(|ticket| (ticket.kind, ticket.run_at, ticket.job));
        Ok(tickets)
    }

    /// The broker has confirmed these. A ticket that was overtaken meanwhile (the job ran and waits again) is left alone; on a
    /// job that runs or has ended the mark means nothing. A job without a trace gets that of the ticket.
    pub async fn mark_published(&self, tickets: &[Ticket]) -> Result<()> {
        let sql = "UPDATE jobs j SET published_at = now(), taken_until = NULL, traceparent = coalesce(j.traceparent, t.traceparent) \
                   FROM unnest($1::bigint[], $2::integer[], $3::text[]) AS t(id, ticket, traceparent) \
                   WHERE j.id = t.id AND j.ticket = t.ticket";
        let jobs: Vec<_> = tickets.iter().map(|ticket| ticket.job.sql()).collect();
        let numbers: Vec<_> = tickets.iter().map(|ticket| ticket.number.cast_signed()).collect();
        let traces: Vec<_> = tickets.iter().map(|ticket| ticket.traceparent.as_deref()).collect();
        self.execute(sql, &[&jobs, &numbers, &traces]).await.map(drop)
    }

    /// The broker has not confirmed these: whoever asks next gets them, without waiting for the end of the hold.
    pub async fn give_back(&self, tickets: &[Ticket]) -> Result<()> {
        let sql = "UPDATE jobs j SET taken_until = NULL FROM unnest($1::bigint[], $2::integer[]) AS t(id, ticket) \
                   WHERE j.id = t.id AND j.ticket = t.ticket AND j.state = 'waiting' AND j.published_at IS NULL";
        let jobs: Vec<_> = tickets.iter().map(|ticket| ticket.job.sql()).collect();
        let numbers: Vec<_> = tickets.iter().map(|ticket| ticket.number.cast_signed()).collect();
        self.execute(sql, &[&jobs, &numbers]).await.map(drop)
    }
}
