use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use model::MailboxId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::authorize::Actor;
use super::body::{Body, Id};
use super::problem::Problem;
use super::server::Shared;
use crate::directory::{BadLine, DirectoryError, Disappeared, Entry, Imported, List, OnBadLines, import};

/// Some thousands of mailboxes.
const LONGEST: usize = 2 << 20;

/// Mailboxes of one server; those it does not name stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mailboxes {
    server: String,
    mailboxes: Vec<Entry>,
}

pub(super) async fn put(
    State(shared): State<Shared>,
    Extension(Actor(actor)): Extension<Actor>,
    Body(Mailboxes { server, mailboxes }): Body<Mailboxes, LONGEST>,
) -> Result<Json<Value>, Problem> {
    if server.is_empty() {
        return Err(Problem::unusable("server is empty"));
    }
    shared.asking.write_down(&actor, "mailboxes.listed", None, None).await?;
    let list = List { entries: (0..).zip(mailboxes).collect(), bad: Vec::new() };
    let (rules, now) = (&shared.rules, shared.clock.now());
    let done =
        import(&shared.catalog, &server, list, rules, OnBadLines::Refuse, Disappeared::Stay, now).await;
    match done {
        Ok(Imported { listed, new, unplanned, .. }) => {
            Ok(Json(json!({"listed": listed, "new": new, "unplanned": unplanned})))
        }
        Err(DirectoryError::BadLines(bad)) => {
            let errors = bad.into_iter().map(|BadLine { line, reason }| (line, reason)).collect();
            Err(Problem::unusable("mailboxes that cannot be used; none was written").with_errors(errors))
        }
        Err(DirectoryError::Catalog(error)) => Err(error.into()),
        Err(other) => Err(Problem::unusable(other.to_string())),
    }
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    Extension(Actor(actor)): Extension<Actor>,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let id = MailboxId(id);
    if shared.catalog.mailbox(id).await?.is_none() {
        return Err(Problem::unknown("there is no such mailbox"));
    }
    shared.asking.write_down(&actor, "mailbox.gone", Some(id), None).await?;
    shared.catalog.mark_gone(id, shared.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
