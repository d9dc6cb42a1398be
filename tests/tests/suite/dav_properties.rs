//! What programs set to calendars and address books by CalDAV and CardDAV comes back: Apple's colours, a list for tasks alone, a time
//! zone that no list has, properties that nobody knows.

use std::collections::BTreeMap;

use engine::{Mode, RestoreId, Restored};
use jmap::{AccountRef, Client, Collection, Home};
use model::DataType;
use serde_json::{Value, json};
use tests::{Bed, Plain};

use crate::dav::Dav;
use crate::place::{ALICE, NEIGHBOUR, Place, User, bed};
use crate::truth;

const NAMESPACES: &str = "xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\" xmlns:b=\"urn:ietf:params:xml:ns:carddav\" \
    xmlns:a=\"http://apple.com/ns/ical/\" xmlns:x=\"urn:x\"";
const ZONE: &str = "<c:calendar-timezone>BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VTIMEZONE\nTZID:Own\nBEGIN:STANDARD\n\
    DTSTART:19700101T000000\nTZOFFSETFROM:+0330\nTZOFFSETTO:+0330\nEND:STANDARD\nEND:VTIMEZONE\nEND:VCALENDAR\n</c:calendar-timezone>";
const COMPONENTS: [&str; 3] = ["VEVENT", "VTODO", "VJOURNAL"];
/// What a program may set, in odd spellings.
const VALUES: [&str; 6] = [
    "<a:calendar-color>#FF2968FF</a:calendar-color>",
    "<a:calendar-color symbolic-color=\"custom\">#1B2</a:calendar-color><a:calendar-order>7</a:calendar-order>",
    "<x:empty/>",
    "<x:nested x:y=\"1&quot;\" xml:lang=\"de\">b\u{e4}r &lt;&amp;<x:in>a</x:in><a:other/> </x:nested>",
    "<y:none xmlns:y=\"urn:y\"><![CDATA[<b>]]></y:none><c:default-alarm-vevent-datetime>BEGIN:VALARM\nEND:VALARM</c:default-alarm-vevent-datetime>",
    "",
];

const TYPES: [DataType; 4] =
    [DataType::AddressBook, DataType::ContactCard, DataType::Calendar, DataType::CalendarEvent];

/// What one user's programs see of their collections.
struct Seen {
    dav: Dav,
    calls: Plain,
    client: Client,
    account: jmap::Account,
}

impl Seen {
    async fn of(place: &impl Place, user: User) -> Seen {
        let client = Bed::new(user.name, user.password).client(&place.url()).await.expect("signs in");
        let account = client.resolve_account(&AccountRef::Own).await.expect("is there");
        let calls = Plain::sign_in(&place.url(), user.name, user.password).await.expect("signs in");
        Seen { dav: Dav::of(place, user), calls, client, account }
    }

    /// Properties by names; the names that servers give to default ones have the account's in them.
    async fn told(&self) -> BTreeMap<String, Vec<String>> {
        let mut told = BTreeMap::new();
        for home in [Home::Calendars, Home::AddressBooks] {
            for collection in self.collections(home).await {
                let name = collection.name.split(" (").next().unwrap_or_default().to_owned();
                let properties = collection.properties.expect("they are read").into_values().collect();
                assert_eq!(told.insert(format!("{home:?} {name}"), properties), None, "two of one name");
            }
        }
        told
    }

    async fn collections(&self, home: Home) -> Vec<Collection> {
        self.client.collections(&self.account, home).await.expect("they are shown")
    }

    async fn ask(&self, method: &str, path: &str, body: String) {
        let user = self.dav.name().replace('@', "%40");
        let more = "\r\nContent-Type: text/xml; charset=utf-8";
        let (status, answer) =
            self.dav.request(method, &format!("/dav/{path}").replace('~', &user), more, &body).await;
        assert!(status < 300 && !answer.contains("HTTP/1.1 4"), "{method} {path}: {status} {answer}");
    }

    async fn make(&self, place: &str, properties: &str) {
        let body = format!(
            "<c:mkcalendar {NAMESPACES}><set><prop><displayname>{place}</displayname>{properties}</prop></set></c:mkcalendar>"
        );
        self.ask("MKCALENDAR", &format!("cal/~/{place}/"), body).await;
    }

    async fn set(&self, path: &str, properties: &str) {
        let body =
            format!("<propertyupdate {NAMESPACES}><set><prop>{properties}</prop></set></propertyupdate>");
        self.ask("PROPPATCH", path, body).await;
    }

