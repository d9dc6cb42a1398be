//! Where the account's events lie, as CalDAV tells it.

use std::collections::BTreeMap;

use jmap::{CalendarPlace, Class, EventPlace};
use model::DataType;

use super::Objects;
use super::pairs::JmapObject;
use super::text::Text;
use crate::error::Result;
use crate::restore::target::read;
use crate::server::account::is_fatal;

/// Where the account's events lie.
pub(super) struct Calendars {
    pub(super) calendars: Vec<CalendarPlace>,
    /// By UID, with the number of the calendar.
    events: BTreeMap<String, Vec<(usize, EventPlace)>>,
}

impl Objects<'_> {
    /// Where the account's events lie; the inner error says, for people, why that is not known.
    pub(super) async fn calendars(&self) -> Result<std::result::Result<Calendars, String>> {
        match self.list_calendars().await {
            Ok(calendars) => Ok(Ok(calendars)),
            Err(source) if is_fatal(&source) || matches!(source.class(), Class::Transient { .. }) => {
                Err(read("the calendars", source))
            }
            Err(source) => Ok(Err(format!("the mail server does not show calendars by CalDAV: {source}"))),
        }
    }

    async fn list_calendars(&self) -> std::result::Result<Calendars, jmap::Error> {
        let client = self.target.client;
        let calendars = client.calendar_places(self.target.account).await?;
        let mut events: BTreeMap<String, Vec<(usize, EventPlace)>> = BTreeMap::new();
        for (at, calendar) in calendars.iter().enumerate() {
            for event in client.events_in(calendar).await? {
                events.entry(event.uid.clone()).or_default().push((at, event));
            }
        }
        Ok(Calendars { calendars, events })
    }

    /// Where the account has an event of this UID. The inner error: where it would lie, if that is known.
    pub(super) async fn find<'c>(
        &self,
        text: &Text,
        calendars: &'c Calendars,
    ) -> Result<std::result::Result<(&'c CalendarPlace, &'c EventPlace), Option<&'c CalendarPlace>>> {
        let place = |(at, event): &'c (usize, EventPlace)| (&calendars.calendars[*at], event);
        let events = calendars.events.get(&text.uid).map_or(&[][..], Vec::as_slice);
        // Of one that comes beside another event of its UID the calendar matters.
        let is_twin = text.replaces.is_none() && !text.event.is_journal();
        if let [only] = events
            && !is_twin
        {
            return Ok(Ok(place(only)));
        }
        let calendar = self.calendar_of(&text.event, calendars).await?;
        let found = events.iter().map(place).find(|(place, _)| calendar == Some(*place));
        Ok(found.ok_or(calendar.filter(|_| is_twin || events.is_empty())))
    }

    /// The calendar of the account that one of the snapshot's came back as, by its name.
    async fn calendar_of<'c>(
        &self,
        event: &JmapObject,
        there: &'c Calendars,
    ) -> Result<Option<&'c CalendarPlace>> {
        let set = event.json.get("calendarIds").and_then(serde_json::Value::as_object);
        let ids = set.into_iter().flat_map(serde_json::Map::keys);
        let ids = ids.filter_map(|id| self.ids.get(&(DataType::Calendar, id.clone())));
        let ids: Vec<jmap::Id> = ids.filter_map(|id| jmap::Id::new(id).ok()).collect();
        for calendar in self.target.calendars_as_we_see_them(ids).await? {
            let name =
                super::read_object(calendar.id.as_str(), &calendar.json).map(|calendar| calendar.name());
            let mut places = there.calendars.iter().filter(|place| name.as_ref() == Some(&place.name));
            // Which of two of one name it is is not told.
            if let (Some(place), None) = (places.next(), places.next()) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}
