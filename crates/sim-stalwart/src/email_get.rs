//! `Email/get` (RFC 8621 §4.2): metadata without building a value, header fields if they are asked for.

use crate::account::Account;
use crate::api::Context;
use crate::dates;
use crate::email::Email;
use crate::error::MethodError;
use crate::get::begin;
use crate::header::Header;
use crate::ids;
use crate::json::{self, Arguments};
use crate::kind::DataType;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    Id,
    BlobId,
    ThreadId,
    MailboxIds,
    Keywords,
    Size,
    ReceivedAt,
    MessageId,
    InReplyTo,
    References,
    From,
    To,
    Subject,
}

impl Property {
    const NAMED: [(&str, Self); 13] = [
        ("id", Self::Id),
        ("blobId", Self::BlobId),
        ("threadId", Self::ThreadId),
        ("mailboxIds", Self::MailboxIds),
        ("keywords", Self::Keywords),
        ("size", Self::Size),
        ("receivedAt", Self::ReceivedAt),
        ("messageId", Self::MessageId),
        ("inReplyTo", Self::InReplyTo),
        ("references", Self::References),
        ("from", Self::From),
        ("to", Self::To),
        ("subject", Self::Subject),
    ];

    fn named(name: &str) -> Result<Self, MethodError> {
        let found = Self::NAMED.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, property)| property).ok_or_else(|| MethodError::invalid(format!("properties: {name}")))
    }

    const fn in_header(self) -> bool {
        matches!(
            self,
            Self::MessageId | Self::InReplyTo | Self::References | Self::From | Self::To | Self::Subject
        )
    }
}

fn properties(arguments: &Arguments) -> Result<Vec<Property>, MethodError> {
    let Some(names) = json::strings(arguments, "properties")? else {
        return Ok(Property::NAMED.into_iter().map(|(_, property)| property).collect());
    };
    let mut properties = vec![Property::Id];
    for name in names {
        let property = Property::named(&name)?;
        if !properties.contains(&property) {
            properties.push(property);
        }
    }
    Ok(properties)
}

pub(crate) fn get(
    context: &Context<'_>,
    account: &Account,
    arguments: &Arguments,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    let properties = properties(arguments)?;
    let mut missing = Vec::new();
    let wanted: Vec<u32> = match context.ids(arguments)? {
        None => account
            .emails()
            .map(|(index, _)| index)
            .take(context.settings.limits.max_objects_in_get)
            .collect(),
        Some(ids) => {
            let known = |id: String| {
                let index = account.ids.email_index(&id).filter(|index| *index < account.next_email);
                if index.is_none_or(|index| account.email(index).is_none()) {
                    missing.push(id);
                    return None;
                }
                index
            };
            unique(ids.into_iter().filter_map(known).collect())
        }
    };
    out.reserve(wanted.len() * 250);
    begin(out, account, DataType::Email);
    json::key(out, "list");
    let rows = wanted.into_iter().filter_map(|index| account.email(index).map(|email| (index, email)));
    json::array(out, rows, |out, (index, email)| write(out, account, index, &email, &properties));
    json::member(out, "notFound", &missing);
    out.push(b'}');
    Ok(())
}

/// RFC 8620 §5.1: an id asked for twice is answered once.
fn unique(mut wanted: Vec<u32>) -> Vec<u32> {
    let mut seen = std::collections::HashSet::with_capacity(wanted.len());
    wanted.retain(|index| seen.insert(*index));
    wanted
}

fn write(out: &mut Vec<u8>, account: &Account, index: u32, email: &Email, properties: &[Property]) {
    let header = properties.iter().any(|property| property.in_header());
    let header = header.then(|| Header::parse(&email.content.head(&account.mails)));
    out.push(b'{');
    for property in properties {
        match (property, &header) {
            (Property::Id, _) => quoted(out, "id", |out| account.ids.push_email(index, out)),
            (Property::BlobId, _) => {
                quoted(out, "blobId", |out| account.push_blob_id(index, &email.content, out))
            }
            (Property::ThreadId, _) => {
                quoted(out, "threadId", |out| account.ids.push_thread(email.thread, out))
            }
            (Property::MailboxIds, _) => {
                flags(out, "mailboxIds", email.folders.iter().map(|folder| ids::short(u64::from(*folder))));
            }
            (Property::Keywords, _) => flags(out, "keywords", &email.keywords),
            (Property::Size, _) => json::member(out, "size", &email.content.size(&account.mails)),
            (Property::ReceivedAt, _) => json::member(out, "receivedAt", &dates::rfc3339(email.received_at)),
            (_, None) => {}
            (Property::MessageId, Some(header)) => json::member(out, "messageId", &header.ids("message-id")),
            (Property::InReplyTo, Some(header)) => json::member(out, "inReplyTo", &header.ids("in-reply-to")),
            (Property::References, Some(header)) => {
                json::member(out, "references", &header.ids("references"))
            }
            (Property::From, Some(header)) => json::member(out, "from", &header.addresses("from")),
            (Property::To, Some(header)) => json::member(out, "to", &header.addresses("to")),
            (Property::Subject, Some(header)) => json::member(out, "subject", &header.text("subject")),
        }
    }
    out.push(b'}');
}

/// A string that needs no escapes.
fn quoted(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    json::key(out, name);
    out.push(b'"');
    fill(out);
    out.push(b'"');
}

/// `"name":{"a":true,"b":true}`.
fn flags(out: &mut Vec<u8>, name: &str, set: impl IntoIterator<Item = impl AsRef<str>>) {
    json::key(out, name);
    out.push(b'{');
    set.into_iter().for_each(|flag| json::member(out, flag.as_ref(), &true));
    out.push(b'}');
}
