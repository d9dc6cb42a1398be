//! Calendars and contacts as other programs see them: put and compared by CalDAV and CardDAV.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::{Mode, RestoreId};
use jmap::AccountRef;
use model::DataType;

use crate::place::{ALICE, NEIGHBOUR, Place, User, bed};
use crate::truth;

/// In each account's default calendar.
const EVENTS: [(&str, &str); 7] = [
    (
        "moved",
        "BEGIN:VEVENT\nUID:moved\nDTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;COUNT=10\nSUMMARY:On call\nCOMMENT:a comment\nX-OWN;X-P=q:kept\nEND:VEVENT\n\
         BEGIN:VEVENT\nUID:moved\nRECURRENCE-ID;VALUE=DATE:20260112\nDTSTART;VALUE=DATE:20260113\nSUMMARY:Moved\nEND:VEVENT\n",
    ),
    (
        "zone",
        "BEGIN:VTIMEZONE\nTZID:Own\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0330\nTZOFFSETTO:+0330\nEND:STANDARD\nEND:VTIMEZONE\n\
         BEGIN:VEVENT\nUID:zone\nDTSTART;TZID=Own:20260105T100000\nDTEND;TZID=Own:20260105T110000\nSUMMARY:Own zone\nEND:VEVENT\n",
    ),
    (
        "alarm",
        "BEGIN:VEVENT\nUID:alarm\nDTSTART:20260105T100000Z\nDURATION:PT1H\nSUMMARY:Alarm\nGEO:48.85;2.35\nCLASS:PRIVATE\nBEGIN:VALARM\nACTION:DISPLAY\n\
         DESCRIPTION:its own text\nTRIGGER:-PT15M\nEND:VALARM\nEND:VEVENT\n",
    ),
    (
        "attached",
        "BEGIN:VEVENT\nUID:attached\nDTSTART:20260106T100000Z\nDURATION:PT1H\nSUMMARY:Attached\nATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY:aGVsbG8=\nEND:VEVENT\n",
    ),
    (
        "task",
        "BEGIN:VTODO\nUID:task\nDTSTART:20260105T100000Z\nDUE:20260107T100000Z\nSUMMARY:Task\nPERCENT-COMPLETE:40\nSTATUS:IN-PROCESS\nPRIORITY:3\nEND:VTODO\n",
    ),
    (
        "journal",
        "BEGIN:VJOURNAL\nUID:journal\nDTSTART;VALUE=DATE:20260105\nSUMMARY:Diary\nDESCRIPTION:what happened\nEND:VJOURNAL\n",
    ),
    (
        "left-out",
        "BEGIN:VEVENT\nUID:left-out\nDTSTART;TZID=Europe/Berlin:20260105T100000\nDURATION:PT30M\nRRULE:FREQ=DAILY;COUNT=9\nEXDATE;TZID=Europe/Berlin:20260107T100000\n\
         RDATE;TZID=Europe/Berlin:20260301T100000\nSUMMARY:Left out\nEND:VEVENT\n",
    ),
];

/// In each account's default address book.
const CARDS: [(&str, &str); 3] = [
    (
        "person",
        "FN:Ann \u{c9}xample\nN:\u{c9}xample;Ann;;;\nX-PHONETIC-FIRST-NAME:An\nGENDER:F;her own word\nBDAY:19800203\nANNIVERSARY:20100405\nEMAIL;TYPE=work:ann@example.org\n\
         TEL;TYPE=cell:+331\nIMPP:xmpp:ann@example.org\nRELATED;TYPE=friend:urn:uuid:f\nX-OWN:kept\nitem1.URL:https://example.org/\nitem1.X-ABLABEL:home page\n",
    ),
    ("photo", "FN:Photo\nPHOTO:data:image/png;base64,iVBORw0KGgo=\nNOTE:a note\\, with a comma\n"),
    ("group", "FN:Friends\nX-ADDRESSBOOKSERVER-KIND:group\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:person\n"),
];

/// One user's collections.
pub(crate) struct Dav {
    url: String,
    user: User,
}

impl Dav {
    pub(crate) fn of(place: &impl Place, user: User) -> Dav {
        Dav { url: place.url(), user }
    }

    pub(crate) fn name(&self) -> &str {
        self.user.name
    }

    pub(crate) async fn request(&self, method: &str, path: &str, more: &str, body: &str) -> (u16, String) {
        let authorization = STANDARD.encode(format!("{}:{}", self.user.name, self.user.password));
        let head = format!("{method} {path} HTTP/1.0\r\nAuthorization: Basic {authorization}{more}");
        let address = self.url.trim_start_matches("http://");
        let (status, answer) = testkit::http(address, &head, body.as_bytes()).await.expect("it answers");
        (status, String::from_utf8_lossy(&answer).into_owned())
    }

    fn collection(&self, kind: &str) -> String {
        format!("/dav/{kind}/{}/default/", self.user.name.replace('@', "%40"))
    }

    pub(crate) async fn put(&self, kind: &str, name: &str, text: &str) {
        let media = if kind == "cal" { "calendar" } else { "vcard" };
        let more = format!("\r\nContent-Type: text/{media}; charset=utf-8");
        let path = format!("{}{name}", self.collection(kind));
        let (status, answer) = self.request("PUT", &path, &more, &text.replace('\n', "\r\n")).await;
        assert!([201, 204].contains(&status), "{name}: {status} {answer}");
    }

