//! CalDAV, by plain HTTP.

use crate::client::Client;
use reqwest::Method;
use serde_json::{Value, json};
use sim_stalwart::{
    AccountHandle, AccountSpec, CalDav, Capabilities, Capability, Churn, DataType, Effect, Fault, Simulator,
    Target, Version,
};

const HOME: &str = "/dav/cal/alice%40example.org/";
const DEFAULT: &str = "/dav/cal/alice%40example.org/default/";

const ALL_DAY: &str = "BEGIN:VTIMEZONE\nTZID:My Own Zone\nEND:VTIMEZONE\n\
    BEGIN:VEVENT\nUID:u1\nDTSTAMP:20260101T000000Z\nDTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260106\n\
    RRULE:FREQ=WEEKLY;COUNT=10\nX-FOO:bar\nSUMMARY:On call\nEND:VEVENT\n\
    BEGIN:VEVENT\nUID:u1\nRECURRENCE-ID;VALUE=DATE:20260112\nDTSTART;VALUE=DATE:20260113\nSUMMARY:Moved\nEND:VEVENT\n";

fn calendar(body: &str) -> String {
    let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//t//EN\n{body}END:VCALENDAR\n");
    text.replace('\n', "\r\n")
}

fn event(uid: &str, more: &str) -> String {
    calendar(&format!("BEGIN:VEVENT\nUID:{uid}\nDTSTART:20260105T100000Z\nDURATION:PT1H\n{more}END:VEVENT\n"))
}

struct Dav {
    simulator: Simulator,
    client: Client,
    account: AccountHandle,
}

/// Status, entity tag and body.
struct Answer {
    status: u16,
    etag: Option<String>,
    media: Option<String>,
    body: String,
}

async fn start() -> Dav {
    let account = |name: &str| AccountSpec::new(name, "secret").bare();
    let simulator = Simulator::builder().seed(5).admin("admin", "secret");
    let simulator = simulator.account(account("alice@example.org")).account(account("bob@example.org"));
    let simulator = simulator.start().await.unwrap();
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let account = simulator.account("alice@example.org").unwrap();
    Dav { simulator, client, account }
}

impl Dav {
    async fn send_as(
        &self,
        user: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.http.request(method, format!("{}{path}", self.client.url));
        request = request.basic_auth(user, Some("secret")).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, etag, media) = (answer.status().as_u16(), header("etag"), header("content-type"));
        Answer { status, etag, media, body: answer.text().await.unwrap() }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_as("alice@example.org", method, path, headers, body).await
    }

    async fn put(&self, name: &str, text: &str) -> u16 {
        self.send("PUT", &format!("{DEFAULT}{name}"), &[], text).await.status
    }

    async fn propfind(&self, path: &str, depth: &str, props: &str) -> Answer {
        let body = format!(
            "<propfind xmlns=\"DAV:\" xmlns:cs=\"http://calendarserver.org/ns/\"><prop>{props}</prop></propfind>"
        );
        self.send("PROPFIND", path, &[("depth", depth)], &body).await
    }

    async fn report(&self, path: &str, kind: &str, inside: &str) -> Answer {
        let body =
            format!("<c:{kind} xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\">{inside}</c:{kind}>");
        self.send("REPORT", path, &[("depth", "1")], &body).await
    }

    fn events(&self) -> Vec<Value> {
        self.account.content(DataType::CalendarEvent).into_values().collect()
    }
}

