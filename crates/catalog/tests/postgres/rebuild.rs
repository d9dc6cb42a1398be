use catalog::{Found, Rebuilt};
use model::{BackupNumber, BackupState, JobKind, MailboxIdentity};

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
    let rebuilt = catalog.rebuild(&all, at(10)).await.unwrap();
    assert_eq!(rebuilt, Rebuilt { new: 5, taken: vec![] });
    assert_eq!(
        catalog.rebuild(&all, at(20)).await.unwrap(),
        Rebuilt { new: 0, taken: vec![] },
        "again changes nothing"
    );

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
    catalog.rebuild(&[found("d", 1, 1, Some(52))], at(11)).await.unwrap();
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
    assert_eq!(catalog.rebuild(&[stolen], at(30)).await.unwrap(), taken);

    // A worker that had lost its claim committed under the number that its successor had used already.
    let late = [found("e", 0, 9, Some(70)), found("e", 0, 2, Some(70))];
    let twice = Rebuilt { new: 1, taken: vec![BackupNumber(70)] };
    assert_eq!(catalog.rebuild(&late, at(30)).await.unwrap(), twice);
    assert_eq!(catalog.rebuild(&late, at(30)).await.unwrap(), Rebuilt { new: 0, ..twice });
    let first = catalog.backup(BackupNumber(70)).await.unwrap().unwrap();
    assert_eq!(first.facts.snapshot.0, 2, "the first of the two is what people saw");
    // The same log number in two stores: the mailbox moved.
    let mut moved = found("e", 0, 2, Some(71));
    moved.facts.store = "other".to_owned();
    assert_eq!(catalog.rebuild(&[moved], at(30)).await.unwrap(), Rebuilt { new: 1, taken: vec![] });

    assert_eq!(
        catalog.list_mailboxes(SERVER, &[listed("a", None)], at(40)).await.unwrap(),
        0,
        "a listing finds it again"
    );
    assert_eq!(
        catalog.mark_unlisted_gone(SERVER, at(40), at(40)).await.unwrap(),
        4,
        "b, c, d and e are not there"
    );
    catalog.rebuild(&all, at(50)).await.unwrap();
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
    catalog.rebuild(&[found("z", 0, 1, Some(2000))], at(1)).await.unwrap();
    assert_eq!(draw(3).await, 2001);
}
