//! The XML of requests, read into a tree.

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

pub(super) const DAV: &str = "DAV:";
pub(super) const CALENDAR_SERVER: &str = "http://calendarserver.org/ns/";

/// An element and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The value of the attribute `name`.
    pub(super) named: Option<String>,
    pub(super) text: String,
    pub(super) children: Vec<Self>,
}

impl Element {
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Elements within elements that are followed.
const DEPTH: usize = 32;

/// Reads a document; none if it is not well-formed or too deep.
pub(super) fn parse(body: &[u8]) -> Option<Element> {
    let mut reader = NsReader::from_str(std::str::from_utf8(body).ok()?);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_resolved_event().ok()? {
            (namespace, Event::Start(start)) if open.len() < DEPTH => open.push(element(&namespace, &start)?),
            (_, Event::Start(_)) => return None,
            (namespace, Event::Empty(start)) => open.last_mut()?.children.push(element(&namespace, &start)?),
            (_, Event::End(_)) => {
                let closed = open.pop()?;
                open.last_mut()?.children.push(closed);
            }
            (_, Event::Text(text)) => open.last_mut()?.text.push_str(&text.decode().ok()?),
            (_, Event::CData(text)) => open.last_mut()?.text.push_str(&text.decode().ok()?),
            (_, Event::GeneralRef(reference)) => {
                let letter = match reference.decode().ok()?.as_ref() {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => reference.resolve_char_ref().ok()??,
                };
                open.last_mut()?.text.push(letter);
            }
            (_, Event::Eof) => break,
            _ => {}
        }
    }
    let mut document = open.pop().filter(|_| open.is_empty())?;
    document.children.pop()
}

fn element(namespace: &ResolveResult<'_>, start: &BytesStart<'_>) -> Option<Element> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).ok();
    let namespace = match namespace {
        ResolveResult::Bound(namespace) => text(namespace.as_ref())?,
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => return None,
    };
    let named = start.try_get_attribute("name").ok()?.and_then(|attribute| text(&attribute.value));
    Some(Element { namespace, name: text(start.local_name().as_ref())?, named, ..Element::default() })
}

/// Escapes a text for an element, as Stalwart does.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_trees() {
        let body = "<?xml version=\"1.0\"?><p xmlns=\"DAV:\" xmlns:c=\"u:c\"> <c:comp name=\"VEVENT\"/><href>/a&amp;b&#x41;</href></p>";
        let root = parse(body.as_bytes()).unwrap();
        let comp = root.child("comp").unwrap();
        assert_eq!((root.namespace.as_str(), root.name.as_str()), (DAV, "p"));
        assert_eq!((comp.namespace.as_str(), comp.named.as_deref()), ("u:c", Some("VEVENT")));
        assert_eq!(root.child("href").unwrap().text, "/a&bA");
        for broken in ["", "hello", "<a", "<a>", "<a></b>", "<x:a/>", &"<a>".repeat(40)] {
            assert_eq!(parse(broken.as_bytes()), None, "{broken}");
        }
    }
}
