//! Between iCalendar and the JSON of a `CalendarEvent` (JSCalendar), for the properties that tests look at.

use serde_json::{Map, Value, json};

use crate::dates;
use crate::ical::{Component, Property, unescaped};
use crate::{ical_rule as rule, jcal};

/// Lines that are made from JSON properties; all other lines are kept as they are.
const KNOWN: [&str; 19] = [
    "DTSTART",
    "DTEND",
    "DUE",
    "DURATION",
    "UID",
    "SUMMARY",
    "DESCRIPTION",
    "STATUS",
    "PRIORITY",
    "SEQUENCE",
    "CLASS",
    "TRANSP",
    "CATEGORIES",
    "LOCATION",
    "CREATED",
    "RRULE",
    "EXDATE",
    "RDATE",
    "DTSTAMP",
];

/// JSON properties of which the text is made.
const DECIDE: [&str; 20] = [
    "uid",
    "title",
    "description",
    "start",
    "due",
    "duration",
    "timeZone",
    "showWithoutTime",
    "status",
    "priority",
    "sequence",
    "privacy",
    "freeBusyStatus",
    "keywords",
    "locations",
    "created",
    "recurrenceRule",
    "recurrenceRules",
    "recurrenceOverrides",
    "iCalendar",
];

/// Whether the text of one object is that of another.
pub(crate) fn same_text(first: &Value, second: &Value) -> bool {
    DECIDE.iter().all(|name| first[name] == second[name])
}

/// The JSON of a calendar without ids: that of its main item, or a `Group` if it has neither event nor task.
pub(crate) fn object(calendar: &Component) -> Map<String, Value> {
    let object = match main(calendar) {
        Some(main) => item(calendar, main),
        None => jcal::group(calendar),
    };
    object.as_object().cloned().unwrap_or_default()
}

/// The first event or task that is not an override, or else the first.
fn main(calendar: &Component) -> Option<&Component> {
    let items = || calendar.components.iter().filter(|it| matches!(it.name.as_str(), "VEVENT" | "VTODO"));
    items().find(|item| !item.is_override()).or_else(|| items().next())
}

fn item(calendar: &Component, main: &Component) -> Value {
    let mut object = described(main);
    object["@type"] = if main.name == "VTODO" { "Task".into() } else { "Event".into() };
    if let Some(uid) = main.value("UID") {
        object["uid"] = uid.into();
    }
    if let Some(start) = main.property("DTSTART") {
        if start.is_date() {
            object["showWithoutTime"] = true.into();
        } else if let Some(zone) = zone(start) {
            object["timeZone"] = zone.into();
        }
    }
    if let Some(id) = main.property("RECURRENCE-ID").filter(|id| !id.is_date()) {
        object["recurrenceId"] = local(&id.value).into();
    }
    if let Some(rule) = main.value("RRULE") {
        object["recurrenceRule"] = rule::json(rule);
    }
    let overrides = overrides(calendar, main);
    if !overrides.is_empty() {
        object["recurrenceOverrides"] = overrides.into();
    }
    object
}

/// What an override may say, too.
fn described(item: &Component) -> Value {
    let mut object = json!({});
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object[name] = value;
        }
    };
    let text = |name: &str| item.value(name).map(|value| Value::from(unescaped(value)));
    let lower = |name: &str| item.value(name).map(|value| Value::from(value.to_ascii_lowercase()));
    let number = |name: &str| item.value(name).and_then(|value| value.parse::<u64>().ok()).map(Value::from);
    let moment = |name: &str| item.value(name).map(|value| Value::from(moment(value)));
    put("title", text("SUMMARY"));
    put("description", text("DESCRIPTION"));
    put("start", item.value("DTSTART").map(|value| local(value).into()));
    put("due", item.value("DUE").map(|value| local(value).into()));
    put("duration", duration(item));
    put("status", lower("STATUS"));
    put("privacy", lower("CLASS").filter(|class| class != "public"));
    put("priority", number("PRIORITY"));
    put("sequence", number("SEQUENCE"));
    put("created", moment("CREATED"));
    put("updated", moment("DTSTAMP"));
    put(
        "freeBusyStatus",
        item.value("TRANSP").filter(|value| *value == "TRANSPARENT").map(|_| "free".into()),
    );
    put(
        "keywords",
        item.value("CATEGORIES").map(|value| {
            value.split(',').map(|word| (unescaped(word), Value::Bool(true))).collect::<Map<_, _>>().into()
        }),
    );
    put("locations", text("LOCATION").map(|name| json!({ "1": { "@type": "Location", "name": name } })));
    put("iCalendar", jcal::unknown(item));
    object
}

