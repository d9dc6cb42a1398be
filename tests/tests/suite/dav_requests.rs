//! Requests of CalDAV and CardDAV whose answers are the same from the real server and from the simulator, word for word but for what
//! each server draws: times, entity tags and the order of propstats and responses.

use model::DataType;
use serde_json::json;
use tests::Plain;

use crate::dav::Dav;
use crate::place::{ALICE, Place};

const NAMESPACES: &str = "xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\" xmlns:b=\"urn:ietf:params:xml:ns:carddav\" \
    xmlns:x=\"u:x\"";

/// Alice's home of one kind.
pub(crate) struct Home {
    pub(crate) dav: Dav,
    pub(crate) calls: Plain,
    pub(crate) path: String,
}

impl Home {
    pub(crate) async fn of(place: &impl Place, kind: &str) -> Home {
        let calls = Plain::sign_in(&place.url(), ALICE.name, ALICE.password).await.expect("signs in");
        // The default ones are made when they are asked for.
        for kind in [DataType::Calendar, DataType::AddressBook] {
            calls.state(kind).await.expect("has a state");
        }
        let dav = Dav::of(place, ALICE);
        dav.empty(kind).await;
        Home { dav, calls, path: format!("/dav/{kind}/{}/", ALICE.name.replace('@', "%40")) }
    }

    pub(crate) async fn told(&self, method: &str, path: &str, more: &str, body: &str) -> String {
        let more = format!("\r\nContent-Type: text/xml; charset=utf-8{more}");
        let path = format!("{}{path}", self.path);
        let (status, answer) = self.dav.request(method, &path, &more, body).await;
        format!("{status}{}", plain(&answer, &self.path))
    }

    pub(crate) async fn check(&self, method: &str, path: &str, inside: &str, expected: &str) {
        let (more, body) = match method {
            "PROPFIND" => ("\r\nDepth: 0", element("d:propfind", inside)),
            "PROPPATCH" => ("", element("d:propertyupdate", inside)),
            "MKCALENDAR" => ("", element("c:mkcalendar", inside)),
            _ => ("", element("d:mkcol", inside)),
        };
        let told = self.told(method, path, more, &body).await;
        assert_eq!(told, expected, "{method} {path}\n{inside}");
    }

    /// How many objects of a type were created, changed and destroyed since a state.
    pub(crate) async fn changed(&self, kind: DataType, before: &serde_json::Value) -> serde_json::Value {
        let method = format!("{}/changes", kind.name());
        let changes = self.calls.ask(&method, json!({ "sinceState": before })).await.expect("it answers");
        json!([
            changes["created"].as_array().map(Vec::len),
            changes["updated"].as_array().map(Vec::len),
            changes["destroyed"].as_array().map(Vec::len),
        ])
    }
}

pub(crate) fn element(name: &str, inside: &str) -> String {
    format!("<{name} {NAMESPACES}>{inside}</{name}>")
}

pub(crate) fn set(properties: &str) -> String {
    format!("<d:set><d:prop>{properties}</d:prop></d:set>")
}

pub(crate) fn remove(properties: &str) -> String {
    format!("<d:remove><d:prop>{properties}</d:prop></d:remove>")
}

pub(crate) fn ask(properties: &str) -> String {
    format!("<d:prop>{properties}</d:prop>")
}

/// An answer without what says the same in every one, with what is drawn left out, and its parts in order.
fn plain(answer: &str, home: &str) -> String {
    let Some((_, rest)) = answer.split_once("?><") else { return answer.to_owned() };
    let (root, rest) = rest.split_once('>').unwrap_or_default();
    let root = root.split(' ').next().unwrap_or_default();
    let inside = rest.strip_suffix(&format!("</{root}>")).unwrap_or(rest).replace(home, "~/");
    let mut responses: Vec<String> =
        inside.split("<D:response>").filter(|part| !part.is_empty()).map(response).collect();
    responses.sort();
    format!(" {} {}", root.trim_start_matches("D:").trim_start_matches("A:"), responses.join(" "))
}

