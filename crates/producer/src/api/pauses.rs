use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use catalog::Pause;
use model::{MailboxId, Plan};
use serde::Deserialize;
use serde_json::{Value, json};

use super::authorize::Actor;
use super::body::Body;
use super::problem::Problem;
use super::server::Shared;

/// One of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scope {
    mailbox: Option<u64>,
    server: Option<String>,
    plan: Option<String>,
}

impl Scope {
    fn pause(self) -> Result<Pause, Problem> {
        match (self.mailbox, self.server, self.plan) {
            (Some(id), None, None) => Ok(Pause::Mailbox(MailboxId(id))),
            (None, Some(server), None) if !server.is_empty() => Ok(Pause::Server(server)),
            (None, None, Some(plan)) => {
                let plan = plan.parse::<Plan>().map_err(|error| Problem::unusable(error.to_string()))?;
                Ok(Pause::Plan(plan))
            }
            _ => Err(Problem::unusable("name what is meant by one of: mailbox, server, plan")),
        }
    }
}

fn mailbox_of(pause: &Pause) -> Option<MailboxId> {
    match pause {
        Pause::Mailbox(id) => Some(*id),
        Pause::Server(_) | Pause::Plan(_) => None,
    }
}

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Value>, Problem> {
    let pauses = shared.catalog.pauses().await?;
    let shown = pauses.iter().map(|(pause, since)| match pause {
        Pause::Mailbox(id) => json!({"mailbox": id.0, "since": since.to_string()}),
        Pause::Server(server) => json!({"server": server, "since": since.to_string()}),
        Pause::Plan(plan) => json!({"plan": plan.as_str(), "since": since.to_string()}),
    });
    Ok(Json(json!({"pauses": shown.collect::<Vec<_>>()})))
}

pub(super) async fn pause(
    State(shared): State<Shared>,
    Extension(Actor(actor)): Extension<Actor>,
    Body(scope): Body<Scope>,
) -> Result<StatusCode, Problem> {
    let pause = scope.pause()?;
    let known = match &pause {
        Pause::Mailbox(id) => shared.catalog.mailbox(*id).await?.is_some(),
        Pause::Server(server) => shared.servers.contains(server),
        Pause::Plan(_) => true,
    };
    if !known {
        return Err(Problem::unknown("there is no such mailbox or server"));
    }
    shared.asking.write_down(&actor, "pause.begun", mailbox_of(&pause), None).await?;
    shared.catalog.pause(&pause, shared.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn resume(
    State(shared): State<Shared>,
    Extension(Actor(actor)): Extension<Actor>,
    scope: Result<Query<Scope>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(scope) = scope.map_err(|error| Problem::unusable(error.body_text()))?;
    let pause = scope.pause()?;
    shared.asking.write_down(&actor, "pause.ended", mailbox_of(&pause), None).await?;
    shared.catalog.resume(&pause).await?;
    Ok(StatusCode::NO_CONTENT)
}
