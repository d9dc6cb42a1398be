//! Texts of events on their way into the account's calendars, by CalDAV.
//!
//! Servers write to those who take part in an event whose text is put (RFC 6638): such a text is never put, and what is missing
//! without it is named.

use bytes::Bytes;
use jmap::{CalendarPlace, EventPlace};
use model::DataType;

use super::calendars::Calendars;
use super::icalendar::{has_participants, has_same_hidden, is_same, was_put};
use super::pairs::{JmapObject, patch};
use super::text::{MOST_BYTES, Needed, Text, refused_for_good};
use super::there::There;
use super::{Objects, rules};
use crate::error::Result;
use crate::restore::report::RestoredObjects;
use crate::restore::request::{Act, Planned};
use crate::restore::target::written;

/// Where the server fails, the text is read again and put once more.
const TRIES: usize = 2;
const FAILS: &str = "the mail server fails each time";
const UNSHOWN: &str = "the mail server does not show it by CalDAV";
const SCHEDULED: &str = "it has participants, and the mail server would write to them";
const CHANGED: &str = "since an earlier attempt of this restore made it, somebody has changed it, or the mail server keeps it otherwise";

/// What becomes of the text that the account has of an event.
enum Verdict {
    /// It says what the snapshot's text says.
    Stays,
    /// The snapshot's text takes its place.
    Goes,
    /// An earlier attempt made the event, and the text is neither what the server made of that nor the snapshot's.
    Changed,
}

impl Objects<'_> {
    /// The reason why it cannot be.
    pub(super) async fn put(
        &self,
        needed: &mut Needed,
        calendars: &Calendars,
        there: &There,
        report: &mut RestoredObjects,
    ) -> Result<Option<String>> {
        if needed.text.is_planned {
            return Ok(foretold(needed));
        }
        let (now, text) = (needed.now.take(), &needed.text);
        let found = self.find(text, calendars).await?;
        match (found, &text.replaces) {
            (Ok(place), Some(_)) => self.replace(needed, place, now, there, report).await,
            (Ok(_), None) => Ok(Some("the account has another one of its UID".to_owned())),
            (Err(calendar), None) if calendar.is_some() || self.seam.is_rehearsed() => {
                let refusal = self.add(needed, calendar, report).await?;
                needed.is_put = refusal.is_none();
                Ok(refusal)
            }
            (Err(_), _) => Ok(Some(UNSHOWN.to_owned())),
        }
    }

    async fn add(
        &self,
        needed: &Needed,
        calendar: Option<&CalendarPlace>,
        report: &mut RestoredObjects,
    ) -> Result<Option<String>> {
        if has_participants(&String::from_utf8_lossy(&needed.bytes)) {
            return Ok(Some(SCHEDULED.to_owned()));
        }
        let (id, name) = (&needed.text.event.id, needed.text.event.name());
        let (act, data_type) = (Act::Create, DataType::CalendarEvent);
        if self.seam.tells(&Planned { act, data_type, id, name: &name }) {
            report.restored += 1;
            return Ok(None);
        }
        let Some(calendar) = calendar else { return Ok(Some(UNSHOWN.to_owned())) };
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
        let id = needed.text.replaces.clone().unwrap_or_default();
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
            match self.judge(needed, &now, &wanted) {
                Verdict::Stays => return Ok(None),
                Verdict::Changed => return Ok(Some(CHANGED.to_owned())),
                Verdict::Goes => {}
            }
            if let Some(reason) = self.is_unsaved(&needed.text, there).await? {
                return Ok(Some(reason));
            }
            if has_participants(&wanted) || has_participants(&now) {
                needed.lacks = self.lacks_for_good(&needed.text, &wanted, &now);
                return Ok(needed.lacks.is_some().then(|| SCHEDULED.to_owned()));
            }
            let is_change = self.is_others(&needed.text) && !self.changed.contains(&id);
            let (act, name) = (Act::Change, needed.text.event.name());
            let data_type = DataType::CalendarEvent;
            if self.seam.tells(&Planned { act, data_type, id: &id, name: &name }) {
                report.changed += u64::from(is_change);
                return Ok(None);
            }
            match client.replace_event(event, needed.bytes.clone()).await {
                Ok(()) => {
                    needed.is_put = true;
                    report.changed += u64::from(is_change);
                    return Ok(None);
                }
                Err(jmap::Error::Status { status: 500..=599, .. }) => {}
                Err(error) => return refused(error),
            }
        }
        Ok(Some(FAILS.to_owned()))
    }

    /// Decides about the account's text of an event. What is of an earlier attempt of this restore is replaced only where nobody can
    /// have touched it since.
    fn judge(&self, Needed { text, lacks, .. }: &Needed, now: &str, wanted: &str) -> Verdict {
        let says_all = self.differs(text, wanted.as_bytes(), now.as_bytes()).is_none();
        let is_shown = lacks.is_none() && !text.event.is_journal() && says_all;
        if is_same(now, wanted) || is_shown && has_same_hidden(now, wanted) {
            return Verdict::Stays;
        }
        match &text.was_there {
            None => Verdict::Goes,
            Some(_) if says_all => Verdict::Stays,
            Some(made) if self.is_as_made(&text.event, made) && !was_put(now, made) => Verdict::Goes,
            Some(_) => Verdict::Changed,
        }
    }

    /// Whether JMAP shows an event just as an earlier attempt made it.
    fn is_as_made(&self, event: &JmapObject, now: &JmapObject) -> bool {
        let mut wanted = event.clone();
        if let Ok(Some((member, references))) = self.references(DataType::CalendarEvent, event) {
            wanted.json.insert(member.to_owned(), references);
        }
        !event.is_journal() && patch(&wanted, now, &rules::rules(DataType::CalendarEvent)).is_empty()
    }

    /// Why an event that this restore did not make must not be replaced: the safety backup cannot give it back.
    async fn is_unsaved(&self, text: &Text, there: &There) -> Result<Option<String>> {
        let is_asked = self.is_others(text) && !self.seam.is_rehearsed();
        let Some(id) = text.replaces.as_ref().filter(|_| is_asked) else { return Ok(None) };
        let held = there.things.iter().zip(&there.is_held).find(|(thing, _)| thing.id == *id);
        match held {
            Some((now, true)) if now.text.is_some() => self.is_irreplaceable(now).await,
            Some((_, true)) => Ok(Some("the backup before the restore lacks its text".to_owned())),
            _ => Ok(Some("it was changed meanwhile".to_owned())),
        }
    }
}

/// Why the text of an event that a dry run only plans would not be put, as far as the text alone tells that.
fn foretold(needed: &mut Needed) -> Option<String> {
    let wanted = String::from_utf8_lossy(&needed.bytes);
    needed.lacks = needed.text.unshown(&wanted);
    (needed.lacks.is_some() && has_participants(&wanted)).then(|| SCHEDULED.to_owned())
}

/// Why one text is not taken; what may pass, or is about all of them, is an error.
fn refused(error: jmap::Error) -> Result<Option<String>> {
    if refused_for_good(&error) { Ok(Some(error.to_string())) } else { Err(written("the calendars", error)) }
}
