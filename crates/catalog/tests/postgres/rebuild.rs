use std::collections::BTreeSet;

use catalog::{Catalog, Found, FoundLog, Rebuilt};
use model::{BackupNumber, BackupState, JobKind, LogPosition, MailboxIdentity, SnapshotNumber};

use crate::room::{Room, SERVER, at, date, facts, listed, nightly};

fn found(account: &str, incarnation: u32, snapshot: u64, number: Option<u64>) -> Found {
    let state = if snapshot.is_multiple_of(2) { BackupState::Good } else { BackupState::Partial };
    Found {
        mailbox: MailboxIdentity { server: SERVER.into(), account: account.into(), incarnation },
        address: format!("{account}@example.org").as_str().into(),
        number: number.map(BackupNumber),
        kind: Some(JobKind::Nightly),
        slot_date: Some(date(3)),
        facts: facts(snapshot, state),
    }
}

/// One log for each mailbox and store of these, of which nothing is damaged.
fn logs(all: &[Found]) -> Vec<FoundLog> {
    let log = |found: &Found| FoundLog {
        mailbox: found.mailbox.clone(),
        store: found.facts.store.clone(),
        position: LogPosition { number: 100, digest: [1; 32] },
        damaged: BTreeSet::new(),
        known: Vec::new(),
    };
    let mut logs: Vec<FoundLog> = Vec::new();
    for found in all {
        if !logs.iter().any(|of| (&of.mailbox, &of.store) == (&found.mailbox, &found.facts.store)) {
            logs.push(log(found));
        }
    }
    logs
}

async fn rebuild(catalog: &Catalog, all: &[Found], seconds: i64) -> Rebuilt {
    catalog.rebuild(all, &logs(all), at(seconds)).await.unwrap()
}

#[tokio::test]
async fn backups_come_back_from_the_stores_with_their_numbers() {
    let room = Room::new().await;
    let catalog = &room.catalog;
    let all = [
        found("a", 0, 1, Some(41)),
        found("a", 1, 2, Some(50)),
        found("a", 1, 3, Some(51)),
        found("b", 0, 1, Some(7)),
        found("b", 0, 4, None),
        found("b", 0, 4, None),
    ];
    catalog.raise_numbers(BackupNumber(60)).await.unwrap();
    let rebuilt = rebuild(catalog, &all, 10).await;
    assert_eq!(rebuilt, Rebuilt { new: 5, taken: vec![] });
    assert_eq!(rebuild(catalog, &all, 20).await, Rebuilt { new: 0, taken: vec![] }, "again changes nothing");

    let backup = catalog.backup(BackupNumber(50)).await.unwrap().unwrap();
    assert_eq!(
        (backup.kind, backup.slot_date, &backup.facts),
        (all[1].kind, all[1].slot_date, &all[1].facts)
    );
    let a = catalog.mailbox_of(SERVER, &"a".into()).await.unwrap().expect("taken to be there");
    assert_eq!(
        (a.id, a.incarnation, a.newest_good_at, a.first_backup_at),
        (backup.mailbox, 1, Some(at(2)), Some(at(2)))
    );
    let old = catalog.backup(BackupNumber(41)).await.unwrap().unwrap();
    assert_ne!(old.mailbox, a.id, "whoever has the account now does not see what the one before left");
    assert!(catalog.mailbox(old.mailbox).await.unwrap().unwrap().gone_at.is_some());

    catalog.list_mailboxes(SERVER, &[listed("d", None)], at(10)).await.unwrap();
    rebuild(catalog, &[found("d", 1, 1, Some(52))], 11).await;
    let d = catalog.mailbox_of(SERVER, &"d".into()).await.unwrap().unwrap();
    assert_eq!(
        d.incarnation, 1,
        "listed before the stores were read: the listing meant the newest incarnation"
    );

    let b = catalog.mailbox_of(SERVER, &"b".into()).await.unwrap().unwrap();
    let numbers: Vec<_> =
        catalog.backups_of(b.id, None, 9).await.unwrap().iter().map(|b| b.number.0).collect();
    assert_eq!(numbers.len(), 2);
    assert!(numbers[0] > 60 && numbers[1] == 7, "one had no number: {numbers:?}");

    let stolen = found("c", 0, 1, Some(41));
    let taken = Rebuilt { new: 0, taken: vec![BackupNumber(41)] };
    assert_eq!(rebuild(catalog, &[stolen], 30).await, taken);

    // A worker that had lost its claim committed under the number that its successor had used already.
    let late = [found("e", 0, 9, Some(70)), found("e", 0, 2, Some(70))];
    let twice = Rebuilt { new: 1, taken: vec![BackupNumber(70)] };
    assert_eq!(rebuild(catalog, &late, 30).await, twice);
    assert_eq!(rebuild(catalog, &late, 30).await, Rebuilt { new: 0, ..twice });
    let first = catalog.backup(BackupNumber(70)).await.unwrap().unwrap();
    assert_eq!(first.facts.snapshot.0, 2, "the first of the two is what people saw");
    // The same log number in two stores: the mailbox moved.
    let mut moved = found("e", 0, 2, Some(71));
    moved.facts.store = "other".to_owned();
    assert_eq!(rebuild(catalog, &[moved], 30).await, Rebuilt { new: 1, taken: vec![] });

    assert_eq!(
        catalog.list_mailboxes(SERVER, &[listed("a", None)], at(40)).await.unwrap(),
        0,
        "a listing finds it again"
    );
    assert_eq!(
        catalog.mark_unlisted_gone(SERVER, None, at(40), at(40)).await.unwrap(),
        4,
        "b, c, d and e are not there"
    );
    rebuild(catalog, &all, 50).await;
    assert!(catalog.mailbox_of(SERVER, &"b".into()).await.unwrap().is_none(), "what a listing said holds");
}

