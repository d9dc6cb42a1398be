//! What differs between the types: how an object is recognised, and what of it is sent.

use model::DataType;
use serde_json::{Map, Value};

use super::pairs::{JmapObject, Key, Rules};
use crate::restore::request::Mode;
use crate::server::properties;

/// In the order in which they come back: what is referred to comes first.
pub(super) const ORDER: [DataType; 9] = [
    DataType::SieveScript,
    DataType::VacationResponse,
    DataType::Identity,
    DataType::ParticipantIdentity,
    DataType::AddressBook,
    DataType::ContactCard,
    DataType::Calendar,
    DataType::CalendarEvent,
    DataType::FileNode,
];

/// How objects of a type refer to others.
pub(super) enum Refers {
    Nothing,
    /// A set of ids of this type in this member; never none.
    Set(DataType, &'static str),
    /// To one of the same type in `parentId`, or to none.
    Parent,
}

pub(super) fn refers(data_type: DataType) -> Refers {
    match data_type {
        DataType::ContactCard => Refers::Set(DataType::AddressBook, "addressBookIds"),
        DataType::CalendarEvent => Refers::Set(DataType::Calendar, "calendarIds"),
        DataType::FileNode => Refers::Parent,
        _ => Refers::Nothing,
    }
}

/// The type whose objects lie in those of this one.
pub(super) fn contents_of(data_type: DataType) -> Option<(DataType, &'static str)> {
    match data_type {
        DataType::AddressBook => Some((DataType::ContactCard, "addressBookIds")),
        DataType::Calendar => Some((DataType::CalendarEvent, "calendarIds")),
        _ => None,
    }
}

pub(super) fn rules(data_type: DataType) -> Rules {
    let not_sent: &[&str] = match data_type {
        DataType::SieveScript => &["id", "isActive", "blobId"],
        DataType::Identity => &["id", "mayDelete"],
        DataType::ParticipantIdentity => &["id", "isDefault"],
        DataType::AddressBook | DataType::Calendar => {
            &["id", "isDefault", "myRights", "shareWith", properties::MEMBER]
        }
        DataType::CalendarEvent => &["id", "baseEventId", "isOrigin", "method", "utcStart", "utcEnd"],
        DataType::VacationResponse => &["id", "isEnabled"],
        DataType::FileNode => {
            &["id", "blobId", "size", "myRights", "accessed", "changed", "isSubscribed", "shareWith"]
        }
        DataType::ContactCard | DataType::Mailbox | DataType::Email => &["id"],
    };
    let is_open =
        matches!(data_type, DataType::ContactCard | DataType::CalendarEvent | DataType::VacationResponse);
    let not_compared: &[&str] = match data_type {
        DataType::CalendarEvent => &["updated"],
        DataType::ContactCard => &["updated", "isOrdered"],
        _ => &[],
    };
    Rules { not_sent, not_compared, is_open }
}

/// What is never left away to make a server take the rest.
pub(super) fn is_essential(member: &str) -> bool {
    ["name", "uid", "email", "calendarAddress", "addressBookIds", "calendarIds", "parentId", "blobId"]
        .contains(&member)
}

/// Whether both are files, or both directories.
pub(super) fn are_of_one_kind(one: &JmapObject, other: &JmapObject) -> bool {
    is_file(one) == is_file(other)
}

fn is_file(node: &JmapObject) -> bool {
    node.json.get("blobId").is_some_and(|blob| !blob.is_null())
}

/// Says when a file was changed last: where nobody says so, Stalwart takes the present time.
pub(super) fn keep_modified(patch: &mut Map<String, Value>, file: &JmapObject) {
    let modified = file.json.get("modified").filter(|modified| !modified.is_null());
    patch.extend(modified.map(|modified| ("modified".to_owned(), modified.clone())));
}

/// The argument that makes one object the default one.
pub(super) fn has_default(data_type: DataType) -> bool {
    matches!(data_type, DataType::AddressBook | DataType::Calendar | DataType::ParticipantIdentity)
}

/// Why it is not sent. Tried on Stalwart 0.16.19: of a journal that is sent it makes a VCALENDAR within a VCALENDAR, or an event.
pub(super) fn cannot_be_sent(thing: &JmapObject) -> Option<&'static str> {
    thing.is_journal().then_some("the mail server cannot take a journal (VJOURNAL) over JMAP")
}

