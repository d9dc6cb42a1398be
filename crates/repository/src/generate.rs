//! Makes the repositories of `testdata/`; see its README. Here, because it writes entries that no public function writes yet.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use model::{
    AccountId, Clock, DataType, EmailId, EmailRecord, Envelope, FolderId, MailboxIdentity, SignedDuration,
    Timestamp,
};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use proto::repository::log_entry::Kind;
use proto::repository::{Forget, Replacement, Swept};
use testkit::ManualClock;

use crate::log::journal::Appended;
use crate::log::prune_rules::{Footers, condemnation};
use crate::rows::Table;
use crate::segment::builder::SegmentBuilder;
use crate::segment::merge::Merge;
use crate::segment::reader::SegmentReader;
use crate::writer::again;
use crate::*;

/// Few bytes make many packs and segments, few entries a checkpoint.
const SIZES: Sizes = Sizes {
    frame: 6 << 10,
    pack: 12 << 10,
    block: 1 << 10,
    segment: 6 << 10,
    full_segment: 4 << 10,
    spill: 8 << 10,
    checkpoint: 5,
};

/// Where one of the repositories goes.
struct Place {
    store: Arc<LocalFileSystem>,
    clock: ManualClock,
}

impl Place {
    fn new(name: &str, ring: &KeyRing) -> Place {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/format-1").join(name);
        assert!(!dir.exists(), "{} is there already and is never edited", dir.display());
        std::fs::create_dir_all(dir.join("store")).expect("makes a directory");
        std::fs::write(dir.join("ring.key"), ring.to_text().as_bytes()).expect("writes");
        Place {
            store: Arc::new(LocalFileSystem::new_with_prefix(dir.join("store")).expect("opens")),
            clock: ManualClock::at(Timestamp::from_second(1_800_000_000).expect("in the calendar")),
        }
    }

    async fn mailbox(&self, ring: &KeyRing, account: &str, sizes: Sizes) -> Repository {
        let options = StoreOptions {
            zone: Some("testzone".to_owned()),
            writer: "generate".to_owned(),
            sizes,
            ..StoreOptions::default()
        };
        let store = Store::open_or_init(self.store.clone(), options, &self.clock).await;
        let who = MailboxIdentity {
            server: "mail.example.org".to_owned(),
            account: AccountId::from(account),
            incarnation: 2,
        };
        let opened = store.expect("opens").create_mailbox(ring, &who, "zoë@example.org").await;
        opened.expect("opens")
    }
}

fn message(i: usize) -> Bytes {
    let body: String =
        (0..i * 13 % 60).map(|line| format!("Line {line} of {i}: {}\r\n", line * i * 7919)).collect();
    Bytes::from(format!("From: a@example.org\r\nSubject: {i}\r\n\r\n{body}"))
}

fn record(i: usize, bytes: &Bytes, hasher: &BlobHasher) -> EmailRecord {
    let second = i64::try_from(i).expect("small");
    EmailRecord {
        id: EmailId::from(format!("e{i:04}")),
        blob: hasher.id(bytes),
        server_blob: hasher.short(&format!("blob{i}")),
        received_at: 1_700_000_000 - second * 86_400 * 365,
        size: bytes.len() as u64,
        folders: vec![FolderId::from("inbox"), FolderId::from("träsh")],
        keywords: vec!["$flagged".to_owned(), "$seen".to_owned()],
        envelope: Envelope {
            from: "Zoë <a@example.org>".to_owned(),
            to: "b@example.org, \"C, D\" <c@example.org>".to_owned(),
            subject: format!("Nr. {i} 🎉"),
            message_id: format!("{i}@example.org"),
            date: (!i.is_multiple_of(3)).then_some(second - 5),
            attachments: (0..i % 3).map(|n| format!("file {n}.pdf")).collect(),
        },
    }
}

/// Sizes of the emails that are there, and the number of failures.
#[derive(Default)]
struct Books {
    emails: BTreeMap<usize, u64>,
    failures: BTreeSet<usize>,
}

