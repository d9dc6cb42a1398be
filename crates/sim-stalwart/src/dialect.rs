//! CalDAV and CardDAV: where they differ, and what they do with their texts.

use serde_json::{Map, Value};

use crate::ical::Component;
use crate::ical_json;
use crate::kind::{Capability, DataType};
use crate::vcard;

/// One of the two protocols that show objects of JMAP as resources with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Events as iCalendar (RFC 4791).
    CalDav,
    /// Contact cards as vCard (RFC 6352).
    CardDav,
}

impl Dialect {
    pub(crate) const ALL: [Self; 2] = [Self::CalDav, Self::CardDav];

    const fn pick<T: Copy>(self, caldav: T, carddav: T) -> T {
        match self {
            Self::CalDav => caldav,
            Self::CardDav => carddav,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        self.pick("CalDAV", "CardDAV")
    }

    /// The collection of all homes, without its slash.
    pub(crate) const fn root(self) -> &'static str {
        self.pick("/dav/cal", "/dav/card")
    }

    /// The path that leads to the root (RFC 6764).
    pub(crate) const fn well_known(self) -> &'static str {
        self.pick("/.well-known/caldav", "/.well-known/carddav")
    }

    pub(crate) const fn capability(self) -> Capability {
        self.pick(Capability::Calendars, Capability::Contacts)
    }

    /// The type of a resource.
    pub(crate) const fn item(self) -> DataType {
        self.pick(DataType::CalendarEvent, DataType::ContactCard)
    }

    /// The type of a collection.
    pub(crate) const fn container(self) -> DataType {
        self.pick(DataType::Calendar, DataType::AddressBook)
    }

    /// The property of an item that names its containers.
    pub(crate) const fn container_ids(self) -> &'static str {
        self.pick("calendarIds", "addressBookIds")
    }

    pub(crate) const fn media_type(self) -> &'static str {
        self.pick("text/calendar", "text/vcard")
    }

    pub(crate) const fn namespace(self) -> &'static str {
        self.pick("urn:ietf:params:xml:ns:caldav", "urn:ietf:params:xml:ns:carddav")
    }

    /// The prefix that Stalwart gives the namespace.
    pub(crate) const fn prefix(self) -> &'static str {
        self.pick("A", "B")
    }

    /// The element of a collection's `resourcetype`.
    pub(crate) const fn collection_element(self) -> &'static str {
        self.pick("calendar", "addressbook")
    }

    /// The property that holds a resource's text.
    pub(crate) const fn data_element(self) -> &'static str {
        self.pick("calendar-data", "address-data")
    }

    /// The names of the reports that search a collection, and that look up paths.
    pub(crate) const fn reports(self) -> [&'static str; 2] {
        self.pick(["calendar-query", "calendar-multiget"], ["addressbook-query", "addressbook-multiget"])
    }

    /// Reads what a client puts and returns it as the server writes it, or the condition that does not hold.
    pub(crate) fn read(self, body: &[u8]) -> Result<String, &'static str> {
        let body = std::str::from_utf8(body).ok();
        match self {
            Self::CalDav => {
                let calendar = body.and_then(Component::parse).ok_or("supported-calendar-data")?;
                calendar.uid().ok_or("valid-calendar-object-resource")?;
                Ok(calendar.text())
            }
            Self::CardDav => body.and_then(vcard::read).ok_or("supported-address-data"),
        }
    }

    pub(crate) fn uid(self, text: &str) -> Option<String> {
        match self {
            Self::CalDav => Component::parse(text)?.uid().map(str::to_owned),
            Self::CardDav => vcard::uid(text),
        }
    }

    /// The JSON of a text, without ids.
    pub(crate) fn object(self, text: &str) -> Map<String, Value> {
        match self {
            Self::CalDav => Component::parse(text).map(|calendar| ical_json::object(&calendar)),
            Self::CardDav => vcard::object(text),
        }
        .unwrap_or_default()
    }

    /// The text of an object that nobody gave a text for; none if there is none for such an object.
    pub(crate) fn text(self, object: &Value) -> Option<String> {
        match self {
            Self::CalDav => Some(ical_json::calendar(object).text()),
            Self::CardDav => vcard::text(object),
        }
    }

    /// The text for an object that was `before` when a client gave its text.
    pub(crate) fn changed_text(self, text: &str, before: &Value, object: &Value) -> Option<String> {
        match self {
            Self::CalDav if ical_json::same_text(before, object) => Some(text.to_owned()),
            Self::CalDav => Some(ical_json::merged(&Component::parse(text)?, before, object).text()),
            Self::CardDav if vcard::same_text(before, object) => Some(text.to_owned()),
            Self::CardDav => vcard::text(object),
        }
    }
}
