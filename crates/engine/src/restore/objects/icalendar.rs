//! What of an event its iCalendar text alone has (RFC 5545). Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::pairs::JmapObject;

/// What makes servers write to people (RFC 6638).
const SCHEDULING: [&str; 2] = ["ORGANIZER", "ATTENDEE"];
/// Another thing each time that the text is written.
const STAMPS: [&str; 2] = ["DTSTAMP", "PRODID"];

/// What JMAP shows of an event.
pub(super) struct Shown {
    /// Occurrences of their own.
    occurrences: usize,
    has_rule: bool,
    has_zone: bool,
}

impl Shown {
    /// `None`: JMAP shows all there is of such events, so that their text need not be read.
    pub(super) fn of(event: &JmapObject) -> Option<Shown> {
        let json = &event.json;
        let has = |member: &str| json.get(member).is_some_and(|value| !value.is_null());
        let is_occurrence = has("recurrenceId");
        let has_rule = has("recurrenceRule") || has("recurrenceRules");
        let converted = json.get("iCalendar").map(Value::to_string).unwrap_or_default();
        // A time that is in no zone may be in one that has no name elsewhere.
        let is_doubtful = has_rule
            || is_occurrence
            || has("recurrenceOverrides")
            || converted.contains("\"recurrence-id\"")
            || !(event.is("showWithoutTime") || has("timeZone"));
        (is_doubtful || event.is_journal()).then_some(Shown {
            occurrences: occurrences(event),
            has_rule,
            has_zone: has("timeZone"),
        })
    }

    /// What the text has besides, for people; `None`: nothing.
    pub(super) fn lacks(&self, text: &str) -> Option<&'static str> {
        let told = Told::of(text);
        if told.occurrences > self.occurrences {
            Some("the occurrences that were changed")
        } else if told.has_rule && !self.has_rule {
            Some("the series that it is a part of")
        } else if told.has_own_zone && !self.has_zone {
            Some("the time zone that it defines itself")
        } else {
            None
        }
    }
}

/// How many occurrences of their own JMAP shows of an event.
fn occurrences(event: &JmapObject) -> usize {
    // Occurrences that are left out or added are no components of the text.
    let is_own = |patch: &Value| {
        patch.as_object().is_some_and(|patch| !patch.is_empty() && !patch.contains_key("excluded"))
    };
    let count = |overrides: &Map<String, Value>| overrides.values().filter(|patch| is_own(patch)).count();
    let overrides = event.json.get("recurrenceOverrides").and_then(Value::as_object).map_or(0, count);
    let is_occurrence = event.json.get("recurrenceId").is_some_and(|id| !id.is_null());
    overrides + usize::from(is_occurrence)
}

/// Whether a text says what no server makes of an event that came over JMAP: occurrences that JMAP does not show, or time zones.
/// Somebody has put it by CalDAV.
pub(super) fn was_put(text: &str, event: &JmapObject) -> bool {
    let told = Told::of(text);
    told.has_zones || told.occurrences > occurrences(event)
}

#[derive(Default)]
struct Told {
    has_zones: bool,
    occurrences: usize,
    has_rule: bool,
    has_own_zone: bool,
}

impl Told {
    fn of(text: &str) -> Told {
        let (mut told, mut own_zones, mut open) = (Told::default(), BTreeSet::new(), Vec::new());
        for line in unfolded(text).lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            match (open.as_slice(), name) {
                (_, "BEGIN") => open.push(value.to_owned()),
                (_, "END") => drop(open.pop()),
                ([_, zone], "TZID") if zone == "VTIMEZONE" => {
                    own_zones.insert(value.replace("\\,", ",").replace("\\;", ";"));
                }
                ([_, zone, ..], _) if zone == "VTIMEZONE" => {}
                ([_, _], name) => {
                    told.occurrences += usize::from(property(name) == "RECURRENCE-ID");
                    told.has_rule |= property(name) == "RRULE";
                    let zone = name.split_once("TZID=").map(|(_, zone)| zone);
                    let zone = zone.and_then(|zone| match zone.strip_prefix('"') {
                        Some(quoted) => quoted.split('"').next(),
                        None => zone.split(';').next(),
                    });
                    told.has_own_zone |=
                        property(name) == "DTSTART" && zone.is_some_and(|zone| own_zones.contains(zone));
                }
                _ => {}
            }
        }
        told.has_zones = !own_zones.is_empty();
        told
    }
}

