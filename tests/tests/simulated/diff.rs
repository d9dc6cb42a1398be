//! What differs between two snapshots is what the simulator's own truth of those moments says.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Change, Diff, DiffCounts, Fate};
use model::{DataType, SnapshotNumber};
use repository::Repository;
use serde_json::Value;
use sim_stalwart::{Checkpoint, DataType as Kind, EmailTruth, Kinds, Sizes};
use testkit::recording::Recording;
use testkit::{Decorated, seeds};
use tests::truth::{kind_of, without_counts};

use crate::{Home, alice};

/// What the simulator held at one moment.
struct Moment {
    number: SnapshotNumber,
    emails: BTreeMap<String, EmailTruth>,
    bytes: BTreeMap<String, Vec<u8>>,
    objects: BTreeMap<(DataType, String), Value>,
}

async fn moment(home: &Home) -> Moment {
    let number = home.backup().await.number;
    let emails: BTreeMap<_, _> =
        home.alice.emails().into_iter().map(|email| (email.id.clone(), email)).collect();
    let raw = |id: &String| (id.clone(), home.alice.raw(id).expect("it has bytes").to_vec());
    let mut objects = BTreeMap::new();
    for data_type in DataType::ALL.into_iter().filter(|t| *t != DataType::Email) {
        for (id, content) in home.alice.content(kind_of(data_type)) {
            objects.insert((data_type, id), without_counts(content));
        }
    }
    Moment { number, bytes: emails.keys().map(raw).collect(), emails, objects }
}

/// Every change as words, sorted.
fn expected(was: &Moment, now: &Moment) -> Vec<String> {
    let mut words = Vec::new();
    let elsewhere = |id: &String, here: &Moment, there: &Moment| {
        let others = there.bytes.iter().filter(|(other, _)| !here.bytes.contains_key(*other));
        others.into_iter().any(|(_, bytes)| *bytes == here.bytes[id])
    };
    for (id, email) in &now.emails {
        match was.emails.get(id) {
            None => words.push(format!("came {id} {}", elsewhere(id, now, was))),
            Some(before) => {
                let kinds = [
                    before.mailbox_ids != email.mailbox_ids,
                    before.keywords != email.keywords,
                    was.bytes[id] != now.bytes[id],
                    before.received_at != email.received_at,
                ];
                if kinds.contains(&true) {
                    words.push(format!("changed {id} {kinds:?}"));
                }
            }
        }
    }
    let went = was.emails.keys().filter(|id| !now.emails.contains_key(*id));
    words.extend(went.map(|id| format!("went {id} {}", elsewhere(id, was, now))));
    for (key @ (data_type, id), json) in &now.objects {
        match was.objects.get(key) {
            None => words.push(format!("{data_type} {id} Created")),
            Some(before) if before != json => words.push(format!("{data_type} {id} Changed")),
            Some(_) => {}
        }
    }
    let removed = was.objects.keys().filter(|key| !now.objects.contains_key(*key));
    words.extend(removed.map(|(data_type, id)| format!("{data_type} {id} Removed")));
    words.sort();
    words
}

async fn changes(
    repository: &Repository,
    was: SnapshotNumber,
    now: SnapshotNumber,
) -> (Vec<Change>, DiffCounts) {
    let was = repository.snapshot(Some(was)).await.expect("opens");
    let now = repository.snapshot(Some(now)).await.expect("opens");
    let mut diff = Diff::new(repository, was, now).await.expect("begins");
    let mut changes = Vec::new();
    while let Some(change) = diff.next().await.expect("goes on") {
        changes.push(change);
    }
    (changes, diff.counts().clone())
}

