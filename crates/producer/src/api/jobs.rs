use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use catalog::{Address, Cancel, Job, Redrive};
use model::{JobId, JobKind, JobState};
use serde_json::{Value, json};

use super::body::Id;
use super::principal::Principal;
use super::problem::Problem;
use super::shared::Shared;
use crate::settings::Scope;

const UNKNOWN: &str = "there is no such job; finished ones are kept for some weeks";

/// The job, if its mailbox is there for who asks.
async fn known(shared: &Shared, principal: &Principal, id: u64) -> Result<Job, Problem> {
    let job = shared.catalog.job(JobId(id)).await?.ok_or_else(|| Problem::unknown(UNKNOWN))?;
    let is_seen = match (job.mailbox, &principal.tenants) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(mailbox), Some(_)) => {
            shared.catalog.mailbox(mailbox).await?.is_some_and(|mailbox| principal.sees(&mailbox))
        }
    };
    if is_seen { Ok(job) } else { Err(Problem::unknown(UNKNOWN)) }
}

pub(super) async fn show(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    Id(id): Id,
) -> Result<Json<Value>, Problem> {
    let job = known(&shared, &principal, id).await?;
    let report = match job.kind {
        JobKind::Restore => shared.catalog.restore_report(job.id).await?,
        _ => None,
    };
    Ok(Json(shown(&job, report.as_ref())))
}

pub(super) async fn redrive(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let job = known(&shared, &principal, id).await?;
    if job.kind == JobKind::Restore {
        principal.may(Scope::Restore)?;
    }
    if job.state == JobState::Dead {
        shared.asking.write_down(&principal.actor, "job.redriven", job.mailbox, job.number).await?;
    }
    let conflict = |word, detail| Err(Problem::new(StatusCode::CONFLICT, word, detail));
    match shared.catalog.redrive(job.id, shared.clock.now()).await? {
        Redrive::Waiting => {
            Ok((StatusCode::ACCEPTED, Json(json!({"job": id, "state": "waiting"}))).into_response())
        }
        Redrive::NotDead => conflict("not-dead", "the job is not dead: it waits, runs or is over"),
        Redrive::Superseded => conflict("superseded", "a newer job of the same kind does its work"),
    }
}

pub(super) async fn cancel(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let job = known(&shared, &principal, id).await?;
    shared.asking.write_down(&principal.actor, "job.cancelled", job.mailbox, job.number).await?;
    match shared.catalog.cancel(job.id).await? {
        Cancel::Cancelled => Ok(Json(json!({"job": id, "state": "cancelled"})).into_response()),
        Cancel::Requested => {
            let body = Json(json!({"job": id, "state": "running", "cancel_requested": true}));
            Ok((StatusCode::ACCEPTED, body).into_response())
        }
        Cancel::Over => Err(Problem::new(StatusCode::CONFLICT, "job-over", "the job is over already")),
    }
}

/// Without the name of the worker's machine.
fn shown(job: &Job, restore: Option<&Value>) -> Value {
    let failure = job.failure.as_ref().map(|(class, text)| json!({"class": class, "text": text}));
    json!({
        "job": job.id.0,
        "kind": job.kind.as_str(),
        "mailbox": job.mailbox.map(|mailbox| mailbox.0),
        "address": job.address.as_ref().map(Address::as_str),
        "slot": job.slot_date.map(|date| date.to_string()),
        "state": job.state.as_str(),
        "run_at": job.run_at.to_string(),
        "attempt": job.attempt.0,
        "slices": job.slices,
        "cancel_requested": job.cancel_requested,
        "number": job.number.map(|number| number.0),
        "failure": failure,
        "restore": restore,
        "created_at": job.created_at.to_string(),
    })
}
