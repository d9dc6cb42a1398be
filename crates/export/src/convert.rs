//! Contacts and events in the words of address books and calendars. What the conversion drops is in the side files.
//!
//! `calcard` asserts what odd objects do not keep to (an empty participant, for one). Objects come from whoever may write to
//! the mailbox, so a panic there costs one file and not the export.

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use calcard::jscalendar::JSCalendar;
use calcard::jscontact::JSContact;
use calcard::vcard::VCardVersion;
use serde_json::{Map, Value, json};

use crate::zones::{self, Zones};

/// A JSContact card (RFC 9553) as vCard 4.0, by RFC 9555.
pub(crate) fn vcard(json: &str) -> Option<String> {
    let mut card: Map<String, Value> = serde_json::from_str(json).ok()?;
    for key in ["id", "addressBookIds"] {
        card.remove(key);
    }
    drop_blob_ids(&mut card);
    card.entry("@type").or_insert_with(|| json!("Card"));
    let text = Value::Object(card).to_string();
    catch_unwind(|| {
        let vcard = JSContact::<String, String>::parse(&text).ok()?.into_vcard()?;
        let mut converted = String::new();
        vcard.write_to(&mut converted, VCardVersion::V4_0).ok()?;
        Some(plain_data(&converted))
    })
    .ok()?
}

/// Writes `data:` URIs of photos as URIs: calcard escapes their comma as if they were text, and then programs show no photo.
fn plain_data(vcard: &str) -> String {
    let (mut plain, mut is_media) = (String::with_capacity(vcard.len()), false);
    for line in vcard.split_inclusive("\r\n") {
        if !line.starts_with([' ', '\t']) {
            let name = line.split([';', ':']).next().unwrap_or_default();
            let name = name.rsplit('.').next().unwrap_or_default();
            is_media = ["PHOTO", "LOGO", "SOUND", "KEY"].contains(&name);
        }
        // It is never folded within.
        match line.split_once("base64\\,").filter(|_| is_media) {
            Some((before, behind)) => plain.extend([before, "base64,", behind]),
            None => plain.push_str(line),
        }
    }
    plain
}

/// Removes ids of the mail server's blobs, which say nothing outside of it: with the entry where it has no URI besides.
fn drop_blob_ids(card: &mut Map<String, Value>) {
    let Some(media) = card.get_mut("media").and_then(Value::as_object_mut) else { return };
    media.retain(|_, entry| !has_only_a_blob_id(entry));
    media.values_mut().filter_map(Value::as_object_mut).for_each(|entry| drop(entry.remove("blobId")));
    if media.is_empty() {
        card.remove("media");
    }
}

/// Names the photos, logos and sounds that a card refers to by a blob of the mail server alone (RFC 9610 section 3).
pub(crate) fn media_without_bytes(card: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let media = card.get("media").and_then(Value::as_object).into_iter().flatten();
    let without = media.filter(|(_, entry)| has_only_a_blob_id(entry));
    without.map(|(_, entry)| entry.get("kind").and_then(Value::as_str).unwrap_or("media"))
}

fn has_only_a_blob_id(entry: &Value) -> bool {
    let is_text = |member: &str| entry.get(member).is_some_and(Value::is_string);
    is_text("blobId") && !is_text("uri")
}

/// Properties that JMAP adds to an event.
const JMAP_ONLY: [&str; 11] = [
    "id",
    "calendarIds",
    "isDraft",
    "useDefaultAlerts",
    "utcStart",
    "utcEnd",
    "isOrigin",
    "baseEventId",
    "hideAttendees",
    "mayInviteSelf",
    "mayInviteOthers",
];
/// Properties of a series that an occurrence has not.
const OF_A_SERIES: [&str; 4] =
    ["recurrenceOverrides", "recurrenceRule", "recurrenceRules", "excludedRecurrenceRules"];
const OVERRIDES: &str = "recurrenceOverrides";

/// An event, a task or a journal, its occurrences and the zones that it defines itself, as iCalendar.
pub(crate) struct Calendar {
    text: String,
    /// Zones that it names.
    pub(crate) zones: Zones,
    /// Names of zones that the table of zones lacks: times there are written without a zone.
    pub(crate) unknown_zones: BTreeSet<String>,
}

impl Calendar {
    /// What the server gave as iCalendar.
    pub(crate) fn given(text: String) -> Option<Calendar> {
        let unknown_zones = zones::unknown_in(&text);
        zones::has_items(&text).then(|| Calendar { zones: Zones::of(&text), text, unknown_zones })
    }

    /// As a file of its own, its zones defined.
    pub(crate) fn single(&self) -> String {
        self.zones.defined_in(&self.text)
    }