    /// The paths of what lies in the collection.
    pub(crate) async fn listed(&self, kind: &str) -> Vec<String> {
        let (_, listing) = self.request("PROPFIND", &self.collection(kind), "\r\nDepth: 1", "").await;
        let hrefs = listing.split("<D:href>").skip(1).filter_map(|rest| rest.split('<').next());
        hrefs.filter(|href| !href.ends_with('/')).map(str::to_owned).collect()
    }

    pub(crate) async fn empty(&self, kind: &str) {
        for href in self.listed(kind).await {
            let (status, _) = self.request("DELETE", &href, "", "").await;
            assert_eq!(status, 204, "{href}");
        }
    }

    /// What the collection holds: by UID the lines of each.
    async fn held(&self, kind: &str) -> BTreeMap<String, Vec<String>> {
        let mut held = BTreeMap::new();
        for href in self.listed(kind).await {
            let (status, text) = self.request("GET", &href, "", "").await;
            assert_eq!(status, 200, "{href}");
            let lines = lines(&text);
            let uid = lines.iter().find(|line| line.starts_with("UID")).expect("a UID").clone();
            held.insert(uid, lines);
        }
        held
    }
}

/// The lines of a text in any order, without what the server writes by itself.
fn lines(text: &str) -> Vec<String> {
    let servers = ["JSID", "DTSTAMP", "PRODID", "REV", "LAST-MODIFIED", "CREATED", "BEGIN:VCARD", "VERSION"];
    let text = text.replace("\r\n ", "").replace("\r\n\t", "");
    let lines = text.lines().filter(|line| !servers.iter().any(|name| line.starts_with(name)));
    let mut lines: Vec<String> = lines.map(plain).collect();
    lines.sort();
    lines
}

/// A line without what JMAP's names of properties leave in it (RFC 9554: PROP-ID, JSCOMPS).
fn plain(line: &str) -> String {
    let line = line.replace('"', "");
    let Some((name, value)) = line.split_once(':') else { return line };
    // `JSCOMPS=;0;1` says which parts a name has.
    let name = name.split(";JSCOMPS=").next().unwrap_or(name);
    let parameters = name.split(';').filter(|parameter| !parameter.starts_with("PROP-ID="));
    let value = if name == "N" { value.trim_end_matches(';') } else { value };
    format!("{}:{value}", parameters.collect::<Vec<_>>().join(";"))
}

pub(crate) async fn calendars_and_contacts_come_back_as_other_programs_see_them(place: impl Place) {
    let alice = Dav::of(&place, ALICE);
    alice.empty("cal").await;
    alice.empty("card").await;
    for (name, text) in EVENTS {
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{text}END:VCALENDAR\n");
        alice.put("cal", &format!("{name}.ics"), &text).await;
    }
    for (name, text) in CARDS {
        let text = format!("BEGIN:VCARD\nVERSION:4.0\nUID:urn:uuid:{name}\n{text}END:VCARD\n");
        alice.put("card", &format!("{name}.vcf"), &text).await;
    }
    let alices = bed();
    truth::good_backup(&place, &alices).await;
    let expected = [alice.held("cal").await, alice.held("card").await];
    assert_eq!([expected[0].len(), expected[1].len()], [EVENTS.len(), CARDS.len()]);

    let admin = place.admin();
    let of_dave = AccountRef::Named(NEIGHBOUR.name.to_owned());
    let daves = bed().signed_in_as(admin.name, admin.password).of_account(of_dave).acting_as_owner();
    let dave = Dav::of(&place, NEIGHBOUR);
    let types = [DataType::AddressBook, DataType::ContactCard, DataType::Calendar, DataType::CalendarEvent];
    let give = async |to, mode| {
        let id = RestoreId::random();
        alices.restore_types(&place.url(), None, to, mode, &id, &types).await.expect("restores")
    };
    let restored = give(&daves, Mode::Missing).await;
    assert!(restored.is_whole(), "{restored:#?}");
    assert_eq!([dave.held("cal").await, dave.held("card").await], expected);

    // After each was changed, in the account itself.
    change(&alice).await;
    assert_ne!([alice.held("cal").await, alice.held("card").await], expected);
    let restored = give(&alices, Mode::Exact).await;
    assert!(restored.is_whole(), "{restored:#?}");
    assert_eq!([alice.held("cal").await, alice.held("card").await], expected);
}

async fn change(alice: &Dav) {
    for (name, text) in EVENTS {
        let kind =
            if name == "zone" { "VEVENT" } else { text.split(['\n', ':']).nth(1).expect("a component") };
        let event = format!("UID:{name}\nDTSTART;VALUE=DATE:20270101\nSUMMARY:changed\n");
        let event = format!("BEGIN:{kind}\n{event}END:{kind}\n");
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{event}END:VCALENDAR\n");
        alice.put("cal", &format!("{name}.ics"), &text).await;
    }
    for (name, _) in CARDS {
        let text = format!("BEGIN:VCARD\nVERSION:4.0\nUID:urn:uuid:{name}\nFN:changed\nEND:VCARD\n");
        alice.put("card", &format!("{name}.vcf"), &text).await;
    }
}
