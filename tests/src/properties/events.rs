//! Events and tasks: the properties of JSCalendar (RFC 8984 and its successor) and of JMAP for calendars.

use model::DataType::CalendarEvent;
use serde_json::{Value, json};

use super::{Case, LINES, ODD, case, case_with, long};

fn of(property: &'static str, oddity: &'static str, value: Value) -> Case {
    case(CalendarEvent, property, oddity, value)
}

fn with(property: &'static str, oddity: &'static str, value: Value, with: Value) -> Case {
    case_with(CalendarEvent, property, oddity, value, with)
}

pub(super) fn cases() -> Vec<Case> {
    [metadata(), words(), places(), times(), rules(), overrides(), alerts(), people(), tasks()].concat()
}

fn metadata() -> Vec<Case> {
    vec![
        of(
            "relatedTo",
            "set",
            json!({ "3e1e8eb5-4b1c-4b7e": { "@type": "Relation", "relation": { "parent": true } } }),
        ),
        of("relatedTo", "bare", json!({ "other@example.org": { "@type": "Relation", "relation": {} } })),
        of("prodId", "set", json!("-//Example//Calendar 1.0//EN")),
        of("created", "set", json!("2020-01-02T18:23:04Z")),
        of("sequence", "set", json!(3)),
        of("isDraft", "true", json!(true)),
        of("locale", "set", json!("fr-CA")),
        of("example.com:customprop", "set", json!({ "nested": [1, 2.5, { "a": "é" }] })),
        of("localizations", "set", json!({ "de": { "title": "Der Titel", "description": "Wörter" } })),
    ]
}

fn words() -> Vec<Case> {
    vec![
        of("description", "set", json!("words")),
        of("description", "odd", json!(format!("{ODD}{LINES}"))),
        of("description", "longest", json!(long(30_000))),
        with("descriptionContentType", "html", json!("text/html"), json!({ "description": "<p>words</p>" })),
        of("title", "odd", json!(ODD)),
        of("title", "longest", json!(long(3_000))),
        of("title", "empty", json!("")),
        of("keywords", "set", json!({ "IETF": true, "a,b;c": true })),
        of("keywords", "odd", json!({ ODD: true })),
        of(
            "categories",
            "set",
            json!({ "http://example.org/categories/meeting": true, "https://example.org/x?y=1": true }),
        ),
        of("color", "named", json!("turquoise")),
        of("color", "hexadecimal", json!("#11aaFF")),
        of("priority", "set", json!(1)),
        of("priority", "least", json!(9)),
        of("priority", "undefined", json!(0)),
        of("privacy", "private", json!("private")),
        of("privacy", "secret", json!("secret")),
        of("freeBusyStatus", "free", json!("free")),
        of("freeBusyStatus", "tentative", json!("tentative")),
        of("status", "tentative", json!("tentative")),
        of("status", "cancelled", json!("cancelled")),
    ]
}

fn places() -> Vec<Case> {
    vec![
        of("locations", "name", json!({ "l1": { "@type": "Location", "name": "Room, 2; \"East\"" } })),
        of(
            "locations",
            "set",
            json!({ "l1": {
            "@type": "Location", "name": ODD, "description": "words", "locationTypes": { "hotel": true }, "relativeTo": "start", "timeZone": "Asia/Tokyo",
            "coordinates": "geo:52.498,13.424", "links": { "k1": { "@type": "Link", "href": "https://example.org/map.png" } },
        } }),
        ),
        of(
            "locations",
            "two",
            json!({ "a": { "@type": "Location", "name": "A" }, "b": { "@type": "Location", "name": "B", "relativeTo": "end" } }),
        ),
        of(
            "virtualLocations",
            "set",
            json!({ "v1": { "@type": "VirtualLocation", "name": ODD, "description": "words", "uri": "https://meet.example.org/x?y=1,2;3", "features": { "video": true, "audio": true, "screen": true } } }),
        ),
        of(
            "virtualLocations",
            "phone",
            json!({ "v1": { "@type": "VirtualLocation", "uri": "tel:+1-555-555-5555,,123#" } }),
        ),
        of(
            "links",
            "set",
            json!({ "k1": { "@type": "Link", "href": "https://example.org/a.pdf", "contentType": "application/pdf", "size": 1234, "rel": "enclosure", "title": ODD } }),
        ),
        of(
            "links",
            "icon",
            json!({ "k1": { "@type": "Link", "href": "https://example.org/a.png", "rel": "icon", "display": "badge" } }),
        ),
        of(
            "links",
            "data",
            json!({ "k1": { "@type": "Link", "href": format!("data:text/plain;base64,{}", "d29yZHMg".repeat(500)), "contentType": "text/plain" } }),
        ),
        of(
            "links",
            "described by",
            json!({ "k1": { "@type": "Link", "href": "https://example.org/", "rel": "describedby" } }),
        ),
    ]
}