    /// Its components one by one; with its name if it is a zone. `None`: a property in it opens or closes others.
    pub(crate) fn components(&self) -> Option<Vec<(Option<String>, String)>> {
        let (mut components, mut open, mut component) = (Vec::new(), Vec::new(), String::new());
        let mut zone = None;
        for line in self.text.split_inclusive("\r\n") {
            let plain = line.trim_end_matches("\r\n");
            if let Some(name) = plain.strip_prefix("BEGIN:") {
                open.push(name);
            }
            if open.len() > 1 {
                component.push_str(line);
            }
            if let ([_, "VTIMEZONE"], Some(name)) = (open.as_slice(), plain.strip_prefix("TZID:")) {
                zone = Some(name.to_owned());
            }
            if let Some(name) = plain.strip_prefix("END:") {
                (open.pop()? == name).then_some(())?;
                if open.len() == 1 {
                    components.push((zone.take(), std::mem::take(&mut component)));
                }
            }
        }
        (open.is_empty() && self.text.matches("BEGIN:VCALENDAR\r\n").count() == 1).then_some(components)
    }
}

/// A JSCalendar event (RFC 8984, or the later draft that Stalwart speaks) as iCalendar.
pub(crate) fn icalendar(json: &str) -> Option<Calendar> {
    let mut event: Map<String, Value> = serde_json::from_str(json).ok()?;
    for key in JMAP_ONLY {
        event.remove(key);
    }
    event.entry("@type").or_insert_with(|| json!("Event"));
    event.entry("updated").or_insert_with(|| json!("1970-01-01T00:00:00Z"));
    one_rule(&mut event);
    complete_occurrences(&mut event);
    let event = Value::Object(event);
    let mut named = BTreeSet::new();
    name_zones(&event, &mut named);
    let uid = event.get("uid").cloned().unwrap_or_default();
    let group = json!({"@type": "Group", "uid": uid, "prodId": "-//malle//export//EN", "entries": [event]})
        .to_string();
    catch_unwind(|| {
        let text = JSCalendar::<String, String>::parse(&group).ok()?.into_icalendar()?.to_string();
        let is_lost = |zone: &String| !zones::is_known(zone) && !text.contains(&format!("TZID:{zone}\r\n"));
        let unknown_zones = named.iter().filter(|zone| is_lost(zone)).cloned().collect();
        zones::has_items(&text).then(|| Calendar { zones: Zones::of(&text), text, unknown_zones })
    })
    .ok()?
}

/// Adds the zones of an event's times, of its occurrences too. Places have zones of their own.
fn name_zones(value: &Value, named: &mut BTreeSet<String>) {
    let Some(object) = value.as_object() else { return };
    for (key, value) in object.iter().filter(|(key, _)| *key != "locations") {
        match value {
            Value::String(zone) if matches!(key.as_str(), "timeZone" | "endTimeZone") => {
                named.insert(zone.clone());
            }
            value => name_zones(value, named),
        }
    }
}

/// RFC 8984 has a list of rules, its successor and iCalendar's readers want one.
fn one_rule(event: &mut Map<String, Value>) {
    let rules = event.get("recurrenceRules").and_then(Value::as_array).map(Vec::as_slice);
    if let (Some([rule]), None) = (rules, event.get("recurrenceRule")) {
        let rule = rule.clone();
        event.remove("recurrenceRules");
        event.insert("recurrenceRule".to_owned(), rule);
    }
}

/// An occurrence of its own is a patch in JSCalendar and a whole event in iCalendar.
fn complete_occurrences(event: &mut Map<String, Value>) {
    let Some(Value::Object(mut overrides)) = event.remove(OVERRIDES) else { return };
    let mut series = event.clone();
    series.retain(|key, _| !OF_A_SERIES.contains(&key.as_str()) && !key.starts_with('@') && key != "uid");
    for (start, patch) in &mut overrides {
        let Some(patch) = patch.as_object_mut() else { continue };
        if patch.get("excluded") == Some(&Value::Bool(true)) {
            continue;
        }
        let mut whole = series.clone();
        whole.insert("start".to_owned(), start.as_str().into());
        for (pointer, value) in std::mem::take(patch) {
            set(&mut whole, &pointer, value);
        }
        *patch = whole;
    }
    event.insert(OVERRIDES.to_owned(), Value::Object(overrides));
}

