//! Creating, changing and destroying what is kept as JSON, and the rules of the simpler types.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::dates;
use crate::forms::Phase;
use crate::furniture;
use crate::kind::DataType;
use crate::set::{Setting, created};
use crate::set_error::SetError;
use crate::{own, set_file, set_mailbox, set_script};

/// The objects there were when creations or updates began. Stalwart looks among these for names that are taken:
/// two of one call may have the same.
pub(crate) type Before = BTreeMap<String, Arc<Value>>;

pub(crate) fn create(
    setting: &Setting<'_>,
    account: &mut Account,
    before: &Before,
    object: &Map<String, Value>,
) -> Result<Value, SetError> {
    let mut draft = template(setting.kind);
    for member in object {
        setting.put(&mut draft, (member.0, member.1), Phase::Create)?;
    }
    let mut draft = Value::Object(draft);
    check(setting, account, before, None, &mut draft)?;
    account.check_quota(weight(setting, &draft))?;
    let id = account.draw_id(setting.kind);
    draft["id"] = id.as_str().into();
    own::keep(account, setting.context.login, (setting.kind, &mut draft), None);
    let mut answer = created(&id);
    if setting.kind == DataType::SieveScript {
        answer["blobId"] = draft["blobId"].clone();
    }
    account.put_object(setting.kind, &id, Some(draft));
    Ok(answer)
}

pub(crate) fn update(
    setting: &Setting<'_>,
    account: &mut Account,
    before: &Before,
    (id, patch): (&str, &Map<String, Value>),
) -> Result<Value, SetError> {
    let present = account.object(setting.kind, id).cloned().ok_or_else(SetError::not_found)?;
    if setting.kind == DataType::SieveScript {
        set_script::may_change(&present)?;
    }
    let login = setting.context.login;
    let mut draft =
        own::view(account, login, setting.kind, &present).as_object().cloned().unwrap_or_default();
    for member in patch {
        setting.put(&mut draft, (member.0, member.1), Phase::Update)?;
    }
    let mut draft = Value::Object(draft);
    if setting.kind == DataType::FileNode && !patch.contains_key("modified") && !present["modified"].is_null()
    {
        draft["modified"] = dates::rfc3339(account.now()).into();
    }
    check(setting, account, before, Some((id, &present)), &mut draft)?;
    own::keep(account, login, (setting.kind, &mut draft), Some(&present));
    let more = weight(setting, &draft).saturating_sub(weight(setting, &present));
    account.check_quota(more)?;
    let new_blob = setting.kind == DataType::SieveScript && draft["blobId"] != present["blobId"];
    let answer = if new_blob { json!({ "blobId": draft["blobId"] }) } else { Value::Null };
    account.put_object(setting.kind, id, Some(draft));
    Ok(answer)
}

/// The ids of what is gone.
pub(crate) fn destroy(
    setting: &Setting<'_>,
    account: &mut Account,
    id: &str,
) -> Result<Vec<String>, SetError> {
    let present = account.object(setting.kind, id).cloned().ok_or_else(SetError::not_found)?;
    match setting.kind {
        DataType::Mailbox => set_mailbox::destroy(setting, account, (id, &present))?,
        DataType::FileNode => return set_file::destroy(setting, account, id),
        DataType::AddressBook => empty(setting, account, (id, &CARDS))?,
        DataType::Calendar => empty(setting, account, (id, &EVENTS))?,
        DataType::SieveScript if present["isActive"] == true => {
            return Err(SetError::of("scriptIsActive").because("Deactivate Sieve script before deletion."));
        }
        _ => {}
    }
    account.put_object(setting.kind, id, None);
    Ok(vec![id.to_owned()])
}