/// Stalwart keeps the vacation response as a script of this name, and lets nobody touch that.
pub(super) fn is_hidden(data_type: DataType, thing: &JmapObject) -> bool {
    data_type == DataType::SieveScript && thing.text("name").eq_ignore_ascii_case("vacation")
}

/// Nothing was ever put in: what the server made by itself, and may be filled without taking anything away.
pub(in crate::restore) fn is_pristine(data_type: DataType, thing: &JmapObject) -> bool {
    let members: &[&str] = match data_type {
        DataType::Identity => &["textSignature", "htmlSignature", "replyTo", "bcc"],
        DataType::VacationResponse => &["subject", "textBody", "htmlBody", "fromDate", "toDate"],
        DataType::AddressBook | DataType::Calendar if thing.is("isDefault") && is_as_made(thing) => {
            &OF_CONTAINERS
        }
        DataType::ParticipantIdentity => return is_called_by_its_address(thing),
        _ => return false,
    };
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Bool(_) => false,
    };
    members.iter().all(|member| thing.json.get(*member).is_none_or(is_empty)) && !thing.is("isEnabled")
}

/// What owners give to address books and calendars besides a name.
const OF_CONTAINERS: [&str; 7] = [
    "description",
    "color",
    "timeZone",
    "sortOrder",
    "defaultAlertsWithTime",
    "defaultAlertsWithoutTime",
    properties::MEMBER,
];

/// Whether its owner never hid it, nor took it out of what others see of their time. (Nobody is subscribed to one that Stalwart 0.16
/// makes again after all were destroyed.)
fn is_as_made(container: &JmapObject) -> bool {
    let is = |member: &str, usual: Value| container.json.get(member).is_none_or(|value| *value == usual);
    is("isVisible", true.into()) && is("includeInAvailability", "all".into())
}

fn is_called_by_its_address(identity: &JmapObject) -> bool {
    let name = identity.text("name");
    name.is_empty() || name == identity.text("calendarAddress").trim_start_matches("mailto:")
}

/// Whether the name is what a server gives to the default one of this account.
pub(super) fn is_servers_name(thing: &JmapObject, account: &str) -> bool {
    thing.text("name").ends_with(&format!(" ({account})"))
}

/// Whether two names are those that one server gives to the default ones of two accounts: `Stalwart Calendar (alice@example.org)`.
pub(super) fn are_servers_names(one: &JmapObject, other: &JmapObject) -> bool {
    let stem = |thing: &JmapObject| thing.text("name").rsplit_once(" (").map(|(stem, _)| stem.to_owned());
    stem(one).is_some() && stem(one) == stem(other)
}

