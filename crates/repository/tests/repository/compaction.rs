//! Many nights leave few segments, and the tables are right all along.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{DataType, EmailId, SnapshotNumber};
use proptest::collection::vec;
use proptest::prelude::*;
use repository::{FailureRecord, ObjectRecord, Repository, Sizes};

use crate::support::{Mailbox, SMALL, Site, assert_clean, backup, clock, mails, paths, record, summary};

#[tokio::test]
async fn sixty_nights_leave_few_segments_and_write_little_more_than_what_changed() {
    let site = Site::new(Sizes::default());
    let repository = site.open().await;
    let mut mailbox = mails(0, 2000);
    let first = backup(&repository, &mailbox, &clock()).await.expect("commits");
    let mut written = 0;
    for night in 0..60 {
        let gone: Vec<String> = mailbox.keys().skip(night * 7 % 1900).take(20).cloned().collect();
        mailbox.retain(|id, _| !gone.contains(id));
        mailbox.extend(mails(10_000 + night * 20, 20));
        written += backup(&repository, &mailbox, &clock()).await.expect("commits").stored_bytes;
    }
    let raw: u64 =
        (0..60).flat_map(|night| mails(10_000 + night * 20, 20)).map(|(_, bytes)| bytes.len() as u64).sum();
    // Rows of an email and a blob take about 250 bytes, rewritten a few times each.
    assert!(written < 2 * raw + 60 * 20 * 250 * 6, "{written} bytes for {raw} of news; the first {first:?}");
    let segments = segments_in_use(&site, &repository).await;
    assert!(segments <= 12, "{segments} segments");
    assert_eq!(crate::support::read(&repository, None).await.expect("reads"), mailbox);
    assert_clean(&repository, "60 nights").await;
}

/// Those that the newest snapshot alone needs: what a reader opens.
async fn segments_in_use(site: &Site, repository: &Repository) -> usize {
    let recording = std::sync::Arc::new(testkit::Recording::default());
    let store = testkit::Decorated::new(site.inner.clone(), recording.clone());
    let through = site.open_through(store, "r").await.expect("opens");
    let snapshot = through.snapshot(None).await.expect("opens");
    recording.take();
    let mut emails = snapshot.emails().await.expect("reads");
    while emails.next().await.expect("reads").is_some() {}
    let opened: std::collections::BTreeSet<_> =
        recording.take().0.into_iter().map(|call| call.path).collect();
    let stored = paths(site.inner.as_ref()).await;
    assert!(opened.len() <= stored.len() && repository.dir() == through.dir());
    opened.len()
}

/// What a snapshot holds besides bytes: the slow oracle.
#[derive(Debug, Clone, Default, PartialEq)]
struct Tables {
    emails: BTreeMap<String, Bytes>,
    objects: BTreeMap<String, Bytes>,
    failures: BTreeMap<String, u32>,
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Remove(u8),
    PutObject(u8, u16),
    RemoveObject(u8),
    Fail(u8),
    Recover(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), any::<u8>()).prop_map(|(id, content)| Step::Put(id, content)),
        2 => any::<u8>().prop_map(Step::Remove),
        2 => (0..40u8, 0..2000u16).prop_map(|(id, length)| Step::PutObject(id, length)),
        1 => (0..40u8).prop_map(Step::RemoveObject),
        1 => (0..20u8).prop_map(Step::Fail),
        1 => (0..20u8).prop_map(Step::Recover),
    ]
}

