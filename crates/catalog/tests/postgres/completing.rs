use catalog::{AuditEntry, Error, Facts, NewBackup, Request};
use model::{BackupNumber, BackupState, ErrorClass, JobKind, JobState, Plan};
use serde_json::json;

use crate::room::{Room, at, date, facts, new_backup, nightly};

#[tokio::test]
async fn a_backup_is_written_once_however_often_it_is_completed() {
    let room = Room::new().await;
    let claimed = room.running().await;
    let (catalog, claim) = (&room.catalog, claimed.claim);
    let backup = room.backup(&claim, 7).await;
    for _ in 0..2 {
        catalog.complete(&claim, Some(&backup)).await.expect("the answer to the first may have been lost");
    }
    let seen = catalog.backup(backup.number).await.unwrap().unwrap();
    assert_eq!(
        (seen.kind, seen.slot_date, seen.job),
        (Some(JobKind::Nightly), Some(date(1)), Some(claim.job))
    );
    assert_eq!(seen.facts, backup.facts);
    assert_eq!(catalog.job(claim.job).await.unwrap().unwrap().state, JobState::Done);
    let mailbox = catalog.mailbox(claim.mailbox.unwrap()).await.unwrap().unwrap();
    assert_eq!((mailbox.first_backup_at, mailbox.newest_good_at), (Some(at(7)), Some(at(7))));
    let other = NewBackup { number: BackupNumber(99), ..backup.clone() };
    assert!(
        matches!(catalog.complete(&claim, Some(&other)).await, Err(Error::Fenced)),
        "not what was completed"
    );

    // An earlier try died between commit and catalogue, and a rebuild was faster than the next try.
    let claimed = room.claimed(room.planned(nightly(mailbox.id, 2)).await, at(100)).await;
    let adopted = room.backup(&claimed.claim, 8).await;
    let insert = format!(
        "INSERT INTO backups SELECT {}, mailbox, 8, state, kind, slot_date, NULL, started_at, finished_at + interval '1 s', \
        store, zone, emails, bytes, stored_bytes, contents FROM backups",
        adopted.number
    );
    room.sql(&insert).await;
    catalog.complete(&claimed.claim, Some(&adopted)).await.unwrap();
    let seen = catalog.backup(adopted.number).await.unwrap().unwrap();
    assert_eq!(seen.job, Some(claimed.claim.job));

    let claimed = room.claimed(room.planned(nightly(mailbox.id, 3)).await, at(100)).await;
    let partial = NewBackup { facts: facts(9, BackupState::Partial), ..room.backup(&claimed.claim, 9).await };
    let taken = new_backup(backup.number, 9);
    assert!(
        matches!(catalog.complete(&claimed.claim, Some(&taken)).await, Err(Error::NumberTaken(n)) if n == backup.number)
    );
    catalog.complete(&claimed.claim, Some(&partial)).await.unwrap();
    let mailbox = catalog.mailbox(mailbox.id).await.unwrap().unwrap();
    assert_eq!(mailbox.newest_good_at, Some(at(8)), "a partial one is not good");
    let snapshots = async |before| {
        let page = catalog.backups_of(mailbox.id, before, 2).await.unwrap();
        page.iter().map(|backup| backup.facts.snapshot.0).collect::<Vec<_>>()
    };
    assert_eq!((snapshots(None).await, snapshots(Some(adopted.number)).await), (vec![9, 8], vec![7]));

    // One that is not good may leave its job running, which draws another number then.
    let claimed = room.claimed(room.planned(nightly(mailbox.id, 5)).await, at(100)).await;
    let first = NewBackup { facts: facts(10, BackupState::Moving), ..room.backup(&claimed.claim, 10).await };
    for _ in 0..2 {
        catalog.record(&claimed.claim, &first).await.expect("the answer to the first may have been lost");
    }
    let second = room.backup(&claimed.claim, 11).await;
    assert!(second.number > first.number);
    catalog.complete(&claimed.claim, Some(&second)).await.unwrap();
    assert_eq!(snapshots(None).await, [11, 10]);

    // It moves to another store, where its log begins anew.
    let claimed = room.claimed(room.planned(nightly(mailbox.id, 4)).await, at(100)).await;
    let elsewhere = Facts { store: "other".into(), finished_at: at(99), ..facts(7, BackupState::Good) };
    let number = catalog.draw_number(&claimed.claim).await.unwrap();
    let moved = NewBackup { number, facts: elsewhere, damaged: false };
    catalog.complete(&claimed.claim, Some(&moved)).await.unwrap();
    assert_eq!(snapshots(None).await, [7, 11], "the newest is the last one committed");
}

