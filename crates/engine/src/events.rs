//! The text of each event, task and journal beside its JMAP object: iCalendar, as CalDAV gives it.
//!
//! JMAP does not show all of an event. On Stalwart 0.16 the changed occurrences of an all-day series are missing, a series with one that
//! was changed over JMAP is that occurrence alone, and so are time zones that a calendar defines itself. The text has them; it is the
//! content of the event's row. Which text is an event's is told by the UID, and of events with the same UID (a server takes it once per
//! calendar) by the calendar.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jmap::{CalendarPlace, Class, EventPlace, EventText, Ids};
use model::DataType;
use repository::{ObjectRecord, TypeState};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::fetch::{Arrived, Subject, cut};
use crate::objects::is_fatal;
use crate::pump::Step;
use crate::run::Run;
use crate::types::to_jmap;

/// Texts in one request.
const TEXTS_AT_ONCE: usize = 100;
/// Longest answer with texts.
const MOST_BYTES: u64 = 16 << 20;
/// Longest answer with a single one.
const MOST_BYTES_ALONE: u64 = 64 << 20;

/// What a snapshot lacks where a server does not show calendars by CalDAV; stands beside properties that are not given.
const TEXT: &str = "text by CalDAV";
/// The same where it shows them, and these events not among them.
const SOME_TEXT: &str = "text of some events by CalDAV";

/// Rows that may have changed: ids and JSON by UID.
type Rows = BTreeMap<String, Vec<(String, Bytes)>>;

/// The UID of an event; that of a journal stands in what Stalwart gives of it as jCal (RFC 7265).
fn uid_of(json: &[u8]) -> Option<String> {
    let event: Value = serde_json::from_slice(json).ok()?;
    let properties = || event.get("iCalendar")?.get("components")?.get(0)?.get(1)?.as_array();
    let is_uid = |property: &&Value| property.get(0).is_some_and(|name| name == "uid");
    let of_journal = || properties()?.iter().find(is_uid)?.get(3)?.as_str();
    event.get("uid").and_then(Value::as_str).or_else(of_journal).map(str::to_owned)
}

/// What a type lacks. `before`: what the objects lacked of which none but the changed ones were read.
pub(crate) fn lacking(mut now: Vec<String>, before: &[String]) -> Vec<String> {
    let of_texts = before.iter().filter(|name| [TEXT, SOME_TEXT].contains(&name.as_str()));
    let kept: Vec<String> = of_texts.filter(|name| !now.contains(name)).cloned().collect();
    now.extend(kept);
    now
}

/// Why texts did not come, of all events or of one.
#[derive(Default)]
struct Late {
    all: Option<String>,
    is_not_shown: bool,
    of: BTreeMap<String, String>,
}

impl Late {
    /// `None`: the server does not show it, or fails; then the next backup asks again.
    fn shown<T>(&mut self, answer: std::result::Result<T, jmap::Error>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(source) if is_fatal(&source) => Err(Error::Server { what: "the calendars", source }),
            Err(error) => {
                match is_not_shown(&error) {
                    true => self.is_not_shown = true,
                    false => drop(self.all.get_or_insert(error.to_string())),
                }
                Ok(None)
            }
        }
    }
}

/// The server offers no calendars by CalDAV, or not to us.
fn is_not_shown(error: &jmap::Error) -> bool {
    matches!(error.class(), Class::Permanent | Class::Auth)
}

/// Whether fewer texts in one request may come where these do not.
fn is_about_content(error: &jmap::Error) -> bool {
    use jmap::Error as E;
    matches!(error, E::AnswerTooLarge { .. } | E::Malformed { .. } | E::Status { status: 500..=502, .. })
}

/// Takes the row whose text lies in the calendar of this name. `names`: of calendars, where the UID does not tell.
fn row_of(
    rows: &mut Rows,
    uid: &str,
    calendar: &str,
    names: Option<&BTreeMap<String, String>>,
) -> Option<(String, Bytes)> {
    let of_uid = rows.get_mut(uid)?;
    let is_in_it = |(_, json): &(String, Bytes)| {
        let Some(names) = names else { return true };
        let event: Option<Value> = serde_json::from_slice(json).ok();
        let calendars = event.as_ref().and_then(|event| event.get("calendarIds")?.as_object());
        calendars.into_iter().flatten().any(|(id, _)| names.get(id).is_some_and(|name| name == calendar))
    };
    let at = of_uid.iter().position(is_in_it)?;
    let row = of_uid.swap_remove(at);
    if of_uid.is_empty() {
        rows.remove(uid);
    }
    Some(row)
}

