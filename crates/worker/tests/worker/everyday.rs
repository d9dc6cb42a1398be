use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use catalog::Backup;
use engine::{Ended, Paused};
use model::{BackupNumber, BackupState, Clock, JobKind, JobState, MailboxId};
use serde_json::json;
use sim_stalwart::AccountHandle;
use telemetry::{Ending, Verification};
use testkit::leaks;
use worker::{MakeSlice, Metrics};

use crate::house::{ADMIN, House, LOG, PASSWORD, address};
use crate::room::{NIGHT, Room};
use crate::unsliced::unsliced;

const EMAILS: u64 = 12;

/// Pauses so often, after so many emails, then does the whole.
fn sliced(times: u32, emails: u64) -> Arc<MakeSlice> {
    let left = AtomicU32::new(times);
    Arc::new(move |client, account, repository, how, slice| {
        match left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Box::pin(async move { Ok(Ended::Paused(Paused { emails, fetched_bytes: 0 })) }),
            Err(_) => unsliced(client, account, repository, how, slice),
        }
    })
}

/// A listing of everything can be asked for.
async fn full_listings(house: &House) {
    let room = Room::new(house, "listings").await;
    let mailbox = room.mailboxes([3]).await[0];
    let noted = Arc::new(Mutex::new(Vec::new()));
    let mut shift = room.plan("w1");
    let list = noted.clone();
    shift.make_slice = Arc::new(move |client, account, repository, how, slice| {
        list.lock().unwrap().push(how.full_listing);
        unsliced(client, account, repository, how, slice)
    });
    let worker = room.start(shift);
    for order in [None, Some(json!({"full": true})), Some(json!({"full": false}))] {
        let job = room.request(JobKind::Manual, mailbox, order.as_ref()).await;
        room.until_done(job).await;
        room.sql("UPDATE jobs SET request_key = NULL").await;
    }
    worker.drain().await;
    assert_eq!(*noted.lock().unwrap(), [false, true, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everyday() {
    let house = House::new(5, 12).await;
    every_kind_of_job(&house).await;
    what_is_not_allowed_is_dead_at_once(&house).await;
    what_is_no_email_is_wrapped_if_asked_for(&house).await;
    slices(&house).await;
    full_listings(&house).await;
    an_exact_restore_can_be_undone(&house).await;
    a_backup_is_given_to_another_mailbox(&house).await;
    a_restore_goes_around_lost_rows(&house).await;
    let log = LOG.text();
    let mut private: Vec<String> = (0..5).map(address).collect();
    let of_services = [testkit::postgres::PASSWORD, testkit::rabbitmq::PASSWORD, testkit::redis::PASSWORD];
    private.extend([ADMIN, PASSWORD].into_iter().chain(of_services).map(str::to_owned));
    let private: Vec<&str> = private.iter().map(String::as_str).collect();
    // What libraries say at this level is not ours to vouch for.
    let is_ours = |line: &&[u8]| line.windows(7).any(|text| text == b"worker:");
    let ours: Vec<&[u8]> = log.split(|byte| *byte == b'\n').filter(is_ours).collect();
    assert!(ours.len() > 10, "the worker's own lines are among them");
    assert_eq!(leaks(&ours.join(&b'\n'), &private), Vec::<&str>::new());
}

fn files_in(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// It stands in the log under its number, which is remembered so far, and every email of it opens.
async fn is_whole(room: &Room<'_>, backup: &Backup, emails: u64) {
    let repository = room.repository(backup.mailbox).await;
    let snapshot = repository.snapshot(Some(backup.facts.snapshot)).await.unwrap();
    assert_eq!(snapshot.info().summary.origin.backup_number, Some(backup.number));
    assert_eq!(snapshot.info().summary.emails, emails);
    let mut all = snapshot.emails().await.unwrap();
    while let Some(email) = all.next().await.unwrap() {
        snapshot.blob(&email.blob).await.expect("what was removed can be given back");
    }
    let known = room.catalog.log_position(backup.mailbox, "main").await.unwrap().unwrap();
    assert!(known.number >= backup.facts.snapshot.0, "{known:?}");
}

/// Two backups, an email apart; objects of one kind that came with the second are removed from the store.
async fn second_loses(
    room: &Room<'_>,
    mailbox: MailboxId,
    account: &AccountHandle,
    kind: &str,
) -> (Backup, Backup) {
    let first = room.backed_up(&[mailbox]).await.remove(0);
    let dir = room.dir.path().join("mailboxes").join(room.repository(mailbox).await.dir().to_string());
    let names = || files_in(&dir.join(kind));
    let before = names();
    account.deliver("Subject: late\r\n\r\nHello".as_bytes(), &[], &[]);
    room.sql("UPDATE jobs SET request_key = NULL").await;
    let second = room.backed_up(&[mailbox]).await.remove(0);
    for lost in names().iter().filter(|name| !before.contains(name)) {
        std::fs::remove_file(lost).unwrap();
    }
    (first, second)
}

/// What the store has lost of the account is backed up again before it is removed; how far the log has come is remembered.
async fn an_exact_restore_can_be_undone(house: &House) {
    let room = Room::new(house, "exact").await;
    let mailbox = room.mailboxes([2]).await[0];
    let worker = room.worker("w1");
    let account = house.sim.account(&address(2)).unwrap();
    let (first, second) = second_loses(&room, mailbox, &account, "packs").await;
    let order = json!({"number": first.number.0, "mode": "exact"});
    let restore = room.request(JobKind::Restore, mailbox, Some(&order)).await;
    room.until_done(restore).await;
    assert_eq!(account.email_count() as u64, EMAILS);
    let safety = format!("SELECT (report->>'safety')::bigint FROM restores WHERE job = {restore}");
    let safety = BackupNumber(room.number(&safety).await.cast_unsigned());
    assert!(safety > second.number, "{safety} is one of its own");
    let safety = room.catalog.backup_of(mailbox, safety).await.unwrap().expect("it has a row");
    assert_eq!((safety.kind, safety.job), (Some(JobKind::Restore), Some(restore)));
    is_whole(&room, &safety, EMAILS + 1).await;

    let undo = json!({"number": safety.number.0, "mode": "exact"});
    room.until_done(room.request(JobKind::Restore, mailbox, Some(&undo)).await).await;
    assert_eq!(account.email_count() as u64, EMAILS + 1, "undone by the number that the restore reported");
    let made = room.backups(mailbox).await;
    let numbers: std::collections::BTreeSet<_> = made.iter().map(|backup| backup.number).collect();
    assert!(made.len() >= 4 && numbers.len() == made.len(), "one before each restore, too: {made:?}");
    worker.drain().await;
}

/// Its newest rows are lost: what the others name comes back, unless what is not named would be removed.
async fn a_restore_goes_around_lost_rows(house: &House) {
    let room = Room::new(house, "rows").await;
    let mailbox = room.mailboxes([1]).await[0];
    let worker = room.worker("w1");
    let account = house.sim.account(&address(1)).unwrap();
    let (first, second) = second_loses(&room, mailbox, &account, "segments").await;
    let has = account.email_count();
    for (mode, end) in [("exact", JobState::Dead), ("missing", JobState::Done)] {
        let order = json!({"number": second.number.0, "mode": mode});
        let restore = room.request(JobKind::Restore, mailbox, Some(&order)).await;
        room.until_state(restore, end).await;
        assert_eq!(account.email_count(), has, "{mode}");
        let states: Vec<_> =
            room.backups(mailbox).await.iter().map(|of| (of.number, of.facts.state)).collect();
        assert!(states.contains(&(second.number, BackupState::Damaged)), "{mode}: {states:?}");
        assert!(states.contains(&(first.number, BackupState::Good)), "{mode}: {states:?}");
        if end == JobState::Done {
            let report = room.catalog.restore_report(restore).await.unwrap().expect("it has one");
            assert_eq!(
                (&report["state"], &report["lacks_rows"]),
                (&"partial".into(), &true.into()),
                "{report}"
            );
        }
    }
    worker.drain().await;
}

/// Of one that is gone, into each way that there is; and undone by the number that the last one reported.
async fn a_backup_is_given_to_another_mailbox(house: &House) {
    let room = Room::new(house, "given").await;
    let mailboxes = room.mailboxes([0, 3]).await;
    let (from, to) = (mailboxes[0], mailboxes[1]);
    let worker = room.worker("w1");
    let number = room.backed_up(&[from]).await[0].number.0;
    room.catalog.mark_gone(from, room.clock.now()).await.unwrap();
    let account = house.sim.account(&address(3)).unwrap();
    let give = async |mode: &str| {
        let order = json!({"number": number, "mode": mode, "from_mailbox": from.0});
        let restore = room.request(JobKind::Restore, to, Some(&order)).await;
        room.until_done(restore).await;
        restore
    };
    let (before, given) = (account.email_count(), house.sim.account(&address(0)).unwrap().email_count());
    for (mode, count) in [("missing", before + given), ("beside", before + 2 * given), ("exact", given)] {
        let restore = give(mode).await;
        assert_eq!(account.email_count(), count, "{mode}");
        if mode == "exact" {
            let safety = format!("SELECT (report->>'safety')::bigint FROM restores WHERE job = {restore}");
            let undo = json!({"number": room.number(&safety).await, "mode": "exact"});
            room.until_done(room.request(JobKind::Restore, to, Some(&undo)).await).await;
            assert_eq!(account.email_count(), before + 2 * given, "undone");
        }
    }
    // Named wrongly: the backup is of another one than the job says.
    let order = json!({"number": number, "mode": "missing", "from_mailbox": to.0});
    let wrong = room.request(JobKind::Restore, to, Some(&order)).await;
    room.until_state(wrong, JobState::Dead).await;
    worker.drain().await;
}

async fn every_kind_of_job(house: &House) {
    let before = house.sim.counters();
    let room = Room::new(house, "everyday").await;
    let mailbox = room.mailboxes([0]).await[0];
    let worker = room.worker("w1");
    let backup = nightly_and_by_hand(&room, mailbox).await;
    give_back_and_verify(&room, mailbox, &backup).await;
    let registry = worker.registry.clone();
    let metrics = worker.drain().await;
    look_at_metrics(&metrics, house.sim.counters().since(&before).requests);
    assert_eq!(leaks(registry.text().as_bytes(), &[&address(0), PASSWORD]), Vec::<&str>::new());
}

/// Answers the second backup, which has an email more.
async fn nightly_and_by_hand(room: &Room<'_>, mailbox: MailboxId) -> Backup {
    let job = room.nightly(&[mailbox]).await[0];
    let done = room.until_done(job).await;
    assert_eq!((done.attempt.0, done.slices, done.worker.as_deref()), (1, 0, Some("w1")));
    let [backup] = &room.backups(mailbox).await[..] else { panic!("one backup") };
    assert_eq!((Some(backup.number), backup.slot_date, backup.job), (done.number, Some(NIGHT), Some(job)));
    let facts = &backup.facts;
    assert_eq!((facts.state, facts.emails), (BackupState::Good, EMAILS));
    assert_eq!((facts.store.as_str(), facts.zone.as_str()), ("main", "de-fra"));
    assert_eq!(facts.contents["Email"], json!(EMAILS));
    let account = room.house.sim.account(&address(0)).unwrap();
    let known = room.catalog.mailbox(mailbox).await.unwrap().unwrap();
    assert_eq!(known.account.map(String::from), Some(account.id()), "its account was learnt");
    assert_eq!(known.newest_good_at, Some(facts.started_at));
    account.deliver("Subject: one more\r\n\r\nHello".as_bytes(), &[], &[]);
    let second = room.backed_up(&[mailbox]).await.remove(0);
    assert_eq!((second.kind, second.facts.emails), (Some(JobKind::Manual), EMAILS + 1));
    second
}

async fn give_back_and_verify(room: &Room<'_>, mailbox: MailboxId, backup: &Backup) {
    let account = room.house.sim.account(&address(0)).unwrap();
    for email in account.emails().iter().take(5) {
        account.destroy(&email.id);
    }
    let order = json!({"number": backup.number.0, "mode": "missing"});
    let restore = room.request(JobKind::Restore, mailbox, Some(&order)).await;
    room.until_done(restore).await;
    assert_eq!(account.email_count() as u64, EMAILS + 1);
    let sql = format!("SELECT (report->>'restored')::bigint FROM restores WHERE job = {restore}");
    assert_eq!(room.number(&sql).await, 5);
    assert_eq!(room.number("SELECT count(*) FROM restores WHERE report::text LIKE '%@%'").await, 0);
    let verify = room.request(JobKind::Verify, mailbox, None).await;
    room.until_done(verify).await;
    room.verified(mailbox).await;
}

fn look_at_metrics(metrics: &Metrics, requests: u64) {
    let jobs = &metrics.jobs;
    for kind in [JobKind::Nightly, JobKind::Manual, JobKind::Restore, JobKind::Verify] {
        assert_eq!(jobs.finished.of((kind, Ending::Done)).get(), 1, "{kind}");
        assert_eq!(
            (jobs.running.of(kind).get(), jobs.duration.of(kind).get_sample_count()),
            (0, 1),
            "{kind}"
        );
    }
    let backups = &metrics.backups;
    let emails = backups.emails_stored.get() + backups.emails_deduplicated.get();
    assert_eq!((backups.backups.of(BackupState::Good).get(), emails), (2, EMAILS + 1));
    assert!(backups.bytes_read.get() > 0 && backups.bytes_stored.get() > 0);
    assert_eq!(backups.verifications.of(Verification::Sound).get(), 1);
    let server = metrics.servers.of("mail");
    // The session is found by one redirect for each of three jobs, under the same share, and twice more for the owner: of what is
    // backed up for the first time, and of what is given back.
    assert_eq!(
        server.request_duration.get_sample_count() + 5,
        requests,
        "each one had a share of the budget"
    );
    assert_eq!(server.in_flight.get(), 0);
}

async fn what_is_not_allowed_is_dead_at_once(house: &House) {
    let room = Room::new(house, "refused").await;
    let mailboxes = room.mailboxes([0, 1]).await;
    let worker = room.worker("w1");
    let backup = &room.backed_up(&mailboxes[..1]).await[0];

    // Another mailbox's backup, without saying that it is meant.
    let order = json!({"number": backup.number.0, "mode": "beside"});
    let foreign = room.request(JobKind::Restore, mailboxes[1], Some(&order)).await;
    let foreign = room.until_state(foreign, JobState::Dead).await;
    assert_eq!((foreign.attempt.0, foreign.failure.unwrap().0.as_str()), (1, "permanent"));
    assert_eq!(house.sim.account(&address(1)).unwrap().email_count() as u64, EMAILS);

    // Emails that the backup has not.
    let order = json!({"number": backup.number.0, "mode": "beside", "select": "subject:nothingofthekind"});
    let nothing = room.request(JobKind::Restore, mailboxes[0], Some(&order)).await;
    let nothing = room.until_state(nothing, JobState::Dead).await;
    assert!(nothing.failure.unwrap().1.contains("fits no email"), "nobody is told that it came back");
    let folders = house.sim.account(&address(0)).unwrap().content(sim_stalwart::DataType::Mailbox);
    assert!(!folders.values().any(|folder| folder["name"].to_string().contains("Restored")), "{folders:?}");

    // The catalogue knows a backup in this store, and its repository is not there.
    std::fs::remove_dir_all(room.dir.path().join("mailboxes")).unwrap();
    let job = room.nightly(&mailboxes[..1]).await[0];
    let lost = room.until_state(job, JobState::Dead).await;
    assert!(lost.failure.unwrap().1.contains("another key ring, or another store"));

    // An account that the server does not know; its name is in no error.
    let unknown = room.mailboxes([777]).await;
    let job = room.nightly(&unknown).await[0];
    let dead = room.until_state(job, JobState::Dead).await;
    let text = dead.failure.unwrap().1;
    assert!(text.contains("unknown mailbox") && !text.contains("mailbox777"), "{text}");
    let metrics = worker.drain().await;
    assert_eq!(metrics.jobs.finished.of((JobKind::Nightly, Ending::Dead)).get(), 2);
    let known = "SELECT count(*) FROM mailboxes WHERE unknown_at IS NOT NULL";
    assert_eq!(room.number(known).await, 1, "it is planned no more for a while");
}

async fn what_is_no_email_is_wrapped_if_asked_for(house: &House) {
    let room = Room::new(house, "wrapped").await;
    let mailboxes = room.mailboxes([4]).await;
    let alice = house.sim.account(&address(4)).unwrap();
    let folder = alice.create_folder("odd", None);
    alice.deliver("", &[&folder], &[]);
    let worker = room.worker("w1");
    let backup = &room.backed_up(&mailboxes).await[0];
    let wrapped = || alice.emails().iter().filter(|email| email.keywords.contains("malle-wrapped")).count();
    let all = alice.emails().len();
    for (more, is_wrapped) in [(json!({}), false), (json!({"wrap_refused": true}), true)] {
        let before = alice.emails().len();
        let mut order = json!({"number": backup.number.0, "mode": "beside"});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let job = room.request(JobKind::Restore, mailboxes[0], Some(&order)).await;
        room.until_done(job).await;
        assert_eq!((wrapped() > 0, alice.emails().len() - before == all), (is_wrapped, is_wrapped));
    }
    worker.drain().await;
}

async fn slices(house: &House) {
    let room = Room::new(house, "slices").await;
    let mailboxes = room.mailboxes([0, 1]).await;

    // More slices than attempts: one that got somewhere uses none up.
    let mut shift = room.plan("w1");
    shift.make_slice = sliced(5, 1);
    let worker = room.start(shift);
    let job = room.nightly(&mailboxes[..1]).await[0];
    let done = room.until_done(job).await;
    assert_eq!((done.attempt.0, done.slices), (1, 5));
    let metrics = worker.drain().await;
    assert_eq!(metrics.jobs.slices.of(JobKind::Nightly).get(), 6);
    assert_eq!(room.backups(mailboxes[0]).await.len(), 1);

    // The engine's own slices, as short as they can be.
    let large = house.sim.account(&address(0)).expect("it is there");
    for number in 0..500 {
        large.deliver(format!("Subject: {number}\r\n\r\nHello\r\n"), &[], &[]);
    }
    let mut shift = room.plan("w3");
    shift.make_slice = Arc::new(engine::backup_slice);
    shift.settings.times.slice = std::time::Duration::ZERO;
    let worker = room.start(shift);
    let done = room.until_done(room.request(JobKind::Manual, mailboxes[0], None).await).await;
    assert!(done.attempt.0 == 1 && done.slices >= 2, "{done:?}");
    worker.drain().await;
    let newest = &room.backups(mailboxes[0]).await[0];
    let there = large.email_count() as u64;
    assert_eq!((newest.facts.state, newest.facts.emails), (BackupState::Good, there));

    let mut shift = room.plan("w2");
    shift.make_slice = sliced(u32::MAX, 0);
    let worker = room.start(shift);
    let job = room.nightly(&mailboxes[1..]).await[0];
    let dead = room.until_state(job, JobState::Dead).await;
    assert_eq!((dead.attempt.0, dead.slices), (3, 0), "slices that got nowhere are attempts");
    worker.drain().await;
}