fn words(changes: &[Change]) -> Vec<String> {
    let word = |change: &Change| match change {
        Change::Came { email, renumbered } => format!("came {} {renumbered}", email.id),
        Change::Went { email, renumbered } => format!("went {} {renumbered}", email.id),
        Change::Changed(pair) => {
            let kinds = [pair.is_moved(), pair.is_flagged(), pair.is_replaced(), pair.is_redated()];
            format!("changed {} {kinds:?}", pair.now.id)
        }
        Change::Folder(folder) => format!("Mailbox {} {:?}", folder.id, folder.fate()),
        Change::Object { data_type, id, fate, .. } => format!("{data_type} {id} {fate:?}"),
    };
    let mut words: Vec<String> = changes.iter().map(word).collect();
    words.sort();
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn after_random_edits_the_difference_is_that_of_the_truth_in_both_directions() {
    for seed in seeds() {
        let home = Home::of(alice(150)).await;
        let mut moments = vec![moment(&home).await];
        for night in 0..4 {
            home.alice.mutate(40, seed * 10 + night, Kinds::All);
            moments.push(moment(&home).await);
        }
        let (repository, _) = home.bed.newest(&home.url).await;
        for (was, now) in [(0, 1), (1, 4), (0, 4), (4, 0), (3, 2), (2, 2)] {
            let (was, now) = (&moments[was], &moments[now]);
            let (changes, _) = changes(&repository, was.number, now.number).await;
            assert_eq!(words(&changes), expected(was, now), "seed {seed}: {} → {}", was.number, now.number);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_change_is_told() {
    let home = Home::of(alice(0).sizes(Sizes::tiny())).await;
    let deliver = |text: &str| home.alice.deliver(format!("Subject: {text}\r\n\r\n{text}\r\n"), &[], &[]);
    let ids: Vec<String> = ["stays", "moves", "is read", "goes", "is renumbered"].map(deliver).into();
    let (one, two) = (home.alice.create_folder("One", None), home.alice.create_folder("Two", None));
    let doomed = home.alice.create_folder("Doomed", None);
    let before: Checkpoint = home.alice.checkpoint();
    let first = home.good_backup().await.number;

    home.alice.move_to(&ids[1], &[&one]);
    home.alice.set_keywords(&ids[2], &["$seen"]);
    home.alice.destroy(&ids[3]);
    home.alice.destroy(&ids[4]);
    deliver("is renumbered");
    deliver("comes");
    home.alice.rename_folder(&one, "Uno");
    home.alice.edit(Kind::Mailbox, &two, |folder| folder["parentId"] = one.as_str().into());
    home.alice.destroy_folder(&doomed);
    home.alice.create_folder("New", Some(&one));
    let second = home.good_backup().await.number;
    let (repository, _) = home.bed.newest(&home.url).await;
    let (found, counts) = changes(&repository, first, second).await;
    let emails = (counts.came, counts.went, counts.renumbered, counts.moved, counts.flagged, counts.replaced);
    assert_eq!(emails, (1, 1, 1, 1, 1, 0), "{found:#?}");
    assert_eq!((counts.folders_renamed, counts.folders_moved), (1, 1));
    let fates: Vec<_> = counts.objects.iter().map(|((data_type, fate), n)| (*data_type, *fate, *n)).collect();
    let folders = [(Fate::Created, 1), (Fate::Removed, 1), (Fate::Changed, 2)];
    assert_eq!(fates, folders.map(|(fate, n)| (DataType::Mailbox, fate, n)));
    let moved = found.iter().find_map(|change| match change {
        Change::Folder(folder) if folder.is_moved => Some((folder.was.clone(), folder.now.clone())),
        _ => None,
    });
    assert_eq!(moved, Some((Some("Two".to_owned()), Some("Uno/Two".to_owned()))));
    assert_eq!(changes(&repository, second, second).await, (Vec::new(), DiffCounts::default()));

    // The server forgets the second life and gives its ids to other emails.
    home.alice.roll_back(&before);
    deliver("another");
    deliver("life");
    let third = home.backup().await.number;
    let (_, counts) = changes(&repository, second, third).await;
    assert!(counts.replaced >= 1, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_among_100_000_emails_is_compared_without_reading_the_mailbox() {
    let home = Home::of(alice(100_000).sizes(Sizes::tiny())).await;
    let first = home.backup().await;
    home.alice.mutate(20, 1, Kinds::Emails);
    let second = home.backup().await;
    let recording = Arc::new(Recording::default());
    let bed = home.bed.moved_to(Decorated::new(home.bed.objects.clone(), recording.clone()));
    let (repository, _) = bed.newest(&home.url).await;
    recording.take();
    let (changes, _) = changes(&repository, first.number, second.number).await;
    let calls = recording.take();
    println!("{} changes: {} requests, {} bytes", changes.len(), calls.requests(), calls.received());
    assert!((10..=20).contains(&changes.len()), "{}", changes.len());
    assert_eq!(calls.on("/packs/").requests(), 0);
    assert!(calls.received() < first.stored_bytes / 8, "{} of {}", calls.received(), first.stored_bytes);
}
