//! A mailbox in memory, to write and to compare with.

use std::io::Read;

use export::{Content, Email, Error, Object, Receiver, Result};
use model::{DataType, EmailId, FolderId};
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OneObject {
    pub(crate) data_type: DataType,
    pub(crate) id: String,
    pub(crate) json: String,
    pub(crate) content: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OneEmail {
    pub(crate) id: String,
    pub(crate) folders: Vec<String>,
    pub(crate) keywords: Vec<String>,
    pub(crate) received_at: i64,
    pub(crate) raw: Vec<u8>,
}

/// All of a mailbox. As a receiver it collects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mailbox {
    pub(crate) objects: Vec<OneObject>,
    pub(crate) emails: Vec<OneEmail>,
}

impl Mailbox {
    pub(crate) fn object(&mut self, data_type: DataType, id: &str, json: &Value, content: Option<&[u8]>) {
        let content = content.map(<[u8]>::to_vec);
        self.objects.push(OneObject { data_type, id: id.to_owned(), json: json.to_string(), content });
    }

    pub(crate) fn folder(&mut self, id: &str, name: &str, parent: Option<&str>) {
        let json = json!({"id": id, "name": name, "parentId": parent, "sortOrder": 7, "isSubscribed": true});
        self.object(DataType::Mailbox, id, &json, None);
    }

    pub(crate) fn email(&mut self, folders: &[&str], keywords: &[&str], received_at: i64, raw: &[u8]) {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let id = format!("e{}", self.emails.len());
        let (folders, keywords) = (owned(folders), owned(keywords));
        self.emails.push(OneEmail { id, folders, keywords, received_at, raw: raw.to_vec() });
    }

    /// Hands everything to a receiver.
    pub(crate) fn give(&self, receiver: &mut dyn Receiver) -> Result<()> {
        for object in &self.objects {
            let mut bytes = object.content.as_deref().unwrap_or_default();
            let length = bytes.len() as u64;
            let content = object.content.is_some().then_some(Content { length, bytes: &mut bytes });
            let json = object.json.as_bytes();
            receiver.object(Object { data_type: object.data_type, id: &object.id, json, content })?;
        }
        for email in &self.emails {
            let folders: Vec<FolderId> = email.folders.iter().map(|id| FolderId::from(id.as_str())).collect();
            let given = Email {
                id: &EmailId::from(email.id.as_str()),
                folders: &folders,
                keywords: &email.keywords,
                received_at: email.received_at,
                size: email.raw.len() as u64,
            };
            receiver.email(&given, &mut email.raw.as_slice())?;
        }
        Ok(())
    }

    /// Files may have been handed over in another order, each after its directory.
    pub(crate) fn sorted(mut self) -> Mailbox {
        self.objects.sort();
        self
    }
}

impl Receiver for Mailbox {
    fn object(&mut self, object: Object<'_>) -> Result<()> {
        let content = object.content.map(|content| {
            let mut bytes = Vec::new();
            content.bytes.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, content.length);
            bytes
        });
        self.objects.push(OneObject {
            data_type: object.data_type,
            id: object.id.to_owned(),
            json: String::from_utf8(object.json.to_vec()).unwrap(),
            content,
        });
        Ok(())
    }

    fn email(&mut self, email: &Email<'_>, content: &mut dyn Read) -> Result<()> {
        let mut raw = Vec::new();
        let doing = || format!("read email {}", email.id);
        content.read_to_end(&mut raw).map_err(|source| Error::Io { doing: doing(), source })?;
        assert_eq!(raw.len() as u64, email.size, "{}", email.id);
        self.emails.push(OneEmail {
            id: email.id.to_string(),
            folders: email.folders.iter().map(ToString::to_string).collect(),
            keywords: email.keywords.to_vec(),
            received_at: email.received_at,
            raw,
        });
        Ok(())
    }
}

