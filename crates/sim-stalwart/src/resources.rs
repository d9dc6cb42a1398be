//! The CalDAV resources of an account: one of each event in each of its calendars, with its name and text.
//!
//! A text that a client has put is kept with the JSON that was made of it. Later changes of the JSON are worked into the text
//! when it is read, so that it does not matter who made them; a roll-back finds the older texts again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::account::Account;
use crate::ical::Component;
use crate::ical_json;
use crate::kind::DataType;

/// A text as a client has put it.
#[derive(Debug)]
pub(crate) struct Written {
    modseq: u64,
    name: String,
    calendar: Component,
    /// Bytes of what the client sent.
    size: usize,
    /// The JSON that was made of it.
    object: Arc<Value>,
}

/// The texts of an account by event, oldest first.
pub(crate) type Texts = BTreeMap<String, Vec<Written>>;

/// A resource and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) calendar: String,
    pub(crate) name: String,
    pub(crate) event: String,
}

/// The content of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) calendar: Component,
    pub(crate) size: usize,
}

impl Text {
    /// The entity tag, with its quotes.
    pub(crate) fn etag(&self) -> String {
        etag(self.calendar.text().as_bytes())
    }
}

/// An entity tag, with its quotes.
pub(crate) fn etag(of: &[u8]) -> String {
    let hash = blake3::hash(of);
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
    /// The name of a calendar in paths: `default` is the first one that the account ever had.
    pub(crate) fn collection_name(&self, calendar: &str) -> String {
        if calendar == crate::ids::short(0) {
            return "default".to_owned();
        }
        drawn(self.mails.seed, DataType::Calendar, calendar)
    }

    /// The id of the calendar with this name in paths.
    pub(crate) fn collection(&self, name: &str) -> Option<String> {
        let mut ids = self.objects[&DataType::Calendar].present.keys();
        ids.find(|id| self.collection_name(id) == name).cloned()
    }

    fn last_written(&self, event: &str) -> Option<&Written> {
        self.texts.get(event)?.last()
    }

    /// Every resource, in the order of the events' ids.
    pub(crate) fn resources(&self) -> Vec<Resource> {
        let events = self.objects[&DataType::CalendarEvent].present.iter();
        let of_event = |(event, object): (&String, &Arc<Value>)| {
            let written = self.last_written(event).map(|written| written.name.clone());
            let name = written.unwrap_or_else(|| drawn(self.mails.seed, DataType::CalendarEvent, event));
            let calendars = object["calendarIds"].as_object().cloned().unwrap_or_default();
            let lies = calendars.into_iter().filter(|(_, lies)| *lies == true);
            let resource = |calendar| Resource { calendar, name: name.clone(), event: event.clone() };
            lies.map(|(calendar, _)| resource(calendar)).collect::<Vec<_>>()
        };
        events.flat_map(of_event).collect()
    }

    /// The resource of this name in a calendar.
    pub(crate) fn resource(&self, calendar: &str, name: &str) -> Option<Resource> {
        self.resources().into_iter().find(|it| it.calendar == calendar && it.name == name)
    }

    /// The text of an event as it is now.
    pub(crate) fn text(&self, event: &str) -> Option<Text> {
        let object = self.object(DataType::CalendarEvent, event)?;
        let calendar = match self.last_written(event) {
            Some(Written { calendar, size, object: before, .. })
                if Arc::ptr_eq(before, object) || ical_json::same_text(before, object) =>
            {
                return Some(Text { calendar: calendar.clone(), size: *size });
            }
            Some(written) => ical_json::merged(&written.calendar, &written.object, object),
            None => ical_json::calendar(object),
        };
        let size = calendar.text().len();
        Some(Text { calendar, size })
    }

    /// Puts a text into a calendar, over an event if one is given; returns the event's id.
    pub(crate) fn put_text(
        &mut self,
        (calendar_id, name): (&str, &str),
        event: Option<String>,
        (calendar, size): (Component, usize),
    ) -> String {
        let kind = DataType::CalendarEvent;
        let mut object = ical_json::object(&calendar);
        let before = event
            .as_ref()
            .and_then(|event| self.object(kind, event))
            .map(|before| before["calendarIds"].clone());
        let id = event.unwrap_or_else(|| self.draw_id(kind));
        object.insert(
            "calendarIds".to_owned(),
            before.unwrap_or_else(|| serde_json::json!({ calendar_id: true })),
        );
        object.insert("id".to_owned(), id.as_str().into());
        object.insert("isDraft".to_owned(), false.into());
        object.insert("isOrigin".to_owned(), true.into());
        self.put_object(kind, &id, Some(object.into()));
        if let Some(object) = self.object(kind, &id).cloned() {
            let written = Written { modseq: self.modseq, name: name.to_owned(), calendar, size, object };
            self.texts.entry(id.clone()).or_default().push(written);
        }
        id
    }

    /// Takes an event out of a calendar; it is destroyed if it lies nowhere else.
    pub(crate) fn remove_resource(&mut self, resource: &Resource) {
        let kind = DataType::CalendarEvent;
        let Some(mut object) = self.object(kind, &resource.event).map(|object| Value::clone(object)) else {
            return;
        };
        let elsewhere = object["calendarIds"].as_object_mut().is_some_and(|ids| {
            ids.remove(&resource.calendar);
            !ids.is_empty()
        });
        self.put_object(kind, &resource.event, elsewhere.then_some(object));
    }

    /// Forgets the texts that were put after this moment.
    pub(crate) fn roll_back_texts(&mut self, modseq: u64) {
        self.texts.values_mut().for_each(|written| written.retain(|written| written.modseq <= modseq));
    }
}
