//! Calendars and address books that are made by CalDAV and CardDAV, on the real server and on the simulator.

use model::DataType;
use serde_json::json;

use crate::dav_requests::{Home, ask, element, remove, set};
use crate::place::Place;

const DEFAULT_COMPONENTS: &str = "VEVENT VTODO VJOURNAL VFREEBUSY VTIMEZONE VALARM STANDARD DAYLIGHT VAVAILABILITY AVAILABLE \
    PARTICIPANT VLOCATION VRESOURCE";

pub(crate) async fn calendars_are_made_with_properties(place: impl Place) {
    let home = Home::of(&place, "cal").await;
    let before = home.calls.state(DataType::Calendar).await.expect("a state");
    let components = "<c:supported-calendar-component-set><c:comp name=\"vevent\"/><c:comp name=\"VTODO\"/><c:comp name=\"X-OWN\"/>\
        </c:supported-calendar-component-set>";
    let given = set(&format!("<d:displayname>M 1</d:displayname>{components}<x:a>1</x:a>"));
    let made = "201 mkcalendar-response  [200 <D:displayname/><A:supported-calendar-component-set/><a xmlns=\"u:x\"/>]";
    home.check("MKCALENDAR", "m1/", &given, made).await;
    assert_eq!(home.changed(DataType::Calendar, &before).await, json!([1, 0, 0]));
    let comps = |names: &str| {
        let comps: String = names.split(' ').map(|name| format!("<A:comp name=\"{name}\"/>")).collect();
        format!("<A:supported-calendar-component-set>{comps}</A:supported-calendar-component-set>")
    };
    let asked = ask("<c:supported-calendar-component-set/><x:a/><d:displayname/>");
    let found = format!(
        "207 multistatus ~/m1/ [200 {}<a xmlns=\"u:x\">1</a><D:displayname../>]",
        comps("VTODO VEVENT")
    );
    home.check("PROPFIND", "m1", &asked, &found).await;
    let all = home.calls.ask("Calendar/get", json!({ "ids": null })).await.expect("it answers");
    let one =
        all["list"].as_array().expect("a list").iter().find(|one| one["name"] == "M 1").expect("it is there");
    assert_eq!(
        json!([one["isSubscribed"], one["description"], one["isDefault"]]),
        json!([false, null, false])
    );
    // What it does not support is taken nevertheless.
    let journal = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VJOURNAL\nUID:j\nDTSTART:20260105T100000Z\nEND:VJOURNAL\nEND:VCALENDAR\n";
    let path = format!("{}m1/j.ics", home.path);
    let (status, _) = home
        .dav
        .request("PUT", &path, "\r\nContent-Type: text/calendar", &journal.replace('\n', "\r\n"))
        .await;
    assert_eq!(status, 201);
    home.check("MKCALENDAR", "m1/", "", "405").await;
    home.check("MKCALENDAR", "m1/sub/", "", "405").await;
    home.check("MKCALENDAR", "", "", "403").await;
    assert_eq!(home.told("MKCALENDAR", "m2/", "", "").await, "201 mkcol-response ");
    let usual = format!(
        "207 multistatus ~/m2/ [200 {}<D:displayname../>] [404 <a xmlns=\"u:x\"/>]",
        comps(DEFAULT_COMPONENTS)
    );
    home.check("PROPFIND", "m2/", &asked, &usual).await;
    assert_eq!(home.told("MKCALENDAR", "m3/", "", "hello").await, "400");
    home.check(
        "MKCALENDAR",
        "m3/",
        &set("<d:getetag>1</d:getetag><x:a>1</x:a><c:supported-calendar-component-set/>"),
        "403 mkcalendar-response  [200 <a xmlns=\"u:x\"/>] [409 <D:getetag/>(Property cannot be modified)] \
         [412 <A:supported-calendar-component-set/><D:error><A:supported-calendar-component/></D:error>\
         (At least one supported component must be specified)]",
    )
    .await;
    home.check("PROPFIND", "m3/", &asked, "404").await;
    assert_eq!(home.told("MKCOL", "m3/", "", "").await, "201");
    let body = element("c:mkcalendar", "");
    assert_eq!(home.told("MKCALENDAR", "m4/", "\r\nPrefer: return=minimal", &body).await, "201");
}

pub(crate) async fn address_books_are_made_with_properties(place: impl Place) {
    let home = Home::of(&place, "card").await;
    let before = home.calls.state(DataType::AddressBook).await.expect("a state");
    let given = set(
        "<d:resourcetype><d:collection/><b:addressbook/></d:resourcetype><d:displayname>B 1</d:displayname>\
         <b:addressbook-description>about</b:addressbook-description><x:a>1</x:a>",
    );
    let made = "201 mkcol-response  [200 <D:resourcetype/><D:displayname/><B:addressbook-description/><a xmlns=\"u:x\"/>]";
    home.check("MKCOL", "b1/", &given, made).await;
    assert_eq!(home.told("MKCOL", "b2", "", "").await, "201");
    assert_eq!(home.changed(DataType::AddressBook, &before).await, json!([2, 0, 0]));
    let asked = ask("<b:addressbook-description/><x:a/>");
    let found = "207 multistatus ~/b1/ [200 <B:addressbook-description>about</B:addressbook-description><a xmlns=\"u:x\">1</a>]";
    home.check("PROPFIND", "b1/", &asked, found).await;
    let names = async || {
        let all = home.calls.ask("AddressBook/get", json!({ "ids": null })).await.expect("it answers");
        let all = all["list"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> = all
            .iter()
            .filter(|one| one["isSubscribed"] == false)
            .map(|one| one["name"].to_string())
            .collect();
        names.sort();
        names.join(" ")
    };
    let named = names().await;
    assert!(named.contains("\"Address Book\"") && named.contains("\"B 1\""), "{named}");
    home.check("MKCOL", "b1/", "", "405").await;
    home.check("MKCALENDAR", "b3/", "", "405").await;
    home.check(
        "MKCOL",
        "b3/",
        &set("<d:resourcetype><d:collection/><c:calendar/></d:resourcetype><c:calendar-timezone>1</c:calendar-timezone>"),
        "403 mkcol-response  [403 <D:resourcetype/><D:error><D:valid-resourcetype/></D:error>] \
         [409 <A:calendar-timezone/>(Property cannot be modified)]",
    )
    .await;
    // Of an address book the name can be removed.
    home.check(
        "PROPPATCH",
        "b1/",
        &remove("<d:displayname/>"),
        "207 multistatus ~/b1/ [204 <D:displayname/>]",
    )
    .await;
    assert!(names().await.contains("\"\""));
}
