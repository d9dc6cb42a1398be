//! `Email/get` of what a mailbox knows about an email beyond its bytes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::methods::date::UtcDate;
use crate::methods::expected::Expected;
use crate::methods::ids::{Id, JmapBlobId, State};
use crate::methods::objects::{Book, Failure, ObjectError, read};

/// What is asked for.
pub(crate) const PROPERTIES: &[&str] = &["id", "blobId", "size", "mailboxIds", "keywords", "receivedAt"];

/// The most folders or keywords one email may have.
const MOST_LABELS: usize = 10_000;

/// An email's metadata (RFC 8621 section 4.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// Fixed for as long as the email exists.
    pub id: Id,
    /// Its raw bytes.
    pub blob_id: JmapBlobId,
    /// Bytes of the raw message, as the server says.
    pub size: u64,
    /// The folders it lies in, sorted. Never empty on an honest server.
    pub mailbox_ids: Vec<Id>,
    /// Keywords such as `$seen`, sorted, as the server wrote them.
    pub keywords: Vec<Box<str>>,
    /// When it arrived (`INTERNALDATE` in IMAP).
    pub received_at: UtcDate,
}

/// The result of an `Email/get`.
#[derive(Debug, Clone)]
pub struct Emails {
    /// The state of all emails.
    pub state: Option<State>,
    /// In the server's order, no id twice, none that was not asked for.
    pub list: Vec<Email>,
    /// Ids the server says do not exist.
    pub not_found: Vec<Id>,
    /// Emails that cannot be used. With ids asked for, `list`, `not_found` and `failures` account for every one.
    pub failures: Vec<Failure<Id>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    blob_id: JmapBlobId,
    size: u64,
    mailbox_ids: BTreeMap<Id, bool>,
    #[serde(default)]
    keywords: Option<BTreeMap<Box<str>, bool>>,
    received_at: Box<str>,
}

#[derive(Deserialize)]
struct OnlyId {
    id: Id,
}

impl Emails {
    pub(crate) fn parse(text: &str, expected: &Expected, account: &str) -> Result<Self, Error> {
        let wire = read::<&RawValue>(text, expected, account)?;
        let mut book = Book::new(expected);
        let mut list = Vec::with_capacity(wire.list.0.len());
        for raw in wire.list.0 {
            let Ok(OnlyId { id }) = serde_json::from_str(raw.get()) else {
                book.fail(None, ObjectError::Malformed);
                continue;
            };
            book.see(id.as_str(), expected.method)?;
            match Email::parse(raw.get(), &id) {
                Some(email) => list.push(email),
                None => book.fail(Some(id), ObjectError::Malformed),
            }
        }
        let not_found = book.not_found(&wire.not_found.unwrap_or_default().0, expected.method, Id::new)?;
        Ok(Self { state: wire.state, list, not_found, failures: book.close(Id::new) })
    }
}

impl Email {
    fn parse(text: &str, id: &Id) -> Option<Self> {
        let wire: Wire = serde_json::from_str(text).ok()?;
        let keywords = wire.keywords.unwrap_or_default();
        if keywords.len() > MOST_LABELS || wire.mailbox_ids.len() > MOST_LABELS {
            return None;
        }
        Some(Self {
            id: id.clone(),
            blob_id: wire.blob_id,
            size: wire.size,
            mailbox_ids: set(wire.mailbox_ids),
            keywords: set(keywords),
            received_at: UtcDate::parse_any(&wire.received_at),
        })
    }
}

/// The members of a JMAP set, whose values are all `true` (RFC 8621 section 4.1.1); others are no members.
fn set<T: Ord>(map: BTreeMap<T, bool>) -> Vec<T> {
    map.into_iter().filter_map(|(member, is_member)| is_member.then_some(member)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str, asked: Option<&[&str]>) -> Result<Emails, Error> {
        let text = format!(r#"{{"accountId":"a","state":"s","list":[{list}],"notFound":["gone","gone"]}}"#);
        let ids = asked.map(|ids| ids.iter().map(|id| (*id).into()).collect());
        let expected = Expected { ids, ..Expected::of("Email/get") };
        Emails::parse(&text, &expected, "a")
    }

    const GOOD: &str = r#"{"id":"e1","blobId":"b1","size":7,"mailboxIds":{"m2":true,"m1":true,"m3":false},
        "keywords":{"$seen":true,"$draft":false,"caf\u00e9":true},"receivedAt":"2026-11-22T14:25:01Z","more":[1]}"#;

    #[test]
    fn an_email_is_read_whole() {
        let emails = parse(GOOD, Some(&["e1", "gone"])).unwrap();
        let email = &emails.list[0];
        assert_eq!(email.mailbox_ids, [Id::new("m1").unwrap(), Id::new("m2").unwrap()]);
        assert_eq!(email.keywords, [Box::from("$seen"), Box::from("café")]);
        assert_eq!((email.size, email.received_at.unix_seconds()), (7, 1_795_357_501));
        assert_eq!(emails.not_found, [Id::new("gone").unwrap()]);
        assert!(emails.failures.is_empty());
    }

    #[test]
    fn a_broken_email_fails_alone() {
        let wrong_size = GOOD.replace("\"size\":7", "\"size\":-7").replace("e1", "e2");
        let no_date = GOOD.replace("receivedAt", "received").replace("e1", "e3");
        let emails = parse(
            &format!(r#"{GOOD},{wrong_size},{no_date},{{"id":7}},null"#),
            Some(&["e1", "e2", "e3", "e4", "gone"]),
        )
        .unwrap();
        assert_eq!(emails.list.len(), 1);
        let failed: Vec<_> =
            emails.failures.iter().map(|f| (f.id.as_ref().map_or("?", Id::as_str), f.error)).collect();
        assert_eq!(
            failed,
            [
                ("e2", ObjectError::Malformed),
                ("e3", ObjectError::Malformed),
                ("?", ObjectError::Malformed),
                ("?", ObjectError::Malformed),
                ("e4", ObjectError::Unanswered),
            ]
        );
    }

    #[test]
    fn ids_twice_or_never_asked_for_condemn_the_answer() {
        let twice = format!("{GOOD},{GOOD}");
        let found_and_not_found = GOOD.replace("e1", "gone");
        for list in [twice, found_and_not_found] {
            assert!(matches!(parse(&list, None), Err(Error::Untrue { .. })), "{list}");
        }
        assert!(matches!(parse(GOOD, Some(&["e2", "gone"])), Err(Error::Untrue { .. })));
        assert!(matches!(parse(GOOD, Some(&["e1"])), Err(Error::Untrue { .. })));
    }
}