fn response(part: &str) -> String {
    let part = part.trim_end_matches("</D:response>");
    let mut parts = part.split("<D:propstat>");
    let head = parts.next().unwrap_or_default();
    let mut stats: Vec<String> = parts.map(propstat).collect();
    stats.sort();
    let head = head.replace("<D:href>", "").replace("</D:href>", "");
    format!("{head}{}", stats.join(""))
}

fn propstat(part: &str) -> String {
    let part = part.trim_end_matches("</D:propstat>").replace("<D:prop>", "").replace("</D:prop>", "");
    let (properties, rest) = part.split_once("<D:status>HTTP/1.1 ").unwrap_or((&part, ""));
    let (status, about) = rest.split_once("</D:status>").unwrap_or_default();
    let about = about.replace("<D:responsedescription>", "(").replace("</D:responsedescription>", ")");
    let drawn = [
        "creationdate",
        "getetag",
        "getlastmodified",
        "supportedlock",
        "current-user-principal",
        "displayname",
    ];
    let properties = drawn.iter().fold(properties.to_owned(), |text, name| blank(&text, name));
    format!(" [{} {properties}{about}]", &status[..status.len().min(3)])
}

/// Empties an element of WebDAV.
fn blank(text: &str, name: &str) -> String {
    let (start, end) = (format!("<D:{name}>"), format!("</D:{name}>"));
    match (text.split_once(&start), text.split_once(&end)) {
        (Some((before, _)), Some((_, after))) => format!("{before}<D:{name}../>{after}"),
        _ => text.to_owned(),
    }
}

const ALL: &str = "<D:creationdate../><D:displayname../><D:getetag../><D:getlastmodified../>\
    <D:resourcetype><D:collection/><A:calendar/></D:resourcetype><D:lockdiscovery/><D:supportedlock../><D:current-user-principal../>";

pub(crate) async fn properties_are_set_found_and_removed(place: impl Place) {
    let home = Home::of(&place, "cal").await;
    let before = home.calls.state(DataType::Calendar).await.expect("a state");
    let given = "<x:a q=\"1&amp;\">v</x:a><x:deep><x:b><x:c>1</x:c></x:b>t &amp; &amp; <![CDATA[<]]></x:deep><e xmlns=\"\" xml:lang=\"fr\"/><d:own>2</d:own>";
    let names =
        "<a xmlns=\"u:x\" q=\"1&amp;\"/><deep xmlns=\"u:x\"/><e xml:lang=\"fr\"/><own xmlns=\"DAV:\"/>";
    home.check("PROPPATCH", "default/", &set(given), &format!("207 multistatus ~/default/ [200 {names}]"))
        .await;
    assert_eq!(home.changed(DataType::Calendar, &before).await, json!([0, 1, 0]));
    // The end of `b` is called `c`: what is two levels deep is no XML any more.
    let values = "<a xmlns=\"u:x\" q=\"1&amp;\">v</a><deep xmlns=\"u:x\"><b xmlns=\"u:x\"><c xmlns=\"u:x\">1</c></c>t &amp;&amp;&lt;</deep>\
        <e xml:lang=\"fr\"></e><own xmlns=\"DAV:\">2</own>";
    let all = format!("207 multistatus ~/default/ [200 {ALL}{values}]");
    home.check("PROPFIND", "default/", "<d:allprop/>", &all).await;
    assert_eq!(home.told("PROPFIND", "default/", "\r\nDepth: 0", "").await, all);
    let with_more = format!("207 multistatus ~/default/ [200 {ALL}{values}] [404 <A:calendar-timezone/>]");
    let include = "<d:allprop/><d:include><c:calendar-timezone/><x:none/><x:a/></d:include>";
    home.check("PROPFIND", "default/", include, &with_more).await;
    // A dead property is found by its local name, whatever the namespace.
    let asked = "<y:a xmlns:y=\"u:y\" z=\"1\"/><x:none/><d:calendar-data/>";
    let found = "207 multistatus ~/default/ [200 <a xmlns=\"u:y\" z=\"1\">v</a>] [404 <none xmlns=\"u:x\"/>]";
    home.check("PROPFIND", "default/", &ask(asked), found).await;
    home.check("PROPFIND", "default/", &ask(""), "207 multistatus ~/default/ [200 ]").await;
    let other = set("<y:a xmlns:y=\"u:y\">w</y:a>");
    home.check("PROPPATCH", "default/", &other, "207 multistatus ~/default/ [200 <a xmlns=\"u:y\"/>]").await;
    let removed = "207 multistatus ~/default/ [204 <deep xmlns=\"u:x\"/><e xmlns=\"DAV:\"/><own xmlns=\"DAV:\"/><none xmlns=\"u:x\"/>]";
    home.check("PROPPATCH", "default/", &remove("<x:deep/><d:e/><d:own/><x:none/>"), removed).await;
    let left = format!("207 multistatus ~/default/ [200 {ALL}<a xmlns=\"u:y\">w</a>]");
    home.check("PROPFIND", "default/", "<d:allprop/>", &left).await;
}