/// The paths of the responses.
fn hrefs(body: &str) -> Vec<String> {
    let paths = body.split("<D:response><D:href>").skip(1);
    paths.map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_home_lists_calendars() {
    let dav = start().await;
    dav.account.insert(DataType::Calendar, json!({ "name": "Été & <co>" }));
    let props = "<displayname/><resourcetype/><cs:getctag/><sync-token/>";
    let answer = dav.propfind(HOME, "1", props).await;
    assert_eq!((answer.status, answer.media.as_deref()), (207, Some("application/xml; charset=utf-8")));
    let paths = hrefs(&answer.body);
    assert_eq!((paths[0].as_str(), paths[1].as_str(), paths.len()), (HOME, DEFAULT, 3));
    let other = paths[2].strip_prefix(HOME).unwrap().strip_suffix('/').unwrap();
    assert!(other.len() == 10 && other.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{other}");
    assert!(answer.body.starts_with(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><D:multistatus xmlns:D=\"DAV:\" \
         xmlns:A=\"urn:ietf:params:xml:ns:caldav\" xmlns:C=\"http://calendarserver.org/ns/\"><D:response>"
    ));
    assert!(answer.body.contains(
        "<D:displayname>Stalwart Calendar</D:displayname><D:resourcetype><D:collection/><A:calendar/>\
         </D:resourcetype><C:getctag>&quot;"
    ));
    assert!(answer.body.contains("<D:displayname>Été &amp; &lt;co&gt;</D:displayname>"));
    let before = answer.body;
    dav.put("a.ics", &event("u1", "")).await;
    assert_ne!(dav.propfind(HOME, "1", props).await.body, before);
    let answer = dav.propfind(HOME, "0", props).await;
    assert_eq!(hrefs(&answer.body), [HOME]);
    assert_eq!(hrefs(&dav.propfind("/dav/cal", "1", props).await.body), ["/dav/cal/", HOME]);
    assert_eq!(dav.propfind(HOME, "infinity", props).await.status, 403);
    let missing = dav.propfind(HOME, "0", "<displayname/><x:foo xmlns:x=\"urn:x\"/><getetag/>").await.body;
    assert!(
        missing
            .contains("<D:prop><foo xmlns=\"urn:x\"/><D:getetag/></D:prop><D:status>HTTP/1.1 404 Not Found")
    );
}

#[tokio::test]
async fn the_well_known_path_leads_to_calendars() {
    let dav = start().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for method in ["GET", "PROPFIND"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer =
            client.request(method, format!("{}/.well-known/caldav", dav.client.url)).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["location"]),
            (307, &"/dav/cal".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn access_is_that_of_jmap() {
    let dav = start().await;
    let statuses = async |user: &str| {
        let mut statuses = Vec::new();
        for name in ["alice%40example.org", "bob@example.org", "nobody"] {
            let path = format!("/dav/cal/{name}/");
            statuses.push(dav.send_as(user, "PROPFIND", &path, &[], "").await.status);
            let status = dav.send_as(user, "GET", &format!("{path}default/x.ics"), &[], "").await.status;
            assert_eq!(
                status,
                if statuses.last() == Some(&207) { 404 } else { statuses[statuses.len() - 1] }
            );
        }
        statuses
    };
    assert_eq!(statuses("alice@example.org").await, [207, 403, 404]);
    assert_eq!(statuses("admin").await, [207, 207, 404]);
    assert_eq!(statuses("alice@example.org%admin").await, [207, 403, 404]);
    assert_eq!(statuses("stranger").await, [401, 401, 401]);
}

#[tokio::test]
async fn servers_without_caldav_and_users_without_permission() {
    let dav = start().await;
    let status = async || dav.propfind(HOME, "1", "<displayname/>").await.status;
    assert_eq!(status().await, 207);
    dav.simulator.set_caldav(CalDav::Forbidden);
    assert_eq!(status().await, 403);
    dav.simulator.set_caldav(CalDav::Missing);
    assert_eq!(status().await, 404);
    dav.simulator.set_caldav(CalDav::Offered);
    dav.simulator.set_capabilities(Capabilities::v0_16().without(Capability::Calendars));
    assert_eq!(status().await, 404);
    dav.simulator.set_version(Version::V0_15);
    assert_eq!(status().await, 404);
    assert_eq!(dav.send("GET", "/.well-known/caldav", &[], "").await.status, 404);
    dav.simulator.set_version(Version::V0_16);
    assert_eq!(status().await, 207);
}

#[tokio::test]
async fn a_text_is_put_and_read_and_becomes_an_event() {
    let dav = start().await;
    let text = calendar(ALL_DAY);
    let put = dav.send("PUT", &format!("{DEFAULT}%C3%A9%20x.ics"), &[("if-none-match", "*")], &text).await;
    assert_eq!((put.status, put.body.as_str()), (201, ""));
    let got = dav.send("GET", &format!("{DEFAULT}%C3%A9%20x.ics"), &[], "").await;
    assert_eq!((got.status, got.body.as_str(), &got.etag), (200, text.as_str(), &put.etag));
    assert_eq!(got.media.as_deref(), Some("text/calendar; charset=utf-8"));
    let known = [("if-none-match", put.etag.as_deref().unwrap())];
    assert_eq!(dav.send("GET", &format!("{DEFAULT}%C3%A9%20x.ics"), &known, "").await.status, 304);
    assert!(got.etag.unwrap().trim_matches('"').parse::<u32>().is_ok());
    let events = dav.events();
    assert_eq!(
        events,
        [json!({
            "@type": "Event", "id": events[0]["id"], "uid": "u1", "calendarIds": { "a": true }, "title": "On call",
            "start": "2026-01-05T00:00:00", "showWithoutTime": true, "duration": "P1D",
            "recurrenceRule": { "frequency": "weekly", "count": 10 }, "updated": "2026-01-01T00:00:00Z",
            "iCalendar": { "name": "vevent", "properties": [["x-foo", {}, "unknown", "bar"]] },
            "isDraft": false, "isOrigin": true,
        })]
    );
    let listed = dav.propfind(DEFAULT, "1", "<getetag/><getcontentlength/>").await.body;
    assert_eq!(hrefs(&listed), [DEFAULT.to_owned(), format!("{DEFAULT}%C3%A9%20x.ics")]);
    assert!(listed.contains(&format!(
        "<D:getetag>&quot;{}&quot;</D:getetag><D:getcontentlength>{}</D:getcontentlength></D:prop>",
        put.etag.unwrap().trim_matches('"'),
        text.len()
    )));
}

#[tokio::test]
async fn times_zones_tasks_and_journals_become_json() {
    let dav = start().await;
    let check = async |name: &str, body: &str, expected: Value| {
        assert_eq!(dav.put(name, &calendar(body)).await, 201, "{name}");
        let mut event = dav.events().pop().unwrap();
        for name in ["id", "calendarIds", "isDraft", "isOrigin", "uid"] {
            event.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(event, expected, "{name}");
    };
    let zoned = "BEGIN:VEVENT\nUID:a\nDTSTART;TZID=America/New_York:20260101T000000\n\
        DTEND;TZID=America/New_York:20260101T013000\nEND:VEVENT\n";
    let expected = json!({
        "@type": "Event", "start": "2026-01-01T00:00:00", "timeZone": "America/New_York", "duration": "PT1H30M",
    });
    check("a", zoned, expected).await;
    let own = "BEGIN:VEVENT\nUID:b\nDTSTART;TZID=My Own Zone:20260105T100000\nEND:VEVENT\n";
    check("b", own, json!({ "@type": "Event", "start": "2026-01-05T10:00:00" })).await;
    let series = "BEGIN:VEVENT\nUID:c\nRECURRENCE-ID:20260112T100000Z\nDTSTART:20260113T100000Z\nSUMMARY:Moved\nEND:VEVENT\n\
        BEGIN:VEVENT\nUID:c\nDTSTART:20260105T100000Z\nRRULE:FREQ=DAILY\nEXDATE:20260107T100000Z\nEND:VEVENT\n";
    let expected = json!({
        "@type": "Event", "start": "2026-01-05T10:00:00", "timeZone": "Etc/UTC",
        "recurrenceRule": { "frequency": "daily" },
        "recurrenceOverrides": {
            "2026-01-07T10:00:00": { "excluded": true },
            "2026-01-12T10:00:00": { "start": "2026-01-13T10:00:00", "title": "Moved" },
        },
    });
    check("c", series, expected).await;
    let task = "BEGIN:VTODO\nUID:d\nDTSTART;VALUE=DATE:20260105\nDUE;VALUE=DATE:20260107\nEND:VTODO\n";
    let expected = json!({
        "@type": "Task", "start": "2026-01-05T00:00:00", "due": "2026-01-07T00:00:00", "showWithoutTime": true,
    });
    check("d", task, expected).await;
    let journal = "BEGIN:VJOURNAL\nUID:e\nDTSTART;VALUE=DATE:20260105\nSUMMARY:Journal\nEND:VJOURNAL\n";
    let lines = json!([
        ["uid", {}, "unknown", "e"],
        ["dtstart", {}, "DATE", "20260105"],
        ["summary", {}, "unknown", "Journal"]
    ]);
    let expected = json!({
        "@type": "Group", "prodId": "-//t//EN", "iCalendar": {
            "name": "vcalendar", "properties": [["version", {}, "unknown", "2.0"]], "components": [["vjournal", lines, []]],
        },
    });
    check("e", journal, expected).await;
}

#[tokio::test]
async fn replacing_moves_the_state_even_if_the_json_stays() {
    let dav = start().await;
    let path = format!("{DEFAULT}a.ics");
    let first = dav.send("PUT", &path, &[], &calendar(ALL_DAY)).await.etag.unwrap();
    let (state, before) = (dav.account.state(DataType::CalendarEvent), dav.events());
    let same = dav.send("PUT", &path, &[("if-match", &first)], &calendar(ALL_DAY)).await;
    assert_eq!((same.status, same.etag), (204, None));
    assert_eq!(dav.account.state(DataType::CalendarEvent), state);
    let other = calendar(&ALL_DAY.replace("SUMMARY:Moved", "SUMMARY:Moved again"));
    let second = dav.send("PUT", &path, &[("if-match", &first)], &other).await;
    assert_eq!((second.status, dav.events()), (204, before.clone()));
    assert_ne!(second.etag.unwrap(), first);
    let changes = dav.client.call("CalendarEvent/changes", json!({ "sinceState": state })).await;
    assert_eq!(changes["updated"], json!([before[0]["id"]]));
    assert_eq!(dav.send("PUT", &path, &[("if-match", &first)], &calendar(ALL_DAY)).await.status, 412);
    assert_eq!(dav.send("PUT", &path, &[("if-none-match", "*")], &other).await.status, 412);
    assert_eq!(dav.send("PUT", &format!("{DEFAULT}b.ics"), &[("if-match", "*")], &other).await.status, 412);
    assert_eq!(dav.send("GET", &path, &[], "").await.body, other);
    let counters = dav.simulator.counters();
    assert_eq!((counters.created, counters.updated), (1, 1));
}

#[tokio::test]
async fn texts_are_refused_for_a_reason() {
    let dav = start().await;
    assert_eq!(dav.put("a.ics", &event("u1", "")).await, 201);
    let check = async |name: &str, text: &str, condition: &str| {
        let answer = dav.send("PUT", &format!("{DEFAULT}{name}"), &[], text).await;
        assert_eq!(answer.status, 412, "{text}");
        let expected = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><D:error xmlns:D=\"DAV:\" \
             xmlns:A=\"urn:ietf:params:xml:ns:caldav\">{condition}</D:error>"
        );
        assert_eq!(answer.body, expected);
    };
    let conflict = format!("<A:no-uid-conflict><D:href>{DEFAULT}a.ics</D:href></A:no-uid-conflict>");
    check("a.ics", &event("u2", ""), &conflict).await;
    check("b.ics", &event("u1", ""), &conflict).await;
    check("b.ics", "hello", "<A:supported-calendar-data/>").await;
    check("b.ics", "", "<A:supported-calendar-data/>").await;
    check("b.ics", &calendar(""), "<A:valid-calendar-object-resource/>").await;
    check("b.ics", &event("", ""), "<A:valid-calendar-object-resource/>").await;
    let large = format!("SUMMARY:{}\n", "x".repeat(600_000));
    check("b.ics", &event("u3", &large), "<A:max-resource-size>524288</A:max-resource-size>").await;
    dav.account.set_quota(Some(10));
    check("b.ics", &event("u3", ""), "<D:quota-not-exceeded/>").await;
    let status =
        async |path: &str| dav.send("PUT", &format!("{HOME}{path}"), &[], &event("u4", "")).await.status;
    assert_eq!([status("none/a.ics").await, status("default/").await, status("").await], [409, 405, 409]);
    assert_eq!(dav.events().len(), 1);
}

const DATA: &str = "<prop><getetag/><c:calendar-data/></prop>";

fn filter(inside: &str) -> String {
    format!("<c:filter><c:comp-filter name=\"VCALENDAR\">{inside}</c:comp-filter></c:filter>")
}

#[tokio::test]
async fn a_query_gives_the_texts_of_a_calendar_or_parts_of_them() {
    let dav = start().await;
    dav.put("a.ics", &calendar(ALL_DAY)).await;
    dav.put("b.ics", &calendar("BEGIN:VTODO\nUID:u2\nSUMMARY:x\nEND:VTODO\n")).await;
    dav.account.put_calendar_resource("Other", "c.ics", &event("u3", ""));
    let query = async |inside: &str| dav.report(DEFAULT, "calendar-query", inside).await;
    let all = query(&format!("{DATA}{}", filter(""))).await;
    assert_eq!(
        (all.status, hrefs(&all.body)),
        (207, vec![format!("{DEFAULT}a.ics"), format!("{DEFAULT}b.ics")])
    );
    let data =
        format!("</D:getetag><A:calendar-data><![CDATA[{}]]></A:calendar-data></D:prop>", calendar(ALL_DAY));
    assert!(all.body.contains(&data), "{}", all.body);
    let part = |name: &str| {
        format!("<c:comp name=\"{name}\"><c:prop name=\"UID\"/><c:prop name=\"RECURRENCE-ID\"/></c:comp>")
    };
    let parts: String = ["VEVENT", "VTODO", "VJOURNAL"].map(part).concat();
    let partial = format!(
        "<prop><c:calendar-data><c:comp name=\"VCALENDAR\">{parts}</c:comp></c:calendar-data></prop>{}",
        filter("")
    );
    let partial = query(&partial).await.body;
    for text in [
        "BEGIN:VEVENT\nUID:u1\nEND:VEVENT\nBEGIN:VEVENT\nUID:u1\nRECURRENCE-ID;VALUE=DATE:20260112\nEND:VEVENT\n",
        "BEGIN:VTODO\nUID:u2\nEND:VTODO\n",
    ] {
        assert!(partial.contains(&format!("<![CDATA[{}]]>", calendar(text))), "{partial}");
    }
    let by_uid = "<c:comp-filter name=\"VEVENT\"><c:prop-filter name=\"UID\"><c:text-match>u1</c:text-match></c:prop-filter></c:comp-filter>";
    for (inside, expected) in [(by_uid, "a.ics"), ("<c:comp-filter name=\"VTODO\"/>", "b.ics")] {
        let found = query(&format!("<prop><getetag/></prop>{}", filter(inside))).await;
        assert_eq!(hrefs(&found.body), [format!("{DEFAULT}{expected}")]);
    }
    assert_eq!(dav.report(HOME, "calendar-query", DATA).await.status, 405);
    let missing = dav.report(&format!("{HOME}none/"), "calendar-query", DATA).await;
    assert_eq!(missing.status, 207);
    assert!(missing.body.contains("404 Not Found</D:status><D:responsedescription>No resources found<"));
    assert_eq!(dav.report(DEFAULT, "free-busy-query", "").await.status, 415);
    let broken = dav.send("REPORT", DEFAULT, &[("content-type", "text/xml")], "<broken").await;
    assert_eq!(broken.status, 400);
}

#[tokio::test]
async fn a_multiget_names_what_is_not_there() {
    let dav = start().await;
    dav.put("a.ics", &event("u1", "")).await;
    let paths = [
        format!("{DEFAULT}a.ics"),
        format!("{DEFAULT}none.ics"),
        "/dav/cal/bob%40example.org/default/x.ics".to_owned(),
        "/dav/cal/nobody/default/x.ics".to_owned(),
        "relative.ics".to_owned(),
        DEFAULT.to_owned(),
        format!("{}/dav/cal/alice@example.org/default/a.ics", dav.client.url),
    ];
    let asked: String = paths.iter().map(|path| format!("<href>{path}</href>")).collect();
    for place in [HOME, DEFAULT] {
        let answer = dav.report(place, "calendar-multiget", &format!("{DATA}{asked}")).await;
        let mut expected = paths[1..6].to_vec();
        expected.extend([paths[0].clone(), paths[0].clone()]);
        assert_eq!((answer.status, hrefs(&answer.body)), (207, expected));
        let missing =
            format!("{DEFAULT}none.ics</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>");
        assert!(answer.body.contains(&missing));
        assert!(
            answer.body.contains("bob%40example.org/default/x.ics</D:href><D:status>HTTP/1.1 403 Forbidden")
        );
        assert!(answer.body.contains(&format!("<![CDATA[{}]]>", event("u1", ""))));
    }
}

#[tokio::test]
async fn events_of_jmap_have_a_text() {
    let dav = start().await;
    let create = json!({
        "x": { "@type": "Event", "uid": "j1", "calendarIds": { "a": true }, "title": "J, one", "duration": "PT1H",
               "start": "2026-01-05T10:00:00", "timeZone": "Europe/Paris",
               "recurrenceRule": { "frequency": "weekly", "count": 10 } },
        "y": { "@type": "Event", "uid": "j2", "calendarIds": { "a": true }, "title": "two", "duration": "P1D",
               "start": "2026-01-05T00:00:00", "showWithoutTime": true },
    });
    let made = dav.client.call("CalendarEvent/set", json!({ "create": create })).await;
    let text = |name: &str| dav.account.calendar_text(made["created"][name]["id"].as_str().unwrap()).unwrap();
    let expected = "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nDTSTART;TZID=Europe/Paris:20260105T100000\nUID:j1\n\
        SUMMARY:J\\, one\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=10\nDTSTAMP:20260101T000000Z\nEND:VEVENT\nEND:VCALENDAR\n";
    assert_eq!(text("x").replace('\r', ""), expected);
    assert!(text("y").contains("DTSTART;VALUE=DATE:20260105\r\n"));
    let resources = dav.account.calendar_resources();
    assert_eq!(resources.len(), 2);
    for resource in resources {
        let got = dav.send("GET", &resource.path, &[], "").await;
        assert_eq!((got.status, got.body), (200, resource.text));
    }
}

#[tokio::test]
async fn an_update_by_jmap_keeps_what_json_does_not_know() {
    let dav = start().await;
    let id = dav.account.put_calendar_resource("Stalwart Calendar", "a.ics", &calendar(ALL_DAY));
    let point = dav.account.checkpoint();
    let update = json!({ "update": { &id: { "title": "New" } } });
    assert_eq!(dav.client.call("CalendarEvent/set", update).await["updated"], json!({ &id: null }));
    let text = dav.account.calendar_text(&id).unwrap();
    for line in
        ["SUMMARY:New\r\n", "SUMMARY:Moved\r\n", "TZID:My Own Zone\r\n", "X-FOO:bar\r\n", "DURATION:P1D\r\n"]
    {
        assert_eq!(text.matches(line).count(), 1, "{line} in {text}");
    }
    assert!(!text.contains("On call"));
    let got = dav.send("GET", &format!("{DEFAULT}a.ics"), &[], "").await;
    assert_eq!(got.body, text);
    dav.account.put_calendar_resource("Stalwart Calendar", "a.ics", &event("u1", ""));
    dav.account.roll_back(&point);
    assert_eq!(dav.account.calendar_text(&id).unwrap(), calendar(ALL_DAY));
}

#[tokio::test]
async fn resources_go_with_their_events_and_calendars() {
    let dav = start().await;
    let put = |name: &str, uid: &str| dav.account.put_calendar_resource("Other", name, &event(uid, ""));
    let (first, second) = (put("a.ics", "u1"), put("b.ics", "u2"));
    put("c.ics", "u3");
    let other = dav.account.content(DataType::CalendarEvent)[&first]["calendarIds"].clone();
    let other = other.as_object().unwrap().keys().next().unwrap().clone();
    let paths: Vec<String> = dav.account.calendar_resources().into_iter().map(|it| it.path).collect();
    dav.client.call("CalendarEvent/set", json!({ "destroy": [first] })).await;
    assert_eq!(dav.send("GET", &paths[0], &[], "").await.status, 404);
    assert_eq!(dav.send("DELETE", &paths[1], &[("if-match", "\"1\"")], "").await.status, 412);
    assert_eq!(dav.send("DELETE", &paths[1], &[], "").await.status, 204);
    assert_eq!(dav.send("DELETE", &paths[1], &[], "").await.status, 404);
    assert!(!dav.account.content(DataType::CalendarEvent).contains_key(&second));
    let destroy = json!({ "destroy": [other], "onDestroyRemoveEvents": true });
    dav.client.call("Calendar/set", destroy).await;
    assert_eq!(dav.send("GET", &paths[2], &[], "").await.status, 404);
    assert!(dav.account.calendar_resources().is_empty());
}

#[tokio::test]
async fn an_event_in_two_calendars_is_two_resources() {
    let dav = start().await;
    let other = dav.account.insert(DataType::Calendar, json!({ "name": "Other" }));
    let object = json!({ "@type": "Event", "uid": "u1", "calendarIds": { "a": true, &other: true } });
    let id = dav.account.insert(DataType::CalendarEvent, object);
    let resources = dav.account.calendar_resources();
    assert_eq!(resources.len(), 2);
    assert_eq!(dav.send("DELETE", &resources[0].path, &[], "").await.status, 204);
    assert_eq!(dav.account.content(DataType::CalendarEvent)[&id]["calendarIds"], json!({ &other: true }));
}

#[tokio::test]
async fn churn_changes_the_account_around_requests() {
    let dav = start().await;
    dav.simulator.churn(Some(Churn { before: 50, after: 50, seed: 1, ..Churn::default() }));
    let states = || [DataType::Email, DataType::Mailbox].map(|kind| dav.account.state(kind));
    let before = states();
    dav.propfind(HOME, "0", "<displayname/>").await;
    assert_ne!(states(), before);
}

#[tokio::test]
async fn faults_strike_and_counters_count() {
    let dav = start().await;
    let before = dav.simulator.counters();
    let status = |code| Effect::Status { code, retry_after: None };
    let fault = dav.simulator.faults().add(Fault::new(Target::method("CalDAV/PUT"), status(503)).times(1));
    assert_eq!(dav.put("a.ics", &event("u1", "")).await, 503);
    assert_eq!(dav.put("a.ics", &event("u1", "")).await, 201);
    assert_eq!(dav.simulator.faults().struck(fault), 1);
    dav.simulator.faults().add(Fault::new(Target::CalDav, status(500)).times(1));
    assert_eq!(dav.send("GET", &format!("{DEFAULT}a.ics"), &[], "").await.status, 500);
    let account = dav.account.clone();
    let vanish = move || {
        account
            .calendar_resources()
            .iter()
            .for_each(|it| account.remove(DataType::CalendarEvent, &it.event_id))
    };
    dav.simulator.faults().add(Fault::new(Target::method("CalDAV/calendar-query"), Effect::before(vanish)));
    assert!(hrefs(&dav.report(DEFAULT, "calendar-query", DATA).await.body).is_empty());
    dav.simulator.faults().add(Fault::new(Target::CalDav, Effect::InvalidJson));
    assert!(!dav.propfind(HOME, "0", "<displayname/>").await.body.ends_with("</D:multistatus>"));
    let counters = dav.simulator.counters().since(&before);
    assert_eq!(
        (counters.caldav, counters.calls_of("CalDAV/PUT"), counters.calls_of("CalDAV/calendar-query")),
        (5, 1, 1)
    );
}
