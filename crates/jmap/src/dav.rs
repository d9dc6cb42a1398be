//! WebDAV's answers about many resources (RFC 4918 section 13), as far as CalDAV needs them.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use crate::error::Error;

/// Elements in one another.
const DEEPEST: usize = 32;

/// Resources in one answer.
const MOST_TOLD: usize = 250_000;

const DAV: &[u8] = b"DAV:";
const CALDAV: &[u8] = b"urn:ietf:params:xml:ns:caldav";

/// What an answer says of one resource. What the server does not give of it is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// As the server wrote it.
    pub(crate) href: String,
    pub(crate) name: String,
    pub(crate) is_calendar: bool,
    pub(crate) etag: String,
    /// iCalendar text with the line ends of XML.
    pub(crate) calendar: String,
}

/// An element whose text counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Response,
    Href,
    Name,
    Etag,
    Calendar,
    CalendarData,
    Other,
}

fn element(namespace: &ResolveResult<'_>, name: &[u8]) -> Element {
    let ResolveResult::Bound(Namespace(namespace)) = namespace else { return Element::Other };
    match (*namespace, name) {
        (DAV, b"response") => Element::Response,
        (DAV, b"href") => Element::Href,
        (DAV, b"displayname") => Element::Name,
        (DAV, b"getetag") => Element::Etag,
        (CALDAV, b"calendar") => Element::Calendar,
        (CALDAV, b"calendar-data") => Element::CalendarData,
        _ => Element::Other,
    }
}

/// Reads a `multistatus`. Resources that the server says not to have are among them, with nothing but their address.
pub(crate) fn multistatus(body: &[u8]) -> Result<Vec<Told>, Error> {
    let mut reader = NsReader::from_reader(body);
    let mut path: Vec<Element> = Vec::new();
    let mut told: Vec<Told> = Vec::new();
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|_| malformed("no XML"))?;
        match event {
            Event::Start(start) => {
                let element = element(&namespace, start.local_name().as_ref());
                open(&path, element, &mut told)?;
                path.push(element);
            }
            Event::Empty(empty) => open(&path, element(&namespace, empty.local_name().as_ref()), &mut told)?,
            Event::End(_) => drop(path.pop()),
            Event::Text(text) => put(&path, &plain(text.xml_content(XmlVersion::Implicit1_0))?, &mut told),
            Event::CData(text) => put(&path, &plain(text.xml_content(XmlVersion::Implicit1_0))?, &mut told),
            Event::GeneralRef(reference) => put(&path, &meant(&reference)?, &mut told),
            Event::DocType(_) => return Err(malformed("it defines its own document type")),
            Event::Eof if path.is_empty() => return Ok(told),
            Event::Eof => return Err(malformed("it ends too early")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn plain<T, E>(text: Result<T, E>) -> Result<T, Error> {
    text.map_err(|_| malformed("its text is no text"))
}

/// What stands for itself under another name.
fn meant(reference: &BytesRef<'_>) -> Result<String, Error> {
    if let Some(character) = plain(reference.resolve_char_ref())? {
        return Ok(character.to_string());
    }
    let named = std::str::from_utf8(reference).ok().and_then(resolve_predefined_entity);
    named.map(str::to_owned).ok_or_else(|| malformed("an unknown entity"))
}

fn open(path: &[Element], element: Element, told: &mut Vec<Told>) -> Result<(), Error> {
    match element {
        _ if path.len() == DEEPEST => return Err(malformed("its elements are too deep in one another")),
        Element::Response if told.len() == MOST_TOLD => return Err(malformed("it names too many things")),
        Element::Response => told.push(Told::default()),
        Element::Calendar if path.contains(&Element::Response) => {
            told.last_mut().into_iter().for_each(|told| told.is_calendar = true);
        }
        _ => {}
    }
    Ok(())
}

fn put(path: &[Element], text: &str, told: &mut [Told]) {
    let ([.., parent, element], Some(told)) = (path, told.last_mut()) else { return };
    match element {
        // Errors and principals have addresses, too.
        Element::Href if *parent == Element::Response => told.href.push_str(text),
        Element::Name => told.name.push_str(text),
        Element::Etag => told.etag.push_str(text),
        Element::CalendarData => told.calendar.push_str(text),
        _ => {}
    }
}

pub(crate) fn malformed(why: &'static str) -> Error {
    Error::Malformed { what: "answer about calendars", why: why.to_owned() }
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
        let told = multistatus(body).expect("it is well-formed");
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
            assert!(matches!(multistatus(body.as_bytes()), Err(Error::Malformed { .. })), "{body}");
        }
        assert_eq!(multistatus(b"<a/>").expect("it says nothing"), []);
    }
}
