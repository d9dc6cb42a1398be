//! The text of an event on its way back.

use bytes::Bytes;
use jmap::Class;
use model::BlobId;

use super::icalendar::Shown;
use super::pairs::JmapObject;
use crate::server::account::is_fatal;

/// Longest answer with one event.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// An event whose text may say more than JMAP takes.
pub(super) struct Text {
    pub(super) event: JmapObject,
    /// The account's id of it.
    pub(super) replaces: Option<String>,
    /// The account's event before this attempt, if an earlier attempt of this restore made it.
    pub(super) was_there: Option<JmapObject>,
    /// A dry run: the event would be created or changed over JMAP first, and what the server would make of that is not known.
    pub(super) is_planned: bool,
    pub(super) uid: String,
    pub(super) blob: BlobId,
    /// What JMAP shows of an event that may be more than that; `None`: whether it is more is seen when the texts are compared.
    pub(super) shown: Option<Shown>,
}

/// A text that has to be put.
pub(super) struct Needed {
    pub(super) text: Text,
    pub(super) bytes: Bytes,
    /// What is missing without it, for people; `None`: a journal, of which there is nothing else.
    pub(super) lacks: Option<String>,
    /// The account's text, if it is known.
    pub(super) now: Option<Bytes>,
    pub(super) is_put: bool,
}

impl Text {
    /// Whether an event that has none may have been more than JMAP shows.
    pub(super) fn is_missing(event: &JmapObject) -> bool {
        event.text.is_none() && event.is("showWithoutTime") && Shown::of(event).is_some()
    }

    pub(super) fn of(event: &JmapObject) -> Option<Text> {
        let (blob, shown) = (event.text?, Shown::of(event));
        let uid = match event.text("uid") {
            "" => event.journal("uid")?,
            uid => uid,
        };
        let (uid, event) = (uid.to_owned(), event.clone());
        Some(Text { event, replaces: None, was_there: None, is_planned: false, uid, blob, shown })
    }

    pub(super) fn with(self, bytes: Bytes) -> Needed {
        let lacks = self.unshown(&String::from_utf8_lossy(&bytes));
        Needed { text: self, bytes, lacks, now: None, is_put: false }
    }

    /// What it has and JMAP does not show, for people.
    pub(super) fn unshown(&self, wanted: &str) -> Option<String> {
        self.shown.as_ref().and_then(|shown| shown.lacks(wanted)).map(str::to_owned)
    }
}

pub(super) fn refused_for_good(error: &jmap::Error) -> bool {
    matches!(error.class(), Class::Permanent | Class::Corrupt | Class::Auth) && !is_fatal(error)
}
