//! Calendars and address books as WebDAV has them (RFC 4918, 4791, 6352), with the properties that its clients set and JMAP does not
//! show: Apple's colour and order, a list for tasks alone, whatever a client keeps for itself.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use crate::client::Client;
use crate::dav::{Multistatus, Told, Wanted, multistatus};
use crate::error::Error;
use crate::http::transport::{Body, Dav, Outgoing, Repeat};
use crate::property::{Properties, as_sent, empty, local_of, namespace_of};
use crate::session::Account;
use crate::xml::malformed;

/// Longest list of an account's calendars, and of what lies in one.
pub(crate) const LISTED_BYTES: u64 = 64 << 20;
/// Longest properties of one collection, in bytes. Stalwart 0.16 takes 1,024 in all.
const MOST_BYTES: usize = 1 << 20;
/// Collections that are asked for one by one.
const MOST_ONE_BY_ONE: usize = 200;
const XML: &str = "application/xml; charset=utf-8";
pub(crate) const NAMESPACES: &str = "xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"";

/// The kinds of components that a calendar takes (RFC 4791 section 5.2.3). Can be chosen only when it is made.
pub const COMPONENTS: &str = "{urn:ietf:params:xml:ns:caldav}supported-calendar-component-set";
/// The zone of times without one, as iCalendar (RFC 4791 section 5.2.2).
pub const TIME_ZONE: &str = "{urn:ietf:params:xml:ns:caldav}calendar-timezone";
/// Properties that are a server's, or stand in JMAP, by namespace (RFC 4918, 3744, 5397, 6578, 4791, 6638, 7809, 6352, calendarserver.org).
const SERVERS: [(&str, &[&str]); 4] = [
    (
        "DAV:",
        &[
            "acl",
            "acl-restrictions",
            "add-member",
            "creationdate",
            "current-user-principal",
            "current-user-privilege-set",
            "displayname",
            "getcontentlanguage",
            "getcontentlength",
            "getcontenttype",
            "getetag",
            "getlastmodified",
            "group",
            "inherited-acl-set",
            "lockdiscovery",
            "owner",
            "parent-set",
            "principal-collection-set",
            "quota-available-bytes",
            "quota-used-bytes",
            "resource-id",
            "resourcetype",
            "supported-privilege-set",
            "supported-report-set",
            "supportedlock",
            "sync-level",
            "sync-token",
        ],
    ),
    (
        "urn:ietf:params:xml:ns:caldav",
        &[
            "calendar-data",
            "calendar-description",
            "calendar-timezone-id",
            "max-attachment-size",
            "max-attachments-per-resource",
            "max-attendees-per-instance",
            "max-date-time",
            "max-instances",
            "max-resource-size",
            "min-date-time",
            "schedule-calendar-transp",
            "schedule-default-calendar-URL",
            "schedule-tag",
            "supported-calendar-component-sets",
            "supported-calendar-data",
            "supported-collation-set",
            "timezone-service-set",
        ],
    ),
    (
        "urn:ietf:params:xml:ns:carddav",
        &[
            "address-data",
            "addressbook-description",
            "max-image-size",
            "max-resource-size",
            "supported-address-data",
            "supported-collation-set",
        ],
    ),
    ("http://calendarserver.org/ns/", &["getctag"]),
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
    /// What clients have set; [`COMPONENTS`] unless it is the usual one, and [`TIME_ZONE`]. `None`: the server's answer cannot be read.
    pub properties: Option<Properties>,
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
    /// The calendars or address books of an account; those that others share with it are not among them. Stalwart 0.16 gives properties of
    /// some shapes as what is no XML: then each collection is asked for by itself.
    ///
    /// # Errors
    /// As [`Client::calendar_places`].
    pub async fn collections(&self, account: &Account, home: Home) -> Result<Vec<Collection>, Error> {
        let url = self.home(account, home)?;
        match self.told_of(&url, home, None).await {
            Err(Error::Malformed { .. }) => {}
            told => return Ok(own(&url, whole(told?)?, home).collect()),
        }
        let known = format!("<propfind {NAMESPACES}><prop><resourcetype/><displayname/></prop></propfind>");
        let known = self.ask_about("PROPFIND", &url, known, LISTED_BYTES, Wanted::Known).await?;
        let mut collections: Vec<Collection> = own(&url, whole(known)?, home).collect();
        // The properties of more are not read then.
        collections.iter_mut().for_each(|collection| collection.properties = None);
        for collection in collections.iter_mut().take(MOST_ONE_BY_ONE) {
            let told = match self.told_of(&collection.url, home, Some("0")).await {
                Err(Error::Malformed { .. } | Error::Status { status: 404, .. }) => None,
                told => own(&url, told?.told, home).next(),
            };
            collection.properties = told.and_then(|told| told.properties);
        }
        Ok(collections)
    }

    async fn told_of(
        &self,
        url: &Url,
        home: Home,
        depth: Option<&'static str>,
    ) -> Result<Multistatus, Error> {
        let include = match home {
            Home::Calendars => {
                "<include><c:supported-calendar-component-set/><c:calendar-timezone/></include>"
            }
            Home::AddressBooks => "",
        };
        let body = format!("<propfind {NAMESPACES}><allprop/>{include}</propfind>");
        let depth = depth.map(|depth| (HeaderName::from_static("depth"), HeaderValue::from_static(depth)));
        let answer = self.send("PROPFIND", url, body, depth, Repeat::Always).await?;
        multistatus(&answer, Wanted::Properties)
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
        self.send("MKCALENDAR", &url, body, None, Repeat::IfNothingWasDone).await.map(drop)
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
        let request = outgoing(method, url, body, None, Repeat::Always)?;
        multistatus(&self.shared.transport.fetch(&request, limit).await?, wanted)
    }

    async fn send(
        &self,
        method: &'static str,
        url: &Url,
        body: String,
        header: Option<(HeaderName, HeaderValue)>,
        repeat: Repeat,
    ) -> Result<bytes::Bytes, Error> {
        let request = outgoing(method, url, body, header, repeat)?;
        self.shared.transport.fetch(&request, LISTED_BYTES).await
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

fn outgoing(
    method: &'static str,
    url: &Url,
    body: String,
    header: Option<(HeaderName, HeaderValue)>,
    repeat: Repeat,
) -> Result<Outgoing, Error> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| malformed("no method"))?;
    let dav = Dav { method, media_type: XML, condition: header, body: body.into(), repeat };
    Ok(Outgoing { url: url.clone(), body: Body::Dav(dav), accept: "*/*" })
}

