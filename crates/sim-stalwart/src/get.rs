//! `Foo/get` of everything but emails (RFC 8620 §5.1).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::account::{Account, folder};
use crate::api::Context;
use crate::error::MethodError;
use crate::ids;
use crate::json::{self, Arguments};
use crate::kind::DataType;
use crate::own;
use crate::server::Login;
use crate::version::Named;

/// A state as the client sees it; `n` is the initial one.
pub(crate) fn state_text(state: u64) -> String {
    if state == 0 { "n".to_owned() } else { format!("s{}", ids::short(state)) }
}

/// The state that a text names.
pub(crate) fn state_number(text: &str) -> Option<u64> {
    if text == "n" { Some(0) } else { ids::number(text.strip_prefix('s')?) }
}

/// Writes `{"accountId":…,"state":…`, left open.
pub(crate) fn begin(out: &mut Vec<u8>, account: &Account, kind: DataType) {
    out.push(b'{');
    json::member(out, "accountId", &account.id);
    if kind != DataType::ParticipantIdentity {
        json::member(out, "state", &state_text(account.state(kind)));
    }
}

pub(crate) fn get(
    context: &Context<'_>,
    account: &Account,
    kind: DataType,
    arguments: &Arguments,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    let present = &account.objects[&kind].present;
    let (mut found, mut missing): (BTreeSet<&str>, Vec<String>) = Default::default();
    match context.ids(arguments)? {
        // As Stalwart does: all means the first so many, and nothing says that there are more.
        None => {
            found.extend(present.keys().take(context.settings.limits.max_objects_in_get).map(String::as_str))
        }
        Some(ids) => {
            for id in ids {
                match present.get_key_value(&id) {
                    Some((id, _)) => drop(found.insert(id)),
                    None => missing.push(id),
                }
            }
        }
    }
    let all = arguments.get("ids").is_none_or(Value::is_null);
    if kind == DataType::VacationResponse && present.is_empty() && all {
        missing.push("singleton".to_owned());
    }
    let mut properties = json::strings(arguments, "properties")?;
    let is_named_only = |name: &String| named_only(kind).contains(&name.as_str());
    match context.settings.named {
        Named::Given => {}
        Named::LeftOut => properties.iter_mut().for_each(|names| names.retain(|name| !is_named_only(name))),
        Named::Refused if properties.iter().flatten().any(is_named_only) => {
            return Err(MethodError::invalid("a property that is not known"));
        }
        Named::Refused => {}
    }
    begin(out, account, kind);
    json::key(out, "list");
    json::array(out, found, |out, id| {
        write(out, account, (kind, id), context.login, properties.as_deref());
    });
    json::member(out, "notFound", &missing);
    out.push(b'}');
    Ok(())
}

/// What 0.16 gives only to those who name it.
fn named_only(kind: DataType) -> &'static [&'static str] {
    match kind {
        DataType::Mailbox | DataType::AddressBook => &["shareWith"],
        DataType::Calendar => &[
            "isVisible",
            "includeInAvailability",
            "defaultAlertsWithTime",
            "defaultAlertsWithoutTime",
            "shareWith",
        ],
        DataType::ContactCard => &["vCard"],
        DataType::CalendarEvent => {
            &["iCalendar", "useDefaultAlerts", "hideAttendees", "mayInviteSelf", "mayInviteOthers"]
        }
        _ => &[],
    }
}

/// Properties of events whose values are objects of iCalendar themselves.
const HOLD_OBJECTS: [&str; 7] =
    ["alerts", "recurrenceOverrides", "locations", "virtualLocations", "participants", "links", "relatedTo"];

/// To those who do not name the property, such objects come without what only iCalendar knows of them.
fn without_icalendar(objects: &Value) -> Value {
    let mut objects = objects.clone();
    for object in objects.as_object_mut().into_iter().flat_map(|objects| objects.values_mut()) {
        object.as_object_mut().and_then(|object| object.remove("iCalendar"));
    }
    objects
}

fn write(
    out: &mut Vec<u8>,
    account: &Account,
    (kind, id): (DataType, &str),
    reader: &Login,
    properties: Option<&[String]>,
) {
    let wanted = |name: &str| match properties {
        None => !named_only(kind).contains(&name),
        Some(properties) => name == "id" || properties.iter().any(|property| property == name),
    };
    out.push(b'{');
    let object = account.object(kind, id).and_then(|object| object.as_object());
    for (name, value) in object.into_iter().flatten().filter(|(name, _)| wanted(name)) {
        match name.as_str() {
            _ if let Some(value) = own::member(account, reader, (kind, id), name) => {
                json::member(out, name, &value);
            }
            _ if kind == DataType::CalendarEvent
                && properties.is_none()
                && HOLD_OBJECTS.contains(&name.as_str()) =>
            {
                json::member(out, name, &without_icalendar(value));
            }
            _ => json::member(out, name, value),
        }
    }
    if kind == DataType::FileNode && wanted("accessed") {
        // As 0.16 does: the time of this very request.
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let looks = LOOKS.fetch_add(1, Ordering::Relaxed);
        json::member(
            out,
            "accessed",
            &format!("2026-11-30T{:02}:{:02}:{:02}Z", looks / 3600 % 24, looks / 60 % 60, looks % 60),
        );
    }
    if kind == DataType::Mailbox {
        let counts = folder(id).and_then(|number| account.counts.get(&number)).copied().unwrap_or_default();
        let numbers = [
            ("totalEmails", counts.total),
            ("unreadEmails", counts.unread),
            ("totalThreads", counts.total),
            ("unreadThreads", counts.unread),
        ];
        numbers
            .iter()
            .filter(|(name, _)| wanted(name))
            .for_each(|(name, number)| json::member(out, name, number));
    }
    out.push(b'}');
}
