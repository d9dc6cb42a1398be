//! What a snapshot holds and what a server held, in one shape, so that the two can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use futures::{StreamExt, stream};
use model::{DataType, EmailRecord, Timestamp};
use repository::{Snapshot, TypeStatus};
use ring::digest::{Context, SHA256};
use serde_json::Value;
use sim_stalwart::{AccountHandle, TypeContent};

use crate::belongings::Belongings;

/// One email. Bytes are compared by their digest, so that a mailbox need not fit into memory twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Ids of the folders it is in.
    pub folders: BTreeSet<String>,
    /// Its keywords.
    pub keywords: BTreeSet<String>,
    /// Seconds since 1970.
    pub received_at: i64,
    /// Digest and length of its bytes; `None` where the side that should know forgot them.
    pub bytes: Option<Digest>,
}

/// One object that is no email: its JSON, and its content if it has one.
pub type Thing = (Value, Option<Digest>);
/// Emails by id.
pub type Mails = BTreeMap<String, Mail>;
/// Objects by id.
pub type Things = BTreeMap<String, Thing>;

/// SHA-256 and length. Not the hash by which a repository names its blobs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    sha256: [u8; 32],
    /// In bytes.
    pub length: u64,
}

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut context = Context::new(&SHA256);
        context.update(bytes);
        Digest::ended(context, bytes.len() as u64)
    }

    fn ended(context: Context, length: u64) -> Digest {
        let digest = context.finish();
        Digest { sha256: digest.as_ref().try_into().expect("SHA-256 has 32 bytes"), length }
    }

    /// The SHA-256 as other programs write it.
    pub fn hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}… of {} bytes", &self.hex()[..12], self.length)
    }
}

/// Emails that are read at the same time.
const READS: usize = 8;

/// What Mailbox objects say of other objects; the RFC has them move with those.
const COUNTS: [&str; 4] = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

/// The emails of a snapshot, every byte read.
pub async fn mails_of(snapshot: &Snapshot) -> Mails {
    let mut emails = snapshot.emails().await.expect("emails are read");
    let mut records = Vec::new();
    while let Some(email) = emails.next().await.expect("emails are read") {
        records.push(email);
    }
    let mut reading = stream::iter(records).map(|email| mail_of(snapshot, email)).buffer_unordered(READS);
    let mut mails = Mails::new();
    while let Some((id, mail)) = reading.next().await {
        assert_eq!(mails.insert(id.clone(), mail), None, "{id} twice");
    }
    mails
}

async fn mail_of(snapshot: &Snapshot, email: EmailRecord) -> (String, Mail) {
    let mut pieces = snapshot.blob_reader(&email.blob).await.expect("the blob is found");
    let (mut hasher, mut length) = (Context::new(&SHA256), 0);
    while let Some(piece) = pieces.next().await.expect("the blob is read") {
        hasher.update(&piece);
        length += piece.len() as u64;
    }
    assert_eq!(length, email.size, "the size of {}", email.id);
    let mail = Mail {
        folders: email.folders.iter().map(ToString::to_string).collect(),
        keywords: email.keywords.into_iter().collect(),
        received_at: email.received_at,
        bytes: Some(Digest::ended(hasher, length)),
    };
    (email.id.to_string(), mail)
}

/// The objects of one type in a snapshot.
pub async fn things_of(snapshot: &Snapshot, data_type: DataType) -> Things {
    let mut things = Things::new();
    for object in snapshot.objects_of(data_type).await.expect("objects are read") {
        // The text of an event may be newer than its JSON: `assert_texts`.
        let content = match object.blob.filter(|_| data_type != DataType::CalendarEvent) {
            Some(blob) => Some(Digest::of(&snapshot.blob(&blob).await.expect("the blob is read"))),
            None => None,
        };
        let mut json: Value = serde_json::from_slice(&object.json).expect("what was stored is JSON");
        // Not of JMAP: the suite compares it by CalDAV and CardDAV.
        json.as_object_mut().map(|json| json.remove("davProperties"));
        things.insert(object.id, (without_counts(json), content));
    }
    things
}

