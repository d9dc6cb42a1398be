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
    /// Names with their prefixes, and values as they were written; without those that declare namespaces.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) content: Vec<Node>,
}

/// A part of what is in an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Element(Element),
    /// Up to the next reference or tag. Stalwart drops what is blank, and so `a &amp; &amp; b` has one blank less.
    Text(String),
}

impl Element {
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.elements().find(|child| child.name == name)
    }

    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.elements().filter(move |child| child.name == name)
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.content.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The texts in the element and in what is in it.
    pub(super) fn text(&self) -> String {
        let text = |node: &Node| match node {
            Node::Element(element) => element.text(),
            Node::Text(text) => text.clone(),
        };
        self.content.iter().map(text).collect()
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of the attribute `name`.
    pub(super) fn named(&self) -> Option<&str> {
        self.attribute("name")
    }

    fn push_text(&mut self, text: &str) {
        if !text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            self.content.push(Node::Text(text.to_owned()));
        }
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
            (namespace, Event::Empty(start)) => {
                let empty = element(&namespace, &start)?;
                open.last_mut()?.content.push(Node::Element(empty));
            }
            (_, Event::End(_)) => {
                let closed = open.pop()?;
                open.last_mut()?.content.push(Node::Element(closed));
            }
            (_, Event::Text(text)) => open.last_mut()?.push_text(&text.decode().ok()?),
            (_, Event::CData(text)) => {
                open.last_mut()?.content.push(Node::Text(text.decode().ok()?.into_owned()))
            }
            (_, Event::GeneralRef(reference)) => {
                let letter = match reference.decode().ok()?.as_ref() {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => reference.resolve_char_ref().ok()??,
                };
                open.last_mut()?.content.push(Node::Text(letter.to_string()));
            }
            (_, Event::Eof) => break,
            _ => {}
        }
    }
    let document = open.pop().filter(|_| open.is_empty())?;
    document.elements().last().cloned()
}

fn element(namespace: &ResolveResult<'_>, start: &BytesStart<'_>) -> Option<Element> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).ok();
    let namespace = match namespace {
        ResolveResult::Bound(namespace) => text(namespace.as_ref())?,
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => return None,
    };
    let mut attributes = Vec::new();
    for attribute in start.attributes().flatten() {
        let (key, value) = (text(attribute.key.as_ref())?, text(&attribute.value)?);
        if key != "xmlns" && !key.starts_with("xmlns:") {
            attributes.push((key, value));
        }
    }
    Some(Element { namespace, name: text(start.local_name().as_ref())?, attributes, content: Vec::new() })
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
        assert_eq!((comp.namespace.as_str(), comp.named()), ("u:c", Some("VEVENT")));
        assert_eq!(root.child("href").unwrap().text(), "/a&bA");
        let mixed = parse(b"<p q='a&amp;b'> t &amp; &amp; <![CDATA[<x>]]> <i/> </p>").unwrap();
        assert_eq!(
            (mixed.text().as_str(), mixed.attribute("q"), mixed.content.len()),
            (" t &&<x>", Some("a&amp;b"), 5)
        );
        for broken in ["", "hello", "<a", "<a>", "<a></b>", "<x:a/>", &"<a>".repeat(40)] {
            assert_eq!(parse(broken.as_bytes()), None, "{broken}");
        }
    }
}