pub(crate) async fn properties_are_refused(place: impl Place) {
    let home = Home::of(&place, "cal").await;
    let before = home.calls.state(DataType::Calendar).await.expect("a state");
    let check = async |inside: &str, expected: &str| {
        home.check("PROPPATCH", "default/", inside, expected).await;
    };
    // What was not refused is called done, and is not.
    let mixed =
        set("<x:a>1</x:a><d:getetag>1</d:getetag><c:calendar-data/><c:max-instances>2</c:max-instances>");
    check(
        &mixed,
        "207 multistatus ~/default/ [200 <a xmlns=\"u:x\"/><A:calendar-data/>] \
         [409 <D:getetag/><A:max-instances/>(Property cannot be modified)]",
    )
    .await;
    let long = format!("<x:a>{}</x:a><d:displayname>{}</d:displayname>", "v".repeat(1_017), "n".repeat(251));
    let too_long =
        "207 multistatus ~/default/ [507 <a xmlns=\"u:x\"/><D:displayname/>(Property value is too long)]";
    check(&set(&long), too_long).await;
    check(
        &set("<c:supported-calendar-component-set><c:comp name=\"VTODO\"/></c:supported-calendar-component-set>"),
        "207 multistatus ~/default/ [412 <A:supported-calendar-component-set/><D:error><A:supported-calendar-component/></D:error>\
         (Property cannot be modified)]",
    )
    .await;
    check(
        &set("<c:calendar-timezone>hello</c:calendar-timezone><c:calendar-timezone-id>None</c:calendar-timezone-id>"),
        "207 multistatus ~/default/ [409 <A:calendar-timezone/>(Property cannot be modified)] \
         [412 <A:calendar-timezone-id/><D:error><A:valid-timezone/></D:error>(Invalid timezone ID)]",
    )
    .await;
    check(
        &set("<d:resourcetype><d:collection/><d:principal/></d:resourcetype><d:creationdate>now</d:creationdate>"),
        "207 multistatus ~/default/ [403 <D:resourcetype/><D:error><D:valid-resourcetype/></D:error>] \
         [409 <D:creationdate/>(Property cannot be modified)]",
    )
    .await;
    assert_eq!(home.changed(DataType::Calendar, &before).await, json!([0, 0, 0]));
    // Known names in a namespace where they mean nothing are passed over.
    check(&set("<d:calendar-description>1</d:calendar-description>"), "204").await;
    check("", "204").await;
    home.check("PROPPATCH", "", &set("<x:a>1</x:a>"), "404").await;
    home.check("PROPPATCH", "default/none.ics", &set("<x:a>1</x:a>"), "404").await;
    assert_eq!(home.told("PROPPATCH", "default/", "", "hello").await, "400");
    let body = element("d:propertyupdate", &set("<x:a>1</x:a>"));
    assert_eq!(home.told("PROPPATCH", "default/", "\r\nIf-Match: \"1\"", &body).await, "412");
    // A removal that is refused does not stop what is set.
    let both = format!("{}{}", set("<x:a>1</x:a>"), remove("<d:displayname/><d:getetag/>"));
    check(
        &both,
        "207 multistatus ~/default/ [200 <a xmlns=\"u:x\"/>] [409 <D:displayname/><D:getetag/>(Property cannot be deleted)]",
    )
    .await;
    assert_eq!(home.told("PROPPATCH", "default/", "\r\nPrefer: return=minimal", &body).await, "204");
    // All of a resource's together have less than 1,024 bytes: names, attributes, texts, and one for each end but the last.
    let of = |length: usize| set(&format!("<x:a>{}</x:a>", "v".repeat(length)));
    let fits = 1_023 - "axmlns=\"u:x\"".len();
    check(&of(fits), "207 multistatus ~/default/ [200 <a xmlns=\"u:x\"/>]").await;
    check(&of(fits + 1), "207 multistatus ~/default/ [507 <a xmlns=\"u:x\"/>(Property value is too long)]")
        .await;
    assert_eq!(home.changed(DataType::Calendar, &before).await, json!([0, 1, 0]));
}