async fn night(repository: &Repository, tables: &mut Tables, steps: &[Step]) -> SnapshotNumber {
    let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
    let hasher = writer.hasher();
    let key = |id: &u8| format!("k{id}");
    for step in steps {
        match step {
            Step::Put(id, content) => {
                let bytes = crate::support::noise(u64::from(*content), usize::from(*content) * 3);
                let email = record(&key(id), &bytes, &hasher);
                writer.add_blobs(vec![(email.blob, bytes.clone())]).await.expect("adds");
                writer.put_email(email).await.expect("puts");
                tables.emails.insert(key(id), bytes);
            }
            Step::Remove(id) => {
                writer.remove_email(&EmailId::from(key(id))).await.expect("removes");
                tables.emails.remove(&key(id));
            }
            Step::PutObject(id, length) => {
                let json = Bytes::from(format!("\"{}\"", "x".repeat((*length).into())));
                let object = ObjectRecord {
                    data_type: DataType::CalendarEvent,
                    id: key(id),
                    json: json.clone(),
                    blob: None,
                };
                writer.put_object(object).await.expect("puts");
                tables.objects.insert(key(id), json);
            }
            Step::RemoveObject(id) => {
                let id = key(id);
                let gone = writer.remove_object(DataType::CalendarEvent, &id);
                gone.await.expect("removes");
                tables.objects.remove(&id);
            }
            Step::Fail(id) => {
                let attempts = tables.failures.get(&key(id)).copied().unwrap_or_default() + 1;
                let failure = FailureRecord {
                    data_type: DataType::Email,
                    id: key(id),
                    reason: "no".to_owned(),
                    attempts,
                    first_ms: 5,
                };
                writer.put_failure(failure).await.expect("puts");
                tables.failures.insert(key(id), attempts);
            }
            Step::Recover(id) => {
                writer.remove_failure(DataType::Email, &key(id)).await.expect("removes");
                tables.failures.remove(&key(id));
            }
        }
    }
    let mailbox: Mailbox = tables.emails.clone();
    let mut counted = summary(&mailbox);
    counted.failures = tables.failures.len() as u64;
    writer.commit(counted, &clock()).await.expect("commits").number
}

async fn tables_of(repository: &Repository, number: SnapshotNumber) -> Tables {
    let snapshot = repository.snapshot(Some(number)).await.expect("opens");
    let objects = snapshot.objects().await.expect("reads");
    let failures = snapshot.failures().await.expect("reads");
    Tables {
        emails: crate::support::read(repository, Some(number)).await.expect("reads"),
        objects: objects.into_iter().map(|object| (object.id, object.json)).collect(),
        failures: failures.into_iter().map(|failure| (failure.id, failure.attempts)).collect(),
    }
}

/// Single rows by key, present and absent ones.
async fn assert_lookups(repository: &Repository, number: SnapshotNumber, tables: &Tables) {
    let snapshot = repository.snapshot(Some(number)).await.expect("opens");
    let ids: Vec<EmailId> = (0..=255u8).map(|id| EmailId::from(format!("k{id}"))).collect();
    let found = snapshot.find_emails(&ids).await.expect("looks");
    let found: Vec<String> = found.iter().map(|email| email.id.to_string()).collect();
    assert_eq!(found, tables.emails.keys().cloned().collect::<Vec<_>>());
    for id in 0..40u8 {
        let id = format!("k{id}");
        let object = snapshot.find_object(DataType::CalendarEvent, &id).await.expect("looks");
        assert_eq!(object.map(|object| object.json), tables.objects.get(&id).cloned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_night_equals_the_slow_oracle(nights in vec(vec(step(), 0..60), 1..14), spill in 300..6000usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
        runtime.block_on(async {
            let site = Site::new(Sizes { spill, checkpoint: 5, ..SMALL });
            let repository = site.open().await;
            let (mut tables, mut history) = (Tables::default(), Vec::new());
            for steps in &nights {
                let number = night(&repository, &mut tables, steps).await;
                repository.checkpoint_if_due(&clock()).await.expect("writes");
                history.push((number, tables.clone()));
            }
            for (number, tables) in &history {
                assert_eq!(&tables_of(&repository, *number).await, tables);
                assert_lookups(&repository, *number, tables).await;
            }
            assert_clean(&repository, "oracle").await;
        });
    }
}
