//! What a report asks for: which resources, and how much of their text.

use super::xml::Element;
use crate::ical::Component;

/// The part of a component that is asked for (RFC 4791 §9.6.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    name: String,
    /// All, if there are none.
    properties: Vec<String>,
    components: Vec<Self>,
}

impl Part {
    /// Reads `calendar-data`; none if all is asked for.
    pub(super) fn of_data(data: &Element) -> Option<Self> {
        data.child("comp").map(Self::parse)
    }

    fn parse(comp: &Element) -> Self {
        Self {
            name: upper(comp.named.as_deref()),
            properties: comp.children("prop").map(|prop| upper(prop.named.as_deref())).collect(),
            components: comp.children("comp").map(Self::parse).collect(),
        }
    }

    /// The part of a calendar; as in Stalwart, its own properties are all there.
    pub(super) fn cut(&self, calendar: &Component) -> Component {
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

/// Whether a component passes a `comp-filter` (RFC 4791 §9.7): all filters in it have to match; time ranges are ignored.
pub(super) fn passes(filter: &Element, component: &Component) -> bool {
    let has = |inner: &Element| {
        let name = upper(inner.named.as_deref());
        let found = component.components.iter().any(|it| it.name == name && passes(inner, it));
        found != inner.child("is-not-defined").is_some()
    };
    let says = |inner: &Element| {
        let name = upper(inner.named.as_deref());
        let wanted = inner.child("text-match").map(|text| text.text.to_lowercase()).unwrap_or_default();
        let lines = component.properties.iter().filter(|line| line.name == name);
        let found = lines.into_iter().any(|line| line.value.to_lowercase().contains(&wanted));
        found != inner.child("is-not-defined").is_some()
    };
    filter.children("comp-filter").all(has) && filter.children("prop-filter").all(says)
}

fn upper(name: Option<&str>) -> String {
    name.unwrap_or_default().to_ascii_uppercase()
}
