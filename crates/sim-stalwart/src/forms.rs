//! Which properties a client may set, and what they take.

use serde_json::{Map, Value};

use crate::kind::DataType;
use crate::patch;
use crate::set::Setting;
use crate::set_error::SetError;

/// What a property takes.
#[derive(Clone, Copy)]
enum Form {
    /// Bytes from the first to before the second number.
    Text(usize, usize),
    /// Fewer bytes than this; null is the empty text.
    TextOrEmpty(usize),
    TextOrNull(usize),
    Flag,
    /// Kept as 32 bits, as Stalwart does.
    Number,
    /// A list of `EmailAddress` or null.
    Addresses,
    /// An id, a creation id, or null.
    IdOrNull,
    Role,
    /// Whatever is given.
    Any,
    /// On creation alone.
    TextOnce(usize),
}

const ROLES: [&str; 11] = [
    "inbox",
    "trash",
    "junk",
    "drafts",
    "archive",
    "sent",
    "shared",
    "important",
    "memos",
    "scheduled",
    "snoozed",
];

/// Properties of a contact (RFC 9553) that the server knows; it refuses others.
const OF_CARDS: [&str; 31] = [
    "@type",
    "version",
    "created",
    "kind",
    "language",
    "members",
    "prodId",
    "relatedTo",
    "uid",
    "updated",
    "name",
    "nicknames",
    "organizations",
    "speakToAs",
    "titles",
    "emails",
    "onlineServices",
    "phones",
    "preferredLanguages",
    "calendars",
    "schedulingAddresses",
    "addresses",
    "cryptoKeys",
    "directories",
    "links",
    "media",
    "localizations",
    "anniversaries",
    "keywords",
    "notes",
    "personalInfo",
];

fn form(kind: DataType, name: &str) -> Option<Form> {
    use DataType as T;
    Some(match (kind, name) {
        (T::Mailbox | T::FileNode, "parentId") => Form::IdOrNull,
        (T::Mailbox, "role") => Form::Role,
        (T::Mailbox, "name") => Form::Text(0, usize::MAX),
        (T::Mailbox | T::AddressBook | T::Calendar, "sortOrder") => Form::Number,
        (T::Mailbox | T::AddressBook | T::Calendar, "isSubscribed") => Form::Flag,
        (T::Identity, "name") => Form::TextOrEmpty(255),
        (T::Identity, "email") => Form::TextOnce(255),
        (T::Identity, "replyTo" | "bcc") => Form::Addresses,
        (T::Identity, "textSignature" | "htmlSignature") => Form::TextOrEmpty(2048),
        (T::ParticipantIdentity, "name") => Form::Text(0, 255),
        (T::ParticipantIdentity, "calendarAddress") => Form::Text(1, 255),
        (T::AddressBook | T::Calendar | T::FileNode, "name") => Form::Text(1, 256),
        (T::AddressBook | T::Calendar, "description") => Form::TextOrNull(255),
        (T::Mailbox | T::AddressBook | T::Calendar | T::FileNode, "shareWith") => Form::Any,
        (T::Calendar, "color") => Form::TextOrNull(16),
        (T::Calendar, "timeZone" | "includeInAvailability") => Form::TextOrNull(64),
        (T::Calendar, "isVisible") => Form::Flag,
        (T::Calendar, "defaultAlertsWithTime" | "defaultAlertsWithoutTime") => Form::Any,
        (T::FileNode, "blobId" | "size" | "executable" | "modified") => Form::Any,
        (T::FileNode, "created") => Form::TextOnce(64),
        (T::FileNode, "type") => Form::TextOrNull(31),
        (T::SieveScript, "name") => Form::TextOrNull(513),
        (T::SieveScript, "blobId") => Form::Text(1, 256),
        (T::ContactCard, "addressBookIds") => Form::Any,
        (T::ContactCard, "vCard") => Form::Any,
        (T::ContactCard, name) if OF_CARDS.contains(&name) || name.contains(':') => Form::Any,
        (T::CalendarEvent, "id" | "baseEventId" | "isOrigin" | "method") => return None,
        (T::CalendarEvent, _) => Form::Any,
        (T::VacationResponse, "isEnabled") => Form::Flag,
        (T::VacationResponse, "fromDate" | "toDate") => Form::TextOrNull(40),
        (T::VacationResponse, "subject") => Form::TextOrNull(512),
        (T::VacationResponse, "textBody" | "htmlBody") => Form::TextOrNull(2048),
        _ => return None,
    })
}

