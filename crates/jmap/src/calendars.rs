//! Calendars by CalDAV (RFC 4791), which shows of them what JMAP does not: on Stalwart 0.16 changed occurrences of all-day series,
//! and time zones that a calendar defines itself.
//!

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use url::Url;

use crate::client::Client;
use crate::collections::{Home, LISTED_BYTES, NAMESPACES, whole, within};
use crate::dav::Wanted;
use crate::error::Error;
use crate::http::transport::{Body, Dav, Outgoing, Repeat};
use crate::session::Account;
use crate::xml::malformed;

const ICALENDAR: &str = "text/calendar; charset=utf-8";
/// What a calendar takes (RFC 4791 section 4.1), and what is listed of it.
const COMPONENTS: [&str; 3] = ["VEVENT", "VTODO", "VJOURNAL"];
/// Parts in which a calendar is listed. Stalwart 0.16 tells of 2,000 resources at once.
const MOST_PARTS: usize = 2_000;
/// What UIDs are told apart by: ASCII text of at most so many characters.
const LONGEST_PIECE: usize = 3;

/// A calendar's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CalendarPlace {
    url: Url,
    /// What people call it: the `name` of the JMAP object.
    pub name: String,
}

/// An event's place, or that of a task or a journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPlace {
    url: Url,
    etag: String,
    /// What RFC 5545 section 3.8.4.7 calls UID.
    pub uid: String,
}

/// An event with all its occurrences and zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventText {
    /// Its UID.
    pub uid: String,
    /// iCalendar (RFC 5545), its lines ended by CR LF.
    pub text: Bytes,
}

impl Client {
    /// The calendars of an account.
    ///
    /// # Errors
    /// [`Error::Status`] where the server has none there (404, 405) or does not show them (403), and whatever keeps a request from
    /// succeeding.
    pub async fn calendar_places(&self, account: &Account) -> Result<Vec<CalendarPlace>, Error> {
        let url = self.home(account, Home::Calendars)?;
        let body = format!("<propfind {NAMESPACES}><prop><resourcetype/><displayname/></prop></propfind>");
        let told = whole(self.ask_about("PROPFIND", &url, body, LISTED_BYTES, Wanted::Known).await?)?;
        let calendars = told.into_iter().filter(|told| told.is_calendar);
        // Stalwart 0.16 tells there of calendars that others share, too.
        let own = calendars
            .filter_map(|told| Some(CalendarPlace { url: within(&url, &told).ok()?, name: told.name }));
        Ok(own.collect())
    }

    /// What lies in a calendar. One with more than the server tells at once is listed in parts, by pieces of UIDs; what UIDs do not tell
    /// apart is left out.
    ///
    /// # Errors
    /// As [`Client::calendar_places`].
    pub async fn events_in(&self, calendar: &CalendarPlace) -> Result<Vec<EventPlace>, Error> {
        let (events, is_cut) = self.some_events(calendar, "").await?;
        if !is_cut {
            return Ok(events);
        }
        let mut parts: Vec<Part> = COMPONENTS.map(Part::of).into();
        let mut found = BTreeMap::new();
        let mut asked = 0;
        while let Some(part) = parts.pop() {
            asked += 1;
            let (events, is_cut) = self.some_events(calendar, &part.filter()).await?;
            if let Some(piece) = dividing(&events).filter(|_| is_cut && asked < MOST_PARTS) {
                parts.extend([false, true].map(|has_it| part.with(&piece, has_it)));
            }
            found.extend(events.into_iter().map(|event| (event.url.clone(), event)));
        }
        Ok(found.into_values().collect())
    }

    /// What of a calendar matches, and whether there is more.
    async fn some_events(
        &self,
        calendar: &CalendarPlace,
        filter: &str,
    ) -> Result<(Vec<EventPlace>, bool), Error> {
        let uid = |component| format!("<c:comp name=\"{component}\"><c:prop name=\"UID\"/></c:comp>");
        let uids = COMPONENTS.map(uid).concat();
        let body = format!(
            "<c:calendar-query {NAMESPACES}><prop><getetag/><c:calendar-data><c:comp name=\"VCALENDAR\">{uids}</c:comp>\
             </c:calendar-data></prop><c:filter><c:comp-filter name=\"VCALENDAR\">{filter}</c:comp-filter></c:filter>\
             </c:calendar-query>"
        );
        let told = self.ask_about("REPORT", &calendar.url, body, LISTED_BYTES, Wanted::Known).await?;
        let places = told.told.into_iter().filter_map(|told| {
            let uid = uid_of(&told.calendar)?;
            Some(within(&calendar.url, &told).map(|url| EventPlace { url, etag: told.etag, uid }))
        });
        Ok((places.collect::<Result<_, _>>()?, told.is_cut))
    }

