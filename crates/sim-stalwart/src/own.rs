//! What each user has of their own of an object: an impersonator sees and sets theirs, and leaves the owner's as it is.

use serde_json::{Map, Value};

use crate::account::Account;
use crate::kind::DataType;
use crate::server::Login;

/// Members by user, type and id.
pub(crate) type Own = std::collections::BTreeMap<(String, DataType, String), Map<String, Value>>;

/// The members of which users have their own; as Stalwart 0.16.19 does.
fn members(kind: DataType) -> &'static [&'static str] {
    match kind {
        DataType::Mailbox => &["isSubscribed"],
        DataType::AddressBook => &["name", "description", "sortOrder", "isSubscribed"],
        DataType::Calendar => &[
            "name",
            "description",
            "color",
            "sortOrder",
            "isSubscribed",
            "isVisible",
            "includeInAvailability",
            "defaultAlertsWithTime",
            "defaultAlertsWithoutTime",
        ],
        _ => &[],
    }
}

/// What the owner has of an object that somebody else makes.
fn unsaid(kind: DataType, member: &str) -> Value {
    match (kind, member) {
        (DataType::AddressBook, "name") => "Address Book".into(),
        (_, "name") => "".into(),
        (_, "sortOrder") => 0.into(),
        (_, "isSubscribed") => false.into(),
        (_, "isVisible") => true.into(),
        (_, "includeInAvailability") => "all".into(),
        (_, "defaultAlertsWithTime" | "defaultAlertsWithoutTime") => Map::new().into(),
        _ => Value::Null,
    }
}

fn is_owner(account: &Account, login: &Login) -> bool {
    login.account.as_ref() == Some(&account.id)
}

/// The member as this user sees it, who has not the owner's.
pub(crate) fn member(
    account: &Account,
    login: &Login,
    (kind, id): (DataType, &str),
    member: &str,
) -> Option<Value> {
    if is_owner(account, login) || !members(kind).contains(&member) {
        return None;
    }
    let own = account.own.get(&(login.user.clone(), kind, id.to_owned()));
    let own = own.and_then(|own| own.get(member)).cloned();
    // Of a calendar of which a user has set nothing they see what the owner has.
    own.or((member == "isSubscribed" && kind != DataType::Calendar).then_some(Value::Bool(false)))
}

/// The object as this user sees it.
pub(crate) fn view(account: &Account, login: &Login, kind: DataType, object: &Value) -> Value {
    let mut seen = object.clone();
    let id = object["id"].as_str().unwrap_or_default();
    for name in members(kind) {
        if let Some(value) = member(account, login, (kind, id), name) {
            seen[*name] = value;
        }
    }
    seen
}

/// Takes out of an object, as this user wants it, what is theirs. `present`: the owner's; `None`: it is made.
pub(crate) fn keep(
    account: &mut Account,
    login: &Login,
    (kind, draft): (DataType, &mut Value),
    present: Option<&Value>,
) {
    if is_owner(account, login) || members(kind).is_empty() {
        return;
    }
    let before = present.map(|present| view(account, login, kind, present));
    let id = draft["id"].as_str().unwrap_or_default().to_owned();
    let own = account.own.entry((login.user.clone(), kind, id)).or_default();
    for name in members(kind) {
        if before.as_ref().is_none_or(|before| before[*name] != draft[*name]) {
            own.insert((*name).to_owned(), draft[*name].clone());
        }
        draft[*name] = present.map_or_else(|| unsaid(kind, name), |present| present[*name].clone());
    }
}