#[tokio::test]
async fn a_damaged_backup_is_called_so_and_no_longer_counts_as_good() {
    let room = Room::new().await;
    let claim = room.running().await.claim;
    let (catalog, mailbox) = (&room.catalog, claim.mailbox.unwrap());
    catalog.complete(&claim, Some(&room.backup(&claim, 7).await)).await.unwrap();
    let claim = room.claimed(room.planned(nightly(mailbox, 2)).await, at(100)).await.claim;
    catalog.complete(&claim, Some(&room.backup(&claim, 8).await)).await.unwrap();
    let seen = async || {
        let states = catalog.backups_of(mailbox, None, 9).await.unwrap();
        let states: Vec<_> = states.iter().map(|backup| backup.facts.state).collect();
        (states, catalog.mailbox(mailbox).await.unwrap().unwrap().newest_good_at)
    };
    let numbers: Vec<_> =
        catalog.backups_of(mailbox, None, 9).await.unwrap().iter().map(|one| one.number).collect();
    let [second, first] = numbers[..] else { panic!("two backups") };
    let mark = async |numbers: &[BackupNumber]| catalog.mark_damaged(mailbox, numbers).await.unwrap();
    let (good, bad) = (BackupState::Good, BackupState::Damaged);
    assert_eq!(seen().await, (vec![good, good], Some(at(8))));
    let other = room.mailboxes(Plan::Personal, 1).await[0];
    assert_eq!(catalog.mark_damaged(other, &numbers).await.unwrap(), 0, "they are not that mailbox's");
    assert_eq!((mark(&[]).await, mark(&[BackupNumber(99)]).await), (0, 0));
    assert_eq!((mark(&[second]).await, mark(&[second]).await), (1, 0), "it is marked once");
    assert_eq!(seen().await, (vec![bad, good], Some(at(7))), "the one before is the newest good one");
    assert_eq!(catalog.newest_backups().await.unwrap(), [(bad, 1)]);
    assert_eq!(mark(&numbers).await, 1);
    assert_eq!(seen().await, (vec![bad, bad], None));
    let sound = async |number| catalog.mark_sound(&claim, number).await.unwrap();
    assert_eq!((sound(second).await, sound(second).await), (true, false));
    assert_eq!(seen().await, (vec![good, bad], Some(at(8))));
    assert_eq!(mark(&[second, first]).await, 1);

    // Another history gives the same number to another snapshot; this one is damaged from the beginning.
    let stale = claim;
    let claim = room.claimed(room.planned(nightly(mailbox, 3)).await, at(100)).await.claim;
    let number = catalog.draw_number(&claim).await.unwrap();
    let again = Facts { digest: Some([8; 32]), ..facts(8, good) };
    catalog.complete(&claim, Some(&NewBackup { number, facts: again, damaged: true })).await.unwrap();
    assert_eq!(seen().await, (vec![bad, bad, bad], None));
    assert!(matches!(catalog.mark_sound(&stale, number).await, Err(Error::Fenced)), "it may know less");
    assert!(catalog.mark_sound(&claim, number).await.unwrap());
    assert_eq!(seen().await, (vec![good, bad, bad], Some(at(8))), "the mark of another of its number stays");
}