    /// Events in full. Those that are gone are left out. `limit`: the longest answer in bytes.
    ///
    /// # Errors
    /// [`Error::AnswerTooLarge`], and those of [`Client::calendar_places`].
    pub async fn event_texts(
        &self,
        calendar: &CalendarPlace,
        events: &[EventPlace],
        limit: u64,
    ) -> Result<Vec<EventText>, Error> {
        let hrefs: String = events.iter().map(|event| format!("<href>{}</href>", event.path())).collect();
        let body = format!(
            "<c:calendar-multiget {NAMESPACES}><prop><c:calendar-data/></prop>{hrefs}</c:calendar-multiget>"
        );
        let told = whole(self.ask_about("REPORT", &calendar.url, body, limit, Wanted::Known).await?)?;
        let texts = told.into_iter().filter_map(|told| {
            let uid = uid_of(&told.calendar)?;
            Some(EventText { uid, text: with_line_ends(&told.calendar) })
        });
        Ok(texts.collect())
    }

    /// Puts a text in place of an event's, unless the event was changed since its place was told. The server may write to those who take
    /// part in it.
    ///
    /// # Errors
    /// Status 412 if the event was changed, [`Error::Malformed`] if the server told no version of it; others as [`Client::change`].
    pub async fn replace_event(&self, event: &EventPlace, text: Bytes) -> Result<(), Error> {
        let etag = HeaderValue::from_str(&event.etag).ok().filter(|etag| !etag.is_empty());
        let etag = etag.ok_or_else(|| malformed("it gives an event no version"))?;
        self.put_event(event.url.clone(), (IF_MATCH, etag), text).await
    }

    /// Puts an event into a calendar, under a name that nothing else has there.
    ///
    /// # Errors
    /// Status 412 if something has the name; others as [`Client::change`].
    pub async fn add_event(&self, calendar: &CalendarPlace, name: &str, text: Bytes) -> Result<(), Error> {
        let mut url = calendar.url.clone();
        url.path_segments_mut().map_err(|()| malformed("no place"))?.pop_if_empty().push(name);
        self.put_event(url, (IF_NONE_MATCH, HeaderValue::from_static("*")), text).await
    }

    async fn put_event(
        &self,
        url: Url,
        condition: (HeaderName, HeaderValue),
        text: Bytes,
    ) -> Result<(), Error> {
        let repeat = Repeat::IfNothingWasDone;
        let dav = Dav {
            method: Method::PUT,
            media_type: ICALENDAR,
            condition: Some(condition),
            body: text,
            repeat,
        };
        let request = Outgoing { url, body: Body::Dav(dav), accept: "*/*" };
        self.shared.transport.fetch(&request, LISTED_BYTES).await.map(drop)
    }
}

impl EventPlace {
    /// As XML has it.
    fn path(&self) -> String {
        self.url.path().replace('&', "&amp;").replace('<', "&lt;")
    }
}

/// A part of what lies in a calendar.
#[derive(Debug, Clone)]
struct Part {
    component: &'static str,
    /// Pieces that its UIDs have, or have not.
    pieces: Vec<(String, bool)>,
}

impl Part {
    fn of(component: &'static str) -> Part {
        Part { component, pieces: Vec::new() }
    }

    fn with(&self, piece: &str, has_it: bool) -> Part {
        let mut part = self.clone();
        part.pieces.push((piece.to_owned(), has_it));
        part
    }

    /// RFC 4791 section 9.7. All conditions have to be met.
    fn filter(&self) -> String {
        let condition = |(piece, has_it): &(String, bool)| {
            let negated = if *has_it { "no" } else { "yes" };
            format!(
                "<c:prop-filter name=\"UID\"><c:text-match negate-condition=\"{negated}\">{piece}</c:text-match></c:prop-filter>"
            )
        };
        let conditions: String = self.pieces.iter().map(condition).collect();
        format!("<c:comp-filter name=\"{}\">{conditions}</c:comp-filter>", self.component)
    }
}