/// What an object is before its creator says anything.
pub(crate) fn template(kind: DataType) -> Map<String, Value> {
    let template = match kind {
        DataType::Mailbox => {
            let mut folder = furniture::folder("", "", None, None);
            folder["isSubscribed"] = false.into();
            folder
        }
        DataType::Identity => json!({
            "name": "", "email": "", "replyTo": null, "bcc": null, "textSignature": "", "htmlSignature": "",
            "mayDelete": true,
        }),
        DataType::ParticipantIdentity => json!({ "name": "", "calendarAddress": "", "isDefault": false }),
        DataType::AddressBook => json!({
            "name": "", "description": null, "sortOrder": 0, "isDefault": false, "isSubscribed": false,
            "myRights": { "mayRead": true, "mayWrite": true, "mayShare": true, "mayDelete": true }, "shareWith": {},
        }),
        DataType::Calendar => json!({
            "name": "", "description": null, "sortOrder": 0, "isDefault": false, "isSubscribed": false,
            "color": null, "timeZone": null, "isVisible": true, "includeInAvailability": "all", "defaultAlertsWithTime": {},
            "defaultAlertsWithoutTime": {}, "shareWith": {},
        }),
        DataType::ContactCard => json!({ "@type": "Card", "version": "1.0" }),
        DataType::CalendarEvent => json!({ "@type": "Event", "isDraft": false }),
        DataType::FileNode => json!({
            "parentId": null, "blobId": null, "size": null, "type": null, "executable": null, "shareWith": {},
        }),
        _ => json!({}),
    };
    template.as_object().cloned().unwrap_or_default()
}

fn check(
    setting: &Setting<'_>,
    account: &mut Account,
    before: &Before,
    present: Option<(&str, &Value)>,
    draft: &mut Value,
) -> Result<(), SetError> {
    match setting.kind {
        DataType::Mailbox => set_mailbox::check(setting, account, before, present, draft),
        DataType::FileNode => set_file::check(setting, account, before, present, draft),
        DataType::SieveScript => set_script::check(setting, account, before, present, draft),
        DataType::Identity => email_of(account, draft, "email"),
        DataType::ParticipantIdentity => participant(account, before, present, draft),
        DataType::AddressBook | DataType::Calendar if draft["name"] == "" => {
            Err(SetError::invalid("name", "Missing name."))
        }
        DataType::ContactCard => item(account, before, present, (draft, &CARDS)),
        DataType::CalendarEvent => item(account, before, present, (draft, &EVENTS)),
        _ => Ok(()),
    }
}

/// The address has to be one of the account's.
fn email_of(account: &Account, draft: &mut Value, property: &str) -> Result<(), SetError> {
    let given = draft[property].as_str().unwrap_or_default().to_lowercase();
    let email = given.strip_prefix("mailto:").unwrap_or(&given);
    if email.is_empty() {
        return Err(SetError::invalid(property, "Missing e-mail address."));
    }
    if email != account.name.to_lowercase() && !account.aliases.iter().any(|alias| alias == email) {
        return Err(SetError::invalid(property, "E-mail address not configured for this account."));
    }
    draft[property] = given.into();
    Ok(())
}

fn participant(
    account: &Account,
    before: &Before,
    present: Option<(&str, &Value)>,
    draft: &mut Value,
) -> Result<(), SetError> {
    let property = "calendarAddress";
    email_of(account, draft, property)?;
    let address = draft[property].as_str().unwrap_or_default();
    let address =
        if address.starts_with("mailto:") { address.to_owned() } else { format!("mailto:{address}") };
    if present.is_none() && before.values().any(|other| other[property] == address.as_str()) {
        return Err(SetError::invalid(property, "Calendar address already in use."));
    }
    draft[property] = address.into();
    Ok(())
}

/// A type of things that lie in things.
struct Nesting {
    item: DataType,
    container: DataType,
    ids: &'static str,
    /// The argument by which a container is destroyed with what is in it.
    flag: &'static str,
    /// The error without it.
    full: &'static str,
}

const CARDS: Nesting = Nesting {
    item: DataType::ContactCard,
    container: DataType::AddressBook,
    ids: "addressBookIds",
    flag: "onDestroyRemoveContents",
    full: "addressBookHasContents",
};