/// Dates that are left out or added, and the instances of a series with times that are changed. Those of an all-day
/// series are in the text alone, as in Stalwart.
fn overrides(calendar: &Component, main: &Component) -> Map<String, Value> {
    let mut overrides = Map::new();
    for property in &main.properties {
        let value = match property.name.as_str() {
            "EXDATE" => json!({ "excluded": true }),
            "RDATE" => json!({}),
            _ => continue,
        };
        overrides.extend(property.value.split(',').map(|date| (local(date), value.clone())));
    }
    for item in calendar.components.iter().filter(|item| item.name == main.name && *item != main) {
        if let Some(id) = item.property("RECURRENCE-ID").filter(|id| !id.is_date()) {
            overrides.insert(local(&id.value), described(item));
        }
    }
    overrides
}

/// Whether a name is one of the IANA's, as far as the simulator can tell.
pub(crate) fn is_zone(name: &str) -> bool {
    name.contains('/') || name == "UTC"
}

/// A zone that the IANA knows; a calendar's own zones are in the text alone, as in Stalwart.
fn zone(property: &Property) -> Option<&str> {
    match property.parameter("TZID") {
        Some(zone) => Some(zone).filter(|zone| is_zone(zone)),
        None => property.value.ends_with('Z').then_some("Etc/UTC"),
    }
}

/// `20260105T100000Z` as `2026-01-05T10:00:00`; a date gets midnight.
fn local(value: &str) -> String {
    let part = |from: usize, to: usize| value.get(from..to).filter(|part| !part.is_empty()).unwrap_or("00");
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    format!("{year}-{month}-{day}T{}:{}:{}", part(9, 11), part(11, 13), part(13, 15))
}

fn moment(value: &str) -> String {
    format!("{}Z", local(value))
}

fn duration(item: &Component) -> Option<Value> {
    if let Some(duration) = item.value("DURATION") {
        return Some(duration.into());
    }
    let seconds = |name: &str| dates::parse_signed(&moment(item.value(name)?));
    let seconds = u64::try_from(seconds("DTEND")? - seconds("DTSTART")?).ok()?;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut text = if days > 0 || rest == 0 { format!("P{days}D") } else { "P".to_owned() };
    if rest > 0 {
        text.push('T');
        let parts = [(rest / 3600, 'H'), (rest / 60 % 60, 'M'), (rest % 60, 'S')];
        parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .for_each(|(count, unit)| text.push_str(&format!("{count}{unit}")));
    }
    Some(text.into())
}

/// The calendar of an object that nobody gave a text for.
pub(crate) fn calendar(object: &Value) -> Component {
    if object["@type"] == "Group" {
        return jcal::calendar(object);
    }
    let mut calendar = Component::new("VCALENDAR");
    calendar.properties.push(Property::new("VERSION", "2.0"));
    calendar.components.extend(changed_instances(object));
    let mut main = item_of(object);
    main.properties.extend(object["recurrenceId"].as_str().map(|at| dated("RECURRENCE-ID", at, object)));
    main.properties.extend(jcal::lines(object));
    calendar.components.push(main);
    calendar
}

/// The calendar whose main item says what `object` says. Kept are the lines that JSON does not know, time zones, and
/// the instances of a series unless `object` has other ones than `before`.
pub(crate) fn merged(calendar: &Component, before: &Value, object: &Value) -> Component {
    let Some(old) = main(calendar).filter(|_| object["@type"] != "Group") else {
        return self::calendar(object);
    };
    let mut main = item_of(object);
    let keeps = |line: &&Property| !KNOWN.contains(&line.name.as_str()) && !jcal::is_unknown(line);
    main.properties.extend(old.properties.iter().filter(keeps).cloned());
    main.properties.extend(jcal::lines(object));
    main.components.clone_from(&old.components);
    let mut merged = Component { components: vec![main], ..calendar.clone() };
    let others = calendar.components.iter().filter(|component| !std::ptr::eq(*component, old));
    let same = before["recurrenceOverrides"] == object["recurrenceOverrides"];
    let all_day = object["showWithoutTime"] == true;
    merged.components.extend(others.filter(|it| same || all_day || !it.is_override()).cloned());
    if !same && !all_day {
        merged.components.extend(changed_instances(object));
    }
    merged
}

