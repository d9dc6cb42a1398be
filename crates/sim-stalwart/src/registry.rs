//! `x:Account/get` and `x:Tenant/get`: management objects of Stalwart 0.16, as its reference of objects describes them.

use serde_json::{Map, Value, json};

use crate::api::Context;
use crate::error::MethodError;
use crate::json::{self, Arguments};
use crate::server::{Directory, Role};

pub(crate) fn get(
    context: &Context<'_>,
    object: &str,
    arguments: &Arguments,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    if context.login.role != Role::Administrator {
        return Err(MethodError::of("forbidden"));
    }
    let wanted = context.ids(arguments)?;
    let properties = json::strings(arguments, "properties")?;
    let directory = context.server.directory();
    let all = if object == "x:Account" { accounts(&directory) } else { tenants(&directory) };
    let chosen = |id: &String| wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
    let shown = |name: &String| {
        name == "id" || properties.as_ref().is_none_or(|properties| properties.contains(name))
    };
    let of = |(id, object): &(String, Map<String, Value>)| {
        let mut object = object.clone();
        object.insert("id".to_owned(), json!(id));
        object.retain(|name, _| shown(name));
        object
    };
    let list: Vec<_> = all.iter().filter(|(id, _)| chosen(id)).map(of).collect();
    let missing: Vec<_> =
        wanted.iter().flatten().filter(|id| !all.iter().any(|(present, _)| present == *id)).collect();
    json::push(out, &json!({ "state": "n", "list": list, "notFound": missing }));
    Ok(())
}

fn accounts(directory: &Directory) -> Vec<(String, Map<String, Value>)> {
    let user = |(name, id): (&String, &String)| {
        let membership = directory.memberships.get(id).cloned().unwrap_or_default();
        let groups: Map<_, _> = membership.groups.into_iter().map(|id| (id, json!(true))).collect();
        let user = json!({
            "@type": "User", "name": local(name), "emailAddress": name,
            "memberTenantId": membership.tenant, "memberGroupIds": groups,
        });
        (id.clone(), object(user))
    };
    let group = |(name, id): (&String, &String)| {
        let tenant = directory.memberships.get(id).and_then(|membership| membership.tenant.clone());
        let group =
            json!({ "@type": "Group", "name": local(name), "emailAddress": name, "memberTenantId": tenant });
        (id.clone(), object(group))
    };
    directory.names.iter().map(user).chain(directory.groups.iter().map(group)).collect()
}

fn tenants(directory: &Directory) -> Vec<(String, Map<String, Value>)> {
    directory.tenants.iter().map(|(name, id)| (id.clone(), object(json!({ "name": name })))).collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn local(address: &str) -> &str {
    address.split('@').next().unwrap_or(address)
}