#[tokio::test]
async fn a_stale_claim_writes_nothing() {
    let room = Room::new().await;
    let stale = room.running().await.claim;
    let catalog = &room.catalog;
    let backup = room.backup(&stale, 7).await;
    room.sql("UPDATE jobs SET heartbeat_at = now() - interval '1 hour'").await;
    assert_eq!(catalog.release_stale(std::time::Duration::from_secs(60), 9).await.unwrap().len(), 1);
    let fenced = async || {
        let error = catalog.complete(&stale, Some(&backup)).await.expect_err("stale");
        assert_eq!(error.class(), ErrorClass::Fenced);
        assert!(matches!(catalog.draw_number(&stale).await, Err(Error::Fenced)));
        assert!(matches!(catalog.snooze(&stale, at(1)).await, Err(Error::Fenced)));
        assert!(catalog.backup(backup.number).await.unwrap().is_none());
    };
    fenced().await;
    let fresh = room.claimed(stale.job, at(100)).await.claim;
    let during = catalog.job(stale.job).await.unwrap().unwrap();
    fenced().await;
    assert_eq!(catalog.job(stale.job).await.unwrap().unwrap(), during, "the new claim is untouched");
    catalog.complete(&fresh, Some(&backup)).await.unwrap();
    let error = catalog.complete(&stale, Some(&backup)).await.expect_err("stale for ever");
    assert_eq!(error.class(), ErrorClass::Fenced);

    let claim = room.claimed(room.planned(nightly(stale.mailbox.unwrap(), 2)).await, at(100)).await.claim;
    room.sql("UPDATE mailboxes SET epoch = epoch + 1").await;
    let late = room.backup(&claim, 8).await;
    assert!(
        matches!(catalog.complete(&claim, Some(&late)).await, Err(Error::Fenced)),
        "the mailbox's epoch counts"
    );
    assert!(catalog.backup(late.number).await.unwrap().is_none());
}

#[tokio::test]
async fn a_restore_resumes_under_its_first_id_and_everything_is_audited() {
    let room = Room::new().await;
    let mailbox = room.mailbox().await;
    let catalog = &room.catalog;
    let request = Request {
        kind: JobKind::Restore,
        mailbox: Some(mailbox),
        key: "r",
        parameters: None,
        limit: None,
        traceparent: None,
        audit: None,
    };
    let job = catalog.request(&request, at(0)).await.unwrap().job;
    let first = room.claimed(job, at(0)).await.claim;
    let begin = async |claim, id| catalog.begin_restore(claim, BackupNumber(7), id, at(0)).await;
    assert_eq!(begin(&first, "one").await.unwrap(), "one");
    catalog.snooze(&first, at(1)).await.unwrap();
    let second = room.claimed(job, at(1)).await.claim;
    assert!(matches!(begin(&first, "late").await, Err(Error::Fenced)));
    assert_eq!(begin(&second, "two").await.unwrap(), "one");
    assert!(matches!(catalog.report_restore(&first, &json!({})).await, Err(Error::Fenced)));
    assert_eq!(catalog.restore_report(job).await.unwrap(), None);
    catalog.report_restore(&second, &json!({"emails": 3})).await.unwrap();
    assert_eq!(catalog.restore_report(job).await.unwrap(), Some(json!({"emails": 3})));
    assert_eq!(room.number("SELECT (report->>'emails')::bigint FROM restores").await, 3);

    let details = json!({"mode": "exact"});
    let entry = AuditEntry {
        actor: "support:42",
        action: "restore.requested",
        mailbox: Some(mailbox),
        number: Some(BackupNumber(7)),
        details: &details,
    };
    catalog.append_audit(&entry, at(0)).await.unwrap();
    assert_eq!(room.number("SELECT count(*) FROM audit WHERE actor = 'support:42' AND number = 7").await, 1);
}
