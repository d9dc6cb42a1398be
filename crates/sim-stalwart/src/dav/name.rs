//! Names of properties: those that the server knows, and those that it only stores.

use super::xml::{CALENDAR_SERVER, DAV, Element, escaped};
use crate::dialect::Dialect;
use crate::properties::Tag;

/// A property by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The attributes of the element that named it, which are repeated for a dead property.
    attributes: String,
}

/// The properties of WebDAV that Stalwart knows.
const OF_DAV: [&str; 23] = [
    "creationdate",
    "displayname",
    "getcontentlanguage",
    "getcontentlength",
    "getcontenttype",
    "getetag",
    "getlastmodified",
    "resourcetype",
    "lockdiscovery",
    "supportedlock",
    "current-user-principal",
    "quota-available-bytes",
    "quota-used-bytes",
    "supported-report-set",
    "sync-token",
    "owner",
    "group",
    "supported-privilege-set",
    "current-user-privilege-set",
    "acl",
    "acl-restrictions",
    "inherited-acl-set",
    "principal-collection-set",
];

const OF_CALDAV: [&str; 16] = [
    "calendar-description",
    "calendar-timezone",
    "supported-calendar-component-set",
    "supported-collation-set",
    "supported-calendar-data",
    "max-resource-size",
    "min-date-time",
    "max-date-time",
    "max-instances",
    "max-attendees-per-instance",
    "schedule-default-calendar-URL",
    "schedule-tag",
    "schedule-calendar-transp",
    "calendar-data",
    "timezone-service-set",
    "calendar-timezone-id",
];

const OF_CARDDAV: [&str; 5] = [
    "addressbook-description",
    "supported-address-data",
    "supported-collation-set",
    "address-data",
    "max-resource-size",
];

const OF_CALENDAR_SERVER: [&str; 1] = ["getctag"];

/// The properties that the server knows in a namespace; none of another one.
fn known(namespace: &str) -> Option<&'static [&'static str]> {
    match namespace {
        DAV => Some(&OF_DAV),
        CALENDAR_SERVER => Some(&OF_CALENDAR_SERVER),
        other if other == Dialect::CalDav.namespace() => Some(&OF_CALDAV),
        other if other == Dialect::CardDav.namespace() => Some(&OF_CARDDAV),
        _ => None,
    }
}

impl Name {
    pub(super) fn live(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned(), attributes: String::new() }
    }

    /// The property that an element names. None for a name in a namespace where it means nothing: as in Stalwart, `calendar-data` of
    /// the namespace of WebDAV is neither known nor a dead property.
    pub(super) fn of(element: &Element) -> Option<Self> {
        let Tag { name, attributes } = tag(element);
        let is_of_another = |name| {
            let everywhere = [&OF_DAV[..], &OF_CALDAV, &OF_CARDDAV, &OF_CALENDAR_SERVER];
            everywhere.iter().any(|names| names.contains(&name))
        };
        match known(&element.namespace) {
            Some(names) if names.contains(&name.as_str()) => Some(Self::live(&element.namespace, &name)),
            Some(_) if is_of_another(name.as_str()) => None,
            _ => Some(Self { namespace: element.namespace.clone(), name, attributes }),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.prefix().is_some()
    }

    fn prefix(&self) -> Option<&'static str> {
        known(&self.namespace).filter(|names| names.contains(&self.name.as_str()))?;
        match self.namespace.as_str() {
            DAV => Some("D"),
            CALENDAR_SERVER => Some("C"),
            other => Dialect::ALL.into_iter().find(|it| it.namespace() == other).map(Dialect::prefix),
        }
    }

    fn head(&self) -> (String, String) {
        match self.prefix() {
            Some(prefix) => (format!("{prefix}:{}", self.name), String::new()),
            None if self.attributes.is_empty() => (self.name.clone(), String::new()),
            None => (self.name.clone(), format!(" {}", self.attributes)),
        }
    }

    /// The element with nothing in it.
    pub(super) fn empty(&self) -> String {
        let (name, attributes) = self.head();
        format!("<{name}{attributes}/>")
    }

    /// The element with what is in it, already escaped.
    pub(super) fn element(&self, inside: &str) -> String {
        let is_text = ["displayname", "calendar-description", "addressbook-description"];
        if inside.is_empty() && self.is_live() && !is_text.contains(&self.name.as_str()) {
            return self.empty();
        }
        let (name, attributes) = self.head();
        format!("<{name}{attributes}>{inside}</{name}>")
    }
}

/// An element as Stalwart keeps and repeats it: without its prefix, with its namespace as an attribute.
pub(super) fn tag(element: &Element) -> Tag {
    let namespace = match element.namespace.as_str() {
        "" => None,
        namespace => Some(format!("xmlns=\"{}\"", escaped(namespace))),
    };
    let others = element.attributes.iter().map(|(name, value)| format!("{name}=\"{value}\""));
    let attributes = namespace.into_iter().chain(others).collect::<Vec<_>>().join(" ");
    Tag { name: element.name.clone(), attributes }
}
