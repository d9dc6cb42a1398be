//! Calendars and address books as WebDAV has them (RFC 4918, 4791, 6352), with the properties that its clients set and JMAP does not
//! show: Apple's colour and order, a list for tasks alone, whatever a client keeps for itself.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use reqwest::Method;
use url::Url;

use crate::calendars::within;
use crate::client::Client;
use crate::dav::{Multistatus, Told, Wanted, malformed, multistatus};
use crate::error::Error;
use crate::http::transport::{Body, Dav, Outgoing, Repeat};
use crate::property::{Properties, as_sent, empty, namespace_of};
use crate::session::Account;

/// Longest list of an account's calendars, and of what lies in one.
pub(crate) const LISTED_BYTES: u64 = 64 << 20;
/// Longest properties of one collection, in bytes. Stalwart 0.16 takes 1,024 in all.
const MOST_BYTES: usize = 1 << 20;
const XML: &str = "application/xml; charset=utf-8";
pub(crate) const NAMESPACES: &str = "xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"";

/// The kinds of components that a calendar takes (RFC 4791 section 5.2.3). Can be chosen only when it is made.
pub const COMPONENTS: &str = "{urn:ietf:params:xml:ns:caldav}supported-calendar-component-set";
/// The zone of times without one, as iCalendar (RFC 4791 section 5.2.2).
pub const TIME_ZONE: &str = "{urn:ietf:params:xml:ns:caldav}calendar-timezone";
/// Namespaces whose properties are a server's, or stand in JMAP.
const SERVERS: [&str; 4] = [
    "DAV:",
    "urn:ietf:params:xml:ns:caldav",
    "urn:ietf:params:xml:ns:carddav",
    "http://calendarserver.org/ns/",
];

/// Where an account's collections of a kind are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// CalDAV's.
    Calendars,
    /// CardDAV's.
    AddressBooks,
}

/// A calendar or an address book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    url: Url,
    /// What the one who asks calls it: the `name` of the JMAP object.
    pub name: String,
    /// What clients have set; [`COMPONENTS`] unless it is the usual one, and [`TIME_ZONE`].
    pub properties: Properties,
}

impl Collection {
    /// What it is called in its account's place.
    pub fn place(&self) -> String {
        let last = self.url.path_segments().and_then(|segments| segments.rev().find(|one| !one.is_empty()));
        percent_decode_str(last.unwrap_or_default()).decode_utf8_lossy().into_owned()
    }

    /// Whether both are in one place.
    pub fn is_at(&self, other: &Collection) -> bool {
        self.url == other.url
    }
}

impl Client {
    /// The calendars or address books of an account.
    ///
    /// # Errors
    /// As [`Client::calendar_places`].
    pub async fn collections(&self, account: &Account, home: Home) -> Result<Vec<Collection>, Error> {
        let url = self.home(account, home)?;
        let include = match home {
            Home::Calendars => {
                "<include><c:supported-calendar-component-set/><c:calendar-timezone/></include>"
            }
            Home::AddressBooks => "",
        };
        let body = format!("<propfind {NAMESPACES}><allprop/>{include}</propfind>");
        let told = self.ask_about("PROPFIND", &url, body, LISTED_BYTES, Wanted::Properties).await?;
        let told = whole(told)?.into_iter();
        let collections = told.filter(|told| match home {
            Home::Calendars => told.is_calendar,
            Home::AddressBooks => told.is_address_book,
        });
        collections.map(|told| collection(&url, told)).collect()
    }

    /// Sets and removes properties of a collection; all of them, or none. Returns the refused ones and why, as HTTP statuses.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a property that is no element; others as [`Client::change`].
    pub async fn change_properties(
        &self,
        collection: &Collection,
        set: &Properties,
        remove: &[String],
    ) -> Result<BTreeMap<String, u16>, Error> {
        let mut body = format!("<propertyupdate {NAMESPACES}>");
        if !set.is_empty() {
            body.extend(["<set><prop>", &elements(set)?, "</prop></set>"]);
        }
        if !remove.is_empty() {
            let names: String = remove.iter().map(|name| empty(name)).collect();
            body.extend(["<remove><prop>", &names, "</prop></remove>"]);
        }
        body.push_str("</propertyupdate>");
        let told =
            self.ask_about("PROPPATCH", &collection.url, body, LISTED_BYTES, Wanted::Properties).await?;
        Ok(told.told.into_iter().flat_map(|told| told.refused).collect())
    }

