//! What the server has of one type.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jmap::{Id, Objects, Whole};
use model::DataType;
use repository::BlobHasher;
use serde_json::{Map, Value};

use crate::server::types::to_jmap;

/// Beginning of the states that we make ourselves, of types that have none on the server.
pub(crate) const OWN_STATE: &str = "content:";
/// A type with more bytes of JSON than this is refused rather than held.
const MOST_HELD: usize = 256 << 20;

/// What a type holds now, or how it differs from the base.
#[derive(Default)]
pub(crate) struct Found {
    /// `None`: gone.
    pub(crate) objects: BTreeMap<String, Option<Bytes>>,
    /// `objects` is all there is, not a difference.
    pub(crate) is_all: bool,
    /// What the server named and then said not to have; its changes must say that it was destroyed.
    pub(crate) doubted: BTreeSet<String>,
    /// Bytes of JSON that were added.
    held: usize,
    /// What the server did not give of objects that were read; `None`: none was.
    pub(crate) not_given: Option<BTreeSet<&'static str>>,
    /// What cannot be read while the others can, and why.
    pub(crate) unreadable: BTreeMap<String, String>,
}

/// Types whose `/get` names a state that moves when they do.
pub(crate) fn has_state(data_type: DataType) -> bool {
    data_type != DataType::ParticipantIdentity
}

/// Whether an equal state means equal objects. On Stalwart it says nothing of which script is active, whether the vacation
/// response is, and which address book is the default one.
pub(crate) fn state_tells_all(data_type: DataType) -> bool {
    use DataType::{AddressBook, Calendar, SieveScript, VacationResponse};
    has_state(data_type) && !matches!(data_type, SieveScript | VacationResponse | AddressBook | Calendar)
}

/// Why a type could not be read; its previous objects stay.
pub(crate) type Unread = jmap::Error;

impl Found {
    /// Of a type that is read as a whole.
    pub(crate) fn of_all() -> Found {
        Found { is_all: true, ..Found::default() }
    }

    pub(crate) fn add_whole(&mut self, data_type: DataType, whole: &Whole) -> Result<(), Unread> {
        self.not_given.get_or_insert_default().extend(&whole.not_given);
        self.add(data_type, &whole.objects)
    }

    fn add(&mut self, data_type: DataType, objects: &Objects) -> Result<(), Unread> {
        for failure in &objects.failures {
            let id = failure.id.as_ref().ok_or_else(|| incomplete(data_type, "an object in it has no id"))?;
            self.unreadable.insert(id.as_str().to_owned(), failure.error.to_string());
        }
        for object in &objects.list {
            // A copy, so that one small object does not keep a whole answer in memory.
            let json = lasting(data_type, &object.json);
            self.held += json.len();
            self.objects.insert(object.id.as_str().to_owned(), Some(json));
        }
        for id in &objects.not_found {
            self.objects.insert(id.as_str().to_owned(), None);
        }
        if self.held > MOST_HELD {
            Err(incomplete(data_type, "its objects are longer than can be held"))
        } else {
            Ok(())
        }
    }

    /// Puts more of an object in its place.
    pub(crate) fn replace(&mut self, id: String, json: Bytes) {
        self.held += json.len();
        self.objects.insert(id, Some(json));
    }

    /// Takes these out of what the server named and then said not to have.
    pub(crate) fn explain(&mut self, gone: &BTreeSet<Id>) {
        self.doubted.retain(|doubted| !gone.iter().any(|id| id.as_str() == doubted));
    }

    /// Nothing that the server named is missing without its having been destroyed.
    pub(crate) fn believed(&self, data_type: DataType) -> Result<(), Unread> {
        if self.doubted.is_empty() {
            Ok(())
        } else {
            Err(incomplete(data_type, "the server lists an object and then says that there is none"))
        }
    }

    /// A state for types that have none: equal content, equal state.
    pub(crate) fn fingerprint(&self, hasher: &BlobHasher) -> String {
        let mut text = String::new();
        for (id, json) in &self.objects {
            text.push_str(id);
            text.push_str(&String::from_utf8_lossy(json.as_deref().unwrap_or_default()));
        }
        format!("{OWN_STATE}{:016x}", hasher.short(&text))
    }
}

/// The fingerprint of what one answer has.
pub(crate) fn fingerprint_of(hasher: &BlobHasher, data_type: DataType, objects: &Objects) -> Option<String> {
    let mut found = Found::default();
    found.add(data_type, objects).ok()?;
    Some(found.fingerprint(hasher))
}

/// An object without what is another thing each time it is read: Stalwart 0.16 gives the present time as `accessed` of a file.
fn lasting(data_type: DataType, json: &[u8]) -> Bytes {
    if data_type == DataType::FileNode
        && let Ok(mut node) = serde_json::from_slice::<Map<String, Value>>(json)
        && node.remove("accessed").is_some()
    {
        return Value::from(node).to_string().into();
    }
    Bytes::copy_from_slice(json)
}

pub(crate) fn incomplete(data_type: DataType, reason: &'static str) -> Unread {
    jmap::Error::Untrue { method: to_jmap(data_type).get_method(), reason }
}
