use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::Requested;
use model::{BackupNumber, BackupParameters, MailboxId, RestoreMode};
use queue::MailboxName;
use serde::Deserialize;
use serde_json::json;
use tracing::Span;

use super::body::{Body, Key};
use super::principal::Principal;
use super::problem::Problem;
use super::shared::Shared;
use crate::asking::{Asker, BackupName, RestoreRequest};
use crate::settings::Scope;

/// By its number or by its present address.
fn name(mailbox: Option<u64>, address: Option<String>) -> Result<MailboxName, Problem> {
    match (mailbox, address) {
        (Some(id), None) => Ok(MailboxName::Id(MailboxId(id))),
        (None, Some(address)) => Ok(MailboxName::Address(address)),
        _ => Err(Problem::unusable("name the mailbox by one of: mailbox, address")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupRequest {
    mailbox: Option<u64>,
    address: Option<String>,
    /// Lists everything, whatever the server says of changes.
    #[serde(default)]
    full: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restore {
    mailbox: Option<u64>,
    address: Option<String>,
    number: u64,
    #[serde(default)]
    mode: RestoreMode,
    select: Option<String>,
    #[serde(default)]
    wrap_refused: bool,
    to_mailbox: Option<u64>,
    to_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verification {
    mailbox: Option<u64>,
    address: Option<String>,
    number: u64,
}

/// Who asks, and the key of it: each token's keys are its own.
pub(super) struct Caller {
    principal: Arc<Principal>,
    key: String,
    traceparent: Option<String>,
}

impl Caller {
    fn asker(&self) -> Asker<'_> {
        Asker {
            actor: &self.principal.actor,
            key: &self.key,
            traceparent: self.traceparent.as_deref(),
            tenants: self.principal.tenants.as_ref(),
            crosses_tenants: self.principal.may(Scope::Operate).is_ok(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Caller, Problem> {
        let Key(key) = Key::from_request_parts(parts, state).await?;
        let principal = parts.extensions.get::<Arc<Principal>>().cloned();
        let principal = principal.ok_or_else(Problem::unauthorized)?;
        // Who asked through the queue asks here what became of it.
        let is_of_queue = key.starts_with("queue ") && principal.tenants.is_none();
        let key = if is_of_queue { key } else { format!("{} {key}", principal.actor) };
        Ok(Caller { principal, key, traceparent: telemetry::traceparent(&Span::current()) })
    }
}

pub(super) async fn backup(
    State(shared): State<Shared>,
    caller: Caller,
    Body(BackupRequest { mailbox, address, full }): Body<BackupRequest>,
) -> Result<Response, Problem> {
    let how = BackupParameters { full };
    Ok(accepted(shared.asking.backup(&caller.asker(), &name(mailbox, address)?, how).await?))
}

pub(super) async fn restore(
    State(shared): State<Shared>,
    caller: Caller,
    Body(Restore { mailbox, address, number, mode, select, wrap_refused, to_mailbox, to_address }): Body<
        Restore,
    >,
) -> Result<Response, Problem> {
    let to = match (to_mailbox, to_address) {
        (None, None) => None,
        (Some(id), None) => Some(MailboxName::Id(MailboxId(id))),
        (None, Some(address)) => Some(MailboxName::Address(address)),
        _ => {
            return Err(Problem::unusable("name the mailbox that gets it by one of: to_mailbox, to_address"));
        }
    };
    let of = BackupName { mailbox: name(mailbox, address)?, number: BackupNumber(number) };
    let how = RestoreRequest { mode, select, wrap_refused, to };
    Ok(accepted(shared.asking.restore(&caller.asker(), &of, &how).await?))
}

pub(super) async fn verify(
    State(shared): State<Shared>,
    caller: Caller,
    Body(Verification { mailbox, address, number }): Body<Verification>,
) -> Result<Response, Problem> {
    let of = BackupName { mailbox: name(mailbox, address)?, number: BackupNumber(number) };
    Ok(accepted(shared.asking.verify(&caller.asker(), &of).await?))
}

fn accepted(Requested { job, new }: Requested) -> Response {
    let place = [(header::LOCATION, format!("/v1/jobs/{job}"))];
    (StatusCode::ACCEPTED, place, Json(json!({"job": job.0, "new": new}))).into_response()
}
