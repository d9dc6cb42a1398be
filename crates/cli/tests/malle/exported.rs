//! What an export holds and what a server held, in one shape.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use export::{Email, Format, Limits, Object, Receiver};
use model::{DataType, Timestamp};
use serde_json::Value;
use sim_stalwart::AccountHandle;

use crate::home::{ALICE, Ended, Home};

/// Emails by id: folders, keywords, `receivedAt`, bytes.
pub(crate) type Mails = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>, i64, Vec<u8>)>;
/// Objects by type and id: JSON, content.
pub(crate) type Things = BTreeMap<(DataType, String), (Value, Option<Vec<u8>>)>;

/// An account.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Contents {
    pub(crate) mails: Mails,
    pub(crate) things: Things,
}

impl Contents {
    /// What the server holds now.
    pub(crate) fn of(account: &AccountHandle) -> Contents {
        let mails = account.emails().into_iter().map(|email| {
            let received: Timestamp = email.received_at.parse().expect("a date");
            let raw = account.raw(&email.id).expect("it is there").to_vec();
            (email.id, (email.mailbox_ids, email.keywords, received.as_second(), raw))
        });
        let mut contents = Contents { mails: mails.collect(), things: Things::new() };
        for data_type in DataType::ALL.into_iter().filter(|data_type| *data_type != DataType::Email) {
            let kind = sim_stalwart::DataType::ALL[usize::from(data_type.number()) - 1];
            assert_eq!(kind.name(), data_type.name());
            for (id, json) in account.content(kind) {
                let content = match data_type {
                    DataType::CalendarEvent => account.calendar_text(&id).map(String::into_bytes),
                    _ => json["blobId"]
                        .as_str()
                        .and_then(|blob| account.blob(blob))
                        .map(|bytes| bytes.to_vec()),
                };
                contents.things.insert((data_type, id), (json, content));
            }
        }
        contents
    }

    /// What an export holds, and in which format.
    pub(crate) fn read(path: &Path) -> (Format, Contents) {
        let mut contents = Contents::default();
        let temporary = tempfile::tempdir().expect("a directory");
        let format = export::read(path, temporary.path(), Limits::GENEROUS, &mut contents);
        (format.unwrap_or_else(|error| panic!("{}: {error}", path.display())), contents)
    }

    /// What a folder says of its emails comes with it when it is read, and is not what it is.
    fn without_counts(mut self) -> Contents {
        let counts = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];
        for (json, _) in self.things.values_mut() {
            json.as_object_mut().expect("an object").retain(|key, _| !counts.contains(&key.as_str()));
        }
        self
    }

    #[track_caller]
    pub(crate) fn assert_same(self, expected: &Contents) {
        let same = self.without_counts();
        let ids = |contents: &Contents| contents.mails.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(ids(&same), ids(expected));
        for (id, mail) in &same.mails {
            let expected = &expected.mails[id];
            assert_eq!((&mail.0, &mail.1, mail.2), (&expected.0, &expected.1, expected.2), "{id}");
            assert!(mail.3 == expected.3, "bytes of {id}");
        }
        assert_eq!(same.things, expected.things);
    }
}

impl Receiver for Contents {
    fn object(&mut self, object: Object<'_>) -> export::Result<()> {
        let content = object.content.map(|content| {
            let mut bytes = Vec::new();
            content.bytes.read_to_end(&mut bytes).expect("readable");
            bytes
        });
        let mut json: Value = serde_json::from_slice(object.json).expect("JSON");
        // Not of JMAP.
        json.as_object_mut().map(|json| json.remove("davProperties"));
        let before = self.things.insert((object.data_type, object.id.to_owned()), (json, content));
        assert!(before.is_none(), "{} {} twice", object.data_type, object.id);
        Ok(())
    }

    fn email(&mut self, email: &Email<'_>, content: &mut dyn std::io::Read) -> export::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).expect("readable");
        let folders = email.folders.iter().map(ToString::to_string).collect();
        let mail = (folders, email.keywords.iter().cloned().collect(), email.received_at, bytes);
        assert!(self.mails.insert(email.id.to_string(), mail).is_none(), "{} twice", email.id);
        Ok(())
    }
}

impl Home {
    /// Exports alice to a place in this home.
    pub(crate) async fn export(&self, format: &str, to: &str, more: &[&str]) -> (PathBuf, Ended) {
        let place = self.path(to);
        // A slash at the end is not a part of the name.
        let to = format!("{}/{to}", self.dir.path().display());
        let args = ["export", "--account", ALICE, "--format", format, "--to", &to];
        (place, self.run(&[&args[..], more].concat()).await)
    }
}
