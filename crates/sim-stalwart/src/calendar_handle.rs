//! An account's calendars from the inside, as CalDAV shows them.

use serde_json::json;

use crate::caldav;
use crate::handle::AccountHandle;
use crate::ical::Component;
use crate::kind::DataType;

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
        let calendar = Component::parse(text).expect("the text is iCalendar");
        let id = self.calendar_named(calendar_name);
        let mut account = self.lock();
        let event = account.resource(&id, resource_name).map(|resource| resource.event);
        account.put_text((&id, resource_name), event, (calendar, text.len()))
    }

    fn calendar_named(&self, name: &str) -> String {
        let known =
            self.content(DataType::Calendar).into_iter().find(|(_, calendar)| calendar["name"] == name);
        known.map_or_else(|| self.insert(DataType::Calendar, json!({ "name": name })), |(id, _)| id)
    }

    /// The iCalendar text of an event as CalDAV gives it; none if there is no such event.
    #[must_use]
    pub fn calendar_text(&self, event_id: &str) -> Option<String> {
        self.lock().text(event_id).map(|text| text.calendar.text())
    }

    /// Every resource of CalDAV, in the order of the events' ids; an event in two calendars is two.
    #[must_use]
    pub fn calendar_resources(&self) -> Vec<CalendarResource> {
        let account = self.lock();
        let resources = account.resources().into_iter();
        let of = |resource: crate::resources::Resource| {
            let text = account.text(&resource.event)?.calendar.text();
            let path = caldav::href(&account.name, &account, &resource);
            Some(CalendarResource { path, calendar_id: resource.calendar, event_id: resource.event, text })
        };
        resources.filter_map(of).collect()
    }
}