    /// Makes a calendar with these properties, at a place that nothing else has.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a property that is no element, status 405 if something is in the place, others as [`Client::change`].
    pub async fn make_calendar(
        &self,
        account: &Account,
        place: &str,
        name: &str,
        properties: &Properties,
    ) -> Result<(), Error> {
        let mut url = self.home(account, Home::Calendars)?;
        url.path_segments_mut().map_err(|()| malformed("no place"))?.pop_if_empty().push(place).push("");
        let name = quick_xml::escape::escape(name);
        let body = format!(
            "<c:mkcalendar {NAMESPACES}><set><prop><displayname>{name}</displayname>{}</prop></set></c:mkcalendar>",
            elements(properties)?
        );
        self.send("MKCALENDAR", &url, body, LISTED_BYTES, Repeat::IfNothingWasDone).await.map(drop)
    }

    /// Stalwart has an account's at `/dav/cal/<its name>/`. RFC 6764 leads users to collections of their own, and nobody to those of
    /// others.
    pub(crate) fn home(&self, account: &Account, home: Home) -> Result<Url, Error> {
        let mut url = self.found().api.clone();
        url.set_query(None);
        url.set_path(match home {
            Home::Calendars => "/dav/cal",
            Home::AddressBooks => "/dav/card",
        });
        url.path_segments_mut().map_err(|()| malformed("no place"))?.push(&account.name).push("");
        Ok(url)
    }

    /// What it asks for may be asked for twice.
    pub(crate) async fn ask_about(
        &self,
        method: &'static str,
        url: &Url,
        body: String,
        limit: u64,
        wanted: Wanted,
    ) -> Result<Multistatus, Error> {
        multistatus(&self.send(method, url, body, limit, Repeat::Always).await?, wanted)
    }

    async fn send(
        &self,
        method: &'static str,
        url: &Url,
        body: String,
        limit: u64,
        repeat: Repeat,
    ) -> Result<bytes::Bytes, Error> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| malformed("no method"))?;
        let dav = Dav { method, media_type: XML, condition: None, body: body.into(), repeat };
        let request = Outgoing { url: url.clone(), body: Body::Dav(dav), accept: "*/*" };
        self.shared.transport.fetch(&request, limit).await
    }
}

/// All that an answer tells, if nothing is left out.
pub(crate) fn whole(told: Multistatus) -> Result<Vec<Told>, Error> {
    if told.is_cut {
        Err(malformed("the server leaves out what is more than it tells at once"))
    } else {
        Ok(told.told)
    }
}

fn collection(asked: &Url, told: Told) -> Result<Collection, Error> {
    let (url, name) = (within(asked, &told)?, told.name);
    let mut properties = told.properties;
    properties.retain(|name, property| match name.as_str() {
        COMPONENTS => !is_usual(property),
        TIME_ZONE => true,
        name => !SERVERS.contains(&namespace_of(name)),
    });
    match properties.iter().map(|(name, property)| name.len() + property.len()).sum::<usize>() {
        0..=MOST_BYTES => Ok(Collection { url, name, properties }),
        _ => Err(malformed("the properties of a collection are too long")),
    }
}

/// Whether a calendar takes events, tasks and journals.
fn is_usual(components: &str) -> bool {
    ["VEVENT", "VTODO", "VJOURNAL"].iter().all(|name| components.contains(&format!("name=\"{name}\"")))
}

fn elements(properties: &Properties) -> Result<String, Error> {
    let sent = properties.values().map(|property| as_sent(property));
    sent.collect::<Option<String>>().ok_or_else(|| malformed("a property is no element"))
}
