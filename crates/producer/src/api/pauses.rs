use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use catalog::Pause;
use model::{MailboxId, Plan};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Body;
use super::principal::Principal;
use super::problem::Problem;
use super::shared::Shared;

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

/// A token of some tenants pauses their mailboxes, and neither a server nor a plan, which are everybody's.
async fn allow(shared: &Shared, principal: &Principal, pause: &Pause) -> Result<(), Problem> {
    match pause {
        Pause::Mailbox(id) => shared.mailbox(principal, *id).await.map(drop),
        Pause::Server(_) | Pause::Plan(_) if principal.tenants.is_some() => {
            let detail = "the token is bound to tenants: it pauses and resumes mailboxes only";
            Err(Problem::new(StatusCode::FORBIDDEN, "tenant", detail))
        }
        Pause::Server(server) if !shared.servers.contains(server) => {
            Err(Problem::unknown("there is no such server"))
        }
        Pause::Server(_) | Pause::Plan(_) => Ok(()),
    }
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
) -> Result<Json<Value>, Problem> {
    let mut pauses = shared.catalog.pauses().await?;
    if principal.tenants.is_some() {
        let mut seen = Vec::new();
        for (pause, since) in pauses {
            if let Pause::Mailbox(id) = pause
                && shared.catalog.mailbox(id).await?.is_some_and(|mailbox| principal.sees(&mailbox))
            {
                seen.push((pause, since));
            }
        }
        pauses = seen;
    }
    let shown = pauses.iter().map(|(pause, since)| match pause {
        Pause::Mailbox(id) => json!({"mailbox": id.0, "since": since.to_string()}),
        Pause::Server(server) => json!({"server": server, "since": since.to_string()}),
        Pause::Plan(plan) => json!({"plan": plan.as_str(), "since": since.to_string()}),
    });
    Ok(Json(json!({"pauses": shown.collect::<Vec<_>>()})))
}

pub(super) async fn pause(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    Body(scope): Body<Scope>,
) -> Result<StatusCode, Problem> {
    let pause = scope.pause()?;
    allow(&shared, &principal, &pause).await?;
    shared.asking.write_down(&principal.actor, "pause.begun", mailbox_of(&pause), None).await?;
    shared.catalog.pause(&pause, shared.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn resume(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    scope: Result<Query<Scope>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(scope) = scope.map_err(|error| Problem::unusable(error.body_text()))?;
    let pause = scope.pause()?;
    if principal.tenants.is_some() {
        allow(&shared, &principal, &pause).await?;
    }
    shared.asking.write_down(&principal.actor, "pause.ended", mailbox_of(&pause), None).await?;
    shared.catalog.resume(&pause).await?;
    Ok(StatusCode::NO_CONTENT)
}