/// One night: some emails come, some go, some cannot be fetched.
async fn night(
    repository: &Repository,
    place: &Place,
    books: &mut Books,
    news: Range<usize>,
    gone: Range<usize>,
) {
    place.clock.advance(SignedDuration::from_hours(24));
    let mut writer = repository.begin_snapshot(&place.clock).await.expect("begins");
    let hasher = writer.hasher();
    for i in news {
        let bytes = message(i);
        let email = record(i, &bytes, &hasher);
        books.emails.insert(i, email.size);
        writer.add_blobs(vec![(email.blob, bytes)]).await.expect("adds");
        writer.put_email(email).await.expect("puts");
        if books.failures.remove(&i) {
            writer.remove_failure(DataType::Email, &format!("e{i:04}")).await.expect("removes");
        }
    }
    for i in gone {
        books.emails.remove(&i);
        books.failures.insert(i);
        writer.remove_email(&EmailId::from(format!("e{i:04}"))).await.expect("removes");
        let failure = FailureRecord {
            data_type: DataType::Email,
            id: format!("e{i:04}"),
            reason: "the server answered 500".to_owned(),
            attempts: 3,
            first_ms: -1,
        };
        writer.put_failure(failure).await.expect("puts");
    }
    commit(writer, place, books).await;
    repository.checkpoint_if_due(&place.clock).await.expect("writes");
}

async fn commit(writer: SnapshotWriter, place: &Place, books: &Books) {
    let summary = Summary {
        account_name: "zoë@example.org".to_owned(),
        types: vec![TypeState {
            data_type: DataType::Email,
            status: TypeStatus::Complete,
            state: "s1".to_owned(),
            count: books.emails.len() as u64,
            reason: String::new(),
            witness: 0,
        }],
        emails: books.emails.len() as u64,
        email_bytes: books.emails.values().sum(),
        new_emails: 0,
        removed_emails: 0,
        failures: books.failures.len() as u64,
        shrunk: false,
        since_listing: 0,
        started: place.clock.now(),
        origin: Origin::default(),
    };
    writer.commit(summary, &place.clock).await.expect("commits");
}