/// A server may write to people when it gets this text. Those whom an alarm names are not asked to come (RFC 5545 section 3.6.6).
pub(super) fn has_participants(text: &str) -> bool {
    let text = unfolded(text);
    let mut is_in_alarm = false;
    text.lines().any(|line| {
        is_in_alarm = !line.eq_ignore_ascii_case("END:VALARM")
            && (is_in_alarm || line.eq_ignore_ascii_case("BEGIN:VALARM"));
        !is_in_alarm && SCHEDULING.iter().any(|name| property(line).eq_ignore_ascii_case(name))
    })
}

/// Whether two texts say the same, in whatever order.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let lines = |text: &str| {
        let text = unfolded(text).replace('"', "");
        let lines = text.lines().filter(|line| !STAMPS.contains(&property(line)));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    lines(one) == lines(other)
}

/// Names of properties of which one text has lines that the other lacks. In whatever order lines and their parameters stand, and
/// whether a parameter says what kind of value follows (`VALUE`), which is seen, makes no difference.
pub(super) fn lacking(wanted: &str, now: &str) -> BTreeSet<String> {
    let mut there: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for line in said(now) {
        *there.entry(line).or_default() += 1;
    }
    let is_lacking = |line: &Vec<String>| match there.get_mut(line) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    said(wanted).into_iter().filter(is_lacking).filter_map(|mut line| line.pop()).collect()
}

/// Each line as its value, its parameters in order, and its name.
fn said(text: &str) -> Vec<Vec<String>> {
    let text = unfolded(text);
    let parts = |line: &str| {
        let (head, value) = halves(line);
        let mut head: Vec<String> = head.split(';').map(|part| part.replace('"', "")).collect();
        let name = head.remove(0);
        head.retain(|parameter| !parameter.starts_with("VALUE="));
        head.sort_unstable();
        head.insert(0, value.replace('"', ""));
        head.push(name);
        head
    };
    let is_said = |line: &&str| {
        let own = ["LAST-MODIFIED", "JSID"];
        !line.is_empty() && ![&STAMPS[..], &own].concat().contains(&property(line))
    };
    text.lines().filter(is_said).map(parts).collect()
}

/// What stands before and behind the first colon that is not quoted.
fn halves(line: &str) -> (&str, &str) {
    let mut is_quoted = false;
    let colon = line.find(|character| {
        is_quoted ^= character == '"';
        character == ':' && !is_quoted
    });
    colon.map_or((line, ""), |colon| (&line[..colon], &line[colon + 1..]))
}

/// Whether two texts say the same where JMAP shows nothing: in occurrences of their own and time zones.
pub(super) fn has_same_hidden(one: &str, other: &str) -> bool {
    let hidden = |text: &str| {
        let text = unfolded(text);
        let components = text.split("\r\nBEGIN:").skip(1).filter(|component| {
            let is_occurrence = component.lines().any(|line| property(line) == "RECURRENCE-ID");
            is_occurrence
                || ["VTIMEZONE", "STANDARD", "DAYLIGHT"].iter().any(|zone| component.starts_with(zone))
        });
        let mut components: Vec<String> = components.map(str::to_owned).collect();
        components.sort_unstable();
        components
    };
    let (one, other) = (hidden(one), hidden(other));
    one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| is_same(one, other))
}

