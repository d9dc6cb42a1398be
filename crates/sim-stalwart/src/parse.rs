//! `Email/parse` (RFC 8621 §4.9), as far as it tells where attachments lie: parts of a flat multipart, base64 decoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::api::Context;
use crate::error::MethodError;
use crate::found::Found;
use crate::header::Header;
use crate::json::{self, Arguments};

/// One attachment, decoded.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    bytes: Bytes,
    media: String,
    name: Option<String>,
}

/// What a blob's message holds for each blob that is asked for.
pub(crate) fn parse(
    context: &Context<'_>,
    account: &mut Account,
    arguments: &Arguments,
    blobs: &Found,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    let ids = json::strings(arguments, "blobIds")?.unwrap_or_default();
    if ids.len() > context.settings.limits.max_objects_in_get {
        return Err(MethodError::of("requestTooLarge"));
    }
    let wanted = json::strings(arguments, "bodyProperties")?.unwrap_or_default();
    let (mut parsed, mut unparsed, mut missing) = (Map::new(), Vec::new(), Vec::new());
    for id in ids {
        let Some(content) = blobs.get(&id).filter(|content| content.is_readable()) else {
            missing.push(id);
            continue;
        };
        match parts(&content.bytes(&account.mails)) {
            None => unparsed.push(id),
            Some(parts) => {
                let numbered = parts.into_iter().enumerate();
                let attachments: Value =
                    numbered.map(|(number, part)| attachment(account, number + 1, part, &wanted)).collect();
                parsed.insert(id, json!({ "attachments": attachments }));
            }
        }
    }
    out.push(b'{');
    json::member(out, "accountId", &account.id);
    if !parsed.is_empty() {
        json::member(out, "parsed", &parsed);
    }
    for (name, ids) in [("notParsable", unparsed), ("notFound", missing)] {
        if !ids.is_empty() {
            json::member(out, name, &ids);
        }
    }
    out.push(b'}');
    Ok(())
}

fn attachment(account: &mut Account, number: usize, part: Part, wanted: &[String]) -> Value {
    let size = part.bytes.len();
    let blob = account.part(part.bytes);
    let mut object = json!({
        "partId": number.to_string(), "blobId": blob, "size": size, "type": part.media, "name": part.name,
        "disposition": "attachment",
    });
    if let Some(object) = object.as_object_mut() {
        object.retain(|property, _| wanted.contains(property));
    }
    object
}

/// The parts of a multipart; of anything else there are none. `None`: no message.
fn parts(raw: &[u8]) -> Option<Vec<Part>> {
    let text = std::str::from_utf8(raw).ok();
    if raw.is_empty() {
        return None;
    }
    let header = Header::parse(raw);
    let media = header.text("content-type").unwrap_or_default();
    let (Some(text), Some(boundary)) = (text, parameter(media, "boundary")) else { return Some(Vec::new()) };
    let delimiter = format!("\r\n--{boundary}");
    let body = text.split(&delimiter).skip(1).take_while(|part| !part.starts_with("--"));
    Some(body.filter_map(|part| one(part.strip_prefix("\r\n")?)).collect())
}

fn one(text: &str) -> Option<Part> {
    // It may have no header at all.
    let body = text.strip_prefix("\r\n").or_else(|| Some(text.split_once("\r\n\r\n")?.1))?;
    let header = Header::parse(text.as_bytes());
    let bytes = match header.text("content-transfer-encoding") {
        Some("base64") => {
            let digits: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            STANDARD.decode(digits).ok()?.into()
        }
        _ => Bytes::copy_from_slice(body.as_bytes()),
    };
    let media = header.text("content-type").unwrap_or("text/plain");
    let name = header.text("content-disposition").and_then(|value| parameter(value, "filename"));
    Some(Part { bytes, media: media.split(';').next().unwrap_or_default().to_owned(), name })
}

/// The value of a parameter of a header field.
fn parameter(field: &str, name: &str) -> Option<String> {
    let parameters = field.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut found = parameters.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_decoded_and_named() {
        let raw = b"Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\nnothing\r\n\
            --x\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"7\"\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nLS14\r\nDQo=\r\n\
            --x\r\n\r\nplain\r\n--x--\r\n--x\r\n\r\nbehind the end\r\n";
        let parts = parts(raw).unwrap();
        assert_eq!((&parts[0].bytes[..], parts[0].name.as_deref()), (&b"--x\r\n"[..], Some("7")));
        assert_eq!((&parts[1].bytes[..], &*parts[1].media, parts.len()), (&b"plain"[..], "text/plain", 2));
    }

    #[test]
    fn what_is_no_multipart_has_no_parts() {
        assert_eq!(parts(b"Subject: x\r\n\r\n\xff"), Some(vec![]));
        assert_eq!(parts(b""), None);
    }
}
