//! What a client sets and removes: the body of `PROPPATCH` (RFC 4918 §9.2), `MKCOL` (RFC 5689) and `MKCALENDAR` (RFC 4791 §5.3.1).

use super::dead;
use super::name::Name;
use super::xml::{DAV, Element};
use crate::dates;
use crate::dialect::Dialect;
use crate::ical::Component;
use crate::properties::DeadProperty;

/// Properties to set and to remove, in the order of the request.
#[derive(Debug, Default)]
pub(super) struct Patch {
    pub(super) set: Vec<(Name, Value)>,
    pub(super) remove: Vec<Name>,
    /// Whether removals come before what is set, in which case they cannot be undone by what is refused.
    pub(super) removes_first: bool,
}

/// What a property is set to.
#[derive(Debug)]
pub(super) enum Value {
    /// The element has no text: nothing is changed.
    Nothing,
    Text(String),
    /// `resourcetype`: the namespaces and names of the elements.
    Types(Vec<(String, String)>),
    /// Seconds since 1970.
    Time(u64),
    Zone(Component),
    Components(Vec<&'static str>),
    Dead(DeadProperty),
}

/// The components that Stalwart knows, in the order in which it lists some of them.
const COMPONENTS: [&str; 15] = [
    "VSTATUS",
    "VRESOURCE",
    "VLOCATION",
    "PARTICIPANT",
    "AVAILABLE",
    "VAVAILABILITY",
    "DAYLIGHT",
    "STANDARD",
    "VALARM",
    "VTIMEZONE",
    "VFREEBUSY",
    "VJOURNAL",
    "VTODO",
    "VEVENT",
    "VCALENDAR",
];

impl Patch {
    /// Reads a `propertyupdate`, `mkcol` or `mkcalendar`; none if a part has no `prop`, or something is removed with a content.
    pub(super) fn read(root: &Element) -> Option<Self> {
        let mut patch = Self::default();
        for part in root.elements().filter(|part| part.namespace == DAV) {
            let properties = || part.child("prop").filter(|prop| prop.namespace == DAV);
            match part.name.as_str() {
                "set" => {
                    patch.set.extend(properties()?.elements().filter_map(setting));
                    patch.removes_first = !patch.remove.is_empty();
                }
                "remove" => {
                    let elements = properties()?;
                    if elements.elements().any(|element| !element.content.is_empty()) {
                        return None;
                    }
                    patch.remove.extend(elements.elements().filter_map(Name::of));
                }
                _ => {}
            }
        }
        Some(patch)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

fn setting(element: &Element) -> Option<(Name, Value)> {
    let name = Name::of(element)?;
    let value = if name.is_live() { live(&name, element) } else { Value::Dead(dead::read(element)) };
    Some((name, value))
}

fn live(name: &Name, element: &Element) -> Value {
    let text = || Some(element.text()).filter(|text| !text.is_empty());
    let or_text = |value: Option<Value>| match (value, text()) {
        (_, None) => Value::Nothing,
        (Some(value), _) => value,
        (None, Some(text)) => Value::Text(text),
    };
    match (name.namespace.as_str(), name.name.as_str()) {
        (DAV, "resourcetype") => {
            let types = element.elements().map(|kind| (kind.namespace.clone(), kind.name.clone()));
            Value::Types(types.collect())
        }
        (DAV, "creationdate") => {
            let seconds =
                dates::parse_signed(&element.text()).and_then(|seconds| u64::try_from(seconds).ok());
            or_text(seconds.map(Value::Time))
        }
        (_, "calendar-timezone") => or_text(Component::parse(&element.text()).map(Value::Zone)),
        (_, "supported-calendar-component-set") => Value::Components(components(element)),
        _ => or_text(None),
    }
}

fn components(set: &Element) -> Vec<&'static str> {
    let of_caldav = |comp: &&Element| comp.namespace == Dialect::CalDav.namespace();
    let named: Vec<String> = set
        .children("comp")
        .filter(of_caldav)
        .filter_map(|comp| comp.named().map(str::to_uppercase))
        .collect();
    COMPONENTS.into_iter().filter(|name| named.iter().any(|named| named == name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml;

    fn read(inside: &str) -> Option<Patch> {
        let body = format!(
            "<propertyupdate xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\">{inside}</propertyupdate>"
        );
        Patch::read(&xml::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn values_are_read_by_property() {
        let check = |property: &str, expected: &str| {
            let patch = read(&format!("<set><prop>{property}</prop></set>")).unwrap();
            let values: Vec<String> = patch.set.iter().map(|(_, value)| format!("{value:?}")).collect();
            assert_eq!(values.join(" "), expected, "{property}");
        };
        check("<displayname>a &amp; b</displayname>", "Text(\"a & b\")");
        check("<displayname/><getetag> </getetag>", "Nothing Nothing");
        check("<creationdate>1970-01-01T00:01:00Z</creationdate>", "Time(60)");
        check("<creationdate>today</creationdate>", "Text(\"today\")");
        check("<c:calendar-timezone>hello</c:calendar-timezone>", "Text(\"hello\")");
        let set = "<c:supported-calendar-component-set><c:comp name=\"vevent\"/><c:comp name=\"VTODO\"/><c:comp name=\"X-A\"/></c:supported-calendar-component-set>";
        check(set, "Components([\"VTODO\", \"VEVENT\"])");
        // Known, but not in this namespace.
        check("<calendar-description>1</calendar-description>", "");
    }

    #[test]
    fn what_comes_last_decides_what_is_done_first() {
        let (set, remove) = ("<set><prop><a>1</a></prop></set>", "<remove><prop><b/></prop></remove>");
        assert!(!read(&format!("{set}{remove}")).unwrap().removes_first);
        assert!(read(&format!("{remove}{set}")).unwrap().removes_first);
        assert!(read("").unwrap().is_empty());
        assert!(read("<set/>").is_none());
        assert!(read("<remove><prop><a>1</a></prop></remove>").is_none());
    }
}
