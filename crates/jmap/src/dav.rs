//! WebDAV's answers about many resources (RFC 4918 section 13), as far as CalDAV and CardDAV need them.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use crate::error::Error;
use crate::property::{ElementCopy, Properties};
use crate::xml::{malformed, meant, plain};

/// Elements in one another.
const DEEPEST: usize = 32;

/// Resources in one answer.
const MOST_TOLD: usize = 250_000;

const DAV: &[u8] = b"DAV:";
const CALDAV: &[u8] = b"urn:ietf:params:xml:ns:caldav";
const CARDDAV: &[u8] = b"urn:ietf:params:xml:ns:carddav";
/// There is more than the server tells at once (RFC 5323 section 5.17, RFC 6578 section 3.6).
const INSUFFICIENT_STORAGE: u16 = 507;

/// What an answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Multistatus {
    pub(crate) told: Vec<Told>,
    /// The server left resources out.
    pub(crate) is_cut: bool,
}

/// What an answer says of one resource. What the server does not give of it is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// As the server wrote it.
    pub(crate) href: String,
    pub(crate) name: String,
    pub(crate) is_calendar: bool,
    pub(crate) is_address_book: bool,
    pub(crate) etag: String,
    /// iCalendar text with the line ends of XML.
    pub(crate) calendar: String,
    /// All properties that it has, if they are wanted.
    pub(crate) properties: Properties,
    /// Names of the others, and the HTTP status of each, if they are wanted.
    pub(crate) refused: BTreeMap<String, u16>,
}

/// An element whose text counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Response,
    Href,
    Status,
    Propstat,
    Prop,
    ResourceType,
    Name,
    Etag,
    Calendar,
    AddressBook,
    CalendarData,
    Other,
}

fn element(namespace: &ResolveResult<'_>, name: &[u8]) -> Element {
    let ResolveResult::Bound(Namespace(namespace)) = namespace else { return Element::Other };
    match (*namespace, name) {
        (DAV, b"response") => Element::Response,
        (DAV, b"href") => Element::Href,
        (DAV, b"status") => Element::Status,
        (DAV, b"propstat") => Element::Propstat,
        (DAV, b"prop") => Element::Prop,
        (DAV, b"resourcetype") => Element::ResourceType,
        (DAV, b"displayname") => Element::Name,
        (DAV, b"getetag") => Element::Etag,
        (CALDAV, b"calendar") => Element::Calendar,
        (CALDAV, b"calendar-data") => Element::CalendarData,
        (CARDDAV, b"addressbook") => Element::AddressBook,
        _ => Element::Other,
    }
}

/// What of each resource is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// What [`Told`] names.
    Known,
    /// All properties, too.
    Properties,
}

