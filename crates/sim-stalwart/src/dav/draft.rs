//! A collection or resource while its properties are set and removed.

use http::StatusCode;
use serde_json::Value as Json;

use super::name::Name;
use super::outcome::{Fate, Outcome};
use super::patch::{Patch, Value};
use super::xml::DAV;
use crate::dialect::Dialect;
use crate::ical::Component;
use crate::ical_json;
use crate::properties::{OwnZone, Properties};

/// Bytes of a text in a live property.
const MOST_TEXT: usize = 250;

/// What a draft is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    NewCollection,
    Collection,
    Resource,
}

/// A collection or resource as it will be.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) dialect: Dialect,
    pub(super) of: Of,
    /// The JSON as the user sees it.
    pub(super) object: Json,
    pub(super) own: Properties,
}

impl Draft {
    /// Works a patch in; false if something that was to be set was refused, so that nothing may be kept. As in Stalwart, what
    /// was not refused is reported as done even then, and a removal that is refused does not matter.
    pub(super) fn apply(&mut self, patch: Patch, outcome: &mut Outcome) -> bool {
        let Patch { set, remove, removes_first } = patch;
        let (first, last) = if removes_first { (remove, Vec::new()) } else { (Vec::new(), remove) };
        self.remove_all(&first, outcome);
        let mut is_whole = true;
        for (name, value) in set {
            let fate = self.set(&name, value);
            is_whole &= fate == Fate::SET;
            outcome.add(&name, fate);
        }
        if is_whole {
            self.remove_all(&last, outcome);
        }
        is_whole
    }

    fn remove_all(&mut self, names: &[Name], outcome: &mut Outcome) {
        for name in names {
            let fate = self.remove(name);
            outcome.add(name, fate);
        }
    }

    fn set(&mut self, name: &Name, value: Value) -> Fate {
        match (name.name.as_str(), value) {
            (_, Value::Nothing) => Fate::SET,
            (name, Value::Dead(property)) => {
                if self.of != Of::NewCollection {
                    self.own.remove_dead(name);
                }
                if self.own.add_dead(property) { Fate::SET } else { Fate::TOO_LONG }
            }
            ("creationdate", Value::Time(seconds)) => {
                self.own.created = Some(seconds);
                Fate::SET
            }
            ("displayname", Value::Text(text)) if text.len() > MOST_TEXT => Fate::TOO_LONG,
            ("displayname", Value::Text(text)) if self.of == Of::Resource => {
                self.own.display_name = Some(text);
                Fate::SET
            }
            ("displayname", Value::Text(text)) => self.say("name", text),
            (_, value) if self.of != Of::Resource && self.is_ours(name) => self.set_collection(name, value),
            _ => Fate::NOT_SETTABLE,
        }
    }

    /// Whether a property is of WebDAV or of this dialect.
    fn is_ours(&self, name: &Name) -> bool {
        name.namespace == DAV || name.namespace == self.dialect.namespace()
    }

    fn set_collection(&mut self, name: &Name, value: Value) -> Fate {
        match (name.name.as_str(), value) {
            ("calendar-description" | "addressbook-description", Value::Text(text))
                if text.len() > MOST_TEXT =>
            {
                Fate::TOO_LONG
            }
            ("calendar-description" | "addressbook-description", Value::Text(text)) => {
                self.say("description", text)
            }
            ("calendar-timezone-id", Value::Text(zone)) if ical_json::is_zone(&zone) => {
                self.own.zone = None;
                self.say("timeZone", zone)
            }
            ("calendar-timezone-id", Value::Text(_)) => {
                Fate::condition(StatusCode::PRECONDITION_FAILED, "A:valid-timezone", "Invalid timezone ID")
            }
            (_, Value::Zone(calendar)) => self.set_zone(&calendar),
            (_, Value::Types(types)) => self.check_types(&types),
            (_, Value::Components(components)) => self.set_components(components),
            _ => Fate::NOT_SETTABLE,
        }
    }

    fn say(&mut self, member: &str, text: String) -> Fate {
        self.object[member] = text.into();
        Fate::SET
    }

    fn set_zone(&mut self, calendar: &Component) -> Fate {
        let Some(zone) = calendar.components.iter().find(|component| component.name == "VTIMEZONE") else {
            let condition = "A:valid-calendar-data";
            return Fate::condition(StatusCode::PRECONDITION_FAILED, condition, "Invalid calendar timezone");
        };
        let known_as = zone.value("TZID").filter(|name| ical_json::is_zone(name)).map(str::to_owned);
        self.object["timeZone"] = known_as.clone().map_or(Json::Null, Json::from);
        self.own.zone = Some(OwnZone { text: calendar.text(), known_as });
        Fate::SET
    }

    fn check_types(&self, types: &[(String, String)]) -> Fate {
        let own = (self.dialect.namespace(), self.dialect.collection_element());
        let fits = |(namespace, name): &(String, String)| {
            let kind = (namespace.as_str(), name.as_str());
            kind == (DAV, "collection") || kind == own
        };
        if types.iter().all(fits) {
            return Fate::SET;
        }
        Fate::condition(StatusCode::FORBIDDEN, "D:valid-resourcetype", "")
    }

    fn set_components(&mut self, components: Vec<&'static str>) -> Fate {
        let refused =
            |words| Fate::condition(StatusCode::PRECONDITION_FAILED, "A:supported-calendar-component", words);
        if self.of != Of::NewCollection {
            return refused("Property cannot be modified");
        }
        if components.is_empty() {
            return refused("At least one supported component must be specified");
        }
        self.own.components = components;
        Fate::SET
    }

    fn remove(&mut self, name: &Name) -> Fate {
        match (self.of, name.name.as_str()) {
            (_, name_alone) if !name.is_live() => self.own.remove_dead(name_alone),
            (Of::Resource, "displayname") => self.own.display_name = None,
            (Of::Resource, _) => return Fate::NOT_REMOVABLE,
            (_, "displayname") if self.dialect == Dialect::CardDav => self.object["name"] = "".into(),
            (_, _) if name.namespace != self.dialect.namespace() => return Fate::NOT_REMOVABLE,
            (_, "calendar-description" | "addressbook-description") => {
                self.object["description"] = Json::Null
            }
            (_, "calendar-timezone" | "calendar-timezone-id") => {
                self.own.zone = None;
                self.object["timeZone"] = Json::Null;
            }
            _ => return Fate::NOT_REMOVABLE,
        }
        Fate::REMOVED
    }
}
