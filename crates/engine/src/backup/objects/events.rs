//! The text of each event, task and journal beside its JMAP object: iCalendar, as CalDAV gives it.
//!
//! JMAP does not show all of an event. On Stalwart 0.16 the changed occurrences of an all-day series are missing, a series with one that
//! was changed over JMAP is that occurrence alone, and so are time zones that a calendar defines itself. The text has them; it is the
//! content of the event's row. Which text is an event's is told by the UID, and of events with the same UID (a server takes it once per
//! calendar) by the calendar.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jmap::{Class, EventPlace, EventText, Ids};

use model::DataType;
use repository::{ObjectRecord, TypeState};
use serde_json::Value;

use super::collections::{Collection, RowsByUid, shared_uids, take_row, tell_apart, uid_of, untold_uids};
use crate::backup::draft::Rows;
use crate::backup::fetch::fetcher::cut;
use crate::backup::fetch::step::{Arrived, Step, Subject};
use crate::backup::run::Run;
use crate::error::{Error, Result};
use crate::server::account::is_fatal;
use crate::server::properties::{NOT_SHOWN, NOT_TOLD};
use crate::server::types::to_jmap;

/// Texts in one request.
const TEXTS_AT_ONCE: usize = 100;
/// Longest answer with texts.
const MOST_BYTES: u64 = 16 << 20;
/// Longest answer with a single one.
const MOST_BYTES_ALONE: u64 = 64 << 20;

/// What a snapshot lacks where a server does not show calendars by CalDAV; stands beside properties that are not given.
const TEXT: &str = "text by CalDAV";
/// The same where it shows them, and these events not among them.
const SOME_TEXT: &str = "text of events that CalDAV does not list";
/// The same as Malle wrote it while it listed long calendars in part.
const SOME_TEXT_OF_A_PART: &str = "text of some events by CalDAV";
/// The same where it shows them, and does not say which text is whose.
const UNTOLD_TEXT: &str = "text of events whose UID is also in another calendar of the same name (give one of the two another name)";

/// What a type lacks. `before`: what the objects lacked of which none but the changed ones were read.
pub(crate) fn lacking(mut now: Vec<String>, before: &[String]) -> Vec<String> {
    let of_texts = before
        .iter()
        .filter(|name| [TEXT, SOME_TEXT, UNTOLD_TEXT, NOT_SHOWN, NOT_TOLD].contains(&name.as_str()));
    let kept: Vec<String> = of_texts.filter(|name| !now.contains(name)).cloned().collect();
    now.extend(kept);
    now
}

/// Why texts did not come, of all events or of one.
#[derive(Default)]
struct Missing {
    all: Option<String>,
    is_not_shown: bool,
    of: BTreeMap<String, String>,
}