fn times() -> Vec<Case> {
    let own_zone = json!({ "/own": { "@type": "TimeZone", "tzId": "Own", "standard": [{ "@type": "TimeZoneRule", "start": "1970-01-01T00:00:00", "offsetFrom": "+0330", "offsetTo": "+0330" }] } });
    vec![
        of("start", "old", json!("1850-02-28T23:59:59")),
        of("start", "late", json!("2199-12-31T00:00:00")),
        of("duration", "set", json!("PT1H30M")),
        of("duration", "odd", json!("P1W2DT3H4M5S")),
        of("duration", "nothing", json!("PT0S")),
        of("duration", "days", json!("P3D")),
        of("timeZone", "set", json!("Europe/Berlin")),
        of("timeZone", "UTC", json!("Etc/UTC")),
        of("timeZone", "unusual", json!("America/Argentina/ComodRivadavia")),
        with(
            "timeZone",
            "gap",
            json!("Europe/Berlin"),
            json!({ "start": "2026-03-29T02:30:00", "duration": "PT1H" }),
        ),
        with("timeZones", "own", own_zone, json!({ "timeZone": "/own" })),
        with(
            "showWithoutTime",
            "true",
            json!(true),
            json!({ "start": "2026-05-01T00:00:00", "duration": "P1D" }),
        ),
        with(
            "showWithoutTime",
            "days",
            json!(true),
            json!({ "start": "2026-05-01T00:00:00", "duration": "P3D" }),
        ),
    ]
}

fn rules() -> Vec<Case> {
    let rule = |oddity, rule: Value| {
        let mut whole = json!({ "@type": "RecurrenceRule" });
        whole.as_object_mut().expect("an object").extend(rule.as_object().cloned().unwrap_or_default());
        of("recurrenceRule", oddity, whole)
    };
    let list = json!([{ "@type": "RecurrenceRule", "frequency": "weekly", "count": 4 }]);
    let two = json!([
        { "@type": "RecurrenceRule", "frequency": "weekly", "count": 4 }, { "@type": "RecurrenceRule", "frequency": "monthly", "count": 4 },
    ]);
    let weekly = json!({ "@type": "RecurrenceRule", "frequency": "weekly", "count": 4 });
    vec![
        rule("daily", json!({ "frequency": "daily", "count": 10 })),
        rule("until", json!({ "frequency": "weekly", "interval": 2, "until": "2026-12-31T10:00:00" })),
        rule(
            "by day",
            json!({ "frequency": "monthly", "count": 5, "byDay": [{ "@type": "NDay", "day": "mo", "nthOfPeriod": -1 }, { "@type": "NDay", "day": "fr", "nthOfPeriod": 2 }] }),
        ),
        rule(
            "by everything",
            json!({
                "frequency": "yearly", "count": 3, "firstDayOfWeek": "su", "byMonth": ["1", "6"], "byMonthDay": [1, -1, 15], "byHour": [9, 17], "byMinute": [0, 30],
                "bySecond": [0, 59], "bySetPosition": [1, -1],
            }),
        ),
        rule(
            "by week",
            json!({ "frequency": "yearly", "count": 3, "byWeekNo": [1, -1, 20], "byDay": [{ "@type": "NDay", "day": "th" }] }),
        ),
        rule("by day of year", json!({ "frequency": "yearly", "count": 3, "byYearDay": [1, 100, -1] })),
        rule(
            "chinese",
            json!({ "frequency": "yearly", "count": 3, "rscale": "chinese", "skip": "forward", "byMonth": ["5L"] }),
        ),
        rule("hourly", json!({ "frequency": "hourly", "interval": 6, "count": 10 })),
        rule("endless", json!({ "frequency": "yearly" })),
        of("recurrenceRules", "one", list.clone()),
        of("recurrenceRules", "two", two),
        with(
            "excludedRecurrenceRules",
            "one",
            list,
            json!({ "recurrenceRule": { "@type": "RecurrenceRule", "frequency": "daily", "count": 20 } }),
        ),
        with(
            "recurrenceRule",
            "all-day",
            weekly.clone(),
            json!({ "start": "2026-05-01T00:00:00", "duration": "P1D", "showWithoutTime": true }),
        ),
        with("recurrenceRule", "in a zone", weekly, json!({ "timeZone": "Europe/Berlin" })),
        with(
            "recurrenceId",
            "alone",
            json!("2026-06-01T10:00:00"),
            json!({ "recurrenceIdTimeZone": "Europe/Berlin", "timeZone": "Europe/Berlin" }),
        ),
    ]
}

