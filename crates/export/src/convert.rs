//! Contacts and events in the words of address books and calendars. What the conversion drops is in the side files.

use calcard::icalendar::ICalendar;
use calcard::jscalendar::JSCalendar;
use calcard::jscontact::JSContact;
use calcard::vcard::VCardVersion;
use serde_json::{Map, Value, json};

/// A JSContact card (RFC 9553) as vCard 4.0, by RFC 9555.
pub(crate) fn vcard(json: &str) -> Option<String> {
    let mut card: Map<String, Value> = serde_json::from_str(json).ok()?;
    for key in ["id", "addressBookIds"] {
        card.remove(key);
    }
    card.entry("@type").or_insert_with(|| json!("Card"));
    let text = Value::Object(card).to_string();
    let vcard = JSContact::<String, String>::parse(&text).ok()?.into_vcard()?;
    let mut converted = String::new();
    vcard.write_to(&mut converted, VCardVersion::V4_0).ok()?;
    Some(converted)
}

/// A JSCalendar event (RFC 8984) as iCalendar.
pub(crate) fn icalendar(json: &str) -> Option<String> {
    let mut event: Map<String, Value> = serde_json::from_str(json).ok()?;
    for key in ["id", "calendarIds", "isDraft", "useDefaultAlerts", "utcStart", "utcEnd", "isOrigin", "baseEventId"] {
        event.remove(key);
    }
    event.entry("@type").or_insert_with(|| json!("Event"));
    let uid = event.get("uid").cloned().unwrap_or_default();
    let group = json!({"@type": "Group", "uid": uid, "entries": [event]}).to_string();
    let calendar: ICalendar = JSCalendar::<String, String>::parse(&group).ok()?.into_icalendar()?;
    let text = calendar.to_string();
    text.contains("BEGIN:VEVENT").then_some(text)
}

/// What people call a contact or an event.
pub(crate) fn title(object: &Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(title) = object.get("title").and_then(text) {
        return title;
    }
    let Some(name) = object.get("name") else { return String::new() };
    if let Some(full) = name.get("full").and_then(text).or_else(|| text(name)) {
        return full;
    }
    let components = name.get("components").and_then(Value::as_array).into_iter().flatten();
    let words: Vec<String> = components.filter_map(|part| part.get("value").and_then(text)).collect();
    words.join(" ")
}
