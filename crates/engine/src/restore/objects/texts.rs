//! What JMAP does not take of events, put into the account's calendars by CalDAV: occurrences that were changed, time zones, journals.
//!
//! Events are made over JMAP first, which writes to nobody; then the text takes the place of what the server has made of them. Of an
//! event with participants it does not: servers write to them about a text that is put (RFC 6638). The report names it.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jmap::{CalendarPlace, Class, EventPlace, EventText};
use model::{BlobId, DataType};
use repository::Located;

use super::icalendar::{Shown, has_participants, has_same_hidden, is_same, lacking};
use super::pairs::{Thing, creation, patch};
use super::steps::{otherwise, without};
use super::there::There;
use super::{Objects, rules};
use crate::error::{Error, Result};
use crate::restore::report::RestoredObjects;
use crate::restore::request::Mode;
use crate::restore::target::{read, written};
use crate::restore::uploads::Content;
use crate::server::account::is_fatal;

/// Texts that are compared with the account's at once, and bytes of them.
const COMPARED_AT_ONCE: usize = 100;
const COMPARED_BYTES: u64 = 8 << 20;
/// Texts that are read from the store at once.
const READ_AT_ONCE: usize = 8;
/// Longest answer with one event.
const MOST_BYTES: u64 = 64 << 20;
/// Where the server fails, the text is read again and put once more.
const TRIES: usize = 2;
const FAILS: &str = "the mail server fails each time";
const SCHEDULED: &str = "it has participants, and the mail server would write to them";

/// An event whose text may say more than JMAP takes.
pub(super) struct Text {
    event: Thing,
    /// The account's id of it.
    replaces: Option<String>,
    /// As an earlier attempt of this restore had made it.
    was_there: Option<Thing>,
    uid: String,
    blob: BlobId,
    /// What JMAP shows of an event that may be more than that; `None`: whether it is more is seen when the texts are compared.
    shown: Option<Shown>,
}

/// A text that has to be put.
struct Needed {
    text: Text,
    bytes: Bytes,
    /// What is missing without it, for people; `None`: a journal, of which there is nothing else.
    lacks: Option<String>,
    /// The account's text, if it is known.
    now: Option<Bytes>,
    is_put: bool,
}

impl Text {
    /// Whether an event that has none may have been more than JMAP shows.
    pub(super) fn is_missing(event: &Thing) -> bool {
        event.text.is_none() && event.is("showWithoutTime") && Shown::of(event).is_some()
    }

    pub(super) fn of(event: &Thing) -> Option<Text> {
        let (blob, shown) = (event.text?, Shown::of(event));
        let uid = match event.text("uid") {
            "" => event.journal("uid")?,
            uid => uid,
        };
        let (uid, event) = (uid.to_owned(), event.clone());
        Some(Text { event, replaces: None, was_there: None, uid, blob, shown })
    }

    fn with(self, bytes: Bytes) -> Needed {
        let lacks = self.shown.as_ref().and_then(|shown| shown.lacks(&String::from_utf8_lossy(&bytes)));
        Needed { text: self, bytes, lacks: lacks.map(str::to_owned), now: None, is_put: false }
    }
}

/// Where the store has texts.
type Places = BTreeMap<BlobId, Located>;

/// Where the account's events lie.
struct Calendars {
    calendars: Vec<CalendarPlace>,
    /// By UID, with the number of the calendar.
    events: BTreeMap<String, Vec<(usize, EventPlace)>>,
}

