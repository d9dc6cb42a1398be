//! What was backed up is given back, whatever happens on the way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{Act, Mode, RestoreId, Restored};
use jmap::{AccountId, AccountRef};
use model::{BackupState, EmailId, SnapshotNumber};
use serde_json::Value;
use sim_stalwart::{
    AccountHandle, AccountSpec, DataType, Effect, Fault, Folders, Kinds, Limits, Simulator, Target,
    UploadQuota, Version,
};
use testkit::stride;
use tests::belongings::{Belongings, Path};
use tests::truth::held_belongings;
use tests::{Bed, seeds};

use crate::{ALICE, Home, PASSWORD, alice};

const BOB: &str = "bob@example.org";
/// May name every account.
const AGENT: &str = "agent@example.org";

/// What an account holds. `below`: this folder is taken for the top.
fn belongings(account: &AccountHandle, below: Option<&str>) -> Belongings {
    let held = held_belongings(account);
    match below {
        Some(top) => held.below(top),
        None => held,
    }
}

/// Folders whose names every server takes: what becomes of odd ones is a test of its own.
fn usual(emails: u32) -> AccountSpec {
    alice(emails).folders(Folders::Many(12))
}

/// A server with alice, who was backed up, and bob, who has nothing.
pub(crate) struct Two {
    pub(crate) home: Home,
    pub(crate) bob: AccountHandle,
    pub(crate) bobs: Bed,
}

impl Two {
    async fn with(spec: AccountSpec, limits: Limits) -> Two {
        let two = Two::unsaved(spec, limits, Version::V0_15).await;
        assert_eq!(two.home.backup().await.state, BackupState::Good);
        two
    }

    /// Without a backup.
    pub(crate) async fn unsaved(spec: AccountSpec, limits: Limits, version: Version) -> Two {
        let builder = Simulator::builder().seed(7).version(version).limits(limits);
        let home = Home::with(builder.impersonator(AGENT, PASSWORD), spec).await;
        let bob = AccountSpec::new(BOB, PASSWORD).account_id("bob").alias(ALICE).bare();
        let bob = home.simulator.add_account(&bob);
        Two { home, bob, bobs: Bed::new(BOB, PASSWORD) }
    }

    async fn of(emails: u32) -> Two {
        Two::with(usual(emails), Limits::default()).await
    }

    pub(crate) async fn give_bob(&self, mode: Mode, id: &RestoreId) -> Result<Restored, engine::Error> {
        self.home.bed.restore(&self.home.url, None, &self.bobs, mode, id).await
    }

    /// Somebody else signs in to give it to bob.
    async fn agent_gives_bob(&self) -> Restored {
        let account = AccountRef::Id(AccountId::new(&self.bob.id()).expect("an id"));
        let agent = self.bobs.clone().signed_in_as(AGENT, PASSWORD).of_account(account);
        let id = RestoreId::random();
        let restored = self.home.bed.restore(&self.home.url, None, &agent, Mode::Missing, &id).await;
        restored.expect("restores")
    }

    pub(crate) async fn give_alice(&self, number: SnapshotNumber, mode: Mode) -> Restored {
        let (bed, id) = (&self.home.bed, RestoreId::random());
        let restored = bed.restore(&self.home.url, Some(number), bed, mode, &id).await.expect("restores");
        assert_eq!((restored.refused.count, &restored.odd_folders), (0, &Vec::new()), "{restored:#?}");
        assert!(restored.objects.iter().all(|of| of.is_whole()), "{:#?}", restored.objects);
        restored
    }

    /// Bob has just what alice had, where the mode puts it.
    fn assert_given(&self, restored: &Restored, mode: Mode, when: &str) {
        let below = restored.folder.as_deref();
        assert_eq!(below.is_some(), mode == Mode::Beside);
        let (mut found, expected) = (belongings(&self.bob, below), belongings(&self.home.alice, None));
        if mode == Mode::Missing {
            // Folders that bob has by nature stay.
            let alices: BTreeSet<Path> = expected.paths().into_keys().cloned().collect();
            found.folders.retain(|folder, _| alices.contains(&folder.path));
        }
        found.assert_same(&expected, when);
        assert_no_traces(&self.bob);
    }
}

