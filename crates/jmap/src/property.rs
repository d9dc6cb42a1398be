//! WebDAV's properties (RFC 4918 section 4): each is an element of XML.

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::XmlVersion;
use quick_xml::escape::{escape, partial_escape, unescape};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use crate::error::Error;
use crate::xml::{meant, plain};

/// Elements by their names, which are written `{namespace}name`.
pub type Properties = BTreeMap<String, String>;

/// Copies elements one by one, so that equal ones have equal text: default namespaces instead of prefixes, attributes in order.
/// Prefixes of attributes stay, and what they stand for does not: Stalwart 0.16 forgets it.
#[derive(Default)]
pub(crate) struct ElementCopy {
    /// `None`: what comes is not copied.
    xml: Option<String>,
    /// What is open, as `{namespace}name`.
    open: Vec<String>,
    /// The last start tag has no end yet.
    is_in_tag: bool,
    /// Prefixes of attributes are declared.
    declares: bool,
}

impl ElementCopy {
    /// Copies the elements that come until the one that holds them ends.
    pub(crate) fn begin() -> ElementCopy {
        ElementCopy { xml: Some(String::new()), ..ElementCopy::default() }
    }

    pub(crate) fn start(&mut self, namespace: &ResolveResult<'_>, tag: &BytesStart<'_>) -> Result<(), Error> {
        let Some(xml) = &mut self.xml else { return Ok(()) };
        if std::mem::replace(&mut self.is_in_tag, true) {
            xml.push('>');
        }
        let namespace = match namespace {
            ResolveResult::Bound(Namespace(namespace)) => {
                plain(unescape(plain(std::str::from_utf8(namespace))?))?.into_owned()
            }
            ResolveResult::Unbound | ResolveResult::Unknown(_) => String::new(),
        };
        let local = tag.local_name();
        let local = plain(std::str::from_utf8(local.as_ref()))?;
        xml.extend(["<", local]);
        if self.open.last().is_none_or(|outer| namespace_of(outer) != namespace) {
            xml.extend([" xmlns=\"", &escape(&namespace), "\""]);
        }
        let mut declared = BTreeSet::new();
        for (name, value) in attributes(tag)? {
            match name.split_once(':') {
                Some((prefix, _))
                    if self.declares && prefix != "xml" && declared.insert(prefix.to_owned()) =>
                {
                    xml.extend([" xmlns:", prefix, "=\"", prefix, ":\""]);
                }
                _ => {}
            }
            xml.extend([" ", &name, "=\"", &escape(&value), "\""]);
        }
        self.open.push(format!("{{{namespace}}}{local}"));
        Ok(())
    }

    pub(crate) fn text(&mut self, text: &str) {
        if let Some(xml) = self.xml.as_mut().filter(|_| !self.open.is_empty()) {
            if std::mem::take(&mut self.is_in_tag) {
                xml.push('>');
            }
            xml.push_str(&partial_escape(text).replace('\r', "&#13;"));
        }
    }

    /// The name and the text of an element that has ended.
    pub(crate) fn end(&mut self) -> Option<(String, String)> {
        let xml = self.xml.as_mut()?;
        let Some(name) = self.open.pop() else {
            self.xml = None;
            return None;
        };
        if std::mem::take(&mut self.is_in_tag) {
            xml.push_str("/>")
        } else {
            xml.extend(["</", local_of(&name), ">"])
        }
        self.open.is_empty().then(|| (name, std::mem::take(xml)))
    }
}

/// In the order of their names, without declarations of namespaces.
fn attributes(tag: &BytesStart<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut attributes = BTreeMap::new();
    for attribute in tag.attributes() {
        let attribute = plain(attribute)?;
        let name = plain(std::str::from_utf8(attribute.key.as_ref()))?;
        if name != "xmlns" && !name.starts_with("xmlns:") {
            let value = plain(attribute.normalized_value(XmlVersion::Implicit1_0))?;
            attributes.insert(name.to_owned(), value.into_owned());
        }
    }
    Ok(attributes)
}

/// A property as it stands in a request, if it is one.
pub(crate) fn as_sent(property: &str) -> Option<String> {
    let mut reader = NsReader::from_str(property);
    let mut copy = ElementCopy { declares: true, ..ElementCopy::begin() };
    let mut sent = None;
    loop {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        let ended = match event {
            Event::Start(start) if sent.is_none() => {
                copy.start(&namespace, &start).ok()?;
                None
            }
            Event::Empty(empty) if sent.is_none() => {
                copy.start(&namespace, &empty).ok()?;
                copy.end()
            }
            Event::End(_) => copy.end(),
            Event::Text(text) => {
                copy.text(&text.xml_content(XmlVersion::Implicit1_0).ok()?);
                None
            }
            Event::GeneralRef(reference) => {
                copy.text(&meant(&reference).ok()?);
                None
            }
            Event::Eof => return sent.map(|(_, xml)| xml),
            _ => return None,
        };
        sent = sent.or(ended);
    }
}

/// The element of this name with nothing in it.
pub(crate) fn empty(name: &str) -> String {
    format!("<{} xmlns=\"{}\"/>", local_of(name), escape(namespace_of(name)))
}

/// Of a name that is written `{namespace}name`.
pub(crate) fn namespace_of(name: &str) -> &str {
    name.rsplit_once('}').map_or("", |(namespace, _)| namespace.trim_start_matches('{'))
}

pub(crate) fn local_of(name: &str) -> &str {
    name.rsplit_once('}').map_or(name, |(_, local)| local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_one_element_whose_prefixes_are_known() {
        let color = r##"<color xmlns="urn:b" a:y="&lt;" x="1" xml:lang="de">#<i/>&amp;&#13;<j xmlns="urn:c">1</j></color>"##;
        let sent = r##"<color xmlns="urn:b" xmlns:a="a:" a:y="&lt;" x="1" xml:lang="de">#<i/>&amp;&#13;<j xmlns="urn:c">1</j></color>"##;
        assert_eq!(as_sent(color).as_deref(), Some(sent));
        let twice = r#"<c xmlns="urn:a&amp;b" a:x="1" a:y="2"/>"#;
        let sent = r#"<c xmlns="urn:a&amp;b" xmlns:a="a:" a:x="1" a:y="2"/>"#;
        assert_eq!(as_sent(twice).as_deref(), Some(sent));
        for no_element in
            ["", "a", "<a/><b/>", "<a>", "</a>", "<a></b>", "<!DOCTYPE a><a/>", "<a>&b;</a>", "<?a?>"]
        {
            assert_eq!(as_sent(no_element), None, "{no_element}");
        }
        assert_eq!(empty("{urn:a&b}c"), r#"<c xmlns="urn:a&amp;b"/>"#);
    }
}