/// Raw emails that break naive readers and writers.
pub(crate) const RAW: [&[u8]; 18] = [
    b"From: a@example.org\r\nTo: b@example.org\r\nSubject: CRLF\r\nMessage-ID: <one@example.org>\r\n\r\nbody\r\n",
    b"From: a@example.org\nSubject: LF\n\nbody\n",
    b"Subject: bare CR\r\rbody\r",
    b"Subject: no final newline\r\n\r\nbody",
    b"Subject: quoted\r\n\r\nFrom here\r\n>From there\r\n>>From\r\nFrom",
    b"From at the very start\n\nbody\n",
    b">From at the very start\n\nFrom \n",
    b"",
    b"\n",
    b"\r\n\r\n",
    b"\0\x01\xff\xfe binary \x80\x81\0",
    b"Subject: \xe4\xf6\xfc raw latin\r\n\r\n\xff\n\n\n",
    b"Status: RO\nX-Status: A\nX-Keywords: mine\n\nhas its own\n",
    b"no header at all",
    b"Subject: ends with separators\n\nbody\n\n\nFrom x\n\n",
    b"Subject: twin\r\n\r\nsame bytes\r\n",
    b"Subject: twin\r\n\r\nsame bytes\r\n",
    b"Message-ID: <A@x> <b@X>\r\nMessage-ID: <c@x>\r\nFrom: \"X\" <X@Example.ORG>, y@example.org\r\nTo: g: a@b.c;\r\n\
      Date: Sat, 3 Jan 2026 09:00:00 -0730\r\nSubject: =?utf-8?q?=C3=A4?=\r\n\r\n",
];

pub(crate) const ABSURD_DATES: [i64; 8] =
    [0, 1, -1, 1_795_383_203, i64::MAX, i64::MIN, 906_000_000_000, 4_294_967_296];

/// Something of everything.
pub(crate) fn full() -> Mailbox {
    let mut mailbox = Mailbox::default();
    folders(&mut mailbox);
    other_objects(&mut mailbox);
    files(&mut mailbox);
    let keywords: [&[&str]; 4] = [
        &[],
        &["$seen"],
        &["$answered", "$draft", "$flagged", "$forwarded", "$seen"],
        &["$junk", "work", "ä b\r\nX: y"],
    ];
    let folders: [&[&str]; 5] =
        [&["inbox"], &["inbox", "child", "late"], &["late"], &[], &["gone", "circle1"]];
    for (n, raw) in RAW.iter().enumerate() {
        let received_at = ABSURD_DATES[n % ABSURD_DATES.len()];
        mailbox.email(folders[n % folders.len()], keywords[n % keywords.len()], received_at, raw);
    }
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
    mailbox.email(&["inbox", "late"], &["$seen"], 1_700_000_000, &large);
    mailbox
}

fn folders(mailbox: &mut Mailbox) {
    let json = json!({"id": "inbox", "name": "Inbox", "role": "inbox", "sortOrder": 1, "isSubscribed": true,
        "parentId": null, "myRights": {"mayReadItems": true}});
    mailbox.object(DataType::Mailbox, "inbox", &json, None);
    mailbox.folder("child", "Grüße & Co.", Some("late"));
    mailbox.folder("late", "Projects/2026", None);
    mailbox.folder("in-inbox", "below", Some("inbox"));
    mailbox.folder("circle1", "one", Some("circle2"));
    mailbox.folder("circle2", "two", Some("circle1"));
    mailbox.folder("orphan", "orphan", Some("nowhere"));
    mailbox.folder("box", "late.mbox", Some("child"));
    for role in ["sent", "sent", "inbox"] {
        let id = format!("role{}", mailbox.objects.len());
        let json = json!({"id": id, "name": "INBOX", "role": role});
        mailbox.object(DataType::Mailbox, &id, &json, None);
    }
}