/// Reads a `multistatus`. Resources that the server says not to have are among them, with nothing but their address.
pub(crate) fn multistatus(body: &[u8], wanted: Wanted) -> Result<Multistatus, Error> {
    let mut reader = NsReader::from_reader(body);
    let mut answer = Answer::new(wanted);
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|_| malformed("no XML"))?;
        match event {
            Event::Start(start) => {
                answer.copy.start(&namespace, &start)?;
                answer.open(element(&namespace, start.local_name().as_ref()))?;
            }
            Event::Empty(empty) => {
                answer.copy.start(&namespace, &empty)?;
                answer.open(element(&namespace, empty.local_name().as_ref()))?;
                answer.close();
            }
            Event::End(_) => answer.close(),
            Event::Text(text) => answer.put(&plain(text.xml_content(XmlVersion::Implicit1_0))?),
            Event::CData(text) => answer.put(&plain(text.xml_content(XmlVersion::Implicit1_0))?),
            Event::GeneralRef(reference) => answer.put(&meant(&reference)?),
            Event::DocType(_) => return Err(malformed("it defines its own document type")),
            Event::Eof if answer.path.is_empty() => return Ok(answer.read),
            Event::Eof => return Err(malformed("it ends too early")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// An answer while it is read.
struct Answer {
    read: Multistatus,
    wanted: Wanted,
    path: Vec<Element>,
    /// Of the `propstat` that is read.
    copy: ElementCopy,
    properties: Properties,
    status: String,
}

impl Answer {
    fn new(wanted: Wanted) -> Answer {
        let (read, path, copy) = (Multistatus::default(), Vec::new(), ElementCopy::default());
        Answer { read, wanted, path, copy, properties: Properties::new(), status: String::new() }
    }

    fn open(&mut self, element: Element) -> Result<(), Error> {
        let element = if self.may_hold(element) { element } else { Element::Other };
        let told = &mut self.read.told;
        match element {
            _ if self.path.len() == DEEPEST => {
                return Err(malformed("its elements are too deep in one another"));
            }
            Element::Response if told.len() == MOST_TOLD => {
                return Err(malformed("it names too many things"));
            }
            Element::Response => told.push(Told::default()),
            Element::Calendar => {
                told.last_mut().into_iter().for_each(|told| told.is_calendar = true);
            }
            Element::AddressBook => {
                told.last_mut().into_iter().for_each(|told| told.is_address_book = true);
            }
            Element::Status => self.status.clear(),
            _ => {}
        }
        if element == Element::Prop && self.wanted == Wanted::Properties {
            self.copy = ElementCopy::begin();
        }
        self.path.push(element);
        Ok(())
    }

    /// Whether the element has a meaning where it stands: what a property holds has none.
    fn may_hold(&self, element: Element) -> bool {
        use Element as E;
        let parent = self.path.last();
        match element {
            E::Response => self.path.len() == 1,
            E::Href | E::Propstat => parent == Some(&E::Response),
            E::Status => matches!(parent, Some(E::Response | E::Propstat)),
            E::Prop => parent == Some(&E::Propstat),
            E::Name | E::Etag | E::CalendarData | E::ResourceType => parent == Some(&E::Prop),
            E::Calendar | E::AddressBook => parent == Some(&E::ResourceType),
            E::Other => true,
        }
    }

    fn close(&mut self) {
        let element = self.path.pop();
        if let Some((name, property)) = self.copy.end() {
            self.properties.insert(name, property);
        }
        let (status, told) = (status_of(&self.status), self.read.told.last_mut());
        match (element, self.path.last(), told) {
            (Some(Element::Propstat), _, Some(told)) => {
                let properties = std::mem::take(&mut self.properties);
                match status {
                    200..300 => told.properties.extend(properties),
                    _ => told.refused.extend(properties.into_keys().map(|name| (name, status))),
                }
            }
            (Some(Element::Status), Some(Element::Response), Some(_)) => {
                self.read.is_cut |= status == INSUFFICIENT_STORAGE;
            }
            _ => {}
        }
    }

    fn put(&mut self, text: &str) {
        self.copy.text(text);
        let (Some(element), Some(told)) = (self.path.last(), self.read.told.last_mut()) else { return };
        match element {
            Element::Href => told.href.push_str(text),
            Element::Status => self.status.push_str(text),
            Element::Name => told.name.push_str(text),
            Element::Etag => told.etag.push_str(text),
            Element::CalendarData => told.calendar.push_str(text),
            _ => {}
        }
    }
}

/// The code in a status line (`HTTP/1.1 200 OK`); 0: there is none.
fn status_of(line: &str) -> u16 {
    line.split_ascii_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_any_spelling() {
        let body = br#"<?xml version="1.0"?><x:multistatus xmlns:x="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">
          <x:response><x:href>/a/</x:href><x:propstat><x:prop><x:resourcetype><x:collection/><c:calendar/></x:resourcetype>
            <x:displayname>A &amp; &#66;</x:displayname></x:prop></x:propstat></x:response>
          <response xmlns="DAV:"><href>/a/1.ics</href><propstat><prop><getetag>&quot;7&quot;</getetag>
            <c:calendar-data><![CDATA[BEGIN:VCALENDAR
SUMMARY:<b>
END:VCALENDAR]]></c:calendar-data><owner><href>/other</href></owner></prop></propstat></response>
          <x:response><x:href>/a/2.ics</x:href><x:status>HTTP/1.1 404 Not Found</x:status></x:response></x:multistatus>"#;
        let told = multistatus(body, Wanted::Known).expect("it is well-formed").told;
        let calendar =
            Told { href: "/a/".into(), name: "A & B".into(), is_calendar: true, ..Told::default() };
        let event = Told {
            href: "/a/1.ics".into(),
            etag: "\"7\"".into(),
            calendar: "BEGIN:VCALENDAR\nSUMMARY:<b>\nEND:VCALENDAR".into(),
            ..Told::default()
        };
        assert_eq!(told, [calendar, event, Told { href: "/a/2.ics".into(), ..Told::default() }]);
    }

    #[test]
    fn what_is_no_answer() {
        let deep = "<a>".repeat(DEEPEST + 1);
        let entity = "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>";
        for body in ["<a", "<a></b>", "<a>&b;</a>", "<a>", entity, &deep] {
            let read = multistatus(body.as_bytes(), Wanted::Properties);
            assert!(matches!(read, Err(Error::Malformed { .. })), "{body}");
        }
        let nothing = multistatus(b"<a/>", Wanted::Properties).expect("it says nothing");
        assert_eq!(nothing, Multistatus::default());
    }

    #[test]
    fn what_a_property_holds_is_no_part_of_the_answer() {
        let inner = "<response/><propstat/><status>HTTP/1.1 507 x</status><prop/><displayname>n</displayname><href>/b</href>";
        let body = format!(
            "<multistatus xmlns='DAV:'><response><href>/a/</href><propstat><prop><displayname>A</displayname><x xmlns='u:x'>\
             <y xmlns='DAV:'>{inner}</y></x></prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>"
        );
        let read = multistatus(body.as_bytes(), Wanted::Properties).expect("it is well-formed");
        let [told] = read.told.as_slice() else { panic!("{read:?}") };
        assert_eq!((told.name.as_str(), told.href.as_str(), read.is_cut), ("A", "/a/", false));
        assert!(told.properties["{u:x}x"].contains("<status>HTTP/1.1 507 x</status>"), "{told:?}");
    }

    #[test]
    fn properties_are_those_that_the_resource_has() {
        let body = br##"<d:multistatus xmlns:d="DAV:" xmlns:a="urn:a"><d:response><d:href>/a/</d:href>
            <d:propstat><d:prop><a:gone/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>
            <d:propstat><d:prop><d:displayname>A</d:displayname><color xmlns="urn:b" x="1" a:y="&lt;">#<i/>&amp;</color></d:prop>
              <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>
          <d:response><d:href>/</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status>
            <d:error><d:number-of-matches-within-limits/></d:error></d:response></d:multistatus>"##;
        let read = multistatus(body, Wanted::Properties).expect("it is well-formed");
        let told = &read.told[0];
        assert_eq!((told.name.as_str(), read.is_cut, read.told.len()), ("A", true, 2));
        let [color, name] = ["{urn:b}color", "{DAV:}displayname"].map(|name| told.properties[name].as_str());
        assert_eq!(color, r##"<color xmlns="urn:b" a:y="&lt;" x="1">#<i/>&amp;</color>"##);
        assert_eq!(name, r#"<displayname xmlns="DAV:">A</displayname>"#);
        assert_eq!((told.properties.len(), told.refused["{urn:a}gone"]), (2, 404));
        let known = multistatus(body, Wanted::Known).expect("it is well-formed");
        assert!(known.told[0].properties.is_empty() && known.is_cut);
    }
}