fn overrides() -> Vec<Case> {
    let weekly = json!({ "@type": "RecurrenceRule", "frequency": "weekly", "count": 8 });
    let series = json!({ "recurrenceRule": weekly, "timeZone": "Europe/Berlin", "duration": "PT1H" });
    let floating = json!({ "recurrenceRule": weekly, "duration": "PT1H" });
    let all_day = json!({ "recurrenceRule": weekly, "start": "2026-05-04T00:00:00", "duration": "P1D", "showWithoutTime": true });
    let of = |oddity, value, series: &Value| with("recurrenceOverrides", oddity, value, series.clone());
    vec![
        of("title", json!({ "2026-05-11T10:00:00": { "title": ODD } }), &series),
        of(
            "moved",
            json!({ "2026-05-11T10:00:00": { "start": "2026-05-12T11:30:00", "duration": "PT2H" } }),
            &series,
        ),
        of("excluded", json!({ "2026-05-11T10:00:00": { "excluded": true } }), &series),
        of("added", json!({ "2026-05-13T10:00:00": {} }), &series),
        of(
            "several",
            json!({ "2026-05-11T10:00:00": { "title": "b" }, "2026-05-18T10:00:00": { "excluded": true }, "2026-05-20T15:00:00": {} }),
            &series,
        ),
        of(
            "another zone",
            json!({ "2026-05-11T10:00:00": { "timeZone": "Asia/Tokyo", "start": "2026-05-11T18:00:00" } }),
            &series,
        ),
        of(
            "words",
            json!({ "2026-05-11T10:00:00": { "description": LINES, "priority": 2, "status": "cancelled", "freeBusyStatus": "free", "color": "red" } }),
            &series,
        ),
        of(
            "nested",
            json!({ "2026-05-11T10:00:00": { "locations": { "l9": { "@type": "Location", "name": "There" } }, "keywords": { "x": true } } }),
            &series,
        ),
        of("floating", json!({ "2026-05-11T10:00:00": { "title": "b" } }), &floating),
        of("all-day", json!({ "2026-05-11T00:00:00": { "title": "b" } }), &all_day),
        of("all-day excluded", json!({ "2026-05-11T00:00:00": { "excluded": true } }), &all_day),
        of("vendor", json!({ "2026-05-11T10:00:00": { "example.com:x": { "y": 1 } } }), &series),
    ]
}