/// The collections that lie in the place that was asked about. Stalwart 0.16 tells there of those that others share, too.
fn own(asked: &Url, told: Vec<Told>, home: Home) -> impl Iterator<Item = Collection> {
    let is_wanted = move |told: &Told| match home {
        Home::Calendars => told.is_calendar,
        Home::AddressBooks => told.is_address_book,
    };
    told.into_iter().filter(is_wanted).filter_map(|told| {
        let url = within(asked, &told).ok()?;
        let properties = of_clients(told.properties);
        Some(Collection { url, name: told.name, properties })
    })
}

/// What clients have set, if it is not too much.
fn of_clients(mut properties: Properties) -> Option<Properties> {
    properties.retain(|name, property| match name.as_str() {
        COMPONENTS => !is_usual(property),
        TIME_ZONE => true,
        name => !is_servers(name),
    });
    let length: usize = properties.iter().map(|(name, property)| name.len() + property.len()).sum();
    (length <= MOST_BYTES).then_some(properties)
}

fn is_servers(name: &str) -> bool {
    let known = SERVERS.iter().find(|(namespace, _)| *namespace == namespace_of(name));
    known.is_some_and(|(_, names)| names.contains(&local_of(name)))
}

/// Whether nobody has chosen what a calendar takes: those who do leave out what is no entry.
fn is_usual(components: &str) -> bool {
    let all = ["VEVENT", "VTODO", "VJOURNAL", "VTIMEZONE"];
    all.iter().all(|name| components.contains(&format!("name=\"{name}\"")))
}

fn elements(properties: &Properties) -> Result<String, Error> {
    let sent = properties.values().map(|property| as_sent(property));
    sent.collect::<Option<String>>().ok_or_else(|| malformed("a property is no element"))
}

/// The place that an answer names, which lies in the one that was asked about.
pub(crate) fn within(asked: &Url, told: &Told) -> Result<Url, Error> {
    let url = asked.join(&told.href).map_err(|_| malformed("it names no place"))?;
    let [place, asked_place] = [&url, asked].map(|url| percent_decode_str(url.path()).collect::<Vec<u8>>());
    let is_within = url.origin() == asked.origin() && place.starts_with(&asked_place);
    if is_within { Ok(url) } else { Err(malformed("it names a place elsewhere")) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
