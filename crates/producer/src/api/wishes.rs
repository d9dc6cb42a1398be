use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use catalog::Requested;
use model::MailboxId;
use queue::MailboxName;
use serde::Deserialize;
use serde_json::json;
use tracing::Span;

use super::authorize::Actor;
use super::body::{Body, Key};
use super::problem::Problem;
use super::server::Shared;
use crate::asking::{Asker, Extent, RestoreWish};

/// By its number or by its present address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupWish {
    mailbox: Option<u64>,
    address: Option<String>,
    /// Lists everything, whatever the server says of changes.
    #[serde(default)]
    full: bool,
}

impl BackupWish {
    fn extent(&self) -> Extent {
        if self.full { Extent::Everything } else { Extent::Changes }
    }

    fn name(self) -> Result<MailboxName, Problem> {
        match (self.mailbox, self.address) {
            (Some(id), None) => Ok(MailboxName::Id(MailboxId(id))),
            (None, Some(address)) => Ok(MailboxName::Address(address)),
            _ => Err(Problem::unusable("name the mailbox by one of: mailbox, address")),
        }
    }
}

pub(super) async fn backup(
    State(shared): State<Shared>,
    Extension(Actor(actor)): Extension<Actor>,
    Key(key): Key,
    Body(wish): Body<BackupWish>,
) -> Result<Response, Problem> {
    let traceparent = telemetry::traceparent(&Span::current());
    let asker = Asker { actor: &actor, key: &key, traceparent: traceparent.as_deref() };
    let extent = wish.extent();
    Ok(accepted(shared.asking.backup(&asker, &wish.name()?, extent).await?))
}

pub(super) async fn restore(
    State(shared): State<Shared>,
    Extension(Actor(actor)): Extension<Actor>,
    Key(key): Key,
    Body(wish): Body<RestoreWish>,
) -> Result<Response, Problem> {
    let traceparent = telemetry::traceparent(&Span::current());
    let asker = Asker { actor: &actor, key: &key, traceparent: traceparent.as_deref() };
    Ok(accepted(shared.asking.restore(&asker, &wish).await?))
}

fn accepted(Requested { job, new }: Requested) -> Response {
    let place = [(header::LOCATION, format!("/v1/jobs/{job}"))];
    (StatusCode::ACCEPTED, place, Json(json!({"job": job.0, "new": new}))).into_response()
}
