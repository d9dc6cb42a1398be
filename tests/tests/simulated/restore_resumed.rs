//! A restore that goes on is the same restore: cut at a request, with whatever the person says next, account and report are those
//! of one that nobody cut.

use std::time::Duration;

use engine::{Mode, RestoreId, Restored};
use model::{BackupState, DataType, SnapshotNumber};
use object_store::ObjectStoreExt;
use sim_stalwart::{
    AccountHandle, AccountSpec, DataType as Kind, Effect, Fault, Folders, Kinds, Limits, Simulator, Target,
    Version,
};
use tests::Belongings;
use tests::truth::held_belongings;

use crate::restore::struck;
use crate::restore_objects::{Objects, objects};
use crate::{Home, alice};

/// Requests between two cuts, in the usual run; with `MALLE_SOAK` each is cut.
const STRIDE: usize = 9;
/// What the server refuses.
const REFUSED: &str = "refused";

/// What the person does after the cut.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    /// `--resume ID`.
    Resumes,
    /// The command as it was, with `--resume ID`: refused where that would be another restore.
    Repeats,
    /// `--resume ID` and another mode: always refused.
    SaysAnother,
    /// A backup, then `--resume ID`.
    BacksUp,
}

const NEXT: [Next; 4] = [Next::Resumes, Next::Repeats, Next::SaysAnother, Next::BacksUp];
const MODES: [Mode; 3] = [Mode::Beside, Mode::Missing, Mode::Exact];

/// Alice, who was backed up, and whose mail and other things were edited since.
struct Story {
    home: Home,
    id: RestoreId,
    mode: Mode,
    number: SnapshotNumber,
}

/// What is left of it.
struct Ending {
    belongings: Belongings,
    objects: Objects,
    report: String,
}

impl Story {
    async fn begin(mode: Mode) -> Story {
        let limits = Limits { max_objects_in_set: 8, ..Limits::default() };
        let builder = Simulator::builder().seed(7).version(Version::V0_15).limits(limits);
        let spec: AccountSpec = alice(24).folders(Folders::Many(4)).objects(3, 3, 2).scripts(1);
        let home = Home::with(builder, spec).await;
        home.alice.deliver("Subject: no\r\n\r\nThe server refuses this one.\r\n", &[], &[REFUSED]);
        assert_eq!(home.backup().await.state, BackupState::Good);
        let number = home.bed.newest(&home.url).await.1.info().number;
        let emails = home.alice.emails();
        for (n, email) in emails.iter().enumerate() {
            let is_refused = email.keywords.iter().any(|keyword| keyword == REFUSED);
            if is_refused || n % 3 == 0 {
                assert!(home.alice.destroy(&email.id));
            }
        }
        home.alice.mutate(30, 5, Kinds::All);
        let doomed = home.alice.content(Kind::ContactCard).keys().next().cloned();
        doomed.iter().for_each(|id| home.alice.remove(Kind::ContactCard, id));
        let refuse = Effect::refuse("tooLarge", |_, email| email["keywords"][REFUSED] == true);
        home.simulator.faults().add(Fault::new(Target::method("Email/import"), refuse));
        let id = RestoreId::parse("abcd2345").expect("an id");
        Story { home, id, mode, number }
    }

    /// As `malle restore` does it: without `--snapshot`, of the newest one.
    async fn run(&self, mode: Mode, number: Option<SnapshotNumber>) -> Result<Restored, engine::Error> {
        let bed = &self.home.bed;
        bed.restore(&self.home.url, number, bed, mode, &self.id).await
    }

    async fn resume(&self) -> Option<Restored> {
        let bed = &self.home.bed;
        let resumed = bed.resume(&self.home.url, bed, &self.id).await?;
        Some(resumed.unwrap_or_else(|error| panic!("{:?} is not gone on with: {error}", self.mode)))
    }

