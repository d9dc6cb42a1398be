//! What a report asks for: which resources, and how much of their text.

use super::xml::Element;
use crate::dialect::Dialect;
use crate::ical::{Component, unescaped};

/// The part of a text that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Of a calendar.
    Components(ComponentPart),
    /// Lines of a card by name, with their group (RFC 6352 §10.4).
    Lines(Vec<String>),
}

impl Part {
    /// Reads `calendar-data` or `address-data`; none if all is asked for.
    pub(super) fn of_data(dialect: Dialect, data: &Element) -> Option<Self> {
        match dialect {
            Dialect::CalDav => data.child("comp").map(ComponentPart::parse).map(Self::Components),
            Dialect::CardDav => {
                let names: Vec<String> = data.children("prop").map(|prop| upper(prop.named())).collect();
                (!names.is_empty()).then_some(Self::Lines(names))
            }
        }
    }

    pub(super) fn cut(&self, text: &str) -> String {
        match self {
            Self::Components(part) => {
                Component::parse(text).map(|calendar| part.cut(&calendar).text()).unwrap_or_default()
            }
            Self::Lines(names) => lines(text, names),
        }
    }
}

/// The first and last line of a card, and those that are named.
fn lines(card: &str, names: &[String]) -> String {
    let mut is_kept = false;
    let keeps = |line: &&str| {
        if !line.starts_with([' ', '\t']) {
            let name = upper(line.split([';', ':']).next());
            is_kept = ["BEGIN", "END"].contains(&name.as_str()) || names.contains(&name);
        }
        is_kept
    };
    card.split_inclusive('\n').filter(keeps).collect()
}

/// The part of a component that is asked for (RFC 4791 §9.6.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ComponentPart {
    name: String,
    /// All, if there are none.
    properties: Vec<String>,
    components: Vec<Self>,
}

impl ComponentPart {
    fn parse(comp: &Element) -> Self {
        Self {
            name: upper(comp.named()),
            properties: comp.children("prop").map(|prop| upper(prop.named())).collect(),
            components: comp.children("comp").map(Self::parse).collect(),
        }
    }

    /// The part of a calendar; as in Stalwart, its own properties are all there.
    fn cut(&self, calendar: &Component) -> Component {
        Component { properties: calendar.properties.clone(), ..self.component(calendar) }
    }

    fn component(&self, whole: &Component) -> Component {
        if self.properties.is_empty() && self.components.is_empty() {
            return whole.clone();
        }
        let named = |name: &String| self.properties.is_empty() || self.properties.contains(name);
        let cut = |component: &Component| {
            let part = self.components.iter().find(|part| part.name == component.name)?;
            Some(part.component(component))
        };
        Component {
            name: whole.name.clone(),
            properties: whole.properties.iter().filter(|line| named(&line.name)).cloned().collect(),
            components: whole.components.iter().filter_map(cut).collect(),
        }
    }
}

/// Whether a text passes a report's `filter` (RFC 4791 §9.7, RFC 6352 §10.5).
pub(super) fn is_wanted(dialect: Dialect, filter: &Element, text: &str) -> bool {
    let filter = match dialect {
        Dialect::CalDav => filter.child("comp-filter"),
        Dialect::CardDav => Some(filter),
    };
    let component = match dialect {
        Dialect::CalDav => Component::parse(text),
        // Read as a calendar with one component.
        Dialect::CardDav => Component::parse(text).and_then(|mut around| around.components.pop()),
    };
    filter.is_none_or(|filter| component.is_some_and(|component| passes(filter, &component)))
}

/// Whether all filters in a filter match a component. As in Stalwart, a `prop-filter` with nothing in it says nothing; time ranges are ignored.
fn passes(filter: &Element, component: &Component) -> bool {
    let has = |inner: &Element| {
        let name = upper(inner.named());
        let found = component.components.iter().any(|it| it.name == name && passes(inner, it));
        found != inner.child("is-not-defined").is_some()
    };
    let says = |inner: &Element| {
        let name = upper(inner.named());
        let mut lines = component.properties.iter().filter(|line| line.name == name);
        if inner.child("is-not-defined").is_some() {
            return lines.next().is_none();
        }
        let Some(wanted) = inner.child("text-match") else { return true };
        lines.any(|line| matches(wanted, &unescaped(&line.value)))
    };
    filter.children("comp-filter").all(has) && filter.children("prop-filter").all(says)
}

/// Whether a `text-match` holds for a text: any case of letters unless the collation is `i;octet`, anywhere in the text unless a match
/// type says where (RFC 6352 §10.5.4; Stalwart takes it in calendars, too).
fn matches(wanted: &Element, text: &str) -> bool {
    let folded = |text: &str| match wanted.attribute("collation") {
        Some("i;octet") => text.to_owned(),
        _ => text.to_lowercase(),
    };
    let (sought, text) = (folded(&wanted.text()), folded(text));
    let found = match wanted.attribute("match-type") {
        Some("equals") => text == sought,
        Some("starts-with") => text.starts_with(&sought),
        Some("ends-with") => text.ends_with(&sought),
        _ => text.contains(&sought),
    };
    found != (wanted.attribute("negate-condition") == Some("yes"))
}

fn upper(name: Option<&str>) -> String {
    name.unwrap_or_default().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml;

    #[test]
    fn texts_match_as_on_the_real_server() {
        for (attributes, sought, text, expected) in [
            ("", "alpha", "x-ALPHA-1", true),
            ("", "", "any", true),
            ("negate-condition=\"yes\"", "alpha", "x-ALPHA-1", false),
            ("negate-condition=\"yes\"", "alpha", "beta", true),
            ("negate-condition=\"YES\"", "alpha", "alpha", true),
            ("negate-condition=\"no\"", "alpha", "beta", false),
            ("collation=\"i;octet\"", "alpha", "ALPHA", false),
            ("collation=\"i;ascii-casemap\"", "alpha", "ALPHA", true),
            ("match-type=\"equals\"", "alpha-1", "ALPHA-1", true),
            ("match-type=\"equals\"", "alpha", "ALPHA-1", false),
            ("match-type=\"starts-with\"", "al", "ALPHA-1", true),
            ("match-type=\"ends-with\"", "al", "ALPHA-1", false),
        ] {
            let wanted =
                xml::parse(format!("<text-match {attributes}>{sought}</text-match>").as_bytes()).unwrap();
            assert_eq!(matches(&wanted, text), expected, "{attributes} {sought} in {text}");
        }
    }
}
