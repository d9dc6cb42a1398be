//! CardDAV, by plain HTTP. What it shares with CalDAV is tested there.

use serde_json::{Value, json};
use sim_stalwart::{
    AccountHandle, AccountSpec, CalDav, Capabilities, Capability, DataType, Simulator, Version,
};

use crate::client::Client;

const HOME: &str = "/dav/card/alice%40example.org/";
const DEFAULT: &str = "/dav/card/alice%40example.org/default/";

struct Dav {
    simulator: Simulator,
    client: Client,
    account: AccountHandle,
}

struct Answer {
    status: u16,
    etag: Option<String>,
    media: Option<String>,
    body: String,
}

fn card(lines: &str) -> String {
    format!("BEGIN:VCARD\nVERSION:4.0\n{lines}END:VCARD\n").replace('\n', "\r\n")
}

async fn start() -> Dav {
    let account = |name: &str| AccountSpec::new(name, "secret").bare();
    let simulator = Simulator::builder().seed(5).account(account("alice@example.org"));
    let simulator = simulator.account(account("bob@example.org")).start().await.unwrap();
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let account = simulator.account("alice@example.org").unwrap();
    Dav { simulator, client, account }
}

impl Dav {
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.http.request(method, format!("{}{path}", self.client.url));
        request = request.basic_auth("alice@example.org", Some("secret")).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, etag, media) = (answer.status().as_u16(), header("etag"), header("content-type"));
        Answer { status, etag, media, body: answer.text().await.unwrap() }
    }

    async fn put(&self, name: &str, lines: &str) -> Answer {
        self.send("PUT", &format!("{DEFAULT}{name}"), &[], card(lines)).await
    }

    async fn get(&self, name: &str) -> Answer {
        self.send("GET", &format!("{DEFAULT}{name}"), &[], "").await
    }

    async fn report(&self, path: &str, kind: &str, inside: &str) -> Answer {
        let names = "xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:carddav\"";
        let body = format!("<c:{kind} {names}>{inside}</c:{kind}>");
        self.send("REPORT", path, &[("content-type", "application/xml")], body).await
    }

    fn cards(&self) -> Vec<Value> {
        self.account.content(DataType::ContactCard).into_values().collect()
    }

    fn state(&self) -> String {
        self.account.state(DataType::ContactCard)
    }
}