/// The piece that comes closest to half of these UIDs; `None`: each piece is in all of them.
fn dividing(events: &[EventPlace]) -> Option<String> {
    // Servers compare without regard to case.
    let uids: Vec<Vec<u8>> = events.iter().map(|event| event.uid.to_ascii_lowercase().into_bytes()).collect();
    // How many have it, and which was the last one.
    let mut counts: HashMap<&[u8], (usize, usize)> = HashMap::new();
    for (at, uid) in uids.iter().enumerate() {
        for length in 1..=LONGEST_PIECE {
            for piece in uid.windows(length).filter(|piece| piece.iter().all(is_plain)) {
                let (count, last) = counts.entry(piece).or_insert((0, usize::MAX));
                if std::mem::replace(last, at) != at {
                    *count += 1;
                }
            }
        }
    }
    let half = events.len() / 2;
    let some = counts.into_iter().filter(|(_, (count, _))| *count < events.len());
    let (piece, _) = some.min_by_key(|(piece, (count, _))| (count.abs_diff(half), *piece))?;
    String::from_utf8(piece.to_vec()).ok()
}

/// What stands for itself in XML and in iCalendar.
fn is_plain(character: &u8) -> bool {
    character.is_ascii_alphanumeric() || b"-_.@".contains(character)
}

/// The UID in iCalendar text: all components of a resource have the same one (RFC 4791 section 4.1).
fn uid_of(text: &str) -> Option<String> {
    let mut lines = text.lines().map(|line| line.trim_end_matches('\r'));
    let first = loop {
        // What goes on behind a blank may be anything.
        let line = lines.next()?;
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.split(';').next().is_some_and(|name| name.eq_ignore_ascii_case("UID")) {
            break value;
        }
    };
    // Folded lines go on behind a blank (RFC 5545 section 3.1).
    let more = lines.map_while(|line| line.strip_prefix([' ', '\t']));
    let uid: String = std::iter::once(first).chain(more).collect();
    Some(unescaped(&uid))
}

/// What a text means (RFC 5545 section 3.3.11).
fn unescaped(text: &str) -> String {
    let mut characters = text.chars();
    let mut meant = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        meant.push(match character {
            '\\' => match characters.next() {
                Some('n' | 'N') => '\n',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    meant
}

/// XML makes LF of every line end.
fn with_line_ends(text: &str) -> Bytes {
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    lines.flat_map(|line| [line, "\r\n"]).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_may_be_folded_and_escaped() {
        let uid = |text: &str| uid_of(text);
        assert_eq!(uid("BEGIN:VCALENDAR\nUID:a\\,b\n c\nEND:VCALENDAR").as_deref(), Some("a,bc"));
        assert_eq!(uid("BEGIN:VCALENDAR\r\nuid;X-A=1:a:b\r\n").as_deref(), Some("a:b"));
        assert_eq!(uid("SUMMARY:a\n b\n UID:c\nUID:d\n").as_deref(), Some("d"));
        assert_eq!(uid(r"UID:a\n\\nb\;c\").as_deref(), Some("a\n\\nb;c\\"));
        assert_eq!(uid("BEGIN:VCALENDAR\nEND:VCALENDAR"), None);
        assert_eq!(with_line_ends("a\nb\r\nc"), "a\r\nb\r\nc\r\n");
    }

    #[test]
    fn a_piece_divides_uids() {
        let divided = |uids: &[&str]| {
            let url: Url = "http://a.example/".parse().unwrap();
            let event =
                |uid: &&str| EventPlace { url: url.clone(), etag: String::new(), uid: (*uid).to_owned() };
            dividing(&uids.iter().map(event).collect::<Vec<_>>())
        };
        assert_eq!(divided(&["ab1@x", "AB2@x", "ac3@x", "ac4@x"]).as_deref(), Some("ab"));
        assert_eq!(divided(&["é1", "é2", "é2"]).as_deref(), Some("1"));
        for equal in [&["a", "A"][..], &["é", "ü"], &["a"], &[]] {
            assert_eq!(divided(equal), None, "{equal:?}");
        }
        let part = Part::of("VTODO").with("ab", true).with("1", false);
        let condition = |piece, negated| {
            format!(
                "<c:prop-filter name=\"UID\"><c:text-match negate-condition=\"{negated}\">{piece}</c:text-match></c:prop-filter>"
            )
        };
        let conditions = condition("ab", "no") + &condition("1", "yes");
        assert_eq!(part.filter(), format!("<c:comp-filter name=\"VTODO\">{conditions}</c:comp-filter>"));
    }
}