    fn ending(&self, restored: &Restored) -> Ending {
        let belongings = held_belongings(&self.home.alice);
        Ending { belongings, objects: objects(&self.home.alice), report: told(restored) }
    }

    /// Cuts it at a request, by which the process dies; false if it came to its end before.
    async fn cut(&self, number: u64) -> bool {
        let faults = self.home.simulator.faults();
        let fault = faults.add(Fault::at_request(number, Effect::Delay(Duration::from_secs(3600))));
        let is_cut = tokio::select! {
            ended = self.run(self.mode, Some(self.number)) => {
                ended.unwrap_or_else(|error| panic!("{:?} at {number}: {error}", self.mode));
                false
            }
            () = struck(faults, fault) => true,
        };
        faults.remove(fault);
        is_cut
    }

    /// The person goes on, and it comes to its end.
    async fn go_on(&self, next: Next) -> Restored {
        match next {
            Next::Resumes => {}
            Next::Repeats => match self.run(self.mode, None).await {
                Ok(restored) => return restored,
                Err(error) => assert!(is_refusal(&error), "{error:?}"),
            },
            Next::SaysAnother => {
                let other = if self.mode == Mode::Missing { Mode::Beside } else { Mode::Missing };
                let before = (held_belongings(&self.home.alice), objects(&self.home.alice));
                if self.resume_is_known().await {
                    let said = self.run(other, Some(self.number)).await;
                    let error = said.expect_err("another restore");
                    assert!(is_refusal(&error), "{error:?}");
                    held_belongings(&self.home.alice).assert_same(&before.0, "another mode was said");
                    assert_eq!(objects(&self.home.alice), before.1);
                }
            }
            Next::BacksUp => drop(self.home.backup().await),
        }
        match self.resume().await {
            Some(restored) => restored,
            // It was cut before it began; so it begins.
            None => self.run(self.mode, Some(self.number)).await.expect("restores"),
        }
    }

    async fn resume_is_known(&self) -> bool {
        let (repository, _) = self.home.bed.newest(&self.home.url).await;
        engine::KnownRestore::find(&repository, &self.id).await.expect("it can be read").is_some()
    }
}

fn is_refusal(error: &engine::Error) -> bool {
    matches!(error, engine::Error::OtherRestore { .. })
}

/// The whole report but for the number of the safety backup, which another backup may come before.
fn told(restored: &Restored) -> String {
    let r = restored;
    let refused: Vec<_> = r.refused.named.iter().map(|it| (it.email.id.clone(), &it.reason)).collect();
    let mut text = format!(
        "wanted {} present {} open {} restored {} ({} bytes) relabelled {} removed {} unremoved {:?} folders {} removed \
         folders {} odd {:?} refused {} {refused:?} safety {} folder {:?}\n",
        r.wanted,
        r.present,
        r.open,
        r.restored,
        r.bytes,
        r.relabelled,
        r.removed,
        r.unremoved,
        r.folders,
        r.removed_folders,
        r.odd_folders,
        r.refused.count,
        r.safety.is_some(),
        r.folder,
    );
    for of in &r.objects {
        let refused: Vec<_> = of.refused.iter().map(|it| (&it.id, &it.reason)).collect();
        let counts = (of.wanted, of.restored, of.changed, of.removed, of.refused_count);
        text += &format!("{}: {counts:?} {refused:?} {:?} {:?}\n", of.data_type, of.left_out, of.notes);
    }
    text
}

/// How it ends when nobody cuts it, and how many requests it makes.
async fn uncut(mode: Mode) -> (Ending, u64) {
    let story = Story::begin(mode).await;
    let before = story.home.simulator.counters();
    let restored = story.run(mode, Some(story.number)).await.expect("restores");
    let requests = story.home.simulator.counters().since(&before).requests;
    assert_eq!(restored.refused.count, 1, "{restored:#?}");
    (story.ending(&restored), requests)
}

