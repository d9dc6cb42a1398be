//! A backup that pauses and goes on later.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{Ended, Paused, Progress, Report, Slice};
use model::{BackupState, ErrorClass};
use object_store::ObjectStore;
use repository::Sizes;
use sim_stalwart::{Effect, Fault, Kinds, Target};
use testkit::failing::{self, Moment, Span};
use testkit::{Decorated, Failing, stride};
use tests::{Bed, assert_is_now, seeds};
use tokio_util::sync::CancellationToken;

use crate::crash::{SMALL, copy};
use crate::{Home, alice};

/// No slice fetches less, however short it is.
const LEAST: u64 = 200;

/// As short as it can be.
fn short() -> Slice {
    Slice { length: Duration::ZERO, stop: CancellationToken::new(), keep: None }
}

/// As long as it takes; what came is committed all the time.
fn keeping() -> Slice {
    let keep = Some(Duration::from_millis(20));
    Slice { length: Duration::MAX, stop: CancellationToken::new(), keep }
}

/// Hears what is committed.
#[derive(Default)]
struct Heard(Mutex<Paused>);

impl Heard {
    fn kept(&self) -> Paused {
        *self.0.lock().expect("nobody panics")
    }

    async fn until_kept(&self, emails: u64) {
        while self.kept().emails < emails {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Progress for Heard {
    fn phase(&self, _name: &'static str) {}
    fn expect(&self, _emails: u64) {}
    fn advance(&self, _emails: u64, _bytes: u64) {}

    fn kept(&self, so_far: Paused) {
        *self.0.lock().expect("nobody panics") = so_far;
    }
}

/// Bytes that the server sends for a good backup.
async fn sent_for_good_backup(home: &Home) -> u64 {
    let before = home.simulator.counters();
    home.good_backup().await;
    home.simulator.counters().since(&before).bytes_out
}

/// The slices before the last one, and what that one made. `between` is done after each.
async fn in_slices(bed: &Bed, url: &str, mut between: impl FnMut(u64)) -> (Vec<Paused>, Report) {
    let mut slices = Vec::new();
    loop {
        match bed.slice(url, &short()).await.expect("the slice ends") {
            Ended::Done(report) => return (slices, report),
            Ended::Paused(paused) => {
                assert!(paused.has_progressed() && slices.len() < 100, "{slices:?} {paused:?}");
                slices.push(paused);
                between(slices.len() as u64);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_backup_in_slices_fetches_every_email_once() {
    let home = Home::of(alice(3_000)).await;
    let whole = home.good_backup().await;
    let sent = home.simulator.counters().bytes_out;
    let home = Home::of(alice(3_000)).await;
    let before = home.simulator.counters();
    let (slices, report) = in_slices(&home.bed, &home.url, |_| {}).await;
    assert!(slices.len() as u64 >= 3_000 / LEAST - 5, "{slices:?}");
    assert_eq!(
        (report.state, report.emails, report.email_bytes, report.new_emails),
        (BackupState::Good, whole.emails, whole.email_bytes, whole.new_emails)
    );
    assert_eq!(report.fetched_bytes, whole.fetched_bytes);
    assert!(report.stored_bytes > whole.stored_bytes, "all slices are counted: {report:?}");
    // Each slice lists everything: some 150 bytes an email.
    let read = home.simulator.counters().since(&before).bytes_out;
    let listed = slices.len() as u64 * 3_000 * 200;
    assert!(read < sent + listed && listed < sent / 2, "{read} of {sent}");
    assert_is_now(&home.bed.newest(&home.url).await.1, &home.alice).await;
    assert_eq!(home.bed.checked(&home.url).await, 1);
    // It ended the chain: the next one grows from the snapshot alone.
    let unchanged = home.good_backup().await;
    assert_eq!((unchanged.fetched_bytes, unchanged.stored_bytes), (0, 0));
}

/// Most of it goes while much comes: what the slices before the last one saw go counts too.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_lost_more_than_half_is_shrunk_in_slices_too() {
    let home = Home::of(alice(1_000)).await;
    home.good_backup().await;
    let old = home.alice.emails();
    for number in 0..900 {
        home.alice.deliver(format!("Subject: {number}\r\n\r\nnew\r\n").into_bytes(), &[], &[]);
    }
    old.iter().take(600).for_each(|email| assert!(home.alice.destroy(&email.id)));
    let (slices, report) = in_slices(&home.bed, &home.url, |_| {}).await;
    assert!(slices.len() > 1, "{slices:?}");
    assert_eq!((report.state, report.emails), (BackupState::Shrunk, 1_300), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_lives_on_between_slices() {
    for seed in seeds() {
        println!("MALLE_SEED={seed}");
        let home = Home::of(alice(2_000).seed(seed)).await;
        if seed % 2 == 1 {
            home.good_backup().await;
            home.alice.mutate(1_500, seed, Kinds::All);
        }
        let live = |slice| home.alice.mutate(60, seed * 100 + slice, Kinds::All);
        let (slices, report) = in_slices(&home.bed, &home.url, live).await;
        assert!(!slices.is_empty(), "seed {seed}");
        assert_eq!(report.state, BackupState::Good, "seed {seed}: {report:?}");
        assert_is_now(&home.bed.newest(&home.url).await.1, &home.alice).await;
        home.bed.checked(&home.url).await;
        home.good_backup().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_that_is_stopped_at_once_leaves_nothing() {
    let home = Home::of(alice(500)).await;
    let slice = short();
    slice.stop.cancel();
    for _ in 0..2 {
        match home.bed.slice(&home.url, &slice).await.expect("it ends") {
            Ended::Paused(paused) => assert!(!paused.has_progressed(), "{paused:?}"),
            Ended::Done(report) => panic!("{report:?}"),
        }
    }
    home.good_backup().await;
    // With nothing to fetch there is nothing to pause for.
    assert!(matches!(home.bed.slice(&home.url, &slice).await, Ok(Ended::Done(_))));
}

/// Whoever comes next goes on, asked for slices or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_backup_goes_on_where_a_slice_ended() {
    let home = Home::of(alice(1_000)).await;
    let Ok(Ended::Paused(paused)) = home.bed.slice(&home.url, &short()).await else {
        panic!("too few emails")
    };
    let before = home.simulator.counters();
    let report = home.good_backup().await;
    let read = home.simulator.counters().since(&before).bytes_out;
    // Emails come in base64.
    let left = (report.email_bytes - paused.fetched_bytes) * 4 / 3;
    assert!(read <= left + 500_000 && paused.fetched_bytes > 1_000_000, "{read} of {left}: {paused:?}");
}

/// Cut off before or after any of its calls on the store, and gone on with.
#[tokio::test(flavor = "multi_thread")]
async fn cut_off_anywhere_slices_come_to_the_same_end() {
    let home = Home::of(alice(700).sizes(sim_stalwart::Sizes::tiny())).await;
    let empty: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
    for moment in [Moment::Before, Moment::AfterSuccess] {
        let mut at = 1;
        while is_cut_off(&home, &empty, Failing::at(at, moment, failing::Fault::Hang, Span::Once), SMALL)
            .await
        {
            at += if at < 30 { stride(5) } else { stride(17).max(11) } as u64;
        }
        println!("killed {moment:?} each of {at} calls");
        assert!(at > 40, "only {at}");
    }
}

/// False when it was over before.
async fn is_cut_off(home: &Home, empty: &Arc<dyn ObjectStore>, failing: Failing, sizes: Sizes) -> bool {
    let objects = copy(empty).await;
    let bed = home.bed.moved_to(objects.clone()).with_sizes(sizes);
    let failing = Arc::new(failing);
    let cut = bed.moved_to(Decorated::new(objects, failing.clone()));
    let is_over = tokio::select! {
        _ = in_slices(&cut, &home.url, |_| {}) => true,
        () = failing.hung() => false,
    };
    let (_, report) = in_slices(&bed, &home.url, |_| {}).await;
    assert_eq!(report.state, BackupState::Good, "after {failing:?}");
    assert_is_now(&bed.newest(&home.url).await.1, &home.alice).await;
    bed.checked(&home.url).await;
    !is_over
}

/// What slices brought is no state that the account had: when the server does not tell of emails any more there is no
/// snapshot of it.
#[tokio::test(flavor = "multi_thread")]
async fn slices_become_a_snapshot_by_a_listing_only() {
    let home = Home::of(alice(600)).await;
    let Ok(Ended::Paused(_)) = home.bed.slice(&home.url, &short()).await else { panic!("too few emails") };
    for refused in ["unknownMethod", "serverFail"] {
        let faults = home.simulator.faults();
        let fault = faults.add(Fault::new(Target::method("Email/get"), Effect::method_error(refused)));
        let error = home.bed.clone().impatient().backup(&home.url).await.expect_err("it would be untrue");
        assert!(matches!(error, engine::Error::Unfinished { .. }), "{refused}: {error}");
        faults.remove(fault);
    }
    home.good_backup().await;
}

/// A server that wants to be left alone in the middle, a lost line, a token that is not valid any more: what came before is not
/// fetched again.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_a_slice_broke_off_is_kept() {
    let status = |code| Effect::Status { code, retry_after: Some(3_600) };
    for (what, effect, transient) in [
        ("429", status(429), true),
        ("503", status(503), true),
        ("401", status(401), false),
        ("403", status(403), false),
        ("a lost line", Effect::ResetUnserved, true),
    ] {
        kept_in_spite_of(what, effect, transient).await;
    }
}

async fn kept_in_spite_of(text: &str, effect: Effect, transient: bool) {
    let home = Home::of(alice(2_000)).await;
    let bed = home.bed.clone().impatient();
    let faults = home.simulator.faults();
    let fault = faults.add(Fault::new(Target::method("Blob/get"), effect.clone()).after(5));
    let downloads = faults.add(Fault::new(Target::Download, effect));
    let patient = Slice { length: Duration::MAX, ..short() };
    let heard = Heard::default();
    let error = bed.slice_as(&home.url, "test", &patient, &heard).await.expect_err("the server is busy");
    assert_eq!(matches!(error.class(), ErrorClass::Transient { .. }), transient, "{text}: {error}");
    assert!(heard.kept().has_progressed(), "{text}: {error}");
    faults.remove(fault);
    faults.remove(downloads);
    let before = home.simulator.counters();
    let report = home.good_backup().await;
    let read = home.simulator.counters().since(&before).bytes_out;
    assert!(read < report.email_bytes * 4 / 3, "{text}: {read} of {} bytes", report.email_bytes);
}

/// Told to stop while the server holds its answers back, it does not wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_holds_its_answers_back_does_not_keep_a_slice_from_ending() {
    let home = Home::of(alice(2_000)).await;
    let faults = home.simulator.faults();
    let fault =
        faults.add(Fault::new(Target::method("Blob/get"), Effect::Delay(Duration::from_secs(600))).after(3));
    let slice = Slice { length: Duration::MAX, ..short() };
    let stop = slice.stop.clone();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.cancel();
    };
    let both = async { tokio::join!(home.bed.slice(&home.url, &slice), stopping).0 };
    let ended = tokio::time::timeout(Duration::from_secs(20), both).await.expect("it ends soon");
    assert!(matches!(ended, Ok(Ended::Paused(paused)) if paused.has_progressed()));
    faults.remove(fault);
    home.good_backup().await;
}

/// Killed at any part of the way it asks for the rest, and for little more.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backup_asks_for_what_was_missing() {
    const EMAILS: u64 = 3_000;
    let home = Home::of(alice(3_000)).await;
    let fetch = Target::method("Blob/get");
    let counted = home.simulator.faults().add(Fault::new(fetch.clone(), Effect::Delay(Duration::ZERO)));
    let whole = sent_for_good_backup(&home).await;
    let bytes: u64 = home.alice.emails().iter().map(|email| email.size).sum();
    let batches = home.simulator.faults().struck(counted);
    assert!(batches > 8, "{batches}");
    // Every backup that goes on lists everything: that alone costs so much.
    let before = home.simulator.counters();
    home.bed.backup_as(&home.url, "test", true).await.expect("lists");
    let listing = home.simulator.counters().since(&before).bytes_out;
    for part in [30, 76, 95] {
        let home = Home::of(alice(3_000)).await;
        let faults = home.simulator.faults();
        let hang = Effect::Delay(Duration::from_secs(3_600));
        faults.add(Fault::new(fetch.clone(), hang).after(batches * part / 100));
        let (heard, slice) = (Heard::default(), keeping());
        // What came last may be less than is worth a commit.
        let reached = heard.until_kept(EMAILS * (batches * part / 100) / batches - 2 * LEAST);
        tokio::select! {
            ended = home.bed.slice_as(&home.url, "test", &slice, &heard) => panic!("it ended: {ended:?}"),
            () = reached => {}
        }
        faults.clear();
        let kept = heard.kept();
        settled(&home).await;
        // What is kept may count more than the emails: scripts are fetched, too.
        let left = whole.saturating_sub(whole * kept.fetched_bytes / bytes);
        let sent = sent_for_good_backup(&home).await;
        println!("killed at {part} %: {kept:?} were kept, {sent} of {whole} bytes were asked for again");
        assert!(sent <= left + listing * 4 / 3, "{part} %: {sent} of {left} and {listing}");
        assert_eq!(home.bed.checked(&home.url).await, 1);
    }
}

/// Returns when the server has served what it was asked for by a client that is gone.
async fn settled(home: &Home) {
    let mut last = home.simulator.counters().bytes_out;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = home.simulator.counters().bytes_out;
        if std::mem::replace(&mut last, now) == now {
            return;
        }
    }
}

/// What a run commits while it goes on is the same snapshot in the end, whatever happens to the mailbox meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_commits_on_its_way_makes_one_snapshot() {
    for seed in seeds() {
        println!("MALLE_SEED={seed}");
        let home = Home::of(alice(1_500).seed(seed)).await;
        for round in 0..3 {
            let heard = Heard::default();
            let live = async {
                heard.until_kept(1).await;
                home.alice.mutate(40, seed * 10 + round, Kinds::All);
                std::future::pending::<()>().await;
            };
            let slice = keeping();
            let ended = tokio::select! {
                ended = home.bed.slice_as(&home.url, "test", &slice, &heard) => ended.expect("it ends"),
                () = live => unreachable!("it waits for ever"),
            };
            let Ended::Done(report) = ended else { panic!("nobody told it to pause") };
            assert!(
                matches!(report.state, BackupState::Good | BackupState::Moving),
                "seed {seed}: {report:?}"
            );
            assert!(heard.kept().has_progressed() || round > 0, "nothing was committed on the way");
            home.good_backup().await;
            assert_eq!(home.bed.checked(&home.url).await, 2 * round + 2);
            home.alice.mutate(900, seed * 10 + 5 + round, Kinds::All);
        }
    }
}

/// Told to stop while the server does not even tell its states, it ends soon and leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_at_all_does_not_keep_a_slice_from_ending() {
    let home = Home::of(alice(300)).await;
    let faults = home.simulator.faults();
    let silence = Effect::Delay(Duration::from_secs(600));
    let fault = faults.add(Fault::new(Target::method("Mailbox/get"), silence));
    let slice = keeping();
    slice.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), home.bed.slice(&home.url, &slice)).await;
    let ended = ended.expect("it ends soon");
    assert!(matches!(ended, Ok(Ended::Paused(paused)) if !paused.has_progressed()), "{ended:?}");
    assert!(faults.struck(fault) > 0);
    faults.remove(fault);
    home.good_backup().await;
}