fn other_objects(mailbox: &mut Mailbox) {
    for (id, name, active) in [("s1", "vacation", false), ("s2", "main", true), ("s3", "main", true)] {
        let json = json!({"id": id, "name": name, "isActive": active, "blobId": format!("b{id}")});
        mailbox.object(DataType::SieveScript, id, &json, Some(format!("keep; # {id}\r\n").as_bytes()));
    }
    let json = json!({"id": "i1", "name": "Me", "email": "me@example.org", "replyTo": null,
        "bcc": [{"name": null, "email": "x@example.org"}], "textSignature": "-- \nme", "htmlSignature": "", "mayDelete": true});
    mailbox.object(DataType::Identity, "i1", &json, None);
    let json = json!({"id": "singleton", "isEnabled": true, "fromDate": "2026-01-01T00:00:00Z", "toDate": null,
        "subject": "away", "textBody": "gone", "htmlBody": null});
    mailbox.object(DataType::VacationResponse, "singleton", &json, None);
    let json = json!({"id": "c1", "uid": "u1", "addressBookIds": {"a1": true}, "@type": "Card", "version": "1.0",
        "name": {"full": "Jürgen Groß"}, "emails": {"e": {"address": "j@example.org"}},
        "media": {"m": {"kind": "photo", "blobId": "p1", "mediaType": "image/png"}}});
    mailbox.object(DataType::ContactCard, "c1", &json, None);
    mailbox.object(DataType::ContactCard, "c2", &json!({"id": "c2", "uid": "u1", "name": "../../x"}), None);
    mailbox.object(
        DataType::AddressBook,
        "a1",
        &json!({"id": "a1", "name": "Contacts", "isDefault": true}),
        None,
    );
    let json = json!({"id": "k1", "name": "Work", "color": "#fff", "includeInAvailability": "sometimes",
        "defaultAlertsWithTime": {"1": {"@type": "Alert"}}});
    mailbox.object(DataType::Calendar, "k1", &json, None);
    let json = json!({"id": "ev1", "@type": "Event", "uid": "ev-uid", "calendarIds": {"k1": true}, "title": "Standup",
        "start": "2026-03-01T09:00:00", "timeZone": "Europe/Paris", "duration": "PT30M", "utcStart": "2026-03-01T08:00:00Z",
        "isDraft": false, "useDefaultAlerts": true, "recurrenceRules": [{"@type": "RecurrenceRule", "frequency": "weekly"}],
        "recurrenceOverrides": {"2026-03-08T09:00:00": {"title": "Moved"}}});
    mailbox.object(DataType::CalendarEvent, "ev1", &json, None);
    let json =
        json!({"id": "p1", "name": "Me", "calendarAddress": "mailto:me@example.org", "isDefault": true});
    mailbox.object(DataType::ParticipantIdentity, "p1", &json, None);
    let json = "{\n  \"id\": \"i2\",\r\n  \"email\": \"pretty@example.org\"\n}\n".to_owned();
    mailbox.objects.push(OneObject {
        data_type: DataType::Identity,
        id: "i2".to_owned(),
        json,
        content: None,
    });
}

fn files(mailbox: &mut Mailbox) {
    let mut node = |id: &str, name: &str, parent: Option<&str>, content: Option<&[u8]>| {
        let json = json!({"id": id, "name": name, "parentId": parent, "blobId": content.map(|_| format!("b{id}")),
            "type": "text/plain", "created": "2026-01-02T03:04:05Z"});
        mailbox.object(DataType::FileNode, id, &json, content);
    };
    node("f1", "notes.txt", Some("d2"), Some(b"late directory"));
    node("d2", "deep", Some("d1"), None);
    node("d1", "Documents", None, None);
    node("f2", "notes.txt", Some("d1"), Some(b""));
    node("f3", "NOTES.TXT", Some("d1"), Some(b"\0\xff"));
    node("f4", "../../escape", None, Some(b"x"));
    node("f5", "lost", Some("nowhere"), Some(b"orphan"));
    node("d3", "circle", Some("d4"), None);
    node("d4", "circle", Some("d3"), None);
    node("f6", "in the circle", Some("d4"), Some(b"round"));
    let json = json!({"id": "l1", "name": "link", "nodeType": "symlink", "target": ["..", "etc", "passwd"]});
    mailbox.object(DataType::FileNode, "l1", &json, None);
    let json = json!({"id": "f7", "name": "no bytes", "nodeType": "file", "blobId": "gone"});
    mailbox.object(DataType::FileNode, "f7", &json, None);
}
