//! The objects an account begins with.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::account::Account;
use crate::dates;
use crate::kind::DataType;
use crate::rng::{Rng, mix};
use crate::spec::{AccountSpec, Folders};
use crate::vocabulary::{self, Flavour, phrase};

/// Fills a new account; nothing of it is in the log.
pub(crate) fn furnish(account: &mut Account, spec: &AccountSpec) {
    let rng = &mut Rng::new(mix(account.mails.seed, 0xf00d));
    folders(account, &spec.folders);
    identities(account);
    scripts(account, spec, rng);
    contacts(account, spec.contacts, rng);
    events(account, spec.events, rng);
    files(account, spec.files, rng);
}

fn add(account: &mut Account, kind: DataType, object: impl FnOnce(&str) -> Value) -> String {
    let id = account.draw_id(kind);
    let object = object(&id);
    account.furnish(kind, &id, object);
    id
}

/// A folder object; the counts are added when it is read.
pub(crate) fn folder(id: &str, name: &str, parent: Option<&str>, role: Option<&str>) -> Value {
    let rights: serde_json::Map<String, Value> = [
        "mayReadItems",
        "mayAddItems",
        "mayRemoveItems",
        "maySetSeen",
        "maySetKeywords",
        "mayCreateChild",
        "mayRename",
        "mayDelete",
        "maySubmit",
    ]
    .into_iter()
    .map(|right| (right.to_owned(), Value::Bool(true)))
    .collect();
    json!({
        "id": id, "name": name, "parentId": parent, "role": role, "sortOrder": 0, "isSubscribed": role.is_some(),
        "myRights": rights, "shareWith": {},
    })
}

fn folders(account: &mut Account, folders: &Folders) {
    let usual = [("Inbox", "inbox"), ("Deleted Items", "trash"), ("Junk Mail", "junk"), ("Drafts", "drafts")];
    for (name, role) in usual.into_iter().chain([("Sent Items", "sent")]) {
        add(account, DataType::Mailbox, |id| folder(id, name, None, Some(role)));
    }
    let mut plain = |name: &str, parent: Option<&str>| {
        add(account, DataType::Mailbox, |id| folder(id, name, parent, None))
    };
    match folders {
        Folders::Plain => {}
        Folders::Many(count) => {
            (0..*count).for_each(|number| drop(plain(&format!("Folder {number}"), None)));
        }
        Folders::Odd => odd_folders(&mut plain),
    }
}

fn odd_folders(add: &mut impl FnMut(&str, Option<&str>) -> String) {
    let long = "x".repeat(200);
    for name in [
        "Été à la plage ☀",
        "受信箱",
        "a/b",
        ".hidden",
        "..",
        "projects",
        "Projects",
        " lead and trail ",
        &long,
    ] {
        add(name, None);
    }
    for name in ["con", "quo\"te\\back", "tab\there", "e\u{301}te\u{301}", "été", "%2e%2e", "*?<>|"] {
        add(name, None);
    }
    let mut parent = add("2024", None);
    for name in ["01", "a/b", "Inbox", ".", "deep", "deeper"] {
        parent = add(name, Some(&parent));
    }
}

fn identities(account: &mut Account) {
    let owner = account.name.clone();
    add(account, DataType::Identity, |id| {
        json!({
            "id": id, "name": "Alice Example", "email": owner, "replyTo": null, "bcc": null,
            "textSignature": "-- \nAlice ✂", "htmlSignature": "<p>Alice</p>", "mayDelete": true,
        })
    });
    add(
        account,
        DataType::ParticipantIdentity,
        |id| json!({ "id": id, "name": "Alice Example", "calendarAddress": format!("mailto:{owner}"), "isDefault": true }),
    );
}

fn scripts(account: &mut Account, spec: &AccountSpec, rng: &mut Rng) {
    for number in 0..spec.scripts {
        let body = format!("require [\"fileinto\"];\r\n# {}\r\nkeep;\r\n", phrase(rng, 12));
        let blob = account.blobs.pin(Bytes::from(body));
        add(
            account,
            DataType::SieveScript,
            |id| json!({ "id": id, "name": format!("script {number}"), "blobId": blob, "isActive": number == 0 }),
        );
    }
    if spec.vacation {
        let vacation = vacation("En congé jusqu'au 2 août ☀");
        account.furnish(DataType::VacationResponse, "singleton", vacation.clone());
        if let Some((id, script)) = account.vacation_script(&vacation) {
            account.furnish(DataType::SieveScript, &id, script);
        }
    }
}

fn vacation(text: &str) -> Value {
    json!({
        "id": "singleton", "isEnabled": true, "fromDate": "2024-07-01T00:00:00Z", "toDate": null,
        "subject": "Absent", "textBody": text, "htmlBody": null,
    })
}