/// An object without what it says of others.
pub fn without_counts(mut json: Value) -> Value {
    if let Some(object) = json.as_object_mut() {
        COUNTS.iter().for_each(|count| drop(object.remove(*count)));
    }
    json
}

/// The simulator's name of a type.
pub fn kind_of(data_type: DataType) -> sim_stalwart::DataType {
    let kind = sim_stalwart::DataType::ALL[usize::from(data_type.number()) - 1];
    assert_eq!(kind.name(), data_type.name());
    kind
}

/// The keys of a JMAP set, such as `{"$seen": true}`.
pub fn set(flags: &Value) -> BTreeSet<String> {
    flags.as_object().map(|flags| flags.keys().cloned().collect()).unwrap_or_default()
}

fn digest(account: &AccountHandle, blob: &Value) -> Option<Digest> {
    account.blob(blob.as_str()?).map(|bytes: Bytes| Digest::of(&bytes))
}

/// What the simulator held at a moment, as emails.
pub fn held_mails(account: &AccountHandle, content: &TypeContent) -> Mails {
    let mail = |json: &Value| {
        let received_at = json["receivedAt"].as_str().expect("emails have a date");
        Mail {
            folders: set(&json["mailboxIds"]),
            keywords: set(&json["keywords"]),
            received_at: received_at.parse::<Timestamp>().expect("a date").as_second(),
            bytes: digest(account, &json["blobId"]),
        }
    };
    content.iter().map(|(id, json)| (id.clone(), mail(json))).collect()
}

/// What the simulator held at a moment, as objects.
pub fn held_things(account: &AccountHandle, content: &TypeContent) -> Things {
    let thing = |json: &Value| (without_counts(json.clone()), digest(account, &json["blobId"]));
    content.iter().map(|(id, json)| (id.clone(), thing(json))).collect()
}

/// What is different, in words; emails whose bytes one side forgot are compared without.
pub fn difference(found: &Mails, expected: &Mails) -> Option<String> {
    let is_same = |a: &Mail, b: &Mail| {
        let bytes = a.bytes.is_none() || b.bytes.is_none() || a.bytes == b.bytes;
        bytes && (&a.folders, &a.keywords, a.received_at) == (&b.folders, &b.keywords, b.received_at)
    };
    let missing = expected.keys().filter(|id| !found.contains_key(*id));
    let surplus = found.keys().filter(|id| !expected.contains_key(*id));
    let changed = found.iter().filter_map(|(id, mail)| {
        let other = expected.get(id).filter(|other| !is_same(mail, other))?;
        Some(format!("{id} is {mail:?}, should be {other:?}"))
    });
    let all: Vec<String> = missing
        .map(|id| format!("{id} is missing"))
        .chain(surplus.map(|id| format!("{id} should not be there")))
        .chain(changed)
        .collect();
    (!all.is_empty()).then(|| format!("{} differences: {}", all.len(), all[..all.len().min(5)].join("; ")))
}

/// What the simulator holds now, ids aside.
pub fn held_belongings(account: &AccountHandle) -> Belongings {
    let mails = held_mails(account, &account.content(sim_stalwart::DataType::Email));
    Belongings::of(&mails, &held_things(account, &account.content(sim_stalwart::DataType::Mailbox)))
}

/// What a snapshot holds, ids aside.
pub async fn belongings_of(snapshot: &Snapshot) -> Belongings {
    Belongings::of(&mails_of(snapshot).await, &things_of(snapshot, DataType::Mailbox).await)
}

/// Every email of the snapshot is one the simulator holds now, with the same bytes and labels, and the other way round.
pub async fn assert_emails_equal(snapshot: &Snapshot, account: &AccountHandle) {
    let held = held_mails(account, &account.content(sim_stalwart::DataType::Email));
    let found = mails_of(snapshot).await;
    assert_eq!(difference(&found, &held), None);
    assert_counts(snapshot, &found);
}

