//! What JMAP does not take of events, put into the account's calendars by CalDAV: occurrences that were changed, time zones, journals.
//!
//! Events are made over JMAP first, which writes to nobody; then the text takes the place of what the server has made of them. Of an
//! event with participants it does not: servers write to them about a text that is put (RFC 6638). The report names it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jmap::{CalendarPlace, EventPlace, EventText};
use model::{BlobId, DataType};
use repository::Located;

use super::calendars::Calendars;
use super::icalendar::{in_shown_zone, lacking};
use super::losses::{otherwise, without};
use super::pairs::{JmapObject, creation};
use super::text::{MOST_BYTES, Needed, Text, refused_for_good};
use super::there::There;
use super::{NEW, Objects, rules};
use crate::error::{Error, Result};
use crate::restore::report::RestoredObjects;
use crate::restore::request::Mode;
use crate::restore::target::read;
use crate::restore::uploads::Content;

/// Texts that are compared with the account's at once, and bytes of them.
const COMPARED_AT_ONCE: usize = 100;
const COMPARED_BYTES: u64 = 8 << 20;
/// Texts that are read from the store at once.
const READ_AT_ONCE: usize = 8;

/// Where the store has texts.
type Places = BTreeMap<BlobId, Located>;

impl Objects<'_> {
    /// Whether an event comes back by its text alone.
    pub(super) fn comes_by_text(&self, event: &JmapObject) -> bool {
        (event.is_journal() || self.twins.contains(&event.id)) && event.text.is_some()
    }

    /// Remembers the events that are missing and whose UID another event has or gets: over JMAP Stalwart 0.16 takes each UID once, by
    /// CalDAV once in each calendar. Mode *beside* brings no other version of what is there.
    pub(super) fn note_twins(&mut self, events: &[JmapObject], pairs: &[Option<usize>], there: &There) {
        let taken: BTreeSet<&str> = there.things.iter().map(|event| event.text("uid")).collect();
        let mut coming = BTreeSet::new();
        for event in events.iter().zip(pairs).filter(|(_, pair)| pair.is_none()).map(|(event, _)| event) {
            let uid = event.text("uid");
            let is_second = !coming.insert(uid);
            let is_twin = match self.how.mode {
                Mode::Beside => is_second && !taken.contains(uid),
                Mode::Missing | Mode::Exact => is_second || taken.contains(uid),
            };
            if is_twin && !uid.is_empty() {
                self.twins.insert(event.id.clone());
            }
        }
    }

    /// Puts texts into the calendars, of events that this restore made and, in mode *exact*, of others that the safety backup holds. A dry
    /// run compares them just so, and tells what would be done.
    pub(super) async fn give_texts(
        &mut self,
        texts: Vec<Text>,
        there: &There,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let texts: Vec<Text> = texts.into_iter().filter_map(|text| self.meant(text, there)).collect();
        if texts.is_empty() {
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
        if !needed.is_empty() {
            self.seam.assert_alive().await?;
        }
        let calendars = match calendars {
            Ok(calendars) => calendars,
            Err(reason) => {
                needed.iter().for_each(|needed| self.refuse(needed, reason, report));
                return Ok(());
            }
        };
        for needed in &mut needed {
            if let Some(reason) = self.put(needed, calendars, there, report).await? {
                self.refuse(needed, &reason, report);
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
            let is_doubtful = is_unread || text.shown.is_some() || text.replaces.is_none();
            let text = text.with(bytes);
            let text = Needed { lacks: text.lacks.or(differs), now, ..text };
            if is_doubtful || text.lacks.is_some() {
                needed.push(text);
            }
        }
        Ok(needed)
    }

    /// What one of the texts says and the other does not, for people.
    pub(super) fn differs(&self, text: &Text, wanted: &[u8], now: &[u8]) -> Option<String> {
        let compared = if self.is_others(text) { Compared::BothWays } else { Compared::OneWay };
        differing(&String::from_utf8_lossy(wanted), &String::from_utf8_lossy(now), compared)
    }

    /// What is missing of an event whose text is never put, for people.
    pub(super) fn lacks_for_good(&self, text: &Text, wanted: &str, now: &str) -> Option<String> {
        let [known, now] = [wanted, now].map(|told| in_shown_zone(told, &text.event));
        text.unshown(wanted).or_else(|| self.differs(text, known.as_bytes(), now.as_bytes()))
    }

    /// Tells why a text is not put, and what is missing without it.
    fn refuse(&self, needed: &Needed, reason: &str, report: &mut RestoredObjects) {
        let event = &needed.text.event;
        if needed.text.replaces.is_none() {
            report.refuse(&event.id, event.name(), reason, &event.json, None);
            return;
        }
        let usual = if event.is_journal() { "its text" } else { "the text of the snapshot" };
        let lacks = needed.lacks.as_deref().unwrap_or(usual);
        let told = without(&event.name(), &[lacks]);
        let told = if self.seam.is_rehearsed() {
            told.replace(" came back without ", " would come back without ")
        } else {
            told
        };
        report.note(format!("{told}: {reason}"));
    }

    /// The texts that the account has of these events, by its ids of them; `None`: it did not come together with others.
    async fn texts_now(
        &self,
        texts: impl Iterator<Item = &Text>,
        calendars: &Calendars,
    ) -> Result<BTreeMap<String, Option<Bytes>>> {
        let mut now = BTreeMap::new();
        let mut by_calendar: BTreeMap<&CalendarPlace, Vec<(&EventPlace, &str)>> = BTreeMap::new();
        for text in texts.filter(|text| !text.is_planned) {
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
        let is_planned = |id: &String| id.starts_with(NEW) || self.changed.contains(id);
        text.is_planned = self.seam.is_rehearsed() && text.replaces.as_ref().is_some_and(is_planned);
        let may_be_put = match &text.replaces {
            Some(_) if text.is_planned => true,
            Some(_) if self.is_others(&text) => self.how.mode == Mode::Exact,
            Some(id) => {
                text.was_there = there.things.iter().find(|thing| thing.id == *id).cloned();
                true
            }
            // One whose calendar did not come back is refused already.
            None => {
                self.comes_by_text(&text.event)
                    && self.references(DataType::CalendarEvent, &text.event).is_ok()
            }
        };
        may_be_put.then_some(text)
    }

    /// Whether it takes the place of an event that this restore did not make.
    pub(super) fn is_others(&self, text: &Text) -> bool {
        text.replaces.as_ref().is_some_and(|id| !self.is_ours(DataType::CalendarEvent, id))
    }
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

/// Tells of a text that cannot be read.
fn unread(text: &Text, reason: &str, report: &mut RestoredObjects) {
    let event = &text.event;
    match &text.replaces {
        None => report.refuse(&event.id, event.name(), reason, &event.json, None),
        Some(_) => report.note(format!("{}: {reason}", without(&event.name(), &["its text"]))),
    }
}