const ZONE: &str = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VTIMEZONE\nTZID:NAME\nBEGIN:STANDARD\nDTSTART:19700101T000000\n\
    TZOFFSETFROM:+0330\nTZOFFSETTO:+0330\nEND:STANDARD\nEND:VTIMEZONE\nEND:VCALENDAR\n";

pub(crate) async fn live_properties_are_those_of_jmap(place: impl Place) {
    let home = Home::of(&place, "cal").await;
    let calendar = async || {
        let properties = ["name", "description", "timeZone", "isDefault"];
        let all = home.calls.ask("Calendar/get", json!({ "ids": null, "properties": properties }));
        let all = all.await.expect("it answers")["list"].as_array().cloned().unwrap_or_default();
        let one = all.into_iter().find(|one| one["isDefault"] == true).expect("a default one");
        (one["id"].clone(), [one["name"].clone(), one["description"].clone(), one["timeZone"].clone()])
    };
    let zones = "<c:calendar-timezone/><c:calendar-timezone-id/><c:calendar-description/>";
    let given = set(&format!(
        "<d:displayname>N &amp; m</d:displayname><c:calendar-description> d </c:calendar-description><c:calendar-timezone>{}</c:calendar-timezone>",
        ZONE.replace("NAME", "Own")
    ));
    let names = "<D:displayname/><A:calendar-description/><A:calendar-timezone/>";
    home.check("PROPPATCH", "default/", &given, &format!("207 multistatus ~/default/ [200 {names}]")).await;
    let (id, told) = calendar().await;
    assert_eq!(json!(told), json!(["N & m", " d ", null]));
    let text = |name: &str| format!("<![CDATA[{}]]>", ZONE.replace("NAME", name).replace('\n', "\r\n"));
    let own = |name: &str| {
        format!(
            "207 multistatus ~/default/ [200 <A:calendar-timezone>{}</A:calendar-timezone><A:calendar-description> d </A:calendar-description>] \
         [404 <A:calendar-timezone-id/>]",
            text(name)
        )
    };
    home.check("PROPFIND", "default/", &ask(zones), &own("Own")).await;
    // A zone whose name the IANA knows is that one by JMAP, whatever it says of itself.
    let known =
        format!("<c:calendar-timezone>{}</c:calendar-timezone>", ZONE.replace("NAME", "Europe/Berlin"));
    home.check(
        "PROPPATCH",
        "default/",
        &set(&known),
        "207 multistatus ~/default/ [200 <A:calendar-timezone/>]",
    )
    .await;
    assert_eq!(calendar().await.1[2], json!("Europe/Berlin"));
    home.check("PROPFIND", "default/", &ask(zones), &own("Europe/Berlin")).await;
    let update = json!({ "update": { id.as_str().expect("an id"): { "timeZone": "Europe/Rome", "description": null } } });
    home.calls.ask("Calendar/set", update).await.expect("it answers");
    home.check(
        "PROPFIND",
        "default/",
        &ask(zones),
        "207 multistatus ~/default/ [200 <A:calendar-timezone-id>Europe/Rome</A:calendar-timezone-id>] \
         [404 <A:calendar-timezone/><A:calendar-description/>]",
    )
    .await;
    let nothing = set("<d:displayname/><c:calendar-timezone/>");
    home.check(
        "PROPPATCH",
        "default/",
        &nothing,
        "207 multistatus ~/default/ [200 <D:displayname/><A:calendar-timezone/>]",
    )
    .await;
    assert_eq!(json!(calendar().await.1), json!(["N & m", null, "Europe/Rome"]));
    let removal = remove("<c:calendar-timezone/>");
    home.check("PROPPATCH", "default/", &removal, "207 multistatus ~/default/ [204 <A:calendar-timezone/>]")
        .await;
    assert_eq!(calendar().await.1[2], json!(null));
}

