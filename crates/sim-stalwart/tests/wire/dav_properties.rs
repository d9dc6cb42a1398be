//! Properties and limits of CalDAV. What the real server answers is compared in the suite of the whole product (`dav_requests.rs`, `dav_made.rs`, `dav_found.rs`).

use reqwest::Method;
use sim_stalwart::{AccountSpec, DataType, Limits, Simulator};

use crate::client::Client;

const DEFAULT: &str = "/dav/cal/alice%40example.org/default/";

struct Dav {
    simulator: Simulator,
    client: Client,
}

async fn start(limits: Limits) -> Dav {
    let alice = AccountSpec::new("alice@example.org", "secret").bare();
    let simulator = Simulator::builder().seed(5).limits(limits).account(alice).start().await.unwrap();
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    Dav { simulator, client }
}

impl Dav {
    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.http.request(method, format!("{}{path}", self.client.url));
        let request = request.basic_auth("alice@example.org", Some("secret")).header("depth", "1");
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn patch(&self, path: &str, inside: &str) -> u16 {
        let body = format!("<propertyupdate xmlns=\"DAV:\" xmlns:x=\"u:x\">{inside}</propertyupdate>");
        self.send("PROPPATCH", path, &body).await.0
    }
}

#[tokio::test]
async fn a_test_may_want_few_results() {
    let dav = start(Limits { dav_results: 3, ..Limits::default() }).await;
    let account = dav.simulator.account("alice@example.org").unwrap();
    for number in 0..5 {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:u{number}\nEND:VEVENT\nEND:VCALENDAR\n");
        account.put_calendar_resource("Stalwart Calendar", &format!("{number}.ics"), &text);
    }
    let (status, body) = dav.send("PROPFIND", DEFAULT, "").await;
    assert_eq!((status, body.matches("<D:response>").count()), (207, 4));
    assert!(body.contains("507 Insufficient Storage") && body.contains("exceeds the limit of 3"));
    let filter = "<c:filter><c:comp-filter name=\"VCALENDAR\"><c:comp-filter name=\"VEVENT\"><c:prop-filter name=\"UID\">\
        <c:text-match>u1</c:text-match></c:prop-filter></c:comp-filter></c:comp-filter></c:filter>";
    let query = format!(
        "<c:calendar-query xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><prop><getetag/></prop>{filter}</c:calendar-query>"
    );
    let (status, body) = dav.send("REPORT", DEFAULT, &query).await;
    assert_eq!((status, body.matches("<D:response>").count()), (207, 1));
    assert!(!body.contains("507"));
}

#[tokio::test]
async fn a_roll_back_takes_properties_back() {
    let dav = start(Limits::default()).await;
    let account = dav.simulator.account("alice@example.org").unwrap();
    let before = account.state(DataType::Calendar);
    assert_eq!(dav.patch(DEFAULT, "<set><prop><x:a>first</x:a></prop></set>").await, 207);
    let moved = account.state(DataType::Calendar);
    assert_ne!(moved, before);
    let point = account.checkpoint();
    let listed = async || dav.send("PROPFIND", DEFAULT, "").await.1;
    let first = listed().await;
    assert!(first.contains("<a xmlns=\"u:x\">first</a>"));
    assert_eq!(dav.patch(DEFAULT, "<set><prop><x:a>second</x:a></prop></set>").await, 207);
    let new = DEFAULT.replace("default", "new");
    assert_eq!(dav.send("MKCALENDAR", &new, "").await.0, 201);
    assert!(listed().await.contains("<a xmlns=\"u:x\">second</a>"));
    account.roll_back(&point);
    assert_eq!((listed().await, dav.send("PROPFIND", &new, "").await.0), (first, 404));
}
