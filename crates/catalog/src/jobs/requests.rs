//! Jobs that somebody asks for.

use std::num::NonZeroU32;
use std::time::Duration;

use deadpool_postgres::GenericClient;
use model::{JobId, JobKind, MailboxId, Plan, SignedDuration, Timestamp};
use serde_json::Value;
use tokio_postgres::types::Json;

use crate::audit::{AuditEntry, append};
use crate::catalog::{Catalog, changed, row};
use crate::columns::{Number, get, maybe_word};
use crate::error::{Error, Result};

/// How many requests of one kind a mailbox may make.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// So many …
    pub requests: NonZeroU32,
    /// … in this time.
    pub interval: SignedDuration,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What shall be done.
    pub kind: JobKind,
    /// For whom; `None`: global.
    pub mailbox: Option<MailboxId>,
    /// Chosen by who asks: the same key is the same request, however often it comes.
    pub key: &'a str,
    /// What the worker needs to know, in its own words.
    pub parameters: Option<&'a Value>,
    /// `None`: no limit.
    pub limit: Option<RateLimit>,
    /// The trace of who asks, as a W3C `traceparent`.
    pub traceparent: Option<&'a str>,
    /// Written with what the request changes; asking again adds nothing.
    pub audit: Option<&'a AuditEntry<'a>>,
}

/// The job that does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requested {
    /// Which.
    pub job: JobId,
    /// Made by this request; else it was there.
    pub new: bool,
}

impl Catalog {
    /// Makes a job that is due at once. A backup by hand while another one is unfinished is that other one, which is given this
    /// request's parameters if it waits; a nightly one that waits is not in its way.
    ///
    /// # Errors
    /// [`Error::PersonalPlan`], [`Error::NoPlan`], [`Error::TooMany`], [`Error::UnknownMailbox`], [`Error::MailboxGone`],
    /// [`Error::Underway`]; [`Error::KeyReused`] for a key that came with another request.
    pub async fn request(&self, request: &Request<'_>, now: Timestamp) -> Result<Requested> {
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            let mailbox = request.mailbox.map(Number::sql);
            let turn = "SELECT pg_advisory_xact_lock(hashtextextended(\
                        'malle/request/' || current_schema() || coalesce($1::bigint::text, ''), 0))";
            let turn_of_key = "SELECT pg_advisory_xact_lock(hashtextextended('malle/key/' || current_schema() || $1::text, 0))";
            changed(&transaction, turn_of_key, &[&request.key]).await?;
            changed(&transaction, turn, &[&mailbox]).await?;
            if let Some(job) = of_key(&transaction, request).await? {
                return Ok(Requested { job, new: false });
            }
            if let Some(job) = unfinished(&transaction, request, now).await? {
                transaction.commit().await?;
                return Ok(Requested { job, new: false });
            }
            if let Some(mailbox) = request.mailbox {
                allowed(&transaction, mailbox, request.kind).await?;
            }
            if let Some(limit) = request.limit {
                within_limit(&transaction, request, limit, now).await?;
            }
            let insert = "INSERT INTO jobs (kind, mailbox, request_key, parameters, asked, run_at, created_at, traceparent) \
                          VALUES ($1, $2, $3, $4::jsonb, coalesce($4::jsonb, '{}'), $5, $5, $6) RETURNING id";
            let parameters = request.parameters.map(Json);
            let inserted = row(
                &transaction,
                insert,
                &[&request.kind.as_str(), &mailbox, &request.key, &parameters, &now, &request.traceparent],
            )
            .await?;
            let job = Number::of(&inserted.expect("INSERT answers with its row"), "id")?;
            audit(&transaction, request, now).await?;
            transaction.commit().await?;
            Ok(Requested { job, new: true })
        })
        .await
    }
}