#[tokio::test]
async fn numbers_are_never_below_the_highest_found() {
    let room = Room::new().await;
    let (catalog, mailbox) = (&room.catalog, room.mailbox().await);
    catalog.raise_numbers(BackupNumber(1)).await.unwrap();
    let draw = async |day| {
        let claimed = room.claimed(room.planned(nightly(mailbox, day)).await, at(100)).await;
        let number = catalog.draw_number(&claimed.claim).await.unwrap();
        catalog.complete(&claimed.claim, None).await.unwrap();
        number.0
    };
    assert_eq!(draw(1).await, 2);
    catalog.raise_numbers(BackupNumber(1000)).await.unwrap();
    catalog.raise_numbers(BackupNumber(500)).await.unwrap();
    catalog.raise_numbers(BackupNumber(0)).await.unwrap();
    assert_eq!(draw(2).await, 1001);
    rebuild(catalog, &[found("z", 0, 1, Some(2000))], 1).await;
    assert_eq!(draw(3).await, 2001);
}

#[tokio::test]
async fn a_rebuild_knows_how_far_logs_had_come_and_what_is_damaged() {
    let room = Room::new().await;
    let catalog = &room.catalog;
    let all = [found("a", 0, 2, Some(5)), found("a", 0, 4, Some(6)), found("b", 0, 2, Some(7))];
    let mut logs = logs(&all);
    logs[0].damaged = BTreeSet::from([SnapshotNumber(4), SnapshotNumber(99)]);
    catalog.rebuild(&all, &logs, at(10)).await.unwrap();
    let a = catalog.mailbox_of(SERVER, &"a".into()).await.unwrap().unwrap();
    let states = async || {
        let all = catalog.backups_of(a.id, None, 9).await.unwrap();
        all.iter().map(|backup| backup.facts.state).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [BackupState::Damaged, BackupState::Good]);
    assert_eq!(a.newest_good_at, Some(at(2)), "a damaged one is not good");
    assert_eq!(catalog.log_position(a.id, "main").await.unwrap(), Some(logs[0].position));

    // What is known is not taken back: neither by another log, nor by one that says nothing of the damage.
    logs[0].damaged.clear();
    for number in [50, 150] {
        logs[0].position = LogPosition { number, digest: [2; 32] };
        catalog.rebuild(&all, &logs, at(20)).await.unwrap();
        assert_eq!(states().await, [BackupState::Damaged, BackupState::Good]);
        assert_eq!(catalog.log_position(a.id, "main").await.unwrap().unwrap().number, 100);
    }

    // The store has another snapshot in the place of the first one, and nothing in that of the second.
    let mut other = found("a", 0, 2, Some(8));
    other.facts.digest = Some([9; 32]);
    logs[0].known = catalog.numbers_in(&logs[0].mailbox, "main").await.unwrap();
    assert_eq!(logs[0].known.len(), 2);
    let rebuilt = catalog.rebuild(&[other], &logs[..1], at(30)).await.unwrap();
    assert_eq!(rebuilt, Rebuilt { new: 1, taken: vec![] });
    let all = catalog.backups_of(a.id, None, 9).await.unwrap();
    let state = |number: u64| all.iter().find(|one| one.number.0 == number).map(|one| one.facts.state);
    assert_eq!((state(5), state(8)), (Some(BackupState::Damaged), Some(BackupState::Good)));
}
