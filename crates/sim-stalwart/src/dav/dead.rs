//! Dead properties (RFC 4918 §4.1) between XML and what is stored.

use super::name::tag;
use super::xml::{Element, Node, escaped};
use crate::properties::{DeadProperty, Piece};

/// Reads a dead property.
pub(super) fn read(element: &Element) -> DeadProperty {
    let mut content = Vec::new();
    add_pieces(element, &mut content);
    DeadProperty { tag: tag(element), content }
}

fn add_pieces(element: &Element, content: &mut Vec<Piece>) {
    for node in &element.content {
        match node {
            Node::Text(text) => content.push(Piece::Text(text.clone())),
            Node::Element(inner) => {
                content.push(Piece::Start(tag(inner)));
                add_pieces(inner, content);
                content.push(Piece::End);
            }
        }
    }
}

/// The element of a dead property.
pub(super) fn element(property: &DeadProperty) -> String {
    let (name, inside) = (&property.tag.name, inside(property));
    match property.tag.attributes.as_str() {
        "" => format!("<{name}>{inside}</{name}>"),
        attributes => format!("<{name} {attributes}>{inside}</{name}>"),
    }
}

/// What is in a dead property. As in Stalwart, every end has the name of the last element that began: one with elements two
/// levels deep is not well-formed.
pub(super) fn inside(property: &DeadProperty) -> String {
    let (mut xml, mut last) = (String::new(), "");
    for piece in &property.content {
        match piece {
            Piece::Text(text) => xml.push_str(&escaped(text)),
            Piece::End => xml.push_str(&format!("</{last}>")),
            Piece::Start(tag) => {
                last = &tag.name;
                let blank = if tag.attributes.is_empty() { "" } else { " " };
                xml.push_str(&format!("<{last}{blank}{}>", tag.attributes));
            }
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml;

    #[test]
    fn properties_are_written_as_stalwart_writes_them() {
        for (given, written) in [
            ("<x:a xmlns:x='u:a' q='1'>v</x:a>", "<a xmlns=\"u:a\" q=\"1\">v</a>"),
            ("<a/>", "<a></a>"),
            (
                "<a xmlns='u:a'><b/>t &amp; &amp; t<!-- c --></a>",
                "<a xmlns=\"u:a\"><b xmlns=\"u:a\"></b>t &amp;&amp; t</a>",
            ),
            // The end of `b` is called `c`.
            ("<a><b><c>1</c></b>t</a>", "<a><b><c>1</c></c>t</a>"),
            ("<a q='&lt;'>&lt;<![CDATA[>]]></a>", "<a q=\"&lt;\">&lt;&gt;</a>"),
        ] {
            assert_eq!(element(&read(&xml::parse(given.as_bytes()).unwrap())), written, "{given}");
        }
    }
}
