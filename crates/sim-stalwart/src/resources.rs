//! The resources of an account by CalDAV and CardDAV: one of each event and card in each of its collections, with its name and text.
//!
//! A text that a client has put is kept with the JSON that was made of it. Later changes of the JSON are worked into the text
//! when it is read, so that it does not matter who made them; a roll-back finds the older texts again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::account::Account;
use crate::dialect::Dialect;
use crate::kind::DataType;
use crate::properties::Properties;

/// A text as a client has put it.
#[derive(Debug)]
pub(crate) struct Written {
    modseq: u64,
    name: String,
    text: Text,
    /// The JSON that was made of it.
    object: Arc<Value>,
}

/// The texts of an account by type and id of the item, oldest first.
pub(crate) type Texts = BTreeMap<(DataType, String), Vec<Written>>;

/// The properties of objects by type and id, oldest first, each with the state in which they were set.
pub(crate) type Shown = BTreeMap<(DataType, String), Vec<(u64, Properties)>>;

/// A resource and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// The id of its calendar or address book.
    pub(crate) collection: String,
    pub(crate) name: String,
    /// The id of its event or card.
    pub(crate) item: String,
}

/// The content of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) body: String,
    /// Bytes of what the client sent.
    pub(crate) size: usize,
    /// The state in which the resource's properties were set; 0 if they never were.
    pub(crate) properties_set: u64,
}

impl Text {
    /// The entity tag, with its quotes.
    pub(crate) fn etag(&self) -> String {
        etag(&self.body, self.properties_set)
    }

    /// What a client puts.
    pub(crate) const fn put(body: String, size: usize) -> Self {
        Self { body, size, properties_set: 0 }
    }
}

/// The entity tag, with its quotes, of a content and of the state in which its properties were set.
pub(crate) fn etag(of: &str, properties_set: u64) -> String {
    let hash = match properties_set {
        0 => blake3::hash(of.as_bytes()),
        state => blake3::hash(format!("{state} {of}").as_bytes()),
    };
    let [first, second, third, fourth, ..] = hash.as_bytes();
    format!("\"{}\"", u32::from_be_bytes([*first, *second, *third, *fourth]))
}

/// Ten letters that depend on the account, the kind of object and its id.
fn drawn(seed: u64, kind: DataType, id: &str) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let hash = blake3::hash(format!("{seed} {} {id}", kind.name()).as_bytes());
    hash.as_bytes()[..10].iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

impl Account {
    /// What a client has set of an object, and in which state.
    pub(crate) fn properties(&self, kind: DataType, id: &str) -> (u64, Properties) {
        self.shown.get(&(kind, id.to_owned())).and_then(|set| set.last()).cloned().unwrap_or_default()
    }

    /// Sets the properties of an object that was just put.
    pub(crate) fn set_properties(&mut self, kind: DataType, id: &str, properties: Properties) {
        let modseq = self.modseq;
        self.shown.entry((kind, id.to_owned())).or_default().push((modseq, properties));
    }

    /// The name of a collection in paths: what a client chose, or `default` for the first one that the account ever had.
    pub(crate) fn collection_name(&self, dialect: Dialect, id: &str) -> String {
        if let Some(name) = self.properties(dialect.container(), id).1.name {
            return name;
        }
        if id == crate::ids::short(0) {
            return "default".to_owned();
        }
        drawn(self.mails.seed, dialect.container(), id)
    }

    /// The id of the collection with this name in paths.
    pub(crate) fn collection(&self, dialect: Dialect, name: &str) -> Option<String> {
        let mut ids = self.objects[&dialect.container()].present.keys();
        ids.find(|id| self.collection_name(dialect, id) == name).cloned()
    }

    fn last_written(&self, dialect: Dialect, item: &str) -> Option<&Written> {
        self.texts.get(&(dialect.item(), item.to_owned()))?.last()
    }