pub(crate) async fn members_have_properties_too(place: impl Place) {
    let home = Home::of(&place, "card").await;
    home.dav.put("card", "a.vcf", "BEGIN:VCARD\nVERSION:4.0\nUID:u1\nFN:Ann\nEND:VCARD\n").await;
    let before = home.calls.state(DataType::ContactCard).await.expect("a state");
    let given = set("<x:a>1</x:a><d:displayname>Ann</d:displayname>");
    let names = "207 multistatus ~/default/a.vcf [200 <a xmlns=\"u:x\"/><D:displayname/>]";
    home.check("PROPPATCH", "default/a.vcf", &given, names).await;
    assert_eq!(home.changed(DataType::ContactCard, &before).await, json!([0, 1, 0]));
    let all = "207 multistatus ~/default/a.vcf [200 <D:creationdate../><D:displayname../><D:getetag../><D:getlastmodified../><D:resourcetype/>\
        <D:lockdiscovery/><D:supportedlock../><D:current-user-principal../><D:getcontentlength>53</D:getcontentlength>\
        <D:getcontenttype>text/vcard</D:getcontenttype><a xmlns=\"u:x\">1</a>]";
    home.check("PROPFIND", "default/a.vcf", "<d:allprop/>", all).await;
    // Another text leaves them.
    home.dav.put("card", "a.vcf", "BEGIN:VCARD\nVERSION:4.0\nUID:u1\nFN:Ann B\nEND:VCARD\n").await;
    let found = "207 multistatus ~/default/a.vcf [200 <a xmlns=\"u:x\">1</a><D:displayname../>]";
    home.check("PROPFIND", "default/a.vcf", &ask("<x:a/><d:displayname/>"), found).await;
    home.check(
        "PROPPATCH",
        "default/a.vcf",
        &set("<d:resourcetype/><b:addressbook-description>1</b:addressbook-description>"),
        "207 multistatus ~/default/a.vcf [409 <D:resourcetype/><B:addressbook-description/>(Property cannot be modified)]",
    )
    .await;
    let gone = "207 multistatus ~/default/a.vcf [204 <D:displayname/><a xmlns=\"u:x\"/>] [409 <D:getetag/>(Property cannot be deleted)]";
    home.check("PROPPATCH", "default/a.vcf", &remove("<d:displayname/><x:a/><d:getetag/>"), gone).await;
    let missing = "207 multistatus ~/default/a.vcf [404 <a xmlns=\"u:x\"/><D:displayname/>]";
    home.check("PROPFIND", "default/a.vcf", &ask("<x:a/><d:displayname/>"), missing).await;
}
