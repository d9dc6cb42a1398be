//! `Principal/query` and `Principal/get`: how an administrator finds the account of a name (Stalwart 0.16).

use serde_json::{Value, json};

use crate::api::Context;
use crate::error::MethodError;
use crate::json::{self, Arguments};
use crate::server::Role;

pub(crate) fn serve(
    context: &Context<'_>,
    verb: &str,
    arguments: &Arguments,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    if context.login.role != Role::Administrator {
        let reason = "The administrator has disabled directory queries.".to_owned();
        return Err(MethodError::of("forbidden").because(reason));
    }
    let account = context.account(arguments)?;
    let account = crate::server::lock(&account).id.clone();
    // A user inside a tenant sees that tenant alone.
    let directory = context.server.directory();
    let tenant_of = |id: &str| directory.memberships.get(id).and_then(|membership| membership.tenant.clone());
    let tenant = context.login.account.as_deref().and_then(tenant_of);
    let is_seen = |(id, ..): &(String, String, &str)| tenant.is_none() || tenant_of(id) == tenant;
    let people = directory.names.clone().into_iter().map(|(name, id)| (id, name, "individual"));
    let groups = directory.groups.clone().into_iter().map(|(name, id)| (id, name, "group"));
    let visible: Vec<_> = people.chain(groups).filter(is_seen).collect();
    let answer = match verb {
        "query" => {
            let filter = arguments.get("filter").cloned().unwrap_or_default();
            let wanted = ["email", "name", "text"].into_iter().find_map(|key| filter[key].as_str());
            let named = visible.iter().filter(|(_, name, _)| wanted.is_none_or(|wanted| wanted == name));
            let all: Vec<&String> = named.map(|(id, ..)| id).collect();
            let position = json::unsigned(arguments, "position")?.unwrap_or(0).min(all.len());
            let limit = json::unsigned(arguments, "limit")?.unwrap_or(all.len());
            let ids: Vec<_> = all[position..].iter().take(limit).collect();
            json!({
                "accountId": account, "queryState": "n", "canCalculateChanges": false, "position": position,
                "total": all.len(), "ids": ids,
            })
        }
        "get" => {
            let wanted = context.ids(arguments)?;
            let chosen = |id: &String| wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
            let list: Vec<Value> = visible.iter().filter(|(id, ..)| chosen(id)).map(principal).collect();
            let missing: Vec<&String> = wanted
                .iter()
                .flatten()
                .filter(|id| !visible.iter().any(|(present, ..)| present == *id))
                .collect();
            json!({ "accountId": account, "state": "n", "list": list, "notFound": missing })
        }
        _ => return Err(MethodError::of("unknownMethod")),
    };
    json::push(out, &answer);
    Ok(())
}

fn principal((id, name, kind): &(String, String, &str)) -> Value {
    json!({ "id": id, "type": kind, "name": name, "description": null, "email": name, "timeZone": null })
}
