//! What is read of an email's header.

use mail_parser::{Address, HeaderName, HeaderValue, Message, MessageParser};

/// A header block longer than this is read up to here.
pub(crate) const MOST_HEAD: u64 = 256 << 10;

/// The fields by which `stalwart-cli` and `vandelay` tell emails apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// As JMAP's `messageId`: without brackets.
    pub(crate) message_ids: Vec<String>,
    from: Vec<String>,
    to: Vec<String>,
    subject: String,
    /// RFC 3339 with the offset of the header.
    date: String,
}

impl Head {
    pub(crate) fn read(start: &[u8]) -> Head {
        let Some(message) = MessageParser::new().parse_headers(start) else { return Head::default() };
        Head {
            message_ids: message_ids(&message),
            from: message.from().map(addresses).unwrap_or_default(),
            to: message.to().map(addresses).unwrap_or_default(),
            subject: message.subject().unwrap_or_default().to_owned(),
            date: message.date().map(mail_parser::DateTime::to_rfc3339).unwrap_or_default(),
        }
    }

    /// The column `message_match` of a Vandelay archive.
    pub(crate) fn message_match(&self) -> String {
        let clean = |id: &String| id.trim().trim_matches(['<', '>']).to_lowercase();
        let mut ids: Vec<String> = self.message_ids.iter().map(clean).filter(|id| !id.is_empty()).collect();
        ids.sort_unstable();
        ids.dedup();
        let (from, to) = (self.from.join(",").to_lowercase(), self.to.join(",").to_lowercase());
        let fields = [from.as_str(), &self.subject, &self.date, &to].join("\u{1f}");
        let hash = blake3::hash(fields.as_bytes()).to_hex();
        serde_json::json!({"m": ids, "f": hash.as_str()}).to_string()
    }
}

fn message_ids(message: &Message<'_>) -> Vec<String> {
    match message.header(HeaderName::MessageId) {
        Some(HeaderValue::Text(id)) => vec![id.to_string()],
        Some(HeaderValue::TextList(ids)) => ids.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

fn addresses(address: &Address<'_>) -> Vec<String> {
    address.iter().filter_map(|one| one.address.as_ref()).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_match() {
        let mail = b"From: A <Ann@Example.org>, b@example.org\r\nTo: C@example.org\r\nSubject: =?utf-8?q?J=C3=BC?=\r\n\
            Message-ID: <B@x>\r\nDate: Thu, 1 Jan 2026 10:00:00 +0100\r\n\r\nbody";
        let head = Head::read(mail);
        assert_eq!(head.message_ids, ["B@x"]);
        let fields =
            "ann@example.org,b@example.org\u{1f}Jü\u{1f}2026-01-01T10:00:00+01:00\u{1f}c@example.org";
        let hash = blake3::hash(fields.as_bytes()).to_hex();
        assert_eq!(head.message_match(), format!("{{\"f\":\"{hash}\",\"m\":[\"b@x\"]}}"));
    }

    #[test]
    fn what_is_no_email_has_no_fields() {
        for bytes in [&b""[..], b"\r\n", b"\0\xff\xfe", b"no header at all"] {
            assert_eq!(Head::read(bytes), Head::default(), "{bytes:?}");
        }
    }
}