impl Missing {
    /// `None`: the server does not show it, or fails; then the next backup asks again.
    fn shown<T>(&mut self, answer: std::result::Result<T, jmap::Error>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(source) if is_fatal(&source) => Err(Error::Server { what: "the calendars", source }),
            Err(error) => {
                if is_not_shown(&error) {
                    self.is_not_shown = true
                } else {
                    self.all.get_or_insert(error.to_string());
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

impl Run<'_> {
    /// Makes rows of events that may have changed; what of them the server does not show.
    pub(crate) async fn put_events(
        &mut self,
        events: BTreeMap<String, Bytes>,
        known: &mut Rows,
    ) -> Result<Option<&'static str>> {
        let (mut rows, mut rest, mut missing) = (RowsByUid::new(), Vec::new(), Missing::default());
        for (id, json) in events {
            match uid_of(&json) {
                Some(uid) => rows.entry(uid).or_default().push((id, json)),
                None => rest.push((String::new(), (id, json))),
            }
        }
        let mut collections = self.collections(|event| rows.contains_key(&event.uid), &mut missing).await?;
        let shared = shared_uids(&collections, &rows);
        if !shared.is_empty() {
            let names = self.names_of_calendars(&mut missing).await?;
            let all = self.collections(|_| true, &mut missing).await?;
            tell_apart(&mut collections, &all, &names, (&rows, known));
        }
        for collection in &collections {
            self.put_events_of(collection, &shared, &mut rows, known, &mut missing).await?;
        }
        let untold = untold_uids(&collections, &shared);
        let left =
            rows.into_iter().flat_map(|(uid, rows)| rows.into_iter().map(move |row| (uid.clone(), row)));
        rest.extend(left);
        let mut lacks = None;
        for (uid, (id, json)) in rest {
            self.put_event(id.clone(), json, None, known).await?;
            match missing.of.get(&uid).or(missing.all.as_ref()) {
                Some(error) => {
                    let reason = format!("its text could not be fetched: {error}");
                    self.draft.fail(DataType::CalendarEvent, id, reason).await?;
                }
                None if missing.is_not_shown => lacks = Some(TEXT),
                None if untold.contains(&uid) => lacks = lacks.or(Some(UNTOLD_TEXT)),
                None => lacks = Some(SOME_TEXT),
            }
        }
        Ok(lacks)
    }

    /// Whether the server shows texts of events that the base lacks because it did not.
    pub(crate) async fn shows_texts_now(&self, base: Option<&TypeState>) -> bool {
        let lacks = |text| base.is_some_and(|base| base.not_given.iter().any(|name| name == text));
        if lacks(SOME_TEXT_OF_A_PART) {
            return true;
        }
        if !lacks(TEXT) && !lacks(UNTOLD_TEXT) {
            return false;
        }
        let Ok(calendars) = self.server.client.calendar_places(self.server.account).await else {
            return false;
        };
        let names: BTreeSet<&str> = calendars.iter().map(|calendar| calendar.name.as_str()).collect();
        lacks(TEXT) || names.len() == calendars.len()
    }

    /// Where the account's events lie, those that are wanted.
    async fn collections(
        &self,
        is_wanted: impl Fn(&EventPlace) -> bool,
        missing: &mut Missing,
    ) -> Result<Vec<Collection>> {
        let mut collections = Vec::new();
        let places = self.server.client.calendar_places(self.server.account).await;
        for place in missing.shown(places)?.unwrap_or_default() {
            let events = self.server.client.events_in(&place).await;
            let mut events = missing.shown(events)?.unwrap_or_default();
            events.retain(&is_wanted);
            events.shrink_to_fit();
            collections.push(Collection::new(place, events));
        }
        Ok(collections)
    }

    /// Calendars by their ids, under the names that CalDAV gives them.
    async fn names_of_calendars(&self, missing: &mut Missing) -> Result<BTreeMap<String, String>> {
        let (client, account) = (self.server.client, &self.server.account.id);
        let calendars = client.get_whole(account, to_jmap(DataType::Calendar), &Ids::All, None).await;
        let calendars = missing.shown(calendars)?.map(|whole| whole.objects.list).unwrap_or_default();
        let name = |json: &[u8]| {
            let calendar: Value = serde_json::from_slice(json).ok()?;
            calendar.get("name")?.as_str().map(str::to_owned)
        };
        Ok(calendars.iter().filter_map(|it| Some((it.id.as_str().to_owned(), name(&it.json)?))).collect())
    }

    async fn put_events_of(
        &mut self,
        collection: &Collection,
        shared: &BTreeSet<String>,
        rows: &mut RowsByUid,
        known: &mut Rows,
        missing: &mut Missing,
    ) -> Result<()> {
        let mut left: Vec<Vec<EventPlace>> =
            collection.events.chunks(TEXTS_AT_ONCE).map(<[_]>::to_vec).collect();
        while let Some(mut chunk) = left.pop() {
            let limit = if chunk.len() == 1 { MOST_BYTES_ALONE } else { MOST_BYTES };
            match (self.server.client.event_texts(&collection.place, &chunk, limit).await, chunk.as_slice()) {
                (Err(error), [only]) if is_about_content(&error) => {
                    missing.of.insert(only.uid.clone(), error.to_string());
                }
                (Err(error), _) if is_about_content(&error) => {
                    left.push(chunk.split_off(chunk.len() / 2));
                    left.push(chunk);
                }
                (texts, _) => {
                    for EventText { uid, text } in missing.shown(texts)?.unwrap_or_default() {
                        if let Some((id, json)) = take_row(rows, &uid, collection, shared) {
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
        known: &mut Rows,
    ) -> Result<()> {
        let data_type = DataType::CalendarEvent;
        let has_failed = self.draft.has_failed(data_type, &id);
        let is_lost = self.draft.lost_objects.contains(&(data_type, id.clone()));
        let old = known.get(&id).filter(|old| old.json == json);
        let held = old.filter(|_| !is_lost).and_then(|old| old.blob);
        let blob = text.as_ref().map(|text| self.draft.hasher.id(text)).or(held);
        if !has_failed && !is_lost && old.is_some_and(|old| old.blob == blob) {
            return Ok(());
        }
        let event = ObjectRecord { data_type, id: id.clone(), json, blob };
        match text {
            Some(text) => {
                let (chunks, fetched) = cut(&self.draft.hasher, Subject::Object(event.clone()), text);
                self.take(Step::Arrived(Arrived::Chunks(chunks))).await?;
                self.take(Step::Arrived(Arrived::Whole(vec![fetched]))).await?;
            }
            None => {
                self.draft.forgive(data_type, &id).await?;
                self.draft.put_object(event.clone()).await?;
            }
        }
        known.insert(id, event);
        Ok(())
    }
}
