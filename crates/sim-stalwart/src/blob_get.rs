//! `Blob/get` (RFC 9404 §4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::account::Account;
use crate::api::Context;
use crate::email::Content;
use crate::error::MethodError;
use crate::ids;
use crate::json::{self, Arguments};
use crate::server::lock;
use crate::version::Version;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    Id,
    Data,
    AsText,
    AsBase64,
    Size,
}

impl Property {
    fn named(name: &str) -> Result<Self, MethodError> {
        match name {
            "id" => Ok(Self::Id),
            "data" => Ok(Self::Data),
            "data:asText" => Ok(Self::AsText),
            "data:asBase64" => Ok(Self::AsBase64),
            "size" => Ok(Self::Size),
            _ => Err(MethodError::invalid(format!("properties: {name}"))),
        }
    }
}

/// The octets a client asked for.
#[derive(Clone, Copy)]
struct Octets {
    offset: usize,
    length: Option<usize>,
}

pub(crate) fn get(
    context: &Context<'_>,
    arguments: &Arguments,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    let account = context.account(arguments)?;
    let wanted = context.ids(arguments)?.unwrap_or_default();
    let properties = match json::strings(arguments, "properties")? {
        None => vec![Property::Id, Property::Data, Property::Size],
        Some(names) => names.iter().map(|name| Property::named(name)).collect::<Result<_, _>>()?,
    };
    let octets = Octets {
        offset: json::unsigned(arguments, "offset")?.unwrap_or(0),
        length: json::unsigned(arguments, "length")?,
    };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let (account_id, mails) = {
        let account = lock(&account);
        for id in wanted {
            match Account::readable_blob(&account, &id) {
                Some(content) => found.push((id, content)),
                // 0.15 is silent about what is no blob id at all.
                None if context.settings.version == Version::V0_15 && !ids::is_blob(&id) => {}
                None => missing.push(id),
            }
        }
        (account.id.clone(), account.mails.clone())
    };
    let bytes: u64 = found.iter().map(|(_, content)| content.size(&mails)).sum();
    out.reserve(usize::try_from(bytes + bytes / 16).unwrap_or(0));
    out.push(b'{');
    json::member(out, "accountId", &account_id);
    json::key(out, "list");
    json::array(out, found, |out, (id, content): (String, Content)| {
        write(out, &id, &content.bytes(&mails), octets, &properties);
    });
    json::member(out, "notFound", &missing);
    out.push(b'}');
    Ok(())
}

fn write(out: &mut Vec<u8>, id: &str, bytes: &[u8], octets: Octets, properties: &[Property]) {
    let end = octets.length.map_or(bytes.len(), |length| octets.offset.saturating_add(length));
    let chosen = bytes.get(octets.offset.min(bytes.len())..end.min(bytes.len())).unwrap_or_default();
    out.push(b'{');
    json::member(out, "id", id);
    if octets.length.is_some() && end > bytes.len() {
        json::member(out, "isTruncated", &true);
    }
    for property in properties {
        match (property, property.is_data().then(|| std::str::from_utf8(chosen))) {
            (Property::Size, _) => json::member(out, "size", &bytes.len()),
            (Property::AsBase64, _) => base64(out, chosen),
            (_, Some(Ok(text))) => json::member(out, "data:asText", text),
            (_, Some(Err(_))) => {
                json::member(out, "isEncodingProblem", &true);
                match property {
                    Property::Data => base64(out, chosen),
                    _ => json::member(out, "data:asText", &None::<String>),
                }
            }
            (_, None) => {}
        }
    }
    out.push(b'}');
}

impl Property {
    const fn is_data(self) -> bool {
        matches!(self, Self::Data | Self::AsText)
    }
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    json::key(out, "data:asBase64");
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    // The buffer has exactly the room that the encoding takes.
    if STANDARD.encode_slice(bytes, &mut out[start..]).is_err() {
        out.truncate(start);
    }
    out.push(b'"');
}