/// The paths of the responses.
fn hrefs(body: &str) -> Vec<String> {
    let paths = body.split("<D:response><D:href>").skip(1);
    paths.map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_text_is_put_and_read_and_becomes_a_card() {
    let dav = start().await;
    let put = dav.put("a.vcf", "UID:a\nFN:Ann\nNOTE:b, c\nX-OWN;X-P=q:kept\n").await;
    let got = dav.get("a.vcf").await;
    assert_eq!((put.status, got.status, &got.etag), (201, 200, &put.etag));
    assert_eq!(got.media.as_deref(), Some("text/vcard; charset=utf-8"));
    assert_eq!(got.body, card("UID:a\nFN:Ann\nNOTE:b\\, c\nX-OWN;X-P=q:kept\n"));
    let cards = dav.cards();
    assert_eq!(
        cards,
        [json!({
            "@type": "Card", "version": "1.0", "id": cards[0]["id"], "uid": "a", "addressBookIds": { "a": true },
            "name": { "full": "Ann" }, "notes": { "k1": { "note": "b, c" } },
            "vCard": { "properties": [["version", {}, "unknown", "4.0"], ["x-own", { "x-p": "q" }, "unknown", "kept"]] },
        })]
    );
}

#[tokio::test]
async fn an_equal_text_moves_the_state() {
    let dav = start().await;
    dav.put("a.vcf", "UID:a\nFN:Ann\n").await;
    let before = dav.state();
    let again = dav.put("a.vcf", "UID:a\nFN:Ann\n").await;
    assert_eq!((again.status, again.etag.is_some()), (204, true));
    assert_ne!(dav.state(), before);
}

#[tokio::test]
async fn what_is_refused_says_the_condition() {
    let dav = start().await;
    assert_eq!(dav.put("a.vcf", "UID:a\nFN:Ann\n").await.status, 201);
    let refused = async |name: &str, body: Vec<u8>, condition: &str| {
        let answer = dav.send("PUT", &format!("{DEFAULT}{name}"), &[], body).await;
        assert_eq!(answer.status, 412, "{condition}");
        let start = "<D:error xmlns:D=\"DAV:\" xmlns:B=\"urn:ietf:params:xml:ns:carddav\">";
        assert!(answer.body.contains(&format!("{start}<B:{condition}")), "{}", answer.body);
    };
    for unreadable in ["", "hello", "BEGIN:VCARD\r\nFN:q\r\n", "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"] {
        refused("b.vcf", unreadable.into(), "supported-address-data/>").await;
    }
    refused("b.vcf", b"\xff".to_vec(), "supported-address-data/>").await;
    let conflict = format!("no-uid-conflict><D:href>{DEFAULT}a.vcf</D:href>");
    refused("b.vcf", card("UID:a\nFN:x\n").into(), &conflict).await;
    refused("a.vcf", card("UID:b\nFN:x\n").into(), &conflict).await;
    refused("a.vcf", card("FN:x\n").into(), &conflict).await;
    let sized =
        |bytes: usize| card(&format!("UID:b\nNOTE:{}\n", "x".repeat(bytes - card("UID:b\nNOTE:\n").len())));
    refused("b.vcf", sized(524_289).into(), "max-resource-size>524288<").await;
    assert_eq!(dav.send("PUT", &format!("{DEFAULT}b.vcf"), &[], sized(524_288)).await.status, 201);
}

#[tokio::test]
async fn cards_may_have_no_uid() {
    let dav = start().await;
    assert_eq!([dav.put("a", "FN:a\n").await.status, dav.put("b", "FN:b\n").await.status], [201, 201]);
    assert!(dav.cards().iter().all(|card| card["uid"].is_null()));
    assert_eq!([dav.put("a", "UID:u\nFN:a\n").await.status, dav.put("a", "FN:a\n").await.status], [204, 412]);
}

#[tokio::test]
async fn a_uid_is_unique_in_each_address_book() {
    let dav = start().await;
    dav.account.insert(DataType::AddressBook, json!({ "name": "Second" }));
    let listed = dav.send("PROPFIND", HOME, &[("depth", "1")], "").await;
    let paths = hrefs(&listed.body);
    assert_eq!(
        (listed.status, &paths[..2], paths.len()),
        (207, [HOME, DEFAULT].map(str::to_owned).as_slice(), 3)
    );
    assert!(listed.body.contains("<D:resourcetype><D:collection/><B:addressbook/></D:resourcetype>"));
    for path in &paths[1..] {
        assert_eq!(dav.send("PUT", &format!("{path}x.vcf"), &[], card("UID:u\nFN:x\n")).await.status, 201);
    }
    assert_eq!(dav.send("DELETE", &format!("{DEFAULT}x.vcf"), &[], "").await.status, 204);
    assert_eq!(dav.cards().len(), 1);
}

#[tokio::test]
async fn a_card_changed_by_jmap_keeps_what_json_does_not_know() {
    let dav = start().await;
    dav.put("a.vcf", "UID:a\nFN:Ann\nX-OWN:kept\nitem1.URL:https://x/\nitem1.X-ABLABEL:home\n").await;
    let id = dav.cards()[0]["id"].as_str().unwrap().to_owned();
    dav.account.edit(DataType::ContactCard, &id, |card| card["name"] = json!({ "full": "Other" }));
    let text = dav.get("a.vcf").await.body;
    for line in ["UID:a", "FN:Other", "X-OWN:kept", "item1.URL;PROP-ID=k1:https://x/", "item1.X-ABLABEL:home"]
    {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    dav.account.insert(
        DataType::ContactCard,
        json!({ "addressBookIds": { "a": true }, "name": { "full": "By JMAP" } }),
    );
    let listed = dav.send("PROPFIND", DEFAULT, &[("depth", "1")], "").await.body;
    let made =
        hrefs(&listed).into_iter().find(|path| !path.ends_with('/') && !path.ends_with("a.vcf")).unwrap();
    assert!(dav.send("GET", &made, &[], "").await.body.contains("FN:By JMAP\r\n"));
}

#[tokio::test]
async fn reports_search_and_look_up() {
    let dav = start().await;
    dav.put("a.vcf", "UID:a\nFN:Ann\nitem1.TEL:1\n").await;
    dav.put("b.vcf", "UID:b\nFN:Bob\nNOTE:a, b\n").await;
    let [ann, bob] = ["a.vcf", "b.vcf"].map(|name| format!("{DEFAULT}{name}"));
    let query = async |path: &str, filter: &str, data: &str| {
        let inside = format!("<prop><getetag/><c:address-data>{data}</c:address-data></prop>{filter}");
        dav.report(path, "addressbook-query", &inside).await
    };
    let all = query(DEFAULT, "", "").await;
    assert_eq!((all.status, hrefs(&all.body)), (207, vec![ann.clone(), bob.clone()]));
    assert!(
        all.body.contains(&format!("<B:address-data><![CDATA[{}]]>", card("UID:b\nFN:Bob\nNOTE:a\\, b\n"))),
        "{}",
        all.body
    );
    let of = |name: &str, inside: &str| {
        format!("<c:filter><c:prop-filter name=\"{name}\">{inside}</c:prop-filter></c:filter>")
    };
    for (filter, expected) in [
        (of("FN", "<c:text-match>ANN</c:text-match>"), vec![ann.clone()]),
        (of("item1.TEL", "<c:text-match>1</c:text-match>"), vec![ann.clone()]),
        (of("TEL", "<c:text-match>1</c:text-match>"), vec![]),
        (of("NOTE", "<c:text-match>a, b</c:text-match>"), vec![bob.clone()]),
        (of("TEL", ""), vec![ann.clone(), bob.clone()]),
        (of("item1.TEL", "<c:is-not-defined/>"), vec![bob.clone()]),
    ] {
        assert_eq!(hrefs(&query(DEFAULT, &filter, "").await.body), expected, "{filter}");
    }
    let part =
        query(DEFAULT, &of("FN", "<c:text-match>bob</c:text-match>"), "<c:prop name=\"FN\"/>").await.body;
    assert!(part.contains("<![CDATA[BEGIN:VCARD\r\nFN:Bob\r\nEND:VCARD\r\n]]>"), "{part}");
    assert_eq!([query(HOME, "", "").await.status, query(&ann, "", "").await.status], [405, 405]);
    assert!(query(&format!("{DEFAULT}none.vcf"), "", "").await.body.contains("No resources found"));
    let missing = format!("{DEFAULT}none.vcf");
    let asked = [&bob, &missing, DEFAULT, "/dav/cal/alice%40example.org/default/x.ics"];
    let inside: String = asked.iter().map(|path| format!("<href>{path}</href>")).collect();
    let found =
        dav.report(DEFAULT, "addressbook-multiget", &format!("<prop><getetag/></prop>{inside}")).await.body;
    assert_eq!(hrefs(&found), [asked[1], asked[2], asked[3], asked[0]]);
    assert!(found.contains("Multiget not allowed for collections"), "{found}");
    assert_eq!(dav.report(DEFAULT, "foo", "").await.status, 400);
}

#[tokio::test]
async fn access_and_offer_are_those_of_jmap() {
    let dav = start().await;
    let status = async |path: &str| dav.send("PROPFIND", path, &[("depth", "1")], "").await.status;
    assert_eq!(status("/dav/card/bob@example.org/").await, 403);
    assert_eq!(status("/dav/card/nobody/").await, 404);
    assert_eq!(status("/.well-known/carddav").await, 207);
    dav.simulator.set_caldav(CalDav::Missing);
    dav.simulator.set_capabilities(Capabilities::v0_16().without(Capability::Calendars));
    assert_eq!(status(HOME).await, 207);
    dav.simulator.set_capabilities(Capabilities::v0_16().without(Capability::Contacts));
    assert_eq!(status(HOME).await, 404);
    dav.simulator.set_capabilities(Capabilities::v0_16());
    dav.simulator.set_version(Version::V0_15);
    assert_eq!(status(HOME).await, 404);
}

#[tokio::test]
async fn a_roll_back_finds_older_texts() {
    let dav = start().await;
    dav.put("a.vcf", "UID:a\nFN:Ann\nX-OWN:1\n").await;
    let point = dav.account.checkpoint();
    dav.put("a.vcf", "UID:a\nFN:Ann\nX-OWN:2\n").await;
    dav.account.roll_back(&point);
    assert_eq!(dav.get("a.vcf").await.body, card("UID:a\nFN:Ann\nX-OWN:1\n"));
    let counters = dav.simulator.counters();
    assert_eq!(
        [counters.calls_of("CardDAV/PUT"), counters.calls_of("CardDAV/GET"), counters.caldav],
        [2, 1, 0]
    );
}
