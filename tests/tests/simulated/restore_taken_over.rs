//! An attempt takes over what an earlier one, which was cut off, left in the account and in the store.

use model::BackupState;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use engine::{Mode, RestoreId, Restored};
use futures::StreamExt;
use object_store::ObjectStoreExt;
use sim_stalwart::{
    AccountHandle, AccountSpec, DataType as Kind, Effect, EmailTruth, Fault, Folders, Limits, Simulator,
    Target, Version,
};
use tests::Belongings;
use tests::truth::held_belongings;

use crate::restore::struck;
use crate::restore_resumed::{is_traced, objects_named, settled};
use crate::{Home, alice};

/// An account whose restore was cut off after its first import: all its emails were deleted before.
struct Cut {
    home: Home,
    id: RestoreId,
    mode: Mode,
    before: Belongings,
    emails: Vec<(EmailTruth, Bytes)>,
    /// The folder of the attempt.
    folder: String,
}

impl Cut {
    async fn off(mode: Mode) -> Cut {
        Cut::of(Cut::home(alice(30).folders(Folders::Many(4))).await, mode).await
    }

    async fn home(spec: AccountSpec) -> Home {
        let limits = Limits { max_objects_in_set: 8, ..Limits::default() };
        Home::with(Simulator::builder().seed(7).version(Version::V0_15).limits(limits), spec).await
    }

    async fn of(home: Home, mode: Mode) -> Cut {
        assert_eq!(home.backup().await.state, BackupState::Good);
        let before = held_belongings(&home.alice);
        let emails = home.alice.emails().into_iter().map(|email| {
            let raw = home.alice.raw(&email.id).expect("it is there");
            (email, raw)
        });
        let emails: Vec<_> = emails.collect();
        emails.iter().for_each(|(email, _)| assert!(home.alice.destroy(&email.id)));
        let (id, faults) = (RestoreId::random(), home.simulator.faults());
        let held =
            Fault::new(Target::method("Email/import"), Effect::Delay(Duration::from_secs(3600))).after(1);
        let (held, bed) = (faults.add(held), &home.bed);
        let number = Some(bed.newest(&home.url).await.1.info().number);
        tokio::select! {
            ended = bed.restore(&home.url, number, bed, mode, &id) => panic!("{ended:?}"),
            () = async {
                struck(faults, held).await;
                settled(&home.alice).await;
            } => {}
        }
        faults.clear();
        let folders = home.alice.content(Kind::Mailbox);
        let is_own =
            |name: &serde_json::Value| name.as_str().is_some_and(|name| name.ends_with(" importing"));
        let own = folders.iter().find(|(_, folder)| is_own(&folder["name"]));
        let folder = own.expect("it imports").0.clone();
        Cut { home, id, mode, before, emails, folder }
    }

    /// Emails that are not back yet arrive by a request of the attempt that was cut off.
    fn arrive(alice: &AccountHandle, emails: &[(EmailTruth, Bytes)], folder: &str) {
        let there: Vec<String> = alice.emails().into_iter().map(|email| email.received_at).collect();
        let open = emails.iter().filter(|(email, _)| !there.contains(&email.received_at));
        for (email, raw) in open.rev().take(3) {
            let folders: Vec<&str> = email.mailbox_ids.iter().map(String::as_str).chain([folder]).collect();
            alice.deliver_astray(raw.clone(), &folders, &email.received_at);
        }
    }

    async fn resumed(&self) -> Result<Restored, engine::Error> {
        self.home.bed.resume(&self.home.url, &self.home.bed, &self.id).await.expect("it is written down")
    }

    async fn assert_resumed(&self) {
        let restored = self.resumed().await.expect("restores");
        // What arrived before the safety backup is there already.
        let there = restored.restored + restored.present;
        assert_eq!((there, restored.removed), (30, 0), "{:?}: {restored:#?}", self.mode);
        assert_eq!(self.home.alice.email_count(), 30, "{:?}", self.mode);
        let expected = self.emails.iter().map(|(email, _)| email.clone()).collect();
        assert_eq!(keywordless(self.home.alice.emails()), keywordless(expected), "{:?}", self.mode);
        assert!(!is_traced(&self.home.alice));
    }
}