/// The text in the zone that JMAP shows, and without the definition of that: everybody knows it by its name (IANA). A zone for which a
/// server shows a fixed offset instead stays what the text says.
pub(super) fn in_shown_zone(text: &str, event: &JmapObject) -> String {
    let text = unfolded(text);
    let Some(shown) = event.json.get("timeZone").and_then(Value::as_str) else { return text };
    let own = zone_of(&text).filter(|own| own == shown || !shown.starts_with("Etc/"));
    let is_known = |zone: &str| zone == shown || own.as_deref() == Some(zone);
    let (mut said, mut definition, mut defines) = (Vec::new(), Vec::new(), None);
    for line in text.lines() {
        let (head, value) = halves(line);
        match (head, value, defines.is_some()) {
            ("BEGIN", "VTIMEZONE", false) => (definition, defines) = (vec![line.to_owned()], Some(false)),
            ("END", "VTIMEZONE", true) => {
                if defines.take() == Some(false) {
                    said.append(&mut definition);
                    said.push(line.to_owned());
                }
            }
            ("TZID", zone, true) if is_known(zone) => defines = Some(true),
            (.., true) => definition.push(line.to_owned()),
            (.., false) => {
                let parameters = head.split(';').map(|parameter| match parameter.strip_prefix("TZID=") {
                    Some(zone) if is_known(&zone.replace('"', "")) => format!("TZID={shown}"),
                    _ => parameter.to_owned(),
                });
                let head: Vec<String> = parameters.collect();
                said.push(format!("{}:{value}", head.join(";")));
            }
        }
    }
    said.into_iter().flat_map(|line| [line, "\r\n".to_owned()]).collect()
}

/// The zone in which a series, or an event that is not one, begins.
fn zone_of(text: &str) -> Option<String> {
    let mut components = text.split("\r\nBEGIN:").skip(1);
    let is_item = |component: &&str| {
        let kind = component.lines().next().unwrap_or_default();
        ["VEVENT", "VTODO"].contains(&kind)
            && !component.lines().any(|line| property(line) == "RECURRENCE-ID")
    };
    let item = components.find(is_item)?;
    let start = item.lines().find(|line| property(line) == "DTSTART")?;
    let zone = halves(start).0.split(';').find_map(|parameter| parameter.strip_prefix("TZID="))?;
    Some(zone.replace('"', ""))
}

/// The name of a line's property.
fn property(line: &str) -> &str {
    line.split([';', ':']).next().unwrap_or_default()
}