fn alerts() -> Vec<Case> {
    let alert = |alert: Value| json!({ "a1": alert });
    let offset = |offset: &str| json!({ "@type": "OffsetTrigger", "offset": offset });
    let of = |oddity, value| of("alerts", oddity, value);
    vec![
        of("display", alert(json!({ "@type": "Alert", "trigger": offset("-PT15M"), "action": "display" }))),
        of("email", alert(json!({ "@type": "Alert", "trigger": offset("-P1D"), "action": "email" }))),
        of(
            "at its end",
            alert(
                json!({ "@type": "Alert", "trigger": { "@type": "OffsetTrigger", "offset": "PT5M", "relativeTo": "end" } }),
            ),
        ),
        of(
            "absolute",
            alert(
                json!({ "@type": "Alert", "trigger": { "@type": "AbsoluteTrigger", "when": "2026-05-01T06:00:00Z" } }),
            ),
        ),
        of(
            "acknowledged",
            alert(
                json!({ "@type": "Alert", "trigger": offset("PT0S"), "acknowledged": "2026-04-30T06:00:00Z" }),
            ),
        ),
        of(
            "snoozed",
            json!({
                "a1": { "@type": "Alert", "trigger": offset("-PT10M"), "acknowledged": "2026-04-30T06:00:00Z" },
                "a2": { "@type": "Alert", "trigger": { "@type": "AbsoluteTrigger", "when": "2026-05-01T06:00:00Z" }, "relatedTo": { "a1": { "@type": "Relation", "relation": { "snooze": true } } } },
            }),
        ),
        with("useDefaultAlerts", "true", json!(true), json!({})),
    ]
}

/// Nobody is written to by a request that does not ask for it.
fn people() -> Vec<Case> {
    let someone = json!({
        "p1": {
            "@type": "Participant", "name": ODD, "email": "zoe@elsewhere.example", "calendarAddress": "mailto:zoe@elsewhere.example", "description": "words",
            "kind": "individual", "roles": { "attendee": true, "chair": true }, "participationStatus": "tentative",
            "participationComment": "perhaps", "expectReply": true, "language": "de",
        },
        "p2": { "@type": "Participant", "name": "Me", "calendarAddress": "mailto:{address}", "roles": { "owner": true, "attendee": true }, "participationStatus": "accepted" },
    });
    let with_people =
        json!({ "participants": someone.clone(), "organizerCalendarAddress": "mailto:{address}" });
    vec![
        with("participants", "set", someone, json!({ "organizerCalendarAddress": "mailto:{address}" })),
        with("hideAttendees", "true", json!(true), with_people.clone()),
        with("mayInviteSelf", "true", json!(true), with_people.clone()),
        with("mayInviteOthers", "true", json!(true), with_people),
    ]
}

fn tasks() -> Vec<Case> {
    let task = |property, oddity, value| with(property, oddity, value, json!({ "@type": "Task" }));
    let weekly = json!({ "@type": "RecurrenceRule", "frequency": "weekly", "count": 4 });
    vec![
        task("due", "set", json!("2026-06-01T18:00:00")),
        task("estimatedDuration", "set", json!("PT4H")),
        task("percentComplete", "set", json!(55)),
        task("percentComplete", "nothing", json!(0)),
        task("progress", "in process", json!("in-process")),
        task("progress", "needs action", json!("needs-action")),
        with(
            "progress",
            "completed",
            json!("completed"),
            json!({ "@type": "Task", "progressUpdated": "2026-05-01T12:00:00Z" }),
        ),
        with("start", "none", Value::Null, json!({ "@type": "Task", "due": "2026-06-01T18:00:00" })),
        with(
            "recurrenceRule",
            "task",
            weekly,
            json!({ "@type": "Task", "due": "2026-05-04T12:00:00", "timeZone": "Europe/Berlin" }),
        ),
        task(
            "alerts",
            "task",
            json!({ "a1": { "@type": "Alert", "trigger": { "@type": "OffsetTrigger", "offset": "-PT1H" } } }),
        ),
    ]
}