fn changed_instances(object: &Value) -> Vec<Component> {
    let overrides = object["recurrenceOverrides"].as_object().into_iter().flatten();
    let changed = overrides.filter(|(_, patch)| !is_plain(patch));
    let instance = |(at, patch): (&String, &Value)| {
        let mut whole = json!({
            "@type": object["@type"], "uid": object["uid"], "start": at, "timeZone": object["timeZone"],
            "showWithoutTime": object["showWithoutTime"], "title": object["title"], "duration": object["duration"],
        });
        for (name, value) in patch.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        let mut item = item_of(&whole);
        item.properties.push(dated("RECURRENCE-ID", at, object));
        item
    };
    changed.map(instance).collect()
}

/// An override that only adds or leaves out a date.
fn is_plain(patch: &Value) -> bool {
    patch["excluded"] == true || patch.as_object().is_none_or(Map::is_empty)
}

fn item_of(object: &Value) -> Component {
    let mut item = Component::new(if object["@type"] == "Task" { "VTODO" } else { "VEVENT" });
    let mut put = |property: Option<Property>| item.properties.extend(property);
    let text = |property: &str, name: &str| Some(Property::text(property, object[name].as_str()?));
    let upper = |property: &str, name: &str| {
        Some(Property::new(property, object[name].as_str()?.to_ascii_uppercase()))
    };
    let number =
        |property: &str, name: &str| Some(Property::new(property, object[name].as_u64()?.to_string()));
    put(object["start"].as_str().map(|start| dated("DTSTART", start, object)));
    put(object["uid"].as_str().map(|uid| Property::new("UID", uid)));
    put(text("SUMMARY", "title"));
    put(text("DESCRIPTION", "description"));
    put(object["due"].as_str().map(|due| dated("DUE", due, object)));
    put(object["duration"].as_str().map(|duration| Property::new("DURATION", duration)));
    put(upper("STATUS", "status"));
    put(upper("CLASS", "privacy"));
    put(number("PRIORITY", "priority"));
    put(number("SEQUENCE", "sequence"));
    put((object["freeBusyStatus"] == "free").then(|| Property::new("TRANSP", "TRANSPARENT")));
    put(words(&object["keywords"]).map(|words| Property::new("CATEGORIES", words)));
    put(location(&object["locations"]).map(|name| Property::text("LOCATION", name)));
    put(object["created"].as_str().map(|created| Property::new("CREATED", compact(created))));
    let rules = object["recurrenceRules"].as_array();
    let rule = rules.and_then(|rules| rules.first()).unwrap_or(&object["recurrenceRule"]);
    put(rule::line(rule).map(|rule| Property::new("RRULE", rule)));
    for (at, patch) in object["recurrenceOverrides"].as_object().into_iter().flatten() {
        let name = if patch["excluded"] == true { "EXDATE" } else { "RDATE" };
        put(is_plain(patch).then(|| dated(name, at, object)));
    }
    let updated = object["updated"].as_str().unwrap_or("2026-01-01T00:00:00Z");
    put(Some(Property::new("DTSTAMP", compact(updated))));
    item
}

fn words(keywords: &Value) -> Option<String> {
    let words: Vec<&str> = keywords.as_object()?.keys().map(String::as_str).collect();
    (!words.is_empty()).then(|| words.join(","))
}

fn location(locations: &Value) -> Option<&str> {
    locations.as_object()?.values().find_map(|location| location["name"].as_str())
}

/// `2026-01-05T10:00:00` without dashes and colons.
fn compact(moment: &str) -> String {
    moment.chars().filter(|letter| !matches!(letter, '-' | ':')).collect()
}

/// A date or time of an object, in its time zone.
fn dated(name: &str, at: &str, object: &Value) -> Property {
    let at = compact(at);
    if object["showWithoutTime"] == true {
        return Property::new(name, at.get(..8).unwrap_or(&at)).with("VALUE", "DATE");
    }
    match object["timeZone"].as_str() {
        Some("Etc/UTC" | "UTC") => Property::new(name, at + "Z"),
        Some(zone) => Property::new(name, at).with("TZID", zone),
        None => Property::new(name, at),
    }
}