impl Account {
    /// The script as which the server stores a vacation response, with its id; none if that is switched off.
    pub(crate) fn vacation_script(&mut self, vacation: &Value) -> Option<(String, Value)> {
        if !self.vacation_script {
            return None;
        }
        let scripts = &self.objects[&DataType::SieveScript].present;
        let present =
            scripts.iter().find(|(_, script)| script["name"] == "vacation").map(|(id, _)| id.clone());
        let id = present.unwrap_or_else(|| self.draw_id(DataType::SieveScript));
        let text = vacation["textBody"].as_str().unwrap_or_default();
        let body = format!("require [\"vacation\"];\r\nvacation \"{}\";\r\n", text.replace(['"', '\\'], "'"));
        let blob = self.blobs.pin(Bytes::from(body));
        let script =
            json!({ "id": id, "name": "vacation", "blobId": blob, "isActive": vacation["isEnabled"] });
        Some((id, script))
    }
}

fn contacts(account: &mut Account, count: u32, rng: &mut Rng) {
    let book = add(account, DataType::AddressBook, |id| {
        json!({
            "id": id, "name": "Stalwart Address Book", "description": null, "sortOrder": 0, "isDefault": true,
            "isSubscribed": true, "myRights": { "mayRead": true, "mayWrite": true, "mayShare": true, "mayDelete": true },
            "shareWith": {},
        })
    });
    for number in 0..count {
        let (given, family) = (phrase(rng, 1), phrase(rng, 1));
        add(account, DataType::ContactCard, |id| {
            json!({
                "id": id, "uid": format!("urn:uuid:{:032x}", rng.next()), "@type": "Card", "version": "1.0",
                "addressBookIds": { book.as_str(): true }, "kind": "individual",
                "name": { "components": [{ "kind": "given", "value": given }, { "kind": "surname", "value": family }] },
                "emails": { "e1": { "address": format!("person{number}@example.com") } },
                "example.com:customProp": { "kept": [1, 2, { "ünïcode": "☃" }] },
                "vCard": { "properties": [["x-shoe-size", {}, "unknown", number.to_string()]] },
            })
        });
    }
}

fn events(account: &mut Account, count: u32, rng: &mut Rng) {
    let calendar = add(account, DataType::Calendar, |id| {
        json!({
            "id": id, "name": "Stalwart Calendar", "description": null, "color": null, "sortOrder": 0,
            "isDefault": true, "isSubscribed": true, "timeZone": null, "includeInAvailability": "all",
            "isVisible": true, "defaultAlertsWithTime": {}, "defaultAlertsWithoutTime": {}, "shareWith": {},
        })
    });
    for number in 0..count {
        let (title, day) = (phrase(rng, 3), 1 + number % 28);
        add(account, DataType::CalendarEvent, |id| {
            json!({
                "id": id, "uid": format!("{:032x}@example.org", rng.next()), "@type": "Event",
                "calendarIds": { calendar.as_str(): true }, "title": title, "isDraft": false, "sequence": 0,
                "start": format!("2024-06-{day:02}T10:00:00"), "duration": "PT1H", "timeZone": "Europe/Paris",
                "recurrenceRules": [{ "@type": "RecurrenceRule", "frequency": "weekly", "count": 3 }],
                "updated": dates::rfc3339(1_717_000_000 + u64::from(number)),
                "iCalendar": { "name": "vevent", "properties": [["comment", {}, "unknown", "by hand"]] },
            })
        });
    }
}

fn files(account: &mut Account, count: u32, rng: &mut Rng) {
    if count == 0 {
        return;
    }
    let directory = add(
        account,
        DataType::FileNode,
        |id| json!({ "id": id, "parentId": null, "name": "Documents d'été ☀", "blobId": null, "size": null, "type": null, "executable": null, "shareWith": {} }),
    );
    for number in 0..count {
        let mut body = Vec::new();
        let len = 100 + rng.index(100_000);
        if number % 2 == 0 {
            vocabulary::text(rng.next(), Flavour::Utf8, len, &mut body);
        } else {
            vocabulary::noise(rng.next(), len, &mut body);
        }
        let blob = account.blobs.pin(Bytes::from(body));
        add(account, DataType::FileNode, |id| {
            json!({
                "id": id, "parentId": directory, "name": format!("file {number}.bin"), "blobId": blob, "size": len,
                "type": "application/octet-stream", "executable": false, "shareWith": {},
                "created": "2024-01-01T00:00:00Z", "modified": "2024-02-01T00:00:00Z",
            })
        });
    }
}