/// Requests of that kind for that mailbox `$1`; the index does not serve `IS NOT DISTINCT FROM`.
fn requests_like(request: &Request<'_>) -> &'static str {
    match request.mailbox {
        Some(_) => "slot_date IS NULL AND kind = $2 AND mailbox = $1",
        None => "slot_date IS NULL AND kind = $2 AND mailbox IS NULL AND $1::bigint IS NULL",
    }
}

/// The job of this request's key.
async fn of_key(on: &impl GenericClient, request: &Request<'_>) -> Result<Option<JobId>> {
    let sql = "SELECT id, kind = $2 AND mailbox IS NOT DISTINCT FROM $3 \
                   AND coalesce(asked = coalesce($4::jsonb, '{}'), true) AS is_same \
               FROM jobs WHERE request_key = $1 ORDER BY id LIMIT 1";
    let (mailbox, parameters) = (request.mailbox.map(Number::sql), request.parameters.map(Json));
    let found = row(on, sql, &[&request.key, &request.kind.as_str(), &mailbox, &parameters]).await?;
    let Some(found) = found else { return Ok(None) };
    let job: JobId = Number::of(&found, "id")?;
    if get(&found, "is_same")? { Ok(Some(job)) } else { Err(Error::KeyReused(job)) }
}

/// The unfinished backup by hand, which from then on does what this request asks for, too.
async fn unfinished(on: &impl GenericClient, request: &Request<'_>, now: Timestamp) -> Result<Option<JobId>> {
    let sql = format!(
        "SELECT id, state, coalesce(parameters, '{{}}') @> coalesce($3::jsonb, '{{}}') AS covers \
         FROM jobs WHERE {} AND kind = 'manual' AND state IN ('waiting', 'running') LIMIT 1",
        requests_like(request)
    );
    let (mailbox, parameters) = (request.mailbox.map(Number::sql), request.parameters.map(Json));
    let found = row(on, &sql, &[&mailbox, &request.kind.as_str(), &parameters]).await?;
    let Some(found) = found else { return Ok(None) };
    let job: JobId = Number::of(&found, "id")?;
    if !get::<bool>(&found, "covers")? {
        if get::<&str>(&found, "state")? == "running" {
            return Err(Error::Underway(job));
        }
        let extend = "UPDATE jobs SET parameters = coalesce(parameters, '{}') || $2 WHERE id = $1 AND state = 'waiting'";
        // It was claimed since it was looked at.
        if changed(on, extend, &[&job.sql(), &parameters]).await? == 0 {
            return Err(Error::Underway(job));
        }
        audit(on, request, now).await?;
    }
    Ok(Some(job))
}

async fn audit(on: &impl GenericClient, request: &Request<'_>, now: Timestamp) -> Result<()> {
    match request.audit {
        Some(entry) => append(on, entry, now).await,
        None => Ok(()),
    }
}

/// What is gone can still be given back, verified and pruned; it cannot be backed up.
async fn allowed(on: &impl GenericClient, mailbox: MailboxId, kind: JobKind) -> Result<()> {
    let sql = "SELECT plan, state = 'gone' AS gone FROM mailboxes WHERE id = $1";
    let found = row(on, sql, &[&mailbox.sql()]).await?.ok_or(Error::UnknownMailbox(mailbox))?;
    if kind.is_backup() && get(&found, "gone")? {
        return Err(Error::MailboxGone(mailbox));
    }
    match maybe_word::<Plan>(&found, "plan")? {
        _ if kind != JobKind::Manual => Ok(()),
        Some(plan) if plan.allows_manual() => Ok(()),
        Some(_) => Err(Error::PersonalPlan),
        None => Err(Error::NoPlan),
    }
}

/// The `requests`-th newest request decides when the next is possible.
async fn within_limit(
    on: &impl GenericClient,
    request: &Request<'_>,
    limit: RateLimit,
    now: Timestamp,
) -> Result<()> {
    let sql = format!(
        "SELECT created_at FROM jobs WHERE {} ORDER BY created_at DESC OFFSET $3 LIMIT 1",
        requests_like(request)
    );
    let nth = i64::from(limit.requests.get()) - 1;
    let mailbox = request.mailbox.map(Number::sql);
    let Some(found) = row(on, &sql, &[&mailbox, &request.kind.as_str(), &nth]).await? else {
        return Ok(());
    };
    let possible = get::<Timestamp>(&found, "created_at")? + limit.interval;
    match Duration::try_from(possible.duration_since(now)) {
        Ok(retry_after) if !retry_after.is_zero() => Err(Error::TooMany { retry_after }),
        _ => Ok(()),
    }
}