fn assert_same(found: &Ending, expected: &Ending, when: &str) {
    assert_eq!(found.report, expected.report, "{when}");
    found.belongings.assert_same(&expected.belongings, when);
    assert_eq!(found.objects, expected.objects, "{when}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_anywhere_and_whatever_is_said_next_it_ends_as_if_it_had_not_been_cut() {
    let stride = testkit::stride(STRIDE);
    let mut cuts = 0;
    for mode in MODES {
        let (expected, requests) = uncut(mode).await;
        for (n, next) in NEXT.into_iter().enumerate() {
            // Each answer has requests of its own, so that all are cut by some.
            for number in (n as u64 * 2..requests).step_by(stride) {
                let when = format!("{mode:?} cut at request {number} of {requests}, then {next:?}");
                let story = Story::begin(mode).await;
                if !story.cut(number).await {
                    continue;
                }
                let restored = story.go_on(next).await;
                assert_same(&story.ending(&restored), &expected, &when);
                let again = story.resume().await.expect("it is written down");
                assert_same(&story.ending(&again), &expected, &format!("{when}, and once more"));
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts");
    assert!(cuts >= 40, "{cuts}");
}

/// The safety backup is newer than the snapshot, and must never be taken for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_snapshot_is_decided_once() {
    let story = Story::begin(Mode::Exact).await;
    let faults = story.home.simulator.faults();
    let lost =
        faults.add(Fault::new(Target::method("Email/import"), Effect::Delay(Duration::from_secs(3600))));
    tokio::select! {
        ended = story.run(Mode::Exact, None) => panic!("{ended:?}"),
        () = struck(faults, lost) => {}
    }
    faults.remove(lost);
    let newest = story.home.bed.newest(&story.home.url).await.1.info().number;
    assert!(newest > story.number, "the account was backed up first");
    let restored = story.resume().await.expect("it is written down");
    assert!(restored.restored > 0 && restored.safety == Some(newest), "{restored:#?}");
    let error = story.run(Mode::Exact, None).await.expect_err("the newest snapshot is another one");
    assert!(is_refusal(&error), "{error:?}");
}

/// Emails that were given back have other ids. Nothing is lost, and there is no alarm.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_was_emptied_and_restored_is_not_shrunk() {
    let home = Home::of(alice(100).folders(Folders::Many(4))).await;
    home.good_backup().await;
    let number = home.bed.newest(&home.url).await.1.info().number;
    for email in home.alice.emails() {
        assert!(home.alice.destroy(&email.id));
    }
    let (bed, id) = (&home.bed, RestoreId::random());
    let restored = bed.restore(&home.url, Some(number), bed, Mode::Missing, &id).await.expect("restores");
    let refused = restored.refused.count;
    assert_eq!(restored.restored + refused, 100, "{restored:#?}");
    let report = home.backup().await;
    assert_eq!((report.state, report.new_emails), (BackupState::Good, 100 - refused), "{report:?}");
    // As many other emails in their place are no comfort.
    for (n, email) in home.alice.emails().into_iter().enumerate() {
        assert!(home.alice.destroy(&email.id));
        home.alice.deliver(format!("Subject: spam {n}\r\n\r\nBuy!\r\n"), &[], &[]);
    }
    assert_eq!(home.backup().await.state, BackupState::Shrunk);
}

/// Alice after a backup, and what came later: ten emails and a script, whose packs are lost from the store when this is told.
struct Surplus {
    home: Home,
    number: SnapshotNumber,
    came: Vec<String>,
    script: String,
    packs: Vec<object_store::path::Path>,
}

impl Surplus {
    async fn new() -> Surplus {
        let home = Home::of(alice(60)).await;
        home.good_backup().await;
        let number = home.bed.newest(&home.url).await.1.info().number;
        let before = packs(&home).await;
        let came = (0..10)
            .map(|n| home.alice.deliver(format!("Subject: new {n}\r\n\r\n{}\r\n", "x".repeat(n)), &[], &[]))
            .collect();
        let text = home.alice.put_blob("discard;");
        let script = serde_json::json!({ "name": "too much", "blobId": text, "isActive": false });
        let script = home.alice.insert(Kind::SieveScript, script);
        home.good_backup().await;
        let packs = packs(&home).await.into_iter().filter(|pack| !before.contains(pack)).collect();
        Surplus { home, number, came, script, packs }
    }

    async fn lose(&self) {
        for pack in &self.packs {
            self.home.bed.objects.delete(pack).await.expect("it is deleted");
        }
    }

    /// How many emails are gone from the account, each of which the safety backup gives back.
    async fn gone(&self, restored: &Restored) -> u64 {
        let (repository, _) = self.home.bed.newest(&self.home.url).await;
        let safety = repository.snapshot(restored.safety).await.expect("it is there");
        let mut gone = 0;
        for id in self.came.iter().filter(|id| self.home.alice.email(id).is_none()) {
            let email = safety.find_emails(&[id.as_str().into()]).await.expect("it is read").remove(0);
            safety.blob(&email.blob).await.expect("what was removed can be given back");
            gone += 1;
        }
        gone
    }

    fn has_script(&self) -> bool {
        self.home.alice.content(Kind::SieveScript).contains_key(&self.script)
    }
}

/// A row that says where bytes lie proves nothing: what does not open is stored once more, from the server, before anything goes.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_lost_is_backed_up_again_before_an_exact_restore_removes_it() {
    let surplus = Surplus::new().await;
    surplus.lose().await;
    let (bed, id) = (&surplus.home.bed, RestoreId::random());
    let url = &surplus.home.url;
    let restored = bed.restore(url, Some(surplus.number), bed, Mode::Exact, &id).await.expect("restores");
    assert_eq!((restored.removed, restored.unremoved.count), (10, 0), "{restored:#?}");
    assert_eq!((surplus.gone(&restored).await, surplus.has_script()), (10, false));
    assert!(restored.is_whole(), "{restored:#?}");
}

/// What is lost after that stays in the account.
#[tokio::test(flavor = "multi_thread")]
async fn an_exact_restore_removes_nothing_that_the_store_cannot_give_back() {
    let surplus = Surplus::new().await;
    let (home, id) = (&surplus.home, RestoreId::random());
    // One has to come back, and takes its time.
    let first = home.alice.emails().into_iter().find(|email| !surplus.came.contains(&email.id));
    home.alice.destroy(&first.expect("sixty").id);
    let faults = home.simulator.faults();
    let slow = Effect::Delay(Duration::from_secs(2));
    let slow = faults.add(Fault::new(Target::method("Email/import"), slow));
    let losing = async {
        struck(faults, slow).await;
        surplus.lose().await;
    };
    let restoring = home.bed.restore(&home.url, Some(surplus.number), &home.bed, Mode::Exact, &id);
    let (restored, ()) = tokio::join!(restoring, losing);
    let restored = restored.expect("restores");
    assert_eq!((restored.removed, restored.unremoved.count), (0, 10), "{restored:#?}");
    assert_eq!((surplus.gone(&restored).await, surplus.has_script()), (0, true));
    let scripts =
        restored.objects.iter().find(|of| of.data_type == DataType::SieveScript).expect("it is told");
    assert!(!scripts.notes.is_empty() && !restored.is_whole(), "{scripts:#?}");
    let again =
        home.bed.resume(&home.url, &home.bed, &id).await.expect("it is written down").expect("it is told");
    assert_eq!(told(&again), told(&restored));
}

pub(crate) async fn objects_named(home: &Home, part: &str) -> Vec<object_store::path::Path> {
    use futures::TryStreamExt;
    let all: Vec<_> = home.bed.objects.list(None).try_collect().await.expect("it is listed");
    let mut all: Vec<_> = all.into_iter().map(|object| object.location).collect();
    all.retain(|name| name.as_ref().contains(part));
    all.sort();
    all
}

async fn packs(home: &Home) -> Vec<object_store::path::Path> {
    objects_named(home, "/packs/").await
}

/// A long email is streamed: that its pack is damaged shows in the middle of its upload, and is no fault of the server's.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_long_email_is_named_and_the_rest_comes_back() {
    let mut of_a_whole_one = None;
    for damage in [None, Some(false), Some(true)] {
        let two = crate::restore::Two::unsaved(alice(20), Limits::default(), Version::V0_15).await;
        let home = &two.home;
        assert_eq!(home.backup().await.state, BackupState::Good);
        let before = packs(home).await;
        home.alice.deliver(tests::attachment(1, 5_000_000), &[], &[]);
        assert_eq!(home.backup().await.state, BackupState::Good);
        for pack in packs(home).await.iter().filter(|pack| !before.contains(pack)) {
            let whole =
                home.bed.objects.get(pack).await.expect("it is there").bytes().await.expect("it is read");
            let mut bytes = whole.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            match damage {
                None => {}
                Some(true) => home.bed.objects.delete(pack).await.expect("it is deleted"),
                Some(false) => drop(home.bed.objects.put(pack, bytes.into()).await.expect("it is written")),
            }
        }
        let requests = home.simulator.counters();
        let restored = two.give_bob(Mode::Missing, &RestoreId::random()).await.expect("restores");
        let requests = home.simulator.counters().since(&requests).requests;
        let lost = u64::from(damage.is_some());
        assert_eq!((restored.restored, restored.refused.count), (21 - lost, lost), "{restored:#?}");
        // A broken upload that is taken for the server's fault is sent again some thirty times.
        let whole = *of_a_whole_one.get_or_insert(requests);
        assert!(requests <= whole + 10, "{requests} requests, {whole} with nothing damaged");
        if let Some(refusal) = restored.refused.named.first() {
            assert!(refusal.reason.contains("cannot be read"), "{}", refusal.reason);
        }
    }
}

