//! What JSCalendar has no property for stands in `iCalendar` as jCal (RFC 7265): `[name, parameters, type, value]`.

use serde_json::{Map, Value, json};

use crate::ical::{Component, Property};

/// Whether a line stands in `iCalendar` although its component has a JSON form. People are there, too, which Stalwart shows as `participants`.
pub(crate) fn is_unknown(line: &Property) -> bool {
    line.name.starts_with("X-") || ["COMMENT", "ORGANIZER", "ATTENDEE"].contains(&line.name.as_str())
}

/// The `iCalendar` of an event or task; none if there is nothing to say.
pub(crate) fn unknown(item: &Component) -> Option<Value> {
    let lines: Vec<Value> = item.properties.iter().filter(|line| is_unknown(line)).map(of_line).collect();
    let name = item.name.to_ascii_lowercase();
    (!lines.is_empty()).then(|| json!({ "name": name, "properties": lines }))
}

/// The object for a calendar that has neither event nor task: its journal is in `iCalendar` alone.
pub(crate) fn group(calendar: &Component) -> Value {
    let is_id = |line: &&Property| line.name == "PRODID";
    let lines: Vec<Value> = calendar.properties.iter().filter(|line| !is_id(line)).map(of_line).collect();
    let components: Vec<Value> = calendar.components.iter().map(of_component).collect();
    let icalendar = json!({ "name": "vcalendar", "properties": lines, "components": components });
    let mut group = json!({ "@type": "Group", "iCalendar": icalendar });
    if let Some(id) = calendar.value("PRODID") {
        group["prodId"] = id.into();
    }
    group
}

fn of_component(component: &Component) -> Value {
    let lines: Vec<Value> = component.properties.iter().map(of_line).collect();
    let components: Vec<Value> = component.components.iter().map(of_component).collect();
    json!([component.name.to_ascii_lowercase(), lines, components])
}

fn of_line(line: &Property) -> Value {
    let parameters = line.parameters.iter().filter(|(name, _)| name != "VALUE");
    let parameters: Map<String, Value> =
        parameters.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str().into())).collect();
    json!([
        line.name.to_ascii_lowercase(),
        parameters,
        line.parameter("VALUE").unwrap_or("unknown"),
        line.value
    ])
}

/// The calendar of a `Group`.
pub(crate) fn calendar(group: &Value) -> Component {
    let mut calendar = Component::new("VCALENDAR");
    calendar.properties.extend(group["prodId"].as_str().map(|id| Property::new("PRODID", id)));
    calendar.properties.extend(lines(group));
    let components = group["iCalendar"]["components"].as_array().into_iter().flatten();
    calendar.components.extend(components.filter_map(component));
    calendar
}

/// The lines that an object's `iCalendar` says.
pub(crate) fn lines(object: &Value) -> Vec<Property> {
    object["iCalendar"]["properties"].as_array().into_iter().flatten().filter_map(line).collect()
}

fn component(value: &Value) -> Option<Component> {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    Some(Component {
        name: value[0].as_str()?.to_ascii_uppercase(),
        properties: all(&value[1]).iter().filter_map(line).collect(),
        components: all(&value[2]).iter().filter_map(component).collect(),
    })
}

fn line(value: &Value) -> Option<Property> {
    let mut line = Property::new(&value[0].as_str()?.to_ascii_uppercase(), value[3].as_str()?);
    for (name, parameter) in value[1].as_object().into_iter().flatten() {
        line = line.with(&name.to_ascii_uppercase(), parameter.as_str().unwrap_or_default());
    }
    let kind = value[2].as_str().filter(|kind| *kind != "unknown");
    Some(kind.map_or_else(|| line.clone(), |kind| line.clone().with("VALUE", kind)))
}
