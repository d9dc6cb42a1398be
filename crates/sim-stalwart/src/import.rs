//! `Email/import` (RFC 8621 §4.8).

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::account::{Account, folder};
use crate::api::Context;
use crate::dates;
use crate::email::{Content, Email};
use crate::error::MethodError;
use crate::found::Found;
use crate::get::state_text;
use crate::ids;
use crate::json::{self, Arguments};
use crate::keywords;
use crate::kind::DataType;
use crate::set::{check_state, members};
use crate::set_error::SetError;
use crate::version::Version;

/// An email as the caller wants it.
struct Wanted {
    blob: Option<String>,
    folders: Vec<String>,
    keywords: Vec<Cow<'static, str>>,
    received_at: Option<u64>,
}

pub(crate) fn import(
    context: &Context<'_>,
    account: &mut Account,
    arguments: &Arguments,
    blobs: &Found,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    check_state(account, DataType::Email, arguments)?;
    let emails = members(arguments, "emails")?;
    let parse = |(creation, email)| Ok((creation, wanted(context, email)?));
    let emails: Vec<(&String, Wanted)> = emails.into_iter().map(parse).collect::<Result<_, MethodError>>()?;
    let old = account.state(DataType::Email);
    let (mut created, mut refused) = (Map::new(), Map::new());
    for (creation, email) in emails {
        match take_in(context, account, email, blobs) {
            Ok(answer) => {
                let id = answer["id"].as_str().unwrap_or_default().to_owned();
                context.created.borrow_mut().insert(creation.clone(), id);
                created.insert(creation.clone(), answer);
            }
            Err(error) => drop(refused.insert(creation.clone(), error.json())),
        }
    }
    context.server.meters.set(created.len() as u64, 0, 0);
    out.push(b'{');
    json::member(out, "accountId", &account.id);
    json::member(out, "oldState", &state_text(old));
    json::member(out, "newState", &state_text(account.state(DataType::Email)));
    let maps = [("created", &created), ("notCreated", &refused)];
    maps.iter().filter(|(_, map)| !map.is_empty()).for_each(|(name, map)| json::member(out, name, map));
    out.push(b'}');
    Ok(())
}

/// What fails here fails the whole call, before anything is done.
fn wanted(context: &Context<'_>, email: &Value) -> Result<Wanted, MethodError> {
    let none = Map::new();
    let set = |name: &str| email[name].as_object().unwrap_or(&none);
    let folders = set("mailboxIds").iter().filter(|(_, value)| **value == Value::Bool(true));
    let folder = |(id, _): (&String, &Value)| match id.strip_prefix('#') {
        None => Ok(id.clone()),
        Some(creation) => context.created.borrow().get(creation).cloned().ok_or_else(|| {
            MethodError::of("invalidResultReference").because(format!("Id reference {creation:?} not found."))
        }),
    };
    let date = |text: &str| dates::parse_signed(text).ok_or_else(|| MethodError::invalid("invalid UTCDate"));
    Ok(Wanted {
        blob: email["blobId"].as_str().filter(|id| ids::is_blob(id)).map(str::to_owned),
        folders: folders.map(folder).collect::<Result<_, _>>()?,
        keywords: keywords::of_set(set("keywords"))?,
        received_at: email["receivedAt"].as_str().map(date).transpose()?.map(dates::arrival),
    })
}

fn take_in(
    context: &Context<'_>,
    account: &mut Account,
    wanted: Wanted,
    blobs: &Found,
) -> Result<Value, SetError> {
    let folders = folders(account, &wanted.folders)?;
    let blob = wanted.blob.ok_or_else(|| SetError::invalid("blobId", "Invalid blob id."))?;
    let content = blobs.get(&blob).cloned();
    let content =
        content.ok_or_else(|| SetError::of("blobNotFound").because(format!("BlobId {blob} not found.")))?;
    let size = content.size(&account.mails);
    if !is_message(&content, account, context.settings.version) {
        return Err(SetError::of("invalidEmail").because("Failed to parse e-mail message."));
    }
    account.check_quota(size)?;
    let content = account.forget_bytes(&blob, content);
    let received_at = wanted.received_at.unwrap_or_else(|| account.now());
    let index = account.next_email;
    let email = Email { content, folders, keywords: wanted.keywords, received_at, thread: index };
    let mut thread = Vec::new();
    account.ids.push_thread(index, &mut thread);
    let blob = account.blob_id(index, &email.content);
    account.put_email(index, Some(email));
    Ok(json!({
        "id": account.ids.email(index), "blobId": blob, "size": size,
        "threadId": String::from_utf8_lossy(&thread),
    }))
}

/// Numbers of the folders; those that are no ids at all are passed over, as in Stalwart.
fn folders(account: &Account, wanted: &[String]) -> Result<Vec<u32>, SetError> {
    let mut folders = Vec::with_capacity(wanted.len());
    for id in wanted.iter().filter(|id| ids::is_id(id)) {
        let number = folder(id).filter(|_| account.object(DataType::Mailbox, id).is_some());
        folders.push(
            number.ok_or_else(|| SetError::invalid("mailboxIds", format!("Mailbox {id} does not exist.")))?,
        );
    }
    if folders.is_empty() {
        return Err(SetError::invalid("mailboxIds", "Message must belong to at least one mailbox."));
    }
    Ok(folders)
}

/// 0.15 takes whatever is not empty; 0.16 wants a header field to begin with. Bytes that were not kept have
/// passed before.
fn is_message(content: &Content, account: &Account, version: Version) -> bool {
    if content.size(&account.mails) == 0 {
        return false;
    }
    version == Version::V0_15 || !content.is_readable() || begins_with_field(&content.head(&account.mails))
}

fn begins_with_field(head: &[u8]) -> bool {
    let name = head.iter().take_while(|byte| (b'!'..=b'~').contains(*byte) && **byte != b':').count();
    name > 0 && head.get(name) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_a_message() {
        for (head, expected) in [
            (&b"Subject: x\r\n\r\n"[..], true),
            (b"X-Odd:", true),
            (b"no header at all", false),
            (b": x", false),
            (b"\xff\xfe: x", false),
            (b"", false),
        ] {
            assert_eq!(begins_with_field(head), expected, "{head:?}");
        }
    }
}
