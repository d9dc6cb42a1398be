//! `Email/parse` (RFC 8621 section 4.9) of a blob: where its attachments lie.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::batch::Expected;
use crate::error::Error;
use crate::ids::JmapBlobId;
use crate::json::check_account;

/// An attachment of a message: a blob of its own, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Its bytes.
    pub blob_id: JmapBlobId,
    /// Their number.
    pub size: u64,
    /// Its file name.
    #[serde(default)]
    pub name: Option<String>,
}

/// The result of an `Email/parse` of one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachments {
    /// In the message's order; `None`: it is no message, or is gone.
    pub list: Option<Vec<Attachment>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    account_id: Option<String>,
    #[serde(default)]
    parsed: Option<BTreeMap<JmapBlobId, Message>>,
}

#[derive(Deserialize)]
struct Message {
    attachments: Vec<Attachment>,
}

impl Attachments {
    pub(crate) fn parse(text: &str, expected: &Expected, account: &str) -> Result<Self, Error> {
        let wire: Wire =
            serde_json::from_str(text).map_err(|source| Error::malformed("Email/parse answer", &source))?;
        check_account(wire.account_id.as_deref(), account, expected.method)?;
        let mut parsed = wire.parsed.unwrap_or_default();
        let list = match (parsed.pop_first(), parsed.is_empty()) {
            (None, _) => None,
            (Some((blob, message)), true) if is_asked(expected, &blob) => Some(message.attachments),
            (Some(_), _) => {
                let reason = "it parsed what was not asked for";
                return Err(Error::Untrue { method: expected.method, reason });
            }
        };
        Ok(Self { list })
    }
}

fn is_asked(expected: &Expected, blob: &JmapBlobId) -> bool {
    expected.ids.as_ref().is_some_and(|ids| ids.iter().any(|id| **id == *blob.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str) -> Result<Attachments, Error> {
        let expected = Expected { ids: Some(vec!["b".into()]), ..Expected::of("Email/parse") };
        Attachments::parse(answer, &expected, "x")
    }

    #[test]
    fn attachments_of_the_message_that_was_asked_for() {
        let found = check(
            r#"{"accountId":"x","parsed":{"b":{"attachments":[{"blobId":"p","size":3,"name":"7","type":"x"},{"blobId":"q","size":0}]}}}"#,
        );
        let list = found.unwrap().list.unwrap();
        assert_eq!((list[0].name.as_deref(), list[0].size), (Some("7"), 3));
        assert_eq!((list[1].name.as_deref(), list[1].blob_id.as_str()), (None, "q"));
        for nothing in [r#"{"accountId":"x","notParsable":["b"]}"#, r#"{"parsed":null,"notFound":["b"]}"#] {
            assert_eq!(check(nothing).unwrap().list, None);
        }
    }

    #[test]
    fn another_message_or_account_is_refused() {
        for answer in [
            r#"{"accountId":"y","parsed":{"b":{"attachments":[]}}}"#,
            r#"{"accountId":"x","parsed":{"c":{"attachments":[]}}}"#,
            r#"{"accountId":"x","parsed":{"b":{"attachments":[]},"c":{"attachments":[]}}}"#,
            r#"{"accountId":"x","parsed":{"b":{}}}"#,
            r#"{"accountId":"x","parsed":{"b":{"attachments":[{"blobId":"","size":-1}]}}}"#,
        ] {
            assert!(check(answer).is_err(), "{answer}");
        }
    }
}
