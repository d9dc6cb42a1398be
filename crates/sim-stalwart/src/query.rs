//! `Foo/query` (RFC 8620 §5.5).

use serde_json::{Map, Value};

use crate::account::Account;
use crate::api::Context;
use crate::error::MethodError;
use crate::get::state_text;
use crate::json::{self, Arguments};
use crate::kind::DataType;

/// The part of a list that a client asked for.
struct Window {
    from: usize,
    to: usize,
    /// Said in the response if the server made the page smaller than asked.
    limit: Option<usize>,
}

pub(crate) fn query(
    context: &Context<'_>,
    account: &mut Account,
    kind: DataType,
    arguments: &Arguments,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    let cap = context.settings.limits.query_page;
    if kind == DataType::Email {
        let list = account.list_emails(arguments)?;
        let find = |anchor: &str| {
            let index = account.ids.email_index(anchor)?;
            list.iter().position(|listed| *listed == index)
        };
        let window = window(arguments, list.len(), cap, find)?;
        let ids = list[window.from..window.to].iter();
        begin(out, account, kind, &window, list.len(), arguments);
        json::array(out, ids, |out, index| {
            out.push(b'"');
            account.ids.push_email(*index, out);
            out.push(b'"');
        });
    } else {
        let list = listed(account, kind, arguments.get("filter"))?;
        let find = |anchor: &str| list.iter().position(|id| *id == anchor);
        let window = window(arguments, list.len(), cap, find)?;
        begin(out, account, kind, &window, list.len(), arguments);
        json::array(out, &list[window.from..window.to], json::push);
    }
    out.push(b'}');
    Ok(())
}

fn begin(
    out: &mut Vec<u8>,
    account: &Account,
    kind: DataType,
    window: &Window,
    total: usize,
    arguments: &Arguments,
) {
    out.push(b'{');
    json::member(out, "accountId", &account.id);
    json::member(out, "queryState", &state_text(account.state(kind)));
    json::member(out, "canCalculateChanges", &false);
    json::member(out, "position", &window.from);
    if arguments.get("calculateTotal").and_then(Value::as_bool) == Some(true) {
        json::member(out, "total", &total);
    }
    if let Some(limit) = window.limit {
        json::member(out, "limit", &limit);
    }
    json::key(out, "ids");
}

fn signed(arguments: &Arguments, name: &str) -> Result<isize, MethodError> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_i64()
            .and_then(|number| isize::try_from(number).ok())
            .ok_or_else(|| MethodError::invalid(format!("{name}: not a number"))),
    }
}

fn window(
    arguments: &Arguments,
    len: usize,
    cap: usize,
    find: impl Fn(&str) -> Option<usize>,
) -> Result<Window, MethodError> {
    let from = match arguments.get("anchor") {
        None | Some(Value::Null) => match signed(arguments, "position")? {
            back if back < 0 => len.saturating_sub(back.unsigned_abs()),
            position => position.unsigned_abs().min(len),
        },
        Some(anchor) => {
            let at = anchor.as_str().and_then(find).ok_or_else(|| MethodError::of("anchorNotFound"))?;
            at.saturating_add_signed(signed(arguments, "anchorOffset")?).min(len)
        }
    };
    let asked = json::unsigned(arguments, "limit")?;
    let limit = asked.unwrap_or(cap).min(cap);
    let to = from.saturating_add(limit).min(len);
    let reduced = asked.is_some_and(|asked| asked > cap) || (asked.is_none() && len - from > cap);
    Ok(Window { from, to, limit: reduced.then_some(cap) })
}

/// Ids of the objects for which every condition of the filter equals their property.
fn listed<'a>(
    account: &'a Account,
    kind: DataType,
    filter: Option<&Value>,
) -> Result<Vec<&'a String>, MethodError> {
    let none = Map::new();
    let conditions = match filter {
        None | Some(Value::Null) => &none,
        Some(Value::Object(conditions)) => conditions,
        Some(_) => return Err(MethodError::invalid("filter is no object")),
    };
    let known = ["parentId", "name", "role", "isSubscribed", "isActive", "uid"];
    if !conditions.keys().all(|name| known.contains(&name.as_str())) {
        return Err(MethodError::of("unsupportedFilter"));
    }
    let matches = |object: &Value| conditions.iter().all(|(name, wanted)| object[name] == *wanted);
    let objects = account.objects[&kind].present.iter();
    Ok(objects.filter(|(_, object)| matches(object)).map(|(id, _)| id).collect())
}