/// What arrives by the simulator has no keywords.
fn keywordless(emails: Vec<EmailTruth>) -> Vec<(String, u64, BTreeSet<String>)> {
    let told = emails.into_iter().map(|email| (email.received_at, email.size, email.mailbox_ids));
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

/// 0.16 goes on with a request although a folder that it names is destroyed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_in_the_folder_of_an_earlier_attempt_is_found_and_comes_once() {
    for mode in [Mode::Missing, Mode::Exact] {
        // Before the next attempt imports the same emails, and at each look that it takes at the account.
        let looks = (0..8).map(|number| ("Email/query", number));
        for (method, number) in looks.chain([("Email/import", 0), ("Email/import", 1)]) {
            let cut = Cut::off(mode).await;
            let (alice, emails, folder) = (cut.home.alice.clone(), cut.emails.clone(), cut.folder.clone());
            // Not while the folder is there: then it is no late arrival.
            let arrive = move || {
                if !alice.content(Kind::Mailbox).contains_key(&folder) {
                    Cut::arrive(&alice, &emails, &folder);
                }
            };
            let arrive = Fault::new(Target::method(method), Effect::before(arrive)).after(number).times(1);
            let fault = cut.home.simulator.faults().add(arrive);
            println!("{mode:?}, {method} {number}");
            cut.assert_resumed().await;
            println!("struck {}", cut.home.simulator.faults().struck(fault));
        }
    }
}

/// One attempt stands still at its request of this number while another one begins, for a moment or until that is over.
/// `is_in_use`: its folder cannot be destroyed for a while after it was emptied.
async fn met(mode: Mode, number: u64, still: Duration, is_in_use: bool) {
    let cut = Cut::off(mode).await;
    let faults = cut.home.simulator.faults();
    let first = cut.folder.clone();
    let refusals = AtomicU32::new(if is_in_use { 4 } else { 0 });
    let is_refused = move |id: &str, object: &serde_json::Value| {
        let is_meant = object.is_null() && id != first;
        is_meant && refusals.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    };
    faults.add(Fault::new(Target::method("Mailbox/set"), Effect::refuse("forbidden", is_refused)));
    let pause = faults.add(Fault::at_request(number, Effect::Delay(still)));
    let (one, two) = tokio::join!(cut.resumed(), async {
        let meets = tokio::time::timeout(Duration::from_secs(60), struck(faults, pause));
        meets.await.expect("an attempt takes as many requests as the one that was counted");
        cut.resumed().await
    });
    let what = format!("{mode:?}, request {number}, {still:?}, in use: {is_in_use}: {one:?}, {two:?}");
    assert!(one.is_ok() || two.is_ok(), "{what}");
    for ended in [&one, &two] {
        match ended {
            Ok(restored) => {
                assert_eq!((restored.restored + restored.present, restored.open), (30, 0), "{what}")
            }
            Err(error) => assert!(matches!(error, engine::Error::Superseded), "{what}"),
        }
    }
    let told = |emails: Vec<EmailTruth>| -> Vec<_> {
        keywordless(emails).into_iter().map(|(date, size, _)| (date, size)).collect()
    };
    let expected: Vec<EmailTruth> = cut.emails.iter().map(|(email, _)| email.clone()).collect();
    assert_eq!(told(cut.home.alice.emails()), told(expected.clone()), "{what}");
    if mode != Mode::Beside {
        assert_eq!(keywordless(cut.home.alice.emails()), keywordless(expected), "{what}");
    }
    assert!(!is_traced(&cut.home.alice), "{what}");
}