impl Objects<'_> {
    /// Whether an event comes back by its text alone.
    pub(super) fn comes_by_text(event: &Thing) -> bool {
        event.is_journal() && event.text.is_some()
    }

    /// Puts texts into the calendars, of events that this restore made and, in mode *exact*, of others that the safety backup holds.
    pub(super) async fn give_texts(
        &mut self,
        texts: Vec<Text>,
        there: &There,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let texts: Vec<Text> = texts.into_iter().filter_map(|text| self.meant(text, there)).collect();
        if self.staging.is_none() || texts.is_empty() {
            return Ok(());
        }
        let calendars = self.calendars().await?;
        let blobs: Vec<BlobId> = texts.iter().map(|text| text.blob).collect();
        let places = self.snapshot.locate(&blobs).await?;
        let (mut together, mut bytes) = (Vec::new(), 0);
        for text in texts {
            bytes += places.get(&text.blob).map_or(0, Located::length);
            together.push(text);
            if together.len() == COMPARED_AT_ONCE || bytes > COMPARED_BYTES {
                self.give_some(std::mem::take(&mut together), &places, &calendars, there, report).await?;
                bytes = 0;
            }
        }
        self.give_some(together, &places, &calendars, there, report).await
    }

    async fn give_some(
        &mut self,
        texts: Vec<Text>,
        places: &Places,
        calendars: &std::result::Result<Calendars, String>,
        there: &There,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let mut needed = self.needed(texts, places, calendars, report).await?;
        if let Some(staging) = self.staging.filter(|_| !needed.is_empty()) {
            staging.assert_alive().await?;
        }
        let calendars = match calendars {
            Ok(calendars) => calendars,
            Err(reason) => {
                needed.iter().for_each(|needed| refuse(needed, reason, report));
                return Ok(());
            }
        };
        for needed in &mut needed {
            if let Some(reason) = self.put(needed, calendars, there, report).await? {
                refuse(needed, &reason, report);
            }
        }
        needed.retain(|needed| needed.is_put);
        self.look_again(&needed, calendars, report).await
    }

    /// What a server takes is not what it keeps: the texts that were put are compared once more, and what JMAP shows of the events is
    /// remembered for a comparison.
    async fn look_again(
        &mut self,
        put: &[Needed],
        calendars: &Calendars,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let now = self.texts_now(put.iter().map(|needed| &needed.text), calendars).await?;
        let rules = rules::rules(DataType::CalendarEvent);
        for Needed { text, bytes, .. } in put {
            let Some(id) = &text.replaces else { continue };
            let (name, wanted) = (text.event.name(), String::from_utf8_lossy(bytes));
            let differs = now
                .get(id)
                .and_then(Option::as_ref)
                .and_then(|now| differing(&wanted, &String::from_utf8_lossy(now), Compared::OneWay));
            if let Some(differs) = differs {
                report.note(otherwise(&name, &[&differs]));
            }
            let mut sent = creation(&text.event, &rules);
            // By the snapshot's ids.
            sent.remove("calendarIds");
            self.unkept.push((id.clone(), name, sent));
        }
        Ok(())
    }

    /// Those of which the account's text says something else, or which may be more than JMAP shows.
    async fn needed(
        &self,
        texts: Vec<Text>,
        places: &Places,
        calendars: &std::result::Result<Calendars, String>,
        report: &mut RestoredObjects,
    ) -> Result<Vec<Needed>> {
        let mut now = match calendars {
            Ok(calendars) => self.texts_now(texts.iter(), calendars).await?,
            Err(_) => BTreeMap::new(),
        };
        let read = stream::iter(texts).map(|text| async move {
            let content = Content::read(self.snapshot, places.get(&text.blob).cloned()).await?;
            Ok::<_, Error>((text, content))
        });
        let mut read = Box::pin(read.buffered(READ_AT_ONCE));
        let mut needed = Vec::new();
        while let Some((text, content)) = read.try_next().await? {
            let bytes = match content {
                Content::Bytes(bytes) => bytes,
                Content::Long(_) => {
                    unread(&text, "it is too long", report);
                    continue;
                }
                Content::Lost(reason) => {
                    unread(&text, &reason, report);
                    continue;
                }
            };
            let now = text.replaces.as_ref().and_then(|id| now.remove(id));
            let is_unread = matches!(now, Some(None));
            let now = now.flatten();
            let differs = match &now {
                Some(now) => self.differs(&text, &bytes, now),
                None if calendars.is_ok() || text.shown.is_some() => None,
                None => Some("what only its text may say".to_owned()),
            };
            let is_doubtful = is_unread || text.shown.is_some();
            let text = text.with(bytes);
            let text = Needed { lacks: text.lacks.or(differs), now, ..text };
            if is_doubtful || text.lacks.is_some() {
                needed.push(text);
            }
        }
        Ok(needed)
    }

    /// What one of the texts says and the other does not, for people.
    fn differs(&self, text: &Text, wanted: &[u8], now: &[u8]) -> Option<String> {
        let compared = if self.is_others(text) { Compared::BothWays } else { Compared::OneWay };
        differing(&String::from_utf8_lossy(wanted), &String::from_utf8_lossy(now), compared)
    }

    /// The texts that the account has of these events, by its ids of them; `None`: it did not come together with others.
    async fn texts_now(
        &self,
        texts: impl Iterator<Item = &Text>,
        calendars: &Calendars,
    ) -> Result<BTreeMap<String, Option<Bytes>>> {
        let mut now = BTreeMap::new();
        let mut by_calendar: BTreeMap<&CalendarPlace, Vec<(&EventPlace, &str)>> = BTreeMap::new();
        for text in texts {
            if let (Some(id), Ok((calendar, event))) = (&text.replaces, self.find(text, calendars).await?) {
                by_calendar.entry(calendar).or_default().push((event, id));
                now.insert(id.clone(), None);
            }
        }
        for (calendar, events) in by_calendar {
            let places: Vec<EventPlace> = events.iter().map(|(event, _)| EventPlace::clone(event)).collect();
            let found = match self.target.client.event_texts(calendar, &places, MOST_BYTES).await {
                // Each is read by itself then.
                Err(jmap::Error::AnswerTooLarge { .. }) => continue,
                Err(error) if refused_for_good(&error) => continue,
                found => found.map_err(|source| read("the calendars", source))?,
            };
            for EventText { uid, text } in found {
                let id = events.iter().find(|(event, _)| event.uid == uid).map(|(_, id)| *id);
                now.extend(id.map(|id| (id.to_owned(), Some(text))));
            }
        }
        Ok(now)
    }

    /// Only what may be put.
    fn meant(&self, mut text: Text, there: &There) -> Option<Text> {
        text.replaces = self.ids.get(&(DataType::CalendarEvent, text.event.id.clone())).cloned();
        let may_be_put = match &text.replaces {
            Some(_) if self.is_others(&text) => self.how.mode == Mode::Exact,
            Some(id) => {
                text.was_there = there.things.iter().find(|thing| thing.id == *id).cloned();
                text.was_there.as_ref().is_none_or(|now| self.is_as_made(&text.event, now))
            }
            // A journal whose calendar did not come back is refused already.
            None => text.event.is_journal() && self.references(DataType::CalendarEvent, &text.event).is_ok(),
        };
        may_be_put.then_some(text)
    }

    /// Whether an event that an earlier attempt made is as that made it. Nobody else's change is undone.
    fn is_as_made(&self, event: &Thing, now: &Thing) -> bool {
        let mut wanted = event.clone();
        if let Ok(Some((member, references))) = self.references(DataType::CalendarEvent, event) {
            wanted.json.insert(member.to_owned(), references);
        }
        !event.is_journal() && patch(&wanted, now, &rules::rules(DataType::CalendarEvent)).is_empty()
    }

    /// Whether it takes the place of an event that this restore did not make.
    fn is_others(&self, text: &Text) -> bool {
        text.replaces.as_ref().is_some_and(|id| !self.is_ours(DataType::CalendarEvent, id))
    }

    /// Why an event that this restore did not make must not be replaced: the safety backup cannot give it back.
    async fn is_unsaved(&self, text: &Text, there: &There) -> Result<Option<String>> {
        let Some(id) = text.replaces.as_ref().filter(|_| self.is_others(text)) else { return Ok(None) };
        let held = there.things.iter().zip(&there.is_held).find(|(thing, _)| thing.id == *id);
        match held {
            Some((now, true)) if now.text.is_some() => self.is_irreplaceable(now).await,
            Some((_, true)) => Ok(Some("the backup before the restore lacks its text".to_owned())),
            _ => Ok(Some("it was changed meanwhile".to_owned())),
        }
    }

    /// Where the account's events lie; the inner error says, for people, why that is not known.
    async fn calendars(&self) -> Result<std::result::Result<Calendars, String>> {
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

    /// The reason why it cannot be.
    async fn put(
        &self,
        needed: &mut Needed,
        calendars: &Calendars,
        there: &There,
        report: &mut RestoredObjects,
    ) -> Result<Option<String>> {
        let (now, text) = (needed.now.take(), &needed.text);
        let found = self.find(text, calendars).await?;
        match (found, &text.replaces) {
            (Ok(place), Some(_)) => self.replace(needed, place, now, there, report).await,
            (Ok(_), None) => Ok(Some("the account has another one of its UID".to_owned())),
            (Err(Some(calendar)), None) => {
                let refusal = self.add(needed, calendar, report).await?;
                needed.is_put = refusal.is_none();
                Ok(refusal)
            }
            (Err(_), _) => Ok(Some("the mail server does not show it by CalDAV".to_owned())),
        }
    }

    /// Where the account has an event of this UID. The inner error: where it would lie, if that is known.
    async fn find<'c>(
        &self,
        text: &Text,
        calendars: &'c Calendars,
    ) -> Result<std::result::Result<(&'c CalendarPlace, &'c EventPlace), Option<&'c CalendarPlace>>> {
        let place = |(at, event): &'c (usize, EventPlace)| (&calendars.calendars[*at], event);
        let events = calendars.events.get(&text.uid).map_or(&[][..], Vec::as_slice);
        if let [only] = events {
            return Ok(Ok(place(only)));
        }
        let calendar = self.calendar_of(&text.event, calendars).await?;
        let found = events.iter().map(place).find(|(place, _)| calendar == Some(*place));
        Ok(found.ok_or(calendar.filter(|_| events.is_empty())))
    }

    async fn add(
        &self,
        needed: &Needed,
        calendar: &CalendarPlace,
        report: &mut RestoredObjects,
    ) -> Result<Option<String>> {
        if has_participants(&String::from_utf8_lossy(&needed.bytes)) {
            return Ok(Some(SCHEDULED.to_owned()));
        }
        let name = format!("malle-{:016x}.ics", self.snapshot.hasher().short(&needed.text.uid));
        for attempt in 0..TRIES {
            let added = self.target.client.add_event(calendar, &name, needed.bytes.clone()).await;
            // The try before may have brought it, although its answer said otherwise.
            let is_there = attempt > 0 && matches!(added, Err(jmap::Error::Status { status: 412, .. }));
            match added {
                Ok(()) => {}
                Err(_) if is_there => {}
                Err(jmap::Error::Status { status: 500..=599, .. }) => continue,
                Err(error) => return refused(error),
            }
            report.restored += 1;
            return Ok(None);
        }
        Ok(Some(FAILS.to_owned()))
    }

    async fn replace(
        &self,
        needed: &mut Needed,
        (calendar, event): (&CalendarPlace, &EventPlace),
        mut known: Option<Bytes>,
        there: &There,
        report: &mut RestoredObjects,
    ) -> Result<Option<String>> {
        let (client, bytes) = (self.target.client, needed.bytes.clone());
        let wanted = String::from_utf8_lossy(&bytes);
        for _ in 0..TRIES {
            let now = match known.take() {
                Some(now) => Some(now),
                None => match client.event_texts(calendar, std::slice::from_ref(event), MOST_BYTES).await {
                    Ok(now) => now.into_iter().next().map(|now| now.text),
                    Err(error) => return refused(error),
                },
            };
            let Some(now) = now else { return Ok(Some("it is gone".to_owned())) };
            let now = String::from_utf8_lossy(&now);
            if self.may_stay(needed, &now, &wanted) {
                return Ok(None);
            }
            if let Some(reason) = self.is_unsaved(&needed.text, there).await? {
                return Ok(Some(reason));
            }
            if has_participants(&wanted) || has_participants(&now) {
                return Ok(Some(SCHEDULED.to_owned()));
            }
            match client.replace_event(event, needed.bytes.clone()).await {
                Ok(()) => {
                    needed.is_put = true;
                    report.changed += u64::from(self.is_others(&needed.text));
                    return Ok(None);
                }
                Err(jmap::Error::Status { status: 500..=599, .. }) => {}
                Err(error) => return refused(error),
            }
        }
        Ok(Some(FAILS.to_owned()))
    }

    /// Whether the account's text says what the snapshot's does, or what the owner wrote since an earlier attempt made the event.
    fn may_stay(&self, Needed { text, lacks, .. }: &Needed, now: &str, wanted: &str) -> bool {
        let differs = || self.differs(text, wanted.as_bytes(), now.as_bytes()).is_some();
        let is_shown = lacks.is_none() && !text.event.is_journal() && !differs();
        let is_made_before = text.was_there.is_some() && !self.is_others(text);
        is_same(now, wanted)
            || is_shown && has_same_hidden(now, wanted)
            || is_made_before && !has_same_hidden(now, "")
    }

    /// The calendar of the account that one of the snapshot's came back as, by its name.
    async fn calendar_of<'c>(
        &self,
        event: &Thing,
        there: &'c Calendars,
    ) -> Result<Option<&'c CalendarPlace>> {
        let set = event.json.get("calendarIds").and_then(serde_json::Value::as_object);
        let ids = set.into_iter().flat_map(serde_json::Map::keys);
        let ids = ids.filter_map(|id| self.ids.get(&(DataType::Calendar, id.clone())));
        let ids: Vec<jmap::Id> = ids.filter_map(|id| jmap::Id::new(id).ok()).collect();
        for calendar in self.target.calendars_as_we_see_them(ids).await? {
            let name =
                super::read_thing(calendar.id.as_str(), &calendar.json).map(|calendar| calendar.name());
            let mut places = there.calendars.iter().filter(|place| name.as_ref() == Some(&place.name));
            // Which of two of one name it is is not told.
            if let (Some(place), None) = (places.next(), places.next()) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}