/// The log counts what is there.
pub fn assert_counts(snapshot: &Snapshot, mails: &Mails) {
    let summary = &snapshot.info().summary;
    let bytes: u64 = mails.values().filter_map(|mail| mail.bytes).map(|digest| digest.length).sum();
    assert_eq!((summary.emails, summary.email_bytes), (mails.len() as u64, bytes), "the counts in the log");
}

/// Every object of a type equals the simulator's now, member by member.
pub async fn assert_objects_equal(snapshot: &Snapshot, account: &AccountHandle, data_type: DataType) {
    let held = held_things(account, &account.content(kind_of(data_type)));
    assert_eq!(things_of(snapshot, data_type).await, held, "{data_type}");
}

/// Each event's text is what the simulator holds now.
pub async fn assert_texts(snapshot: &Snapshot, account: &AccountHandle) {
    for event in snapshot.objects_of(DataType::CalendarEvent).await.expect("the objects are read") {
        let text = match event.blob {
            Some(blob) => Some(snapshot.blob(&blob).await.expect("the text is read")),
            None => None,
        };
        let held = account.calendar_text(&event.id);
        assert_eq!(text.as_deref(), held.as_ref().map(String::as_bytes), "the text of {}", event.id);
    }
}

/// The snapshot is what the simulator holds now, all types of it.
pub async fn assert_is_now(snapshot: &Snapshot, account: &AccountHandle) {
    assert_emails_equal(snapshot, account).await;
    assert_texts(snapshot, account).await;
    for data_type in DataType::ALL.into_iter().filter(|t| *t != DataType::Email) {
        assert_objects_equal(snapshot, account, data_type).await;
        let known = snapshot.info().type_state(data_type).expect("every type is accounted for");
        let count = things_of(snapshot, data_type).await.len() as u64;
        assert_eq!((known.status, known.count), (TypeStatus::Complete, count), "{data_type}");
    }
}

/// Each type of the snapshot that calls itself complete is what the simulator held at the state it names, and if all are,
/// every folder an email lies in is there.
pub async fn assert_was_once(snapshot: &Snapshot, account: &AccountHandle) {
    let mails = mails_of(snapshot).await;
    assert_counts(snapshot, &mails);
    for known in &snapshot.info().summary.types {
        let kind = kind_of(known.data_type);
        if known.status != TypeStatus::Complete {
            continue;
        }
        let held = match known.data_type {
            DataType::ParticipantIdentity => vec![account.content(kind)],
            _ => account.state_contents(kind, &known.state),
        };
        assert!(!held.is_empty(), "{} never had the state {:?}", known.data_type, known.state);
        if known.data_type == DataType::Email {
            let differences: Vec<_> =
                held.iter().map(|held| difference(&mails, &held_mails(account, held))).collect();
            assert!(differences.contains(&None), "at {}: {differences:?}", known.state);
            continue;
        }
        let things = things_of(snapshot, known.data_type).await;
        let held: Vec<Things> = held.iter().map(|held| held_things(account, held)).collect();
        assert!(
            held.contains(&things),
            "{} at {}: {things:#?} is none of {held:#?}",
            known.data_type,
            known.state
        );
    }
    if snapshot.info().summary.types.iter().all(|known| known.status != TypeStatus::Moving) {
        assert_folders_resolve(snapshot, &mails).await;
    }
}

async fn assert_folders_resolve(snapshot: &Snapshot, mails: &Mails) {
    let folders: BTreeSet<String> = things_of(snapshot, DataType::Mailbox).await.into_keys().collect();
    for (id, mail) in mails {
        let lost: Vec<_> = mail.folders.difference(&folders).collect();
        assert!(lost.is_empty(), "{id} lies in {lost:?}, which the snapshot does not have");
    }
}
