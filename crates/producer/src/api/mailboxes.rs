use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use catalog::{Address, Mailbox};
use model::{AccountId, MailboxId, Plan};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Body, Id};
use super::principal::Principal;
use super::problem::Problem;
use super::shared::Shared;
use crate::directory::{BadLine, DirectoryError, Disappeared, Entry, Imported, List, OnBadLines, import};

/// Some thousands of mailboxes.
const LONGEST: usize = 2 << 20;
/// Mailboxes without a plan in one answer.
const PAGE: u32 = 1000;

/// Mailboxes of one server; those it does not name stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mailboxes {
    server: String,
    mailboxes: Vec<Entry>,
}

pub(super) async fn put(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    Body(Mailboxes { server, mailboxes }): Body<Mailboxes, LONGEST>,
) -> Result<Json<Value>, Problem> {
    if !shared.servers.contains(&server) {
        let known = shared.servers.join(", ");
        return Err(Problem::unusable(format!("server is unknown; the configuration has {known}")));
    }
    let name = |entry: &Entry| (entry.account.as_deref().map(AccountId::from), entry.address.as_str().into());
    let names: Vec<(_, Address)> = mailboxes.iter().map(name).collect();
    shared.asking.write_down(&principal.actor, "mailboxes.listed", None, None).await?;
    check_tenants(&shared, &principal, &server, &mailboxes).await?;
    let list = List { entries: (0..).zip(mailboxes).collect(), bad: Vec::new() };
    let list = list.within_zones(&shared.zones);
    let (rules, now) = (&shared.rules, shared.clock.now());
    let done = import(&shared.lists, &server, list, rules, OnBadLines::Refuse, Disappeared::Stay, now).await;
    match done {
        Ok(Imported { listed, new, unplanned, .. }) => {
            let known = shared.catalog.mailboxes_named(&server, &names).await?;
            let known = known.iter().map(|one| json!({"mailbox": one.id.0, "address": one.address.as_str()}));
            let mailboxes: Vec<_> = known.collect();
            Ok(Json(json!({"listed": listed, "new": new, "unplanned": unplanned, "mailboxes": mailboxes})))
        }
        Err(DirectoryError::BadLines(bad)) => {
            let errors = bad.into_iter().map(|BadLine { line, reason }| (line, reason)).collect();
            Err(Problem::unusable("mailboxes that cannot be used; none was written").with_errors(errors))
        }
        Err(DirectoryError::Catalog(error)) => Err(error.into()),
        Err(other) => Err(Problem::unusable(other.to_string())),
    }
}

/// A token of some tenants changes what is known of their mailboxes. It makes none and renames none: a caller that could claim an
/// account or an address would be given its mail.
async fn check_tenants(
    shared: &Shared,
    principal: &Principal,
    server: &str,
    mailboxes: &[Entry],
) -> Result<(), Problem> {
    let Some(tenants) = &principal.tenants else { return Ok(()) };
    let names: Vec<_> = mailboxes.iter().map(|one| (None, Address::from(one.address.as_str()))).collect();
    let known = shared.catalog.mailboxes_named(server, &names).await?;
    let is_theirs = |one: &Entry| {
        let address = Address::from(one.address.as_str());
        let mut at: Vec<&Mailbox> = known.iter().filter(|mailbox| mailbox.address == address).collect();
        let same_account = |mailbox: &Mailbox| {
            one.account.is_none() || one.account.as_deref() == mailbox.account.as_ref().map(AccountId::as_str)
        };
        let only =
            at.pop().filter(|mailbox| at.is_empty() && principal.sees(mailbox) && same_account(mailbox));
        only.is_some() && one.tenant.as_ref().is_none_or(|tenant| tenants.contains(tenant))
    };
    let theirs = (0..).zip(mailboxes).filter(|(_, one)| !is_theirs(one));
    let errors: Vec<_> = theirs
        .map(|(index, _)| (index, "no mailbox of the token's tenants is called so".to_owned()))
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        let detail = "the token is bound to tenants: it changes their mailboxes, and makes and renames none; none was \
                          written";
        Err(Problem::new(StatusCode::FORBIDDEN, "tenant", detail).with_errors(errors))
    }
}

/// In a body, because paths end in access logs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    address: String,
}

pub(super) async fn find(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    Body(Wanted { address }): Body<Wanted>,
) -> Result<Json<Value>, Problem> {
    let mut found = shared.catalog.mailboxes_at(&address.as_str().into()).await?;
    found.retain(|mailbox| principal.sees(mailbox));
    Ok(Json(json!({"mailboxes": found.iter().map(shown).collect::<Vec<_>>()})))
}

/// Where the last page ended.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    after: Option<u64>,
}

pub(super) async fn unplanned(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    after: Result<Query<After>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(After { after }) = after.map_err(|error| Problem::unusable(error.body_text()))?;
    if after.is_some_and(|after| i64::try_from(after).is_err()) {
        return Err(Problem::unusable("after is no number of a mailbox"));
    }
    let tenants: Option<Vec<&str>> =
        principal.tenants.as_ref().map(|tenants| tenants.iter().map(String::as_str).collect());
    let page = shared.catalog.unplanned_mailboxes_of(tenants.as_deref(), after.map(MailboxId), PAGE).await?;
    let more = page.len() == PAGE as usize;
    let next = page.last().filter(|_| more).map(|last| last.id.0);
    Ok(Json(json!({"mailboxes": page.iter().map(shown).collect::<Vec<_>>(), "next": next})))
}

fn shown(mailbox: &Mailbox) -> Value {
    json!({
        "mailbox": mailbox.id.0,
        "server": mailbox.server,
        "account": mailbox.account.as_ref().map(AccountId::as_str),
        "address": mailbox.address.as_str(),
        "plan": mailbox.plan.map(Plan::as_str),
        "plan_by_rule": mailbox.plan_by_rule,
        "zone": mailbox.zone,
        "time_zone": mailbox.time_zone,
        "tenant": mailbox.tenant,
        "state": if mailbox.gone_at.is_none() { "active" } else { "gone" },
        "gone_at": mailbox.gone_at.map(|at| at.to_string()),
        "newest_good_at": mailbox.newest_good_at.map(|at| at.to_string()),
    })
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    Extension(principal): Extension<Arc<Principal>>,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let id = MailboxId(id);
    shared.mailbox(&principal, id).await?;
    shared.asking.write_down(&principal.actor, "mailbox.gone", Some(id), None).await?;
    shared.catalog.mark_gone(id, shared.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
