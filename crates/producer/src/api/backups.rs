use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use catalog::Backup;
use model::{BackupNumber, JobKind, MailboxId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Id;
use super::principal::Principal;
use super::problem::Problem;
use super::shared::Shared;

/// Backups in one answer.
const PAGE: u32 = 100;

/// Where the last page ended.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    before: Option<u64>,
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    Id(id): Id,
    before: Result<Query<Before>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(Before { before }) = before.map_err(|error| Problem::unusable(error.body_text()))?;
    let (mailbox, before) = (MailboxId(id), before.map(BackupNumber));
    shared.mailbox(&principal, mailbox).await?;
    if let Some(before) = before
        && shared.catalog.backup_of(mailbox, before).await?.is_none()
    {
        return Err(Problem::unusable("before is no number of a backup of this mailbox"));
    }
    let page = shared.catalog.backups_of(mailbox, before, PAGE).await?;
    let next = page.last().filter(|_| page.len() == PAGE as usize).map(|last| last.number.0);
    Ok(Json(json!({"backups": page.iter().map(shown).collect::<Vec<_>>(), "next": next})))
}

fn shown(backup: &Backup) -> Value {
    let facts = &backup.facts;
    json!({
        "number": backup.number.0,
        "kind": backup.kind.map(JobKind::as_str),
        "slot": backup.slot_date.map(|date| date.to_string()),
        "job": backup.job.map(|job| job.0),
        "state": facts.state.as_str(),
        "started_at": facts.started_at.to_string(),
        "finished_at": facts.finished_at.to_string(),
        "store": facts.store,
        "zone": facts.zone,
        "emails": facts.emails,
        "bytes": facts.bytes,
        "stored_bytes": facts.stored_bytes,
        "contents": facts.contents,
    })
}