    /// A calendar for each value, one for each set of components, and the default ones.
    async fn furnish(&self) {
        for (number, value) in VALUES.iter().enumerate() {
            let zone = if number % 2 == 0 { ZONE } else { "" };
            self.make(&format!("value-{number}"), &format!("{value}{zone}")).await;
        }
        for taken in 1..(1 << COMPONENTS.len()) - 1_usize {
            let is_taken = |(at, _): &(usize, &&str)| taken >> at & 1 == 1;
            let taken = COMPONENTS.iter().enumerate().filter(is_taken);
            let names: Vec<&str> = taken.map(|(_, name)| *name).collect();
            let set: String = names.iter().map(|name| format!("<c:comp name=\"{name}\"/>")).collect();
            let set =
                format!("<c:supported-calendar-component-set>{set}</c:supported-calendar-component-set>");
            self.make(&names.join("-"), &format!("{set}{}", VALUES[0])).await;
        }
        for path in ["cal/~/default/", "card/~/default/"] {
            self.set(path, VALUES[1]).await;
        }
    }

    async fn disturb(&self) {
        for number in 0..VALUES.len() {
            self.set(
                &format!("cal/~/value-{number}/"),
                "<a:calendar-color>#000</a:calendar-color><x:new>1</x:new>",
            )
            .await;
        }
        for path in ["cal/~/default/", "card/~/default/"] {
            self.set(path, "<x:new>1</x:new>").await;
        }
        let calendars = self.calls.things(DataType::Calendar).await.expect("it answers");
        let is_gone = |name: &Value| name == "VEVENT" || name == "VTODO-VJOURNAL";
        let things = calendars.into_values().map(|(json, _)| json);
        let gone: Vec<Value> = things.filter(|it| is_gone(&it["name"])).map(|it| it["id"].clone()).collect();
        let answer = self.calls.ask("Calendar/set", json!({ "destroy": gone })).await.expect("it answers");
        assert_eq!(answer["destroyed"].as_array().map(Vec::len), Some(2), "{answer}");
    }
}

fn assert_whole(restored: &Restored, changed: u64) {
    assert!(restored.is_whole(), "{restored:#?}");
    let all = restored.objects.iter().map(|of| of.restored + of.changed);
    assert_eq!(all.sum::<u64>(), changed, "{restored:#?}");
}

pub(crate) async fn what_programs_set_to_calendars_comes_back(place: impl Place) {
    let alice = Seen::of(&place, ALICE).await;
    alice.dav.empty("cal").await;
    alice.dav.empty("card").await;
    alice.told().await;
    alice.furnish().await;
    let expected = alice.told().await;
    assert_eq!(expected.len(), VALUES.len() + 6 + 2, "{expected:#?}");
    let alices = bed();
    truth::good_backup(&place, &alices).await;

    let admin = place.admin();
    let of_dave = AccountRef::Named(NEIGHBOUR.name.to_owned());
    let daves = bed().signed_in_as(admin.name, admin.password).of_account(of_dave).acting_as_owner();
    let dave = Seen::of(&place, NEIGHBOUR).await;
    let give = async |to, mode| {
        let id = RestoreId::random();
        alices.restore_types(&place.url(), None, to, mode, &id, &TYPES).await.expect("restores")
    };
    for done in [expected.len() as u64, 0] {
        assert_whole(&give(&daves, Mode::Missing).await, done);
        assert_eq!(dave.told().await, expected);
    }

    changes_are_taken_back(&place, &alice, &alices, &expected).await;
}

/// A change that JMAP does not show is in the next backup, and is taken back.
async fn changes_are_taken_back(
    place: &impl Place,
    alice: &Seen,
    alices: &Bed,
    expected: &BTreeMap<String, Vec<String>>,
) {
    alice.disturb().await;
    let disturbed = alice.told().await;
    let (repository, before) = alices.newest(&place.url()).await;
    let report = alices.backup(&place.url()).await.expect("backs up");
    assert_ne!(report.number, before.info().number, "{report:#?}");
    drop(repository);
    let id = RestoreId::random();
    let number = Some(before.info().number);
    let restored =
        alices.restore_types(&place.url(), number, alices, Mode::Exact, &id, &TYPES).await.expect("restores");
    assert_whole(&restored, VALUES.len() as u64 + 2 + 2);
    assert_eq!(alice.told().await, *expected);
    let (id, number) = (RestoreId::random(), Some(report.number));
    let undone = alices.restore_types(&place.url(), number, alices, Mode::Exact, &id, &TYPES).await;
    let undone = undone.expect("restores");
    assert!(undone.is_whole(), "{undone:#?}");
    assert_eq!(alice.told().await, disturbed, "{undone:#?}");
}