impl Run<'_> {
    /// Makes rows of events that may have changed; what of them the server does not show.
    pub(crate) async fn put_events(
        &mut self,
        events: BTreeMap<String, Bytes>,
        known: &mut BTreeMap<String, ObjectRecord>,
    ) -> Result<Option<&'static str>> {
        let (mut rows, mut rest, mut late) = (Rows::new(), Vec::new(), Late::default());
        for (id, json) in events {
            match uid_of(&json) {
                Some(uid) => rows.entry(uid).or_default().push((id, json)),
                None => rest.push((String::new(), (id, json))),
            }
        }
        let places = self.places_of(&rows, &mut late).await?;
        let names = self.names_of(&places, &rows, &mut late).await?;
        for (calendar, events) in &places {
            self.put_events_of((calendar, events), names.as_ref(), &mut rows, known, &mut late).await?;
        }
        let left =
            rows.into_iter().flat_map(|(uid, rows)| rows.into_iter().map(move |row| (uid.clone(), row)));
        rest.extend(left);
        let mut has_all = true;
        for (uid, (id, json)) in rest {
            self.put_event(id.clone(), json, None, known).await?;
            match late.of.get(&uid).or(late.all.as_ref()) {
                Some(error) => {
                    let reason = format!("its text could not be fetched: {error}");
                    self.fail(DataType::CalendarEvent, id, reason).await?;
                }
                None => has_all = false,
            }
        }
        let lacks = if late.is_not_shown { TEXT } else { SOME_TEXT };
        Ok((!has_all).then_some(lacks))
    }

    /// Whether the server shows texts of events that the base lacks because it did not.
    pub(crate) async fn shows_texts_now(&self, base: Option<&TypeState>) -> bool {
        let lacks = base.is_some_and(|base| base.not_given.iter().any(|name| name == TEXT));
        lacks && self.client.calendar_places(self.account).await.is_ok()
    }

    /// Where these events lie, by calendars.
    async fn places_of(&self, rows: &Rows, late: &mut Late) -> Result<Vec<(CalendarPlace, Vec<EventPlace>)>> {
        let mut places = Vec::new();
        let calendars = self.client.calendar_places(self.account).await;
        for calendar in late.shown(calendars)?.unwrap_or_default() {
            let events = self.client.events_in(&calendar).await;
            let mut events = late.shown(events)?.unwrap_or_default();
            events.retain(|event| rows.contains_key(&event.uid));
            places.push((calendar, events));
        }
        Ok(places)
    }

    /// Names of calendars by their ids, of each that no other calendar has, if an event is known by its calendar alone.
    async fn names_of(
        &self,
        places: &[(CalendarPlace, Vec<EventPlace>)],
        rows: &Rows,
        late: &mut Late,
    ) -> Result<Option<BTreeMap<String, String>>> {
        let mut uids = BTreeSet::new();
        let is_second = |event: &EventPlace| !uids.insert(event.uid.clone());
        let has_twins = places.iter().flat_map(|(_, events)| events).any(is_second);
        if !has_twins && rows.values().all(|rows| rows.len() == 1) {
            return Ok(None);
        }
        let is_only = |name: &String| places.iter().filter(|(place, _)| place.name == *name).count() == 1;
        // Under the names that CalDAV gives them.
        let calendars =
            self.client.get_whole(&self.account.id, to_jmap(DataType::Calendar), &Ids::All, None).await;
        let calendars = late.shown(calendars)?.map(|whole| whole.objects.list).unwrap_or_default();
        let name = |json: &[u8]| {
            let calendar: Value = serde_json::from_slice(json).ok()?;
            calendar.get("name")?.as_str().map(str::to_owned).filter(is_only)
        };
        let named = calendars.iter().filter_map(|it| Some((it.id.as_str().to_owned(), name(&it.json)?)));
        Ok(Some(named.collect()))
    }

    async fn put_events_of(
        &mut self,
        (calendar, events): (&CalendarPlace, &[EventPlace]),
        names: Option<&BTreeMap<String, String>>,
        rows: &mut Rows,
        known: &mut BTreeMap<String, ObjectRecord>,
        late: &mut Late,
    ) -> Result<()> {
        let mut left: Vec<Vec<EventPlace>> = events.chunks(TEXTS_AT_ONCE).map(<[_]>::to_vec).collect();
        while let Some(mut chunk) = left.pop() {
            let limit = if chunk.len() == 1 { MOST_BYTES_ALONE } else { MOST_BYTES };
            match (self.client.event_texts(calendar, &chunk, limit).await, chunk.as_slice()) {
                (Err(error), [only]) if is_about_content(&error) => {
                    late.of.insert(only.uid.clone(), error.to_string());
                }
                (Err(error), _) if is_about_content(&error) => {
                    left.push(chunk.split_off(chunk.len() / 2));
                    left.push(chunk);
                }
                (texts, _) => {
                    for EventText { uid, text } in late.shown(texts)?.unwrap_or_default() {
                        if let Some((id, json)) = row_of(rows, &uid, &calendar.name, names) {
                            self.put_event(id, json, Some(text), known).await?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Without its text: one that is just as before keeps the text that it has.
    async fn put_event(
        &mut self,
        id: String,
        json: Bytes,
        text: Option<Bytes>,
        known: &mut BTreeMap<String, ObjectRecord>,
    ) -> Result<()> {
        let data_type = DataType::CalendarEvent;
        let has_failed = self.failures.contains_key(&(data_type, id.clone()));
        let is_lost = self.lost_objects.contains(&(data_type, id.clone()));
        let old = known.get(&id).filter(|old| old.json == json);
        let held = old.filter(|_| !is_lost).and_then(|old| old.blob);
        let blob = text.as_ref().map(|text| self.hasher.id(text)).or(held);
        if !has_failed && !is_lost && old.is_some_and(|old| old.blob == blob) {
            return Ok(());
        }
        let event = ObjectRecord { data_type, id: id.clone(), json, blob };
        match text {
            Some(text) => {
                let (chunks, fetched) = cut(&self.hasher, Subject::Object(event.clone()), text);
                self.take(Step::Arrived(Arrived::Chunks(chunks))).await?;
                self.take(Step::Arrived(Arrived::Whole(vec![fetched]))).await?;
            }
            None => {
                self.forgive(data_type, &id).await?;
                self.put_object(event.clone()).await?;
            }
        }
        known.insert(id, event);
        Ok(())
    }
}