/// What makes two objects of this type the same, the strictest first. `same_account`: equal ids name the same object.
pub(super) fn keys(data_type: DataType, mode: Mode, same_account: bool) -> Vec<Key> {
    let is_beside = mode == Mode::Beside;
    let by_id = same_account && !is_beside;
    let mut keys: Vec<Key> = Vec::new();
    match data_type {
        DataType::SieveScript => {
            keys.push(members(&["name"]));
            keys.extend(by_id.then(|| id_and(&[])));
        }
        DataType::VacationResponse => keys.push(Box::new(|_| Some(String::new()))),
        DataType::Identity => {
            keys.push(whole(data_type, &[]));
            keys.extend(by_id.then(|| id_and(&["email"])));
            keys.extend((!is_beside).then(|| members(&["email", "name"])));
        }
        DataType::ParticipantIdentity => keys.push(members(&["calendarAddress"])),
        DataType::AddressBook | DataType::Calendar => {
            keys.extend(by_id.then(|| id_and(&[])));
            // The default one may be another one by now: what is called alike is more likely the same.
            if !is_beside {
                keys.push(Box::new(|thing| thing.is("isDefault").then(|| thing.text("name").to_owned())));
            }
            keys.push(members(&["name"]));
            if !is_beside {
                keys.push(Box::new(|thing| thing.is("isDefault").then(String::new)));
            }
        }
        DataType::ContactCard | DataType::CalendarEvent => {
            let place = if data_type == DataType::ContactCard { "addressBookIds" } else { "calendarIds" };
            let event = ["uid", "recurrenceId"];
            keys.extend(by_id.then(|| id_and(&event)));
            keys.push(members(&[event[0], event[1], place]));
            keys.extend((!is_beside).then(|| members(&event)));
            keys.push(Box::new(|thing| {
                thing.journal("uid").filter(|_| thing.is_journal()).map(str::to_owned)
            }));
            keys.push(whole(data_type, &[]));
            // Stalwart 0.16 accepts each UID of an event once per account: an identical event in any calendar cannot be added again.
            keys.extend(
                (is_beside && data_type == DataType::CalendarEvent)
                    .then(|| whole(data_type, &["calendarIds"])),
            );
        }
        DataType::FileNode => {
            // What was made at another time in its place is another one: servers let nobody change `created`. Where nothing is
            // changed, its place is enough.
            let made: fn(&JmapObject) -> &str = match mode {
                Mode::Exact => |thing| thing.text("created"),
                Mode::Beside | Mode::Missing => |_| "",
            };
            keys.push(node(move |thing| {
                format!("{}/{}/{}", made(thing), thing.text("parentId"), thing.text("name"))
            }));
            keys.extend(by_id.then(|| node(|thing| thing.id.clone())));
        }
        DataType::Mailbox | DataType::Email => {}
    }
    keys
}

/// These members, of which the first is there.
fn members(names: &[&'static str]) -> Key {
    let names = names.to_vec();
    Box::new(move |thing| {
        let values: Vec<String> =
            names.iter().map(|name| thing.json.get(*name).unwrap_or(&Value::Null).to_string()).collect();
        (!thing.text(names[0]).is_empty()).then(|| values.join("\n"))
    })
}

/// Equal ids, and these members, which never change.
fn id_and(names: &[&'static str]) -> Key {
    let names = names.to_vec();
    Box::new(move |thing| {
        let values = names.iter().map(|name| thing.json.get(*name).unwrap_or(&Value::Null).to_string());
        Some(std::iter::once(thing.id.clone()).chain(values).collect::<Vec<_>>().join("\n"))
    })
}

/// All that is sent and that servers keep, except these members.
fn whole(data_type: DataType, except: &'static [&'static str]) -> Key {
    let Rules { not_sent, not_compared, .. } = rules(data_type);
    Box::new(move |thing| {
        let is_left_out =
            |name: &str| [not_sent, not_compared, except].iter().any(|names| names.contains(&name));
        let is_said = |value: &Value| !value.is_null() && value != "";
        let said = thing.json.iter().filter(|(name, value)| !is_left_out(name) && is_said(value));
        Some(said.map(|(name, value)| format!("{name} {value}\n")).collect())
    })
}

/// A file is no directory.
fn node(key: impl Fn(&JmapObject) -> String + Send + Sync + 'static) -> Key {
    Box::new(move |thing| Some(format!("{} {}", is_file(thing), key(thing))))
}

/// For people.
pub(in crate::restore) fn plural(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Mailbox => "folders",
        DataType::Email => "emails",
        DataType::Identity => "identities",
        DataType::VacationResponse => "the vacation response",
        DataType::SieveScript => "scripts",
        DataType::AddressBook => "address books",
        DataType::ContactCard => "contacts",
        DataType::Calendar => "calendars",
        DataType::CalendarEvent => "events",
        DataType::ParticipantIdentity => "participant identities",
        DataType::FileNode => "files",
    }
}
