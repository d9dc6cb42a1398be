//! Scripts, vacation response, identities, and on the simulator whatever else there is.

use model::DataType;
use serde_json::json;
use tests::Plain;
use tests::truth::{Things, things_of};

use crate::place::{ALICE, Place, bed};
use crate::truth::{Truth, good_backup};

/// Types whose objects this file knows how to make.
pub(crate) const KNOWN: [DataType; 5] = [
    DataType::Mailbox,
    DataType::Email,
    DataType::Identity,
    DataType::VacationResponse,
    DataType::SieveScript,
];

/// Ids of what was made.
pub(crate) struct Made {
    scripts: Vec<String>,
    identity: String,
}

impl Made {
    pub(crate) fn script(&self, at: usize) -> &str {
        &self.scripts[at]
    }
}

/// Three scripts, the second of them active, an identity and an absence.
pub(crate) async fn make<P: Place>(place: &P) -> Made {
    let long =
        format!("require \"fileinto\";\r\n{}keep;\r\n", "# many words of no meaning\r\n".repeat(1_500));
    let mut scripts = Vec::new();
    for (name, text) in [
        ("short", "keep;"),
        (
            "\u{e9}t\u{e9} / \u{1f4e6}",
            "require \"fileinto\";\r\n# \u{e9}t\u{e9}\r\nfileinto \"Gr\u{f6}\u{df}e\";\r\n",
        ),
        ("long", &long),
    ] {
        let blob = place.upload(text.as_bytes()).await;
        let script = json!({ "name": name, "blobId": blob });
        scripts.push(place.insert(DataType::SieveScript, script).await);
    }
    place.activate(&scripts[1]).await;
    let identity = json!({
        "name": "Alice \u{2702}", "email": ALICE.name, "textSignature": "-- \nA.", "htmlSignature": "<p>\u{c4}.</p>",
        "replyTo": [{ "name": "Elsewhere", "email": "else@example.org" }], "bcc": null,
    });
    let identity = place.insert(DataType::Identity, identity).await;
    set_vacation(place, "Away \u{2600}", true).await;
    let plain = place.plain(ALICE).await;
    for data_type in P::TYPES.iter().filter(|t| !KNOWN.contains(t)) {
        if plain.things(*data_type).await.expect("the server answers").is_empty() {
            make_one(place, &plain, *data_type).await;
        }
    }
    Made { scripts, identity }
}

/// An object of a type of which new accounts have none.
async fn make_one<P: Place>(place: &P, plain: &Plain, data_type: DataType) {
    let lies_in = async |container| {
        let containers = plain.things(container).await.expect("the server answers");
        json!({ containers.keys().next().expect("a default one"): true })
    };
    let object = match data_type {
        DataType::ContactCard => json!({
            "@type": "Card", "version": "1.0", "kind": "individual", "name": { "full": "Bob \u{c9}" },
            "addressBookIds": lies_in(DataType::AddressBook).await,
        }),
        DataType::CalendarEvent => json!({
            "@type": "Event", "uid": "one-event", "title": "Lunch \u{2600}", "start": "2026-07-01T12:00:00",
            "duration": "PT1H", "timeZone": "Europe/Berlin", "calendarIds": lies_in(DataType::Calendar).await,
        }),
        DataType::FileNode => {
            let blob = place.upload("a file".as_bytes()).await;
            json!({ "name": "a file", "parentId": null, "blobId": blob, "type": "text/plain" })
        }
        other => panic!("an account has a {other} from its beginning"),
    };
    place.insert(data_type, object).await;
}

async fn set_vacation<P: Place>(place: &P, subject: &str, is_enabled: bool) {
    let members = json!({
        "isEnabled": is_enabled, "fromDate": "2026-07-01T00:00:00Z", "toDate": null, "subject": subject,
        "textBody": "En cong\u{e9}", "htmlBody": "<p>En cong\u{e9}</p>",
    });
    place.edit(DataType::VacationResponse, "singleton", members).await;
}

/// A script rewritten, another one active, one gone; the identity, the absence, and an object of every other type edited.
pub(crate) async fn change<P: Place>(place: &P, made: &Made) {
    let blob = place.upload("require \"fileinto\";\r\ndiscard;\r\n".as_bytes()).await;
    place.edit(DataType::SieveScript, &made.scripts[2], json!({ "blobId": blob, "name": "rewritten" })).await;
    place.activate(&made.scripts[2]).await;
    place.remove(DataType::SieveScript, &made.scripts[0]).await;
    place.edit(DataType::Identity, &made.identity, json!({ "name": "Alice the second" })).await;
    set_vacation(place, "Back again", false).await;
    let plain = place.plain(ALICE).await;
    for data_type in P::TYPES.iter().filter(|t| !KNOWN.contains(t)) {
        let things = plain.things(*data_type).await.expect("the server answers");
        let id = things.keys().next().expect("there is one of each type");
        let name = match data_type {
            DataType::CalendarEvent => json!({ "title": "another name" }),
            DataType::ContactCard => json!({ "name": { "full": "another name" } }),
            _ => json!({ "name": "another name" }),
        };
        place.edit(*data_type, id, name).await;
    }
}

pub(crate) async fn every_other_type_comes_back_and_follows_its_changes<P: Place>(place: P) {
    let bed = bed();
    good_backup(&place, &bed).await;
    let made = make(&place).await;
    let report = good_backup(&place, &bed).await;
    let before = Truth::of(&place).await;
    let scripts = &before.things[&DataType::SieveScript];
    assert!(made.scripts.iter().all(|id| scripts[id].1.is_some()), "their texts were compared: {scripts:?}");
    assert!(before.things[&DataType::Identity].contains_key(&made.identity));
    assert_eq!(before.things[&DataType::VacationResponse].len(), 1);

    change(&place, &made).await;
    good_backup(&place, &bed).await;
    let unchanged = good_backup(&place, &bed).await;
    assert_eq!((unchanged.fetched_bytes, unchanged.stored_bytes), (0, 0));

    let after = Truth::of(&place).await;
    let (repository, _) = bed.newest(&place.url()).await;
    let old = repository.snapshot(Some(report.number)).await.expect("opens");
    for data_type in P::TYPES.iter().filter(|t| ![DataType::Email, DataType::Mailbox].contains(t)) {
        let (then, now): (&Things, &Things) = (&before.things[data_type], &after.things[data_type]);
        assert_ne!(then, now, "{data_type} was changed");
        assert_eq!(things_of(&old, *data_type).await, *then, "the older snapshot keeps what it had");
    }
    assert_eq!(bed.checked(&place.url()).await, 4);
}