/// Sets what a JSON pointer without its first slash names; `null` removes it.
fn set(whole: &mut Map<String, Value>, pointer: &str, value: Value) {
    let plain = |part: &str| part.replace("~1", "/").replace("~0", "~");
    let Some((first, rest)) = pointer.split_once('/') else {
        match value {
            Value::Null => whole.remove(&plain(pointer)),
            value => whole.insert(plain(pointer), value),
        };
        return;
    };
    if let Some(inner) = whole.get_mut(&plain(first)).and_then(Value::as_object_mut) {
        set(inner, rest, value);
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_series_with_occurrences_of_their_own() {
        let event = json!({"@type": "Event", "uid": "u", "id": "e", "calendarIds": {"k": true}, "title": "Standup",
            "start": "2026-03-01T09:00:00", "timeZone": "Europe/Paris", "duration": "PT30M",
            "recurrenceRules": [{"@type": "RecurrenceRule", "frequency": "weekly", "count": 5}],
            "locations": {"l": {"@type": "Location", "name": "Here"}},
            "recurrenceOverrides": {
                "2026-03-08T09:00:00": {"title": "Moved", "start": "2026-03-09T10:00:00", "locations/l/name": "There"},
                "2026-03-15T09:00:00": {"excluded": true}}});
        let text = icalendar(&event.to_string()).unwrap().single();
        let events: Vec<&str> = text.split("BEGIN:VEVENT").skip(1).collect();
        let contains = |event: &str, lines: &[&str]| {
            for line in lines {
                assert!(event.lines().any(|found| found == *line), "{line}\n{text}");
            }
        };
        let series = events.iter().find(|event| event.contains("RRULE")).unwrap();
        contains(series, &["DTSTART;TZID=Europe/Paris:20260301T090000", "SUMMARY:Standup", "DURATION:PT30M"]);
        contains(series, &["RRULE:FREQ=WEEKLY;COUNT=5", "EXDATE;TZID=Europe/Paris:20260315T090000"]);
        let moved = events.iter().find(|event| event.contains("RECURRENCE-ID")).unwrap();
        contains(
            moved,
            &["RECURRENCE-ID;TZID=Europe/Paris:20260308T090000", "SUMMARY:Moved", "DURATION:PT30M"],
        );
        contains(moved, &["DTSTART;TZID=Europe/Paris:20260309T100000", "LOCATION;JSID=l:There", "UID:u"]);
        assert!(text.starts_with("BEGIN:VCALENDAR") && text.contains("PRODID:-//malle"), "{text}");
    }

    #[test]
    fn a_photo_by_uri_is_in_the_card_and_one_by_blob_is_not() {
        let data = "data:image/png;base64,iVBORw0KGgo=";
        let card = json!({"@type": "Card", "version": "1.0", "uid": "u", "name": {"full": "F"}, "media": {
            "data": {"@type": "Media", "kind": "photo", "uri": data},
            "both": {"kind": "logo", "uri": data, "blobId": "b1"},
            "link": {"kind": "sound", "uri": "https://example.org/name.ogg"},
            "blob": {"kind": "photo", "blobId": "b2", "mediaType": "image/png"}},
            "notes": {"n": {"note": "PHOTO:data:;base64,x"}}});
        let text = vcard(&card.to_string()).unwrap().replace("\r\n ", "");
        let mut media: Vec<&str> = text.lines().filter(|line| line.contains("PROP-ID")).collect();
        media.sort_unstable();
        assert_eq!(
            media,
            [
                format!("LOGO;PROP-ID=both:{data}"),
                // What is text stays escaped.
                "NOTE;PROP-ID=n:PHOTO:data:\\;base64\\,x".to_owned(),
                format!("PHOTO;PROP-ID=data:{data}"),
                "SOUND;PROP-ID=link:https://example.org/name.ogg".to_owned(),
            ]
        );
        assert!(!text.contains("b1") && !text.contains("b2"), "{text}");
        assert_eq!(media_without_bytes(card.as_object().unwrap()).collect::<Vec<_>>(), ["photo"]);
        for odd in [json!({"media": []}), json!({"media": {"m": 1}}), json!({"media": {"m": {"blobId": 1}}})]
        {
            assert_eq!(media_without_bytes(odd.as_object().unwrap()).count(), 0, "{odd}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let key = prop::sample::select(vec![
            "name",
            "full",
            "components",
            "kind",
            "value",
            "emails",
            "address",
            "addresses",
            "phones",
            "number",
            "@type",
            "start",
            "duration",
            "timeZone",
            "recurrenceRule",
            "frequency",
            "recurrenceOverrides",
            "participants",
            "alerts",
            "trigger",
            "offset",
            "locations",
            "coordinates",
            "anniversaries",
            "date",
            "year",
            "vCard",
            "vCardProps",
            "iCalendar",
            "localizations",
            "de",
            "2026-01-01T00:00:00",
            "media",
            "uri",
            "blobId",
            "a/b",
            "members",
            "speakToAs",
            "entries",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop::sample::select(vec![
                "Card",
                "Event",
                "weekly",
                "-PT1H",
                "",
                "geo:1,2",
                "2026-13-99T99:99:99",
                "Europe/Paris",
                "given",
                "place",
                "\u{0}\r\n",
                "data:,x",
                "9999999999999999Y"
            ])
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| Value::Object(
                    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
                )),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_panic_stays_inside(value in json()) {
            let text = value.to_string();
            let calendar = icalendar(&text);
            for converted in vcard(&text).into_iter().chain(calendar.as_ref().map(Calendar::single)) {
                prop_assert!(converted.starts_with("BEGIN:V"));
            }
            for (_, component) in calendar.iter().filter_map(Calendar::components).flatten() {
                prop_assert!(component.starts_with("BEGIN:V") && component.ends_with("\r\n"));
            }
        }
    }
}