fn unfolded(text: &str) -> String {
    text.replace("\r\n ", "").replace("\r\n\t", "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(json: &Value) -> Option<Shown> {
        let json = json.as_object().expect("an object").clone();
        Shown::of(&JmapObject { id: "e".into(), json, content: None, text: None })
    }

    fn text(events: &[&str]) -> String {
        let zone =
            "BEGIN:VTIMEZONE\nTZID:Own\nBEGIN:STANDARD\nRRULE:FREQ=YEARLY\nEND:STANDARD\nEND:VTIMEZONE\n";
        let events: String =
            events.iter().map(|event| format!("BEGIN:VEVENT\n{event}\nEND:VEVENT\n")).collect();
        format!("BEGIN:VCALENDAR\n{zone}{events}END:VCALENDAR\n").replace('\n', "\r\n")
    }

    #[test]
    fn what_jmap_does_not_show_of_an_event() {
        let series = "DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY";
        let occurrence = "RECURRENCE-ID;VALUE=DATE:20260112\nDTSTART;VALUE=DATE:20260113";
        let rule = json!({ "recurrenceRule": { "frequency": "weekly" } });
        let both = json!({ "recurrenceRule": {}, "recurrenceOverrides": { "2026-01-12T00:00:00": { "title": "x" } } });
        let others = json!({ "recurrenceRule": {}, "recurrenceOverrides": { "2026-01-12T00:00:00": { "excluded": true }, "2026-01-15T00:00:00": {} } });
        let part = json!({ "iCalendar": { "properties": [["recurrence-id", {}, "DATE", "20260112"]] } });
        let alone = json!({ "recurrenceId": "2026-01-12T00:00:00" });
        let zone = json!({ "iCalendar": { "convertedProperties": { "start": { "parameters": { "tzid": "Own" } } } } });
        let known = json!({ "timeZone": "Europe/Berlin", "recurrenceRule": {} });
        let cases: [(&Value, &[&str], bool); 11] = [
            (&rule, &[series], false),
            (&rule, &[series, occurrence], true),
            (&both, &[occurrence, series], false),
            (&others, &[occurrence, series], true),
            (&part, &[occurrence, series], true),
            (&alone, &[occurrence], false),
            (&alone, &[occurrence, series], true),
            (&zone, &["DTSTART;TZID=Own:20260105T100000"], true),
            (&zone, &["DTSTART;X-A=b;TZID=\"Own\":20260105T100000"], true),
            (&zone, &["DTSTART;TZID=Other:20260105T100000"], false),
            (&known, &["DTSTART;TZID=Own:20260105T100000"], false),
        ];
        for (json, events, lacks) in cases {
            let shown = shown(json).expect("its text has to be read");
            assert_eq!(shown.lacks(&text(events)).is_some(), lacks, "{json} {events:?}");
        }
        let plain =
            json!({ "title": "plain", "timeZone": "Europe/Berlin", "iCalendar": { "name": "vevent" } });
        assert!(shown(&plain).is_none());
        assert!(shown(&json!({ "title": "plain", "iCalendar": { "name": "vevent" } })).is_some());
    }

    #[test]
    fn the_definition_of_a_zone_that_jmap_shows_is_no_loss() {
        let event = |zone: &str| {
            let json = json!({ "timeZone": zone }).as_object().expect("an object").clone();
            JmapObject { id: "e".into(), json, content: None, text: None }
        };
        let lost = |zone: &str, own: &str| {
            let quoted = if own.contains(' ') { format!("\"{own}\"") } else { own.to_owned() };
            let start =
                format!("UID:1\nDTSTART;TZID={quoted}:20260105T100000\nDTEND;TZID={quoted}:20260105T110000");
            let wanted = text(&[&start]).replace("TZID:Own", &format!("TZID:{own}"));
            let (from, to) = (wanted.find("BEGIN:VTIMEZONE"), wanted.find("BEGIN:VEVENT"));
            let now = format!("{}{}", &wanted[..from.expect("a zone")], &wanted[to.expect("an event")..]);
            let [wanted, now] = [&wanted, &now].map(|text| in_shown_zone(text, &event(zone)));
            lacking(&wanted, &now).len()
        };
        for (zone, own, is_lost) in [
            ("Europe/Berlin", "Europe/Berlin", false),
            ("Europe/Berlin", "W. Europe Standard Time", false),
            ("Etc/UTC", "Etc/UTC", false),
            ("Etc/GMT-1", "(UTC+01:00) Amsterdam, Berlin", true),
        ] {
            assert_eq!(lost(zone, own) > 0, is_lost, "{zone} {own}");
        }
    }

    #[test]
    fn texts_that_say_the_same() {
        let one = text(&["SUMMARY:a\nDTSTAMP:1\nLOCATION:lo\n ng", "UID:1"]);
        assert!(is_same(&one, &text(&["UID:1", "LOCATION:long\nSUMMARY:a\nDTSTAMP:2"])));
        assert!(!is_same(&one, &text(&["UID:1", "LOCATION:long\nSUMMARY:b"])));
        let lines = |text: &str| lacking(text, &one).into_iter().collect::<Vec<_>>();
        assert_eq!(lines("UID:1\r\nLOCATION;VALUE=TEXT:long\r\nLAST-MODIFIED:3"), [""; 0]);
        assert_eq!(
            lines("UID:1\r\nUID:1\r\nLOCATION;X=\"a:b\":long\r\nCOMMENT:x"),
            ["COMMENT", "LOCATION", "UID"]
        );
        assert!(has_participants(&text(&["SUMMARY:x\nATTENDEE;CN=A:mailto:a@example.org"])));
        assert!(!has_participants(&text(&["SUMMARY:ATTENDEE:x"])));
        let alarm = "BEGIN:VALARM\nACTION:EMAIL\nATTENDEE:mailto:a@example.org\nEND:VALARM";
        assert!(!has_participants(&text(&[alarm])));
        assert!(has_participants(&text(&[&format!("{alarm}\nORGANIZER:mailto:a@example.org")])));
    }
}