fn assert_no_traces(account: &AccountHandle) {
    let folders = account.content(DataType::Mailbox);
    let own = |folder: &&Value| folder["name"].as_str().is_some_and(|name| name.starts_with("Malle restore"));
    assert_eq!(folders.values().find(own), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_in_every_mode() {
    for mode in [Mode::Beside, Mode::Missing, Mode::Exact] {
        let two = Two::of(600).await;
        let restored = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        assert_eq!((restored.restored, restored.refused.count), (600, 0), "{restored:#?}");
        two.assert_given(&restored, mode, "at once");
        if mode != Mode::Beside {
            let again = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
            assert_eq!((again.restored, again.present), (0, 600), "{again:#?}");
            two.assert_given(&again, mode, "again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_owner_deleted_comes_back_and_nothing_else_changes() {
    let two = Two::of(400).await;
    let before = belongings(&two.home.alice, None);
    let emails = two.home.alice.emails();
    emails.iter().step_by(7).for_each(|email| assert!(two.home.alice.destroy(&email.id)));
    let restored =
        two.give_alice(two.home.bed.newest(&two.home.url).await.1.info().number, Mode::Missing).await;
    assert_eq!(restored.restored, emails.len().div_ceil(7) as u64);
    belongings(&two.home.alice, None).assert_same(&before, "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_200_random_edits_an_exact_restore_brings_it_back_and_its_safety_backup_undoes_it() {
    for seed in seeds() {
        println!("MALLE_SEED={seed}");
        let two = Two::with(usual(150).seed(seed), Limits::default()).await;
        let number = two.home.bed.newest(&two.home.url).await.1.info().number;
        let before = belongings(&two.home.alice, None);
        two.home.alice.mutate(200, seed, Kinds::All);
        let edited = belongings(&two.home.alice, None);
        let restored = two.give_alice(number, Mode::Exact).await;
        belongings(&two.home.alice, None).assert_same(&before, "restored");
        two.give_alice(restored.safety.expect("it was backed up first"), Mode::Exact).await;
        belongings(&two.home.alice, None).assert_same(&edited, "undone");
        assert_no_traces(&two.home.alice);
    }
}

/// What a dry run says would be done is done, by number; and the dry run does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_will_be_done() {
    for seed in seeds().into_iter().take(10) {
        println!("MALLE_SEED={seed}");
        let two = Two::with(usual(150).seed(seed), Limits::default()).await;
        let number = two.home.bed.newest(&two.home.url).await.1.info().number;
        two.home.alice.mutate(100, seed, Kinds::All);
        for (mode, is_alice) in
            [(Mode::Exact, true), (Mode::Missing, false), (Mode::Beside, false), (Mode::Exact, false)]
        {
            let (account, bed) =
                if is_alice { (&two.home.alice, &two.home.bed) } else { (&two.bob, &two.bobs) };
            let before = belongings(account, None);
            let (said, items) = two.home.bed.rehearse(&two.home.url, number, bed, mode).await;
            belongings(account, None).assert_same(&before, "rehearsed");
            assert_no_traces(account);
            let id = RestoreId::random();
            let done =
                two.home.bed.restore(&two.home.url, Some(number), bed, mode, &id).await.expect("restores");
            let count = |act, data_type| {
                items.iter().filter(|item| (item.0, item.1) == (act, data_type)).count() as u64
            };
            let when = format!("{mode:?} of seed {seed}: {items:#?}");
            for (act, planned, done) in [
                (Act::Create, said.open, done.restored),
                (Act::Change, said.relabelled, done.relabelled),
                (Act::Remove, said.removed, done.removed),
            ] {
                assert_eq!((count(act, model::DataType::Email), planned), (done, done), "{act:?} {when}");
            }
            assert_eq!(
                (count(Act::Create, model::DataType::Mailbox), said.folders),
                (done.folders, done.folders),
                "{when}"
            );
            let removed = done.removed_folders;
            assert_eq!(
                (count(Act::Remove, model::DataType::Mailbox), said.removed_folders),
                (removed, removed),
                "{when}"
            );
            for (said, done) in said.objects.iter().zip(&done.objects) {
                let of = |of: &engine::RestoredObjects| {
                    (of.data_type, of.wanted, of.restored, of.changed, of.removed)
                };
                assert_eq!(of(said), of(done), "{when}");
                let t = of(done).0;
                let told = (count(Act::Create, t), count(Act::Change, t), count(Act::Remove, t));
                assert_eq!(told, (done.restored, done.changed, done.removed), "{when}");
            }
        }
    }
}

/// What could not be read before cannot be brought back by an undo.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_be_backed_up_completely_is_not_made_exact() {
    let two = Two::of(60).await;
    let number = two.home.bed.newest(&two.home.url).await.1.info().number;
    let alice = &two.home.alice;
    let unreadable = alice.deliver("Subject: later\r\n\r\nlost\r\n", &[], &[]);
    let blob = alice.email(&unreadable).expect("it came").blob_id;
    let before = belongings(alice, None);
    alice.vanish_blob(&blob);
    let (bed, id) = (&two.home.bed, RestoreId::random());
    let exactly = || bed.restore(&two.home.url, Some(number), bed, Mode::Exact, &id);
    let error = exactly().await.expect_err("the account holds what cannot be read");
    assert!(matches!(error, engine::Error::Unsafe { times: 3, .. }), "{error:?}");
    alice.unvanish_blob(&blob);
    belongings(alice, None).assert_same(&before, "untouched");
    assert_no_traces(alice);
    let restored = exactly().await.expect("restores");
    assert_eq!((restored.removed, alice.email(&unreadable).is_none()), (1, true));
    two.give_alice(restored.safety.expect("it was backed up first"), Mode::Exact).await;
    belongings(alice, None).assert_same(&before, "undone");
}

/// Lost answers make further attempts, each with a backup of its own: what came between two of them is no surplus, and what the
/// first one brought back is not brought twice because a later backup is incomplete.
#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_between_two_attempts_stays_and_a_bad_backup_ends_the_second() {
    for is_broken in [false, true] {
        let two = Two::of(120).await;
        let number = two.home.bed.newest(&two.home.url).await.1.info().number;
        let (alice, faults) = (two.home.alice.clone(), two.home.simulator.faults());
        for email in alice.emails().iter().step_by(3) {
            assert!(alice.destroy(&email.id));
        }
        let arrived = Arc::new(Mutex::new(None));
        let (account, slot) = (alice.clone(), Arc::clone(&arrived));
        let arrive = move || {
            let id = account.deliver("Subject: between\r\n\r\nhello\r\n", &[], &[]);
            if is_broken {
                account.vanish_blob(&account.email(&id).expect("it came").blob_id);
            }
            *slot.lock().expect("nobody panics") = Some(id);
        };
        let lost = Effect::Reset { after: 0 };
        faults.add(Fault::new(Target::method("Email/import"), lost).times(1));
        faults.add(Fault::new(Target::method("Email/import"), Effect::before(arrive)).times(1));
        let (bed, id) = (&two.home.bed, RestoreId::random());
        let restored = bed.restore(&two.home.url, Some(number), bed, Mode::Exact, &id).await;
        let restored = match restored {
            Err(error) if is_broken => {
                assert!(matches!(error, engine::Error::Unsafe { times: 3, .. }), "{error:?}");
                let came = arrived.lock().expect("nobody panics").clone().expect("it came");
                alice.unvanish_blob(&alice.email(&came).expect("it is there").blob_id);
                bed.restore(&two.home.url, Some(number), bed, Mode::Exact, &id).await.expect("goes on")
            }
            restored => restored.expect("restores"),
        };
        let arrived = arrived.lock().expect("nobody panics").clone().expect("it came");
        assert!(alice.email(&arrived).is_some(), "what arrived is gone");
        assert_eq!(alice.email_count(), 121, "{restored:#?}");
        assert_no_traces(&alice);
    }
}

/// Names that hurt, twins but for case, nesting; a folder that takes a step through the restore's own is found there when
/// the attempt is cut off just then.
#[tokio::test(flavor = "multi_thread")]
async fn folders_of_odd_names_come_back() {
    for mode in [Mode::Beside, Mode::Missing, Mode::Exact] {
        let mut is_lost = true;
        for number in (0..).step_by(5).take_while(|number| *number < 200) {
            if !is_lost {
                break;
            }
            let two = Two::unsaved(alice(40), Limits::default(), Version::V0_15).await;
            // Servers take blanks off the ends.
            let folders = two.home.alice.content(DataType::Mailbox);
            let blank = folders.iter().find(|(_, folder)| folder["name"] == " lead and trail ");
            two.home.alice.rename_folder(blank.expect("it is one of the odd ones").0, "lead and trail");
            assert_eq!(two.home.backup().await.state, BackupState::Good);
            let faults = two.home.simulator.faults();
            let fault = faults.add(Fault::at_request(number, Effect::Reset { after: 0 }));
            let restored = two.give_bob(mode, &RestoreId::random()).await;
            let restored = restored.unwrap_or_else(|error| panic!("{mode:?}, request {number}: {error}"));
            assert_eq!(restored.odd_folders, Vec::<String>::new(), "{mode:?}, request {number}");
            two.assert_given(&restored, mode, &format!("{mode:?}, request {number}"));
            is_lost = faults.struck(fault) > 0;
        }
        assert!(!is_lost, "it never came through undisturbed");
    }
}

/// Each third request in turn is lost, in the long run every one, before or after it was served. Each mode begins at another.
async fn at_every_request(mode: Mode, effect: fn() -> Effect) {
    let mut requests = 0;
    for number in (mode as u64..).step_by(stride(3)) {
        let two = Two::with(usual(60), Limits { max_objects_in_set: 20, ..Limits::default() }).await;
        let (id, faults) = (RestoreId::random(), two.home.simulator.faults());
        let fault = faults.add(Fault::at_request(number, effect()));
        let restored = two.give_bob(mode, &id).await.unwrap_or_else(|error| panic!("{number}: {error}"));
        two.assert_given(&restored, mode, &format!("without the answer to request {number}"));
        if faults.struck(fault) == 0 {
            requests = number;
            break;
        }
    }
    println!("{mode:?}: each of {requests} requests was lost");
    assert!(requests >= 15, "{requests}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_brings_nothing_twice() {
    for mode in [Mode::Beside, Mode::Missing, Mode::Exact] {
        at_every_request(mode, || Effect::Reset { after: 0 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_lost_is_made_up_for() {
    for mode in [Mode::Beside, Mode::Missing, Mode::Exact] {
        at_every_request(mode, || Effect::ResetUnserved).await;
    }
}

/// The process dies at each request, and another one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_anywhere_is_gone_on_with() {
    for mode in [Mode::Beside, Mode::Missing, Mode::Exact] {
        for number in (mode as u64..).step_by(stride(3)) {
            let two = Two::with(usual(60), Limits { max_objects_in_set: 20, ..Limits::default() }).await;
            let (id, faults) = (RestoreId::random(), two.home.simulator.faults());
            let fault = faults.add(Fault::at_request(number, Effect::Delay(Duration::from_secs(3600))));
            let ended = tokio::select! {
                ended = two.give_bob(mode, &id) => Some(ended.expect("restores")),
                () = struck(faults, fault) => None,
            };
            faults.remove(fault);
            let restored = match ended {
                Some(restored) => restored,
                None => two.give_bob(mode, &id).await.unwrap_or_else(|error| panic!("{number}: {error}")),
            };
            two.assert_given(&restored, mode, &format!("killed at request {number}"));
            if faults.struck(fault) == 0 {
                assert!(number >= 15, "{number}");
                break;
            }
        }
    }
}

pub(crate) async fn struck(faults: &sim_stalwart::Faults, fault: sim_stalwart::FaultId) {
    while faults.struck(fault) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One request is held up; meanwhile another process takes the restore over and ends it. Then the first one wakes.
#[tokio::test(flavor = "multi_thread")]
async fn one_paused_in_the_middle_wakes_while_another_resumes_its_work() {
    for mode in [Mode::Beside, Mode::Missing, Mode::Exact] {
        for number in (4..40).step_by(3) {
            let two = Two::with(usual(60), Limits { max_objects_in_set: 20, ..Limits::default() }).await;
            let (id, faults) = (RestoreId::random(), two.home.simulator.faults());
            let fault = faults.add(Fault::at_request(number, Effect::Delay(Duration::from_millis(400))));
            let first = two.give_bob(mode, &id);
            let second = async {
                let waited = tokio::time::timeout(Duration::from_secs(5), struck(faults, fault)).await;
                if waited.is_ok() { Some(two.give_bob(mode, &id).await) } else { None }
            };
            let (first, second) = futures::join!(first, second);
            let restored = first.into_iter().chain(second.into_iter().flatten()).next_back();
            let restored = match restored {
                Some(restored) => restored,
                None => two.give_bob(mode, &id).await.expect("restores"),
            };
            two.assert_given(&restored, mode, &format!("paused at request {number}"));
        }
    }
}

/// Mail is delivered, read and moved before each call of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_living_account_is_restored_exactly_and_loses_nothing_that_arrives() {
    for seed in seeds().into_iter().take(10) {
        println!("MALLE_SEED={seed}");
        let two = Two::with(usual(150).seed(seed), Limits::default()).await;
        let number = two.home.bed.newest(&two.home.url).await.1.info().number;
        two.home.alice.mutate(100, seed, Kinds::All);
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let live = live(two.home.alice.clone(), arrivals.clone());
        let fault = two.home.simulator.faults().add(Fault::new(Target::Any, Effect::before(live)));
        let restored = two.give_alice(number, Mode::Exact).await;
        two.home.simulator.faults().remove(fault);
        let arrived = arrivals.lock().expect("nobody panics").clone();
        assert!(arrived.len() > 10, "{}", arrived.len());
        let safety = restored.safety.expect("it was backed up first");
        let (repository, _) = two.home.bed.newest(&two.home.url).await;
        let safety = repository.snapshot(Some(safety)).await.expect("it is there");
        for id in arrived.iter().filter(|id| two.home.alice.email(id).is_none()) {
            let kept = safety.find_emails(&[EmailId::from(id.as_str())]).await.expect("it is read");
            assert_eq!(kept.len(), 1, "{id} arrived and is nowhere");
        }
        let stayed = arrived.iter().filter(|id| two.home.alice.email(id).is_some()).count();
        assert!(stayed > 0, "nothing arrived after the safety backup");
        assert_no_traces(&two.home.alice);
    }
}

fn live(alice: AccountHandle, arrivals: Arc<Mutex<Vec<String>>>) -> impl Fn() + Send + Sync {
    move || {
        let mut arrivals = arrivals.lock().expect("nobody panics");
        let number = arrivals.len();
        if let Some(earlier) = arrivals.get(number / 2) {
            alice.set_keywords(earlier, &["$seen"]);
        }
        arrivals.push(alice.deliver(format!("Subject: arrival {number}\r\n\r\nHello\r\n"), &[], &[]));
    }
}

/// An account may upload so much an hour; what came before stays, and the rest comes later.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_upload_quota_ends_the_restore_and_it_goes_on_later() {
    let quota = Some(UploadQuota { files: 150, bytes: 50_000_000 });
    let two = Two::with(usual(300), Limits { uploads: quota, ..Limits::default() }).await;
    let id = RestoreId::random();
    let error = two.give_bob(Mode::Beside, &id).await.expect_err("300 emails are too many");
    assert!(error.to_string().contains("upload quota"), "{error}");
    let mut restored = Err(error);
    for _hour in 0..4 {
        if restored.is_err() {
            two.bob.expire_uploads();
            restored = two.give_bob(Mode::Beside, &id).await;
        }
    }
    two.assert_given(&restored.expect("in the end"), Mode::Beside, "hour by hour");
}

/// Whoever may name any account sends nothing to bob's, whose quota of uploads stays his own: what there is need not fit in.
#[tokio::test(flavor = "multi_thread")]
async fn an_impersonator_uploads_elsewhere() {
    let quota = Some(UploadQuota { files: 600, bytes: 50_000_000 });
    let two = Two::with(usual(1_500), Limits { uploads: quota, ..Limits::default() }).await;
    let restored = two.agent_gives_bob().await;
    two.assert_given(&restored, Mode::Missing, "elsewhere");
    let scripts = two.bob.uploads().0;
    assert!(scripts < 10, "{scripts}");
}

/// A server that takes no uploads for an account that does not exist, or forgets them, gets them for the account itself.
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_may_be_uploaded_elsewhere_it_goes_to_the_account() {
    let two = Two::unsaved(usual(1_500), Limits::default(), Version::V0_16).await;
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    let restored = two.agent_gives_bob().await;
    // 0.16 takes no bytes that are no message.
    assert_eq!(restored.restored + restored.refused.count, 1_500);
    assert!(restored.refused.count < 50 && two.bob.uploads().0 >= 1_400, "{restored:?}");

    let two = Two::with(usual(1_500), Limits::default()).await;
    let forgotten = Effect::Refuse { kind: "blobNotFound".into(), chosen: Arc::new(|_, _| true) };
    two.home.simulator.faults().add(Fault::new(Target::method("Email/import"), forgotten).times(1));
    let restored = two.agent_gives_bob().await;
    two.assert_given(&restored, Mode::Missing, "forgotten");
    assert!(two.bob.uploads().0 > 0);
}

/// What fits comes, the rest when there is room, and nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_room_ends_the_restore_and_it_goes_on_when_there_is() {
    for mode in [Mode::Beside, Mode::Missing] {
        let two = Two::of(300).await;
        let all: u64 = two.home.alice.emails().iter().map(|email| email.size).sum();
        two.bob.set_quota(Some(all / 2));
        let id = RestoreId::random();
        let error = two.give_bob(mode, &id).await.expect_err("half of it fits");
        assert!(error.to_string().contains("make room in the account"), "{error}");
        let there = two.bob.email_count();
        assert!(there > 0 && there < 300, "{there}");
        two.bob.set_quota(None);
        two.assert_given(&two.give_bob(mode, &id).await.expect("there is room"), mode, "with room");
    }
}