const EVENTS: Nesting = Nesting {
    item: DataType::CalendarEvent,
    container: DataType::Calendar,
    ids: "calendarIds",
    flag: "onDestroyRemoveEvents",
    full: "calendarHasEvent",
};

/// A contact or event: in at least one container that exists, its uid for good, and unique: of a contact in its address books, of an
/// event in the account.
fn item(
    account: &Account,
    before: &Before,
    present: Option<(&str, &Value)>,
    (draft, nesting): (&mut Value, &Nesting),
) -> Result<(), SetError> {
    let set = draft[nesting.ids].as_object().cloned().unwrap_or_default();
    let lies: Vec<&String> =
        set.iter().filter(|(_, is)| **is == Value::Bool(true)).map(|(id, _)| id).collect();
    if lies.is_empty() {
        return Err(SetError::invalid(nesting.ids, "It has to belong to at least one."));
    }
    if let Some(lost) = lies.iter().find(|id| account.object(nesting.container, id).is_none()) {
        return Err(SetError::invalid(nesting.ids, format!("{lost} does not exist.")));
    }
    match present {
        Some((_, present)) if present["uid"] != draft["uid"] => {
            return Err(SetError::invalid("uid", "You cannot change the UID."));
        }
        Some(_) => {}
        None => {
            let is_event = nesting.container == DataType::Calendar;
            let shares =
                |other: &Value| is_event || lies.iter().any(|id| other[nesting.ids][id.as_str()] == true);
            let same = |other: &Value| !draft["uid"].is_null() && other["uid"] == draft["uid"];
            if let Some((id, _)) = before.iter().find(|(_, other)| same(other) && shares(other)) {
                return Err(SetError::invalid("uid", format!("UID already exists with id {id}.")));
            }
        }
    }
    draft[nesting.ids] =
        lies.into_iter().map(|id| (id.clone(), Value::Bool(true))).collect::<Map<_, _>>().into();
    Ok(())
}

/// Takes everything out of a container, if the caller said so.
fn empty(
    setting: &Setting<'_>,
    account: &mut Account,
    (id, nesting): (&str, &Nesting),
) -> Result<(), SetError> {
    let inside = account.objects[&nesting.item].present.iter();
    let inside: Vec<(String, Value)> = inside
        .filter(|(_, object)| object[nesting.ids][id] == true)
        .map(|(item, object)| (item.clone(), Value::clone(object)))
        .collect();
    if !inside.is_empty() && setting.arguments.get(nesting.flag) != Some(&Value::Bool(true)) {
        return Err(SetError::of(nesting.full));
    }
    for (item, mut object) in inside {
        let elsewhere = object[nesting.ids].as_object_mut().is_some_and(|ids| {
            ids.remove(id);
            !ids.is_empty()
        });
        account.put_object(nesting.item, &item, elsewhere.then_some(object));
    }
    Ok(())
}

/// `onSuccessSetIsDefault`: the default is kept beside the objects, so that no state moves. Where nothing was chosen, the only one is it.
pub(crate) fn choose_default(setting: &Setting<'_>, account: &mut Account) {
    let chosen = setting.arguments.get("onSuccessSetIsDefault").and_then(Value::as_str);
    let Some(chosen) = chosen.and_then(|id| setting.resolved(id).ok()) else { return };
    if setting.outcome.refused_nothing() && account.object(setting.kind, &chosen).is_some() {
        account.mark(setting.kind, "isDefault", Some(&chosen));
        account.has_chosen_default.insert(setting.kind);
    }
}

/// Bytes that an object takes of the quota.
fn weight(setting: &Setting<'_>, object: &Value) -> u64 {
    match setting.kind {
        DataType::FileNode => object["size"].as_u64().unwrap_or(0),
        DataType::ContactCard | DataType::CalendarEvent => object.to_string().len() as u64,
        _ => 0,
    }
}