/// Objects of several types, a script, long JSON, an email in chunks.
async fn extras(repository: &Repository, place: &Place, books: &mut Books) {
    let mut writer = repository.begin_snapshot(&place.clock).await.expect("begins");
    let hasher = writer.hasher();
    let script = Bytes::from_static(b"keep;\r\n");
    let photo = "ÿ0".repeat(60_000);
    writer.add_blobs(vec![(hasher.id(&script), script.clone())]).await.expect("adds");
    for (data_type, id, json, blob) in [
        (DataType::Mailbox, "inbox", r#"{"id":"inbox","name":"Inbox"}"#.to_owned(), None),
        (DataType::Mailbox, "träsh", r#"{"id":"träsh","name":"a/b.c"}"#.to_owned(), None),
        (DataType::SieveScript, "s", r#"{"id":"s","name":"main"}"#.to_owned(), Some(hasher.id(&script))),
        (DataType::ContactCard, "c", format!(r#"{{"id":"c","photo":"{photo}"}}"#), None),
    ] {
        let json = Bytes::from(json);
        writer.put_object(ObjectRecord { data_type, id: id.to_owned(), json, blob }).await.expect("puts");
    }
    let long: Vec<u8> = (0..30_000u32).flat_map(|i| (i * 7919 % 251).to_be_bytes()).collect();
    let long = Bytes::from(long);
    let cuts = [0, 17_000, 17_001, 60_000, 90_000, long.len()];
    let pieces: Vec<Bytes> = cuts.windows(2).map(|cut| long.slice(cut[0]..cut[1])).collect();
    let chunks: Vec<_> = pieces.iter().map(|piece| hasher.id(piece)).collect();
    let email = record(9_000, &long, &hasher);
    writer.add_blobs(chunks.iter().copied().zip(pieces).collect()).await.expect("adds");
    writer.add_chunked(email.blob, chunks, email.size).await.expect("adds");
    books.emails.insert(9_000, email.size);
    writer.put_email(email).await.expect("puts");
    commit(writer, place, books).await;
}

async fn append(repository: &Repository, place: &Place, kind: Kind) -> u64 {
    let newest = repository.journal().newest().await.expect("reads").expect("has begun");
    let head = newest.head.expect("has a head");
    let appended = repository.journal().append((newest.number, &head), kind, place.clock.now()).await;
    let (entry, Appended::Done) = appended.expect("appends") else {
        panic!("somebody else writes here");
    };
    repository.journal().write_hint(entry.number).await;
    entry.number
}

/// Forgets a snapshot, rewrites the newest one's segments as one run, condemns what is then unused, deletes it.
async fn prune(repository: &Repository, place: &Place, forgotten: u64) {
    append(repository, place, Kind::Forget(Forget { snapshots: vec![forgotten], progress: false })).await;
    let snapshot = repository.snapshot(None).await.expect("opens");
    let mut builder = SegmentBuilder::new(repository.objects(), repository.key(), SIZES);
    for table in Table::ALL {
        let mut merge = Merge::new(snapshot.segments().await.expect("opens"), table).await.expect("reads");
        while let Some(row) = merge.next_present().await.expect("reads") {
            builder.push(again(table, row)).await.expect("writes");
        }
    }
    let segments = builder.finish().await.expect("writes");
    let replacements = vec![Replacement { snapshot: snapshot.info().number.0, segments: segments.clone() }];

    let state = repository.state().await.expect("reads");
    let mut footers = Footers::new();
    let kept = state.snapshots.values().flat_map(|snapshot| &snapshot.segments);
    for reference in kept.chain(&segments) {
        let segment =
            SegmentReader::open(repository.objects(), repository.key(), reference).await.expect("opens");
        let name = crate::log::fold::segment_name(reference).expect("has a name");
        footers.insert(name, segment.packs().iter().copied().collect());
    }
    let mut stored = BTreeSet::new();
    for below in ["packs", "segments"] {
        let listed = repository.objects().list(below).await.expect("lists");
        stored.extend(listed.into_iter().map(|(object, _)| object));
    }
    let condemn =
        condemnation(&state, replacements, &stored, &footers, &[]).expect("all footers are at hand");
    assert!(!condemn.objects.is_empty());
    let doomed: Vec<Object> = condemn.objects.iter().filter_map(|name| Object::parse(name)).collect();
    let condemn = append(repository, place, Kind::Condemn(condemn)).await;
    for object in doomed {
        repository.objects().delete(&object).await.expect("deletes");
    }
    append(repository, place, Kind::Swept(Swept { condemn, kept: Vec::new() })).await;
}

#[tokio::test]
#[ignore = "makes test data that is never edited; see testdata/README.md"]
async fn generate_testdata() {
    if std::env::var_os("MALLE_GENERATE").is_none() {
        return; // asked for by no more than `--run-ignored`
    }
    let ring = KeyRing::generate();
    let place = Place::new("small", &ring);
    let repository = place.mailbox(&ring, "a", Sizes::default()).await;
    let mut books = Books::default();
    night(&repository, &place, &mut books, 0..4, 0..0).await;
    night(&repository, &place, &mut books, 4..6, 1..2).await;

    // Wrapped by the older of two master keys; two mailboxes.
    let old = KeyRing::generate();
    let ring = old.rotated();
    let place = Place::new("nights", &ring);
    let other = place.mailbox(&ring, "b", SIZES).await;
    night(&other, &place, &mut Books::default(), 0..3, 0..0).await;
    let repository = place.mailbox(&old, "a", SIZES).await;
    let mut books = Books::default();
    night(&repository, &place, &mut books, 0..30, 0..0).await;
    extras(&repository, &place, &mut books).await;
    for i in 0..6 {
        night(&repository, &place, &mut books, 30 + i * 3..36 + i * 3, i * 4..i * 4 + 2).await;
    }
    assert_eq!(repository.check(None, Depth::Data).await.expect("checks").problems, vec![]);

    let place = Place::new("pruned", &ring);
    let repository = place.mailbox(&ring, "c", SIZES).await;
    let mut books = Books::default();
    night(&repository, &place, &mut books, 0..20, 0..0).await;
    extras(&repository, &place, &mut books).await;
    for i in 0..3 {
        night(&repository, &place, &mut books, 20 + i * 8..28 + i * 8, i * 5..i * 5 + 3).await;
    }
    prune(&repository, &place, 2).await;
    let report = repository.check(None, Depth::Data).await.expect("checks");
    assert_eq!((report.problems, report.unreferenced), (vec![], 0));
    let all: Vec<_> = place.store.list(None).try_collect().await.expect("lists");
    let bytes: u64 = all.iter().map(|object| object.size).sum();
    assert!(bytes < 600_000, "{bytes} bytes are too many for test data");
}