/// Why one text is not taken; what may pass, or is about all of them, is an error.
fn refused(error: jmap::Error) -> Result<Option<String>> {
    match refused_for_good(&error) {
        true => Ok(Some(error.to_string())),
        false => Err(written("the calendars", error)),
    }
}

fn refused_for_good(error: &jmap::Error) -> bool {
    matches!(error.class(), Class::Permanent | Class::Corrupt | Class::Auth) && !is_fatal(error)
}

/// Which of two texts may say more than the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// The account's.
    OneWay,
    /// Neither.
    BothWays,
}

/// What one of the texts says and the other does not, for people.
fn differing(wanted: &str, now: &str, compared: Compared) -> Option<String> {
    let mut names = lacking(wanted, now);
    if compared == Compared::BothWays {
        names.extend(lacking(now, wanted));
    }
    let names: Vec<String> = names.into_iter().collect();
    (!names.is_empty()).then(|| format!("what only its text says in {}", names.join(", ")))
}

/// Tells of a text that could not be put as a whole.
fn unread(text: &Text, reason: &str, report: &mut RestoredObjects) {
    let event = &text.event;
    match (text.event.is_journal(), &text.replaces) {
        (true, None) => report.refuse(&event.id, event.name(), reason, &event.json, None),
        _ => report.note(format!("{}: {reason}", without(&event.name(), &["its text"]))),
    }
}

fn refuse(needed: &Needed, reason: &str, report: &mut RestoredObjects) {
    let is_shown = !needed.text.event.is_journal();
    match needed.lacks.as_deref().or(is_shown.then_some("the text of the snapshot")) {
        Some(lacks) => {
            let event = needed.text.event.name();
            report.note(format!("{}: {reason}", without(&event, &[lacks])));
        }
        None => unread(&needed.text, reason, report),
    }
}
