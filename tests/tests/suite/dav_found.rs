//! What searches by CalDAV and CardDAV find, and how much of it they give, on the real server and on the simulator.

use serde_json::json;

use crate::dav_requests::{Home, ask, element};
use crate::place::Place;

pub(crate) async fn calendar_queries_match_uids(place: impl Place) {
    let home = Home::of(&place, "cal").await;
    for (kind, uid) in
        [("VEVENT", "Alpha-1"), ("VEVENT", "alpha-2"), ("VEVENT", "BETA-1"), ("VTODO", "alpha-3")]
    {
        let text = format!(
            "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:{kind}\nUID:{uid}\nDTSTART:20260105T100000Z\nEND:{kind}\nEND:VCALENDAR\n"
        );
        home.dav.put("cal", &format!("{uid}.ics"), &text).await;
    }
    let check = async |kind: &str, matches: &[(&str, &str)], expected: &[&str]| {
        let filters: String = matches
            .iter()
            .map(|(attributes, text)| {
                format!("<c:prop-filter name=\"UID\"><c:text-match {attributes}>{text}</c:text-match></c:prop-filter>")
            })
            .collect();
        let filter = format!(
            "<d:prop><d:getetag/></d:prop><c:filter><c:comp-filter name=\"VCALENDAR\"><c:comp-filter name=\"{kind}\">{filters}</c:comp-filter>\
             </c:comp-filter></c:filter>"
        );
        let told =
            home.told("REPORT", "default/", "\r\nDepth: 1", &element("c:calendar-query", &filter)).await;
        let found: Vec<&str> =
            told.split("~/default/").skip(1).filter_map(|rest| rest.split(".ics").next()).collect();
        assert_eq!(found, expected, "{kind} {matches:?}: {told}");
    };
    let events = ["Alpha-1", "BETA-1", "alpha-2"];
    check("VEVENT", &[("", "alpha")], &["Alpha-1", "alpha-2"]).await;
    check("VEVENT", &[("", "")], &events).await;
    check("VEVENT", &[], &events).await;
    check("VTODO", &[], &["alpha-3"]).await;
    check("VJOURNAL", &[("negate-condition=\"yes\"", "x")], &[]).await;
    check("VEVENT", &[("negate-condition=\"yes\"", "ALPHA")], &["BETA-1"]).await;
    check("VEVENT", &[("negate-condition=\"no\"", "-1"), ("negate-condition=\"yes\"", "bet")], &["Alpha-1"])
        .await;
    check("VEVENT", &[("negate-condition=\"yes\"", "-1"), ("negate-condition=\"yes\"", "bet")], &["alpha-2"])
        .await;
    check(
        "VEVENT",
        &[("collation=\"i;ascii-casemap\" negate-condition=\"YES\"", "alpha")],
        &["Alpha-1", "alpha-2"],
    )
    .await;
    check("VEVENT", &[("collation=\"i;octet\"", "alpha")], &["alpha-2"]).await;
    check("VEVENT", &[("match-type=\"equals\"", "beta-1")], &["BETA-1"]).await;
    check("VEVENT", &[("match-type=\"ends-with\"", "2")], &["alpha-2"]).await;
}

/// Results that the server gives at most.
const MOST: usize = 2_000;

pub(crate) async fn answers_are_limited(place: impl Place) {
    let home = Home::of(&place, "card").await;
    let books = home.calls.ask("AddressBook/get", json!({ "ids": null })).await.expect("it answers");
    let books = books["list"].as_array().cloned().unwrap_or_default();
    let add = async |from: usize, to: usize| {
        // The first one is called `default` in paths.
        let book = books.first().and_then(|book| book["id"].as_str()).expect("one is there");
        let card = |number: usize| {
            let card = json!({
                "@type": "Card", "version": "1.0", "addressBookIds": { book: true }, "name": { "full": format!("c {number}") },
                "uid": format!("many-{number}"),
            });
            (format!("c{number}"), card)
        };
        for start in (from..to).step_by(400) {
            let create: serde_json::Map<_, _> = (start..to.min(start + 400)).map(card).collect();
            let made =
                home.calls.ask("ContactCard/set", json!({ "create": create })).await.expect("it answers");
            assert!(made["notCreated"].is_null(), "{made}");
        }
    };
    let count = async |method: &str, body: &str| {
        let path = format!("{}default/", home.path);
        let more = "\r\nDepth: 1\r\nContent-Type: text/xml";
        let (status, answer) = home.dav.request(method, &path, more, body).await;
        let exceeded = format!(
            "<D:response><D:href>{path}</D:href><D:status>HTTP/1.1 507 Insufficient Storage</D:status><D:error>\
             <D:number-of-matches-within-limits/></D:error><D:responsedescription>The number of matches exceeds the limit of {MOST}\
             </D:responsedescription></D:response></D:multistatus>"
        );
        (status, answer.matches("<D:response>").count(), answer.ends_with(&exceeded))
    };
    let find = element("d:propfind", &ask("<d:getetag/>"));
    let query = element("b:addressbook-query", &ask("<d:getetag/>"));
    add(0, MOST - 2).await;
    assert_eq!(count("PROPFIND", &find).await, (207, MOST - 1, false));
    // With the collection there are as many as the limit: that is taken for more.
    add(MOST - 2, MOST - 1).await;
    assert_eq!(count("PROPFIND", &find).await, (207, MOST + 1, true));
    assert_eq!(count("REPORT", &query).await, (207, MOST - 1, false));
    let paths = home.dav.listed("card").await;
    add(MOST - 1, MOST + 5).await;
    assert_eq!(count("PROPFIND", &find).await, (207, MOST + 1, true));
    assert_eq!(count("REPORT", &query).await, (207, MOST + 1, true));
    // So is a multiget, without what it does not find.
    let multiget = |more: &[&str]| {
        let hrefs: String = paths
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .map(|path| format!("<d:href>{path}</d:href>"))
            .collect();
        element("b:addressbook-multiget", &format!("{}{hrefs}", ask("<d:getetag/>")))
    };
    let missing = format!("{}default/none", home.path);
    assert_eq!(count("REPORT", &multiget(&[&missing, &missing])).await, (207, MOST + 1, false));
    assert_eq!(count("REPORT", &multiget(&[&paths[0]])).await, (207, MOST + 1, true));
}