/// Whether the object is being made or changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Create,
    Update,
}

impl Form {
    /// The value as it is kept, if it is one of this form.
    fn take(self, value: Value, phase: Phase) -> Option<Value> {
        let len = value.as_str().map(str::len);
        let shorter = |most: usize| len.is_some_and(|len| len < most);
        match self {
            Self::Text(least, most) => len.is_some_and(|len| (least..most).contains(&len)).then_some(value),
            Self::TextOrEmpty(_) if value.is_null() => Some(Value::from("")),
            Self::TextOrEmpty(most) => shorter(most).then_some(value),
            Self::TextOrNull(most) => (value.is_null() || shorter(most)).then_some(value),
            Self::TextOnce(most) => (phase == Phase::Create && shorter(most)).then_some(value),
            Self::Flag => value.is_boolean().then_some(value),
            Self::Number => value.as_i64().map(|number| Value::from(number.rem_euclid(1 << 32))),
            Self::Addresses => (value.is_null() || are_addresses(&value)).then_some(value),
            Self::IdOrNull => (value.is_null() || value.is_string()).then_some(value),
            Self::Role => {
                let known = value.as_str().is_none_or(|role| ROLES.contains(&role));
                (known && (value.is_null() || value.is_string())).then_some(value)
            }
            Self::Any => Some(value),
        }
    }
}

fn are_addresses(value: &Value) -> bool {
    let is_address = |address: &Value| {
        address["email"].as_str().is_some_and(|email| !email.is_empty() && email.len() < 255)
            && (address["name"].is_null() || address["name"].as_str().is_some_and(|name| name.len() < 255))
    };
    value.as_array().is_some_and(|list| list.iter().all(is_address))
}

impl Setting<'_> {
    /// Sets one property of a draft, or what a pointer into it names.
    pub(crate) fn put(
        &self,
        draft: &mut Map<String, Value>,
        (name, value): (&str, &Value),
        phase: Phase,
    ) -> Result<(), SetError> {
        let refused = || SetError::invalid(name, "Field could not be set.");
        let steps = patch::steps(name);
        let (Some(first), deep) = (steps.first(), steps.len() > 1) else { return Err(refused()) };
        let form = form(self.kind, first).ok_or_else(refused)?;
        let value = self.with_ids(value)?;
        if deep && matches!(form, Form::Any) {
            return patch::apply(draft, &self.pointer_with_id(&steps)?, value);
        }
        let value = form.take(value, phase).filter(|_| !deep).ok_or_else(refused)?;
        let open = matches!(self.kind, DataType::ContactCard | DataType::CalendarEvent);
        if open && value.is_null() {
            draft.remove(name);
        } else {
            draft.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// Creation ids replaced, in a text or in the keys of a set.
    fn with_ids(&self, value: &Value) -> Result<Value, SetError> {
        match value {
            Value::String(text) if text.starts_with('#') && self.has_creation(text) => {
                self.resolved(text).map(Value::String)
            }
            Value::Object(set) if set.keys().any(|key| key.starts_with('#')) => {
                let resolve = |(key, value): (&String, &Value)| Ok((self.resolved(key)?, value.clone()));
                set.iter().map(resolve).collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
            other => Ok(other.clone()),
        }
    }

    /// A colour is `#aa3377` and no reference; a name may begin with `#` as well.
    fn has_creation(&self, text: &str) -> bool {
        self.context.created.borrow().contains_key(text.trim_start_matches('#'))
    }

    fn pointer_with_id(&self, steps: &[String]) -> Result<String, SetError> {
        let resolved = steps.iter().map(|step| self.resolved(step)).collect::<Result<Vec<_>, _>>()?;
        let escaped = resolved.iter().map(|step| step.replace('~', "~0").replace('/', "~1"));
        Ok(escaped.collect::<Vec<_>>().join("/"))
    }
}
