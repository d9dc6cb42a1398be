//! What CalDAV and CardDAV know of an object beside its JSON and its text.

/// The properties of a collection or a resource that are not JMAP's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    /// The name of a collection in paths, if a client chose it.
    pub(crate) name: Option<String>,
    /// `displayname` of a resource; that of a collection is its name by JMAP.
    pub(crate) display_name: Option<String>,
    /// `creationdate`, if a client set it: seconds since 1970.
    pub(crate) created: Option<u64>,
    /// `calendar-timezone`, as it was set.
    pub(crate) zone: Option<OwnZone>,
    /// The components of which `supported-calendar-component-set` consists; all if there are none.
    pub(crate) components: Vec<&'static str>,
    pub(crate) dead: Vec<DeadProperty>,
}

/// A time zone as a client defined it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnZone {
    /// The iCalendar text.
    pub(crate) text: String,
    /// What JMAP says of it: the name of a zone of the IANA, or nothing. While JMAP says this, the text counts.
    pub(crate) known_as: Option<String>,
}

/// A property that the server only stores (RFC 4918 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadProperty {
    pub(crate) tag: Tag,
    pub(crate) content: Vec<Piece>,
}

/// The name of an element without a prefix, and its attributes as text; the namespace is one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) attributes: String,
}

/// A part of a property's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Start(Tag),
    End,
    Text(String),
}

/// Bytes that the dead properties of one object stay below.
const MOST_BYTES: usize = 1_024;

impl Tag {
    fn size(&self) -> usize {
        self.name.len() + self.attributes.len()
    }
}

impl DeadProperty {
    /// Bytes as Stalwart counts them, without the end of the property itself.
    fn size(&self) -> usize {
        let size = |piece: &Piece| match piece {
            Piece::Start(tag) => tag.size(),
            Piece::End => 1,
            Piece::Text(text) => text.len(),
        };
        self.tag.size() + self.content.iter().map(size).sum::<usize>()
    }
}

impl Properties {
    /// Adds a dead property; false if there is no room for it.
    pub(crate) fn add_dead(&mut self, property: DeadProperty) -> bool {
        let used: usize = self.dead.iter().map(|property| property.size() + 1).sum();
        let fits = used + property.size() < MOST_BYTES;
        if fits {
            self.dead.push(property);
        }
        fits
    }

    /// Removes the dead properties of this name. As in Stalwart, the namespace does not matter.
    pub(crate) fn remove_dead(&mut self, name: &str) {
        self.dead.retain(|property| property.tag.name != name);
    }

    /// The dead property of this name. As in Stalwart, the namespace does not matter.
    pub(crate) fn dead(&self, name: &str) -> Option<&DeadProperty> {
        self.dead.iter().find(|property| property.tag.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(name: &str, text: usize) -> DeadProperty {
        let tag = Tag { name: name.to_owned(), attributes: "xmlns=\"u:a\"".to_owned() };
        DeadProperty { tag, content: vec![Piece::Text("t".repeat(text))] }
    }

    #[test]
    fn dead_properties_have_1_023_bytes_together() {
        let name_and_namespace = 1 + 11;
        for (text, fits) in [(1_023 - name_and_namespace, true), (1_024 - name_and_namespace, false)] {
            assert_eq!(Properties::default().add_dead(property("a", text)), fits, "{text}");
        }
        let mut properties = Properties::default();
        assert!(properties.add_dead(property("a", 1_000)));
        assert!(!properties.add_dead(property("b", 0)));
        properties.remove_dead("a");
        assert!(properties.add_dead(property("b", 0)));
        assert!(properties.dead("a").is_none() && properties.dead("b").is_some());
    }
}