/// The one that begins later must not take for its own work what the earlier one is just ending.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_go_on_at_once_bring_everything_once_wherever_they_meet() {
    for mode in [Mode::Beside, Mode::Missing, Mode::Exact] {
        let cut = Cut::off(mode).await;
        let before = cut.home.simulator.counters().requests;
        cut.resumed().await.expect("restores");
        let requests = cut.home.simulator.counters().requests - before;
        println!("{mode:?}: {requests} requests");
        let stills = [30, 150, 1_500].map(Duration::from_millis);
        let step = if testkit::is_soak() { 1 } else { 7 };
        let stills = stills.into_iter().flat_map(|still| [(still, false), (still, true)]);
        let rounds =
            (0..requests).flat_map(|number| stills.clone().map(move |how| (number, how))).step_by(step);
        let rounds =
            futures::stream::iter(rounds).map(|(number, (still, in_use))| met(mode, number, still, in_use));
        rounds.buffer_unordered(16).for_each(|()| async {}).await;
    }
}

/// Stalwart 0.16 refuses to destroy a folder while another request changes what lies in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_in_use_is_destroyed_a_moment_later() {
    let cut = Cut::off(Mode::Missing).await;
    let is_destroyed = |_: &str, object: &serde_json::Value| object.is_null();
    let in_use =
        Fault::new(Target::method("Mailbox/set"), Effect::refuse("forbidden", is_destroyed)).times(3);
    let fault = cut.home.simulator.faults().add(in_use);
    cut.assert_resumed().await;
    assert!(cut.home.simulator.faults().struck(fault) > 0);
}

/// Emails of equal bytes and date are told apart by their folders and keywords: what came is what is there.
#[tokio::test(flavor = "multi_thread")]
async fn equal_emails_come_back_into_their_own_folders() {
    for mode in [Mode::Missing, Mode::Exact] {
        let home = Cut::home(alice(0).folders(Folders::Many(4))).await;
        let folders: Vec<String> = home.alice.content(Kind::Mailbox).into_keys().take(3).collect();
        for number in 0..30 {
            // The first to come are not the first that were there.
            let copy = (number * 7 + number / 3) % 3;
            let raw = format!("Subject: {}\r\n\r\nthe same\r\n", number / 3);
            let email = home.alice.deliver_astray(raw, &[&folders[copy]], "2026-01-01T00:00:00Z");
            home.alice.set_keywords(&email, &[&format!("k{copy}")]);
        }
        let cut = Cut::of(home, mode).await;
        let restored = cut.resumed().await.expect("restores");
        assert_eq!(restored.restored, 30, "{restored:#?}");
        held_belongings(&cut.home.alice).assert_same(&cut.before, &format!("{mode:?}"));
    }
}

/// The record that names it is lost: it is found all the same, and what undoes the restore is the first one.
#[tokio::test(flavor = "multi_thread")]
async fn a_safety_backup_is_known_without_the_record_that_names_it() {
    let cut = Cut::off(Mode::Exact).await;
    let (repository, safety) = cut.home.bed.newest(&cut.home.url).await;
    let safety = safety.info().number;
    drop(repository);
    let records = objects_named(&cut.home, "/restores/").await;
    let last = records.last().expect("they are there");
    assert!(records.len() == 2, "{records:?}");
    cut.home.bed.objects.delete(last).await.expect("it is deleted");
    let restored = cut.resumed().await.expect("restores");
    assert_eq!(restored.safety, Some(safety), "{restored:#?}");
    held_belongings(&cut.home.alice).assert_same(&cut.before, "after");
}

/// What undid the restore is gone: nothing more is changed, and nobody makes another one and says that it undoes everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_whose_safety_backup_is_lost_is_not_gone_on_with() {
    let cut = Cut::off(Mode::Exact).await;
    let log = objects_named(&cut.home, "/log/").await;
    cut.home.bed.objects.delete(log.last().expect("entries")).await.expect("it is deleted");
    let emails = cut.home.alice.email_count();
    let error = cut.resumed().await.expect_err("what undoes it is lost");
    assert!(matches!(error, engine::Error::SafetyLost { .. }), "{error:?}");
    assert_eq!(cut.home.alice.email_count(), emails);
}
