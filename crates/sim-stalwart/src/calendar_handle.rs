//! An account's calendars from the inside, as CalDAV shows them.

use serde_json::json;

use crate::dav;
use crate::dialect::Dialect;
use crate::handle::AccountHandle;
use crate::ical::Component;
use crate::kind::DataType;
use crate::resources::{Resource, Text};

/// An event as a resource of CalDAV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarResource {
    /// Its path, encoded, such as `/dav/cal/alice%40example.org/default/x.ics`.
    pub path: String,
    /// Id of the calendar it lies in.
    pub calendar_id: String,
    /// Id of the event.
    pub event_id: String,
    /// Its iCalendar text.
    pub text: String,
}

impl AccountHandle {
    /// Puts an iCalendar text into the calendar of this name as if a client had; replaces a resource of the same
    /// name. The calendar is made if it is not there. Returns the event's id.
    ///
    /// # Panics
    /// The text is not iCalendar.
    pub fn put_calendar_resource(&self, calendar_name: &str, resource_name: &str, text: &str) -> String {
        let body = Component::parse(text).expect("the text is iCalendar").text();
        let id = self.calendar_named(calendar_name);
        let mut account = self.lock();
        let event = account.resource(Dialect::CalDav, &id, resource_name).map(|resource| resource.item);
        account.put_text(Dialect::CalDav, (&id, resource_name), event, Text::put(body, text.len()))
    }

    fn calendar_named(&self, name: &str) -> String {
        let known =
            self.content(DataType::Calendar).into_iter().find(|(_, calendar)| calendar["name"] == name);
        known.map_or_else(|| self.insert(DataType::Calendar, json!({ "name": name })), |(id, _)| id)
    }

    /// The iCalendar text of an event as CalDAV gives it; none if there is no such event.
    #[must_use]
    pub fn calendar_text(&self, event_id: &str) -> Option<String> {
        self.lock().text(Dialect::CalDav, event_id).map(|text| text.body)
    }

    /// Every resource of CalDAV, in the order of the events' ids; an event in two calendars is two.
    #[must_use]
    pub fn calendar_resources(&self) -> Vec<CalendarResource> {
        let account = self.lock();
        let resources = account.resources(Dialect::CalDav).into_iter();
        let of = |resource: Resource| {
            let text = account.text(Dialect::CalDav, &resource.item)?.body;
            let path = dav::href(Dialect::CalDav, &account.name, &account, &resource);
            Some(CalendarResource { path, calendar_id: resource.collection, event_id: resource.item, text })
        };
        resources.filter_map(of).collect()
    }
}