    /// Every resource, in the order of the items' ids.
    pub(crate) fn resources(&self, dialect: Dialect) -> Vec<Resource> {
        let items = self.objects[&dialect.item()].present.iter();
        let of_item = |(item, object): (&String, &Arc<Value>)| {
            let written = self.last_written(dialect, item).map(|written| written.name.clone());
            let name = written.unwrap_or_else(|| drawn(self.mails.seed, dialect.item(), item));
            let collections = object[dialect.container_ids()].as_object().cloned().unwrap_or_default();
            let lies = collections.into_iter().filter(|(_, lies)| *lies == true);
            let resource = |collection| Resource { collection, name: name.clone(), item: item.clone() };
            lies.map(|(collection, _)| resource(collection)).collect::<Vec<_>>()
        };
        items.flat_map(of_item).collect()
    }

    /// The resource of this name in a collection.
    pub(crate) fn resource(&self, dialect: Dialect, collection: &str, name: &str) -> Option<Resource> {
        self.resources(dialect).into_iter().find(|it| it.collection == collection && it.name == name)
    }

    /// The text of an event or card as it is now.
    pub(crate) fn text(&self, dialect: Dialect, item: &str) -> Option<Text> {
        let (properties_set, _) = self.properties(dialect.item(), item);
        Some(Text { properties_set, ..self.present_text(dialect, item)? })
    }

    fn present_text(&self, dialect: Dialect, item: &str) -> Option<Text> {
        let object = self.object(dialect.item(), item)?;
        let body = match self.last_written(dialect, item) {
            None => dialect.text(object)?,
            Some(written) if Arc::ptr_eq(&written.object, object) => return Some(written.text.clone()),
            Some(written) => {
                let body = dialect.changed_text(&written.text.body, &written.object, object)?;
                if body == written.text.body {
                    return Some(written.text.clone());
                }
                body
            }
        };
        let size = body.len();
        Some(Text::put(body, size))
    }

    /// Puts a text into a collection, over an item if one is given; returns the item's id.
    pub(crate) fn put_text(
        &mut self,
        dialect: Dialect,
        (collection, name): (&str, &str),
        item: Option<String>,
        text: Text,
    ) -> String {
        let (kind, ids) = (dialect.item(), dialect.container_ids());
        let mut object = dialect.object(&text.body);
        let before = item.as_ref().and_then(|item| self.object(kind, item)).map(|before| before[ids].clone());
        let id = item.unwrap_or_else(|| self.draw_id(kind));
        object.insert(ids.to_owned(), before.unwrap_or_else(|| serde_json::json!({ collection: true })));
        object.insert("id".to_owned(), id.as_str().into());
        if dialect == Dialect::CalDav {
            object.insert("isDraft".to_owned(), false.into());
            object.insert("isOrigin".to_owned(), true.into());
        }
        self.put_object(kind, &id, Some(object.into()));
        if let Some(object) = self.object(kind, &id).cloned() {
            let written = Written { modseq: self.modseq, name: name.to_owned(), text, object };
            self.texts.entry((kind, id.clone())).or_default().push(written);
        }
        id
    }

    /// Takes an item out of a collection; it is destroyed if it lies nowhere else.
    pub(crate) fn remove_resource(&mut self, dialect: Dialect, resource: &Resource) {
        let kind = dialect.item();
        let Some(mut object) = self.object(kind, &resource.item).map(|object| Value::clone(object)) else {
            return;
        };
        let elsewhere = object[dialect.container_ids()].as_object_mut().is_some_and(|ids| {
            ids.remove(&resource.collection);
            !ids.is_empty()
        });
        self.put_object(kind, &resource.item, elsewhere.then_some(object));
    }

    /// Forgets the texts and properties that were put after this moment.
    pub(crate) fn roll_back_texts(&mut self, modseq: u64) {
        self.shown.values_mut().for_each(|set| set.retain(|(state, _)| *state <= modseq));
        self.texts.values_mut().for_each(|written| written.retain(|written| written.modseq <= modseq));
    }
}