/// What nobody goes on with is taken away, and what had come stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_restore_left_can_be_taken_away() {
    for mode in MODES {
        let (_, requests) = uncut(mode).await;
        for number in (4..requests).step_by(7) {
            let story = Story::begin(mode).await;
            if !story.cut(number).await {
                continue;
            }
            let when = format!("{mode:?} cut at request {number}");
            let (home, emails) = (&story.home, settled(&story.home.alice).await);
            let client = home.bed.client(&home.url).await.expect("the server answers");
            let account = home.bed.account(&client).await.expect("the account exists");
            let left = engine::leftovers(&client, &account).await.expect("it is listed");
            assert_eq!(left.len(), usize::from(is_traced(&home.alice)), "{when}: {left:?}");
            let (repository, _) = home.bed.newest(&home.url).await;
            let known = engine::KnownRestore::find(&repository, &story.id).await.expect("it is read");
            if let Some(known) = known.filter(|_| !left.is_empty()) {
                known.give_up(&repository, &story.id).await.expect("it is written down");
                let resumed = home.bed.resume(&home.url, &home.bed, &story.id).await.expect("it is known");
                assert!(matches!(resumed, Err(engine::Error::GivenUp { .. })), "{when}: {resumed:?}");
            }
            engine::clear_leftover(&client, &account, &story.id).await.expect("it is cleared");
            assert!(!is_traced(&home.alice), "{when}");
            assert_eq!(home.alice.email_count(), emails, "{when}");
        }
    }
}

/// How many emails there are once the server has done what it was still doing when the client was cut off.
pub(crate) async fn settled(account: &AccountHandle) -> usize {
    let mut emails = account.email_count();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        match account.email_count() {
            same if same == emails => return emails,
            more => emails = more,
        }
    }
}

pub(crate) fn is_traced(account: &AccountHandle) -> bool {
    let folders = account.content(Kind::Mailbox);
    folders.values().any(|it| it["name"].as_str().is_some_and(|name| name.starts_with("Malle restore")))
}
