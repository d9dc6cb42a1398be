//! Calendars by CalDAV (RFC 4791), which shows of them what JMAP does not: on Stalwart 0.16 changed occurrences of all-day series,
//! and time zones that a calendar defines itself.
//!
//! RFC 6764 leads users to calendars of their own, and nobody to those of others. Stalwart has an account's at `/dav/cal/<its name>/`.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use url::Url;

use crate::client::Client;
use crate::dav::{Told, malformed, multistatus};
use crate::error::Error;
use crate::http::transport::{Body, Dav, Outgoing, Repeat};
use crate::session::Account;

/// Longest list of an account's calendars, and of what lies in one.
const LISTED_BYTES: u64 = 64 << 20;
const XML: &str = "application/xml; charset=utf-8";
const ICALENDAR: &str = "text/calendar; charset=utf-8";
const NAMESPACES: &str = "xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"";

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
        let mut url = self.found().api.clone();
        url.set_query(None);
        url.set_path("/dav/cal");
        url.path_segments_mut().map_err(|()| malformed("no place"))?.push(&account.name).push("");
        let body = format!("<propfind {NAMESPACES}><prop><resourcetype/><displayname/></prop></propfind>");
        let told = self.ask_about("PROPFIND", &url, body, LISTED_BYTES).await?;
        let calendars = told.into_iter().filter(|told| told.is_calendar);
        calendars.map(|told| Ok(CalendarPlace { url: within(&url, &told)?, name: told.name })).collect()
    }

    /// What lies in a calendar.
    ///
    /// # Errors
    /// As [`Client::calendar_places`].
    pub async fn events_in(&self, calendar: &CalendarPlace) -> Result<Vec<EventPlace>, Error> {
        let uid = |component| format!("<c:comp name=\"{component}\"><c:prop name=\"UID\"/></c:comp>");
        let uids = ["VEVENT", "VTODO", "VJOURNAL"].map(uid).concat();
        let body = format!(
            "<c:calendar-query {NAMESPACES}><prop><getetag/><c:calendar-data><c:comp name=\"VCALENDAR\">{uids}</c:comp>\
             </c:calendar-data></prop><c:filter><c:comp-filter name=\"VCALENDAR\"/></c:filter></c:calendar-query>"
        );
        let told = self.ask_about("REPORT", &calendar.url, body, LISTED_BYTES).await?;
        let places = told.into_iter().filter_map(|told| {
            let uid = uid_of(&told.calendar)?;
            Some(within(&calendar.url, &told).map(|url| EventPlace { url, etag: told.etag, uid }))
        });
        places.collect()
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
        let told = self.ask_about("REPORT", &calendar.url, body, limit).await?;
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

    async fn ask_about(
        &self,
        method: &'static str,
        url: &Url,
        body: String,
        limit: u64,
    ) -> Result<Vec<Told>, Error> {
        let repeat = Repeat::Always;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| malformed("no method"))?;
        let dav = Dav { method, media_type: XML, condition: None, body: body.into(), repeat };
        let request = Outgoing { url: url.clone(), body: Body::Dav(dav), accept: "*/*" };
        multistatus(&self.shared.transport.fetch(&request, limit).await?)
    }
}

impl EventPlace {
    /// As XML has it.
    fn path(&self) -> String {
        self.url.path().replace('&', "&amp;").replace('<', "&lt;")
    }
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

/// The place that an answer names, which lies in the one that was asked about.
fn within(asked: &Url, told: &Told) -> Result<Url, Error> {
    let url = asked.join(&told.href).map_err(|_| malformed("it names no place"))?;
    let [place, asked_place] = [&url, asked].map(|url| percent_decode_str(url.path()).collect::<Vec<u8>>());
    let is_within = url.origin() == asked.origin() && place.starts_with(&asked_place);
    if is_within { Ok(url) } else { Err(malformed("it names a place elsewhere")) }
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
    fn a_place_elsewhere_is_not_believed() {
        let asked: Url = "http://a.example/dav/cal/b@c/".parse().unwrap();
        let at = |href: &str| within(&asked, &Told { href: href.into(), ..Told::default() }).ok();
        for href in ["/dav/cal/b%40c/d.ics", "d.ics", "/dav/cal/b@c/d.ics"] {
            assert!(at(href).is_some_and(|url| url.path().ends_with("/d.ics")), "{href}");
        }
        let elsewhere = [
            "http://b.example/dav/cal/b@c/d",
            "/dav/cal/c/d",
            "../c",
            "//b.example/dav/cal/b@c/d",
            "http://[",
        ];
        for href in elsewhere {
            assert_eq!(at(href), None, "{href}");
        }
    }
}
