//! What a backup costs follows what changed.

use model::BackupState;
use std::sync::Arc;

use sim_stalwart::{Counters, Kinds, Sizes};
use testkit::Decorated;
use testkit::recording::{Recorder, Recording};
use tests::{Bed, assert_is_now, store_requests};

use crate::{Home, alice};

/// What one backup asked of the server and of the store.
#[derive(Debug)]
struct Cost {
    server: Counters,
    store: Recorder,
}

impl Cost {
    fn requests(&self) -> u64 {
        self.server.requests + self.store.requests() as u64
    }
}

async fn cost(home: &Home, bed: &Bed, recording: &Recording) -> Cost {
    recording.take();
    let before = home.simulator.counters();
    let report = bed.backup(&home.url).await.expect("backs up");
    assert_eq!(report.state, BackupState::Good, "{report:?}");
    Cost { server: home.simulator.counters().since(&before), store: recording.take() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_mailbox_of_100_000_emails_costs_ten_requests_and_16_kilobytes() {
    let home = Home::of(alice(100_000).sizes(Sizes::tiny())).await;
    let recording = Arc::new(Recording::default());
    let bed = home.bed.moved_to(Decorated::new(home.bed.objects.clone(), recording.clone()));
    let full = cost(&home, &bed, &recording).await;
    let unchanged = cost(&home, &bed, &recording).await;
    println!(
        "full: {} + {} requests, {} bytes written; unchanged: {} + {} requests, {} bytes written, {} read",
        full.server.requests,
        full.store.requests(),
        full.store.sent(),
        unchanged.server.requests,
        unchanged.store.requests(),
        unchanged.store.sent(),
        unchanged.store.received(),
    );
    assert!(unchanged.requests() <= 10, "{unchanged:#?}");
    assert!(unchanged.store.sent() <= 16_000, "{unchanged:#?}");
}

/// A PUT costs twelve times a GET, and an unchanged night is made a million times.
#[tokio::test(flavor = "multi_thread")]
async fn requests_to_the_store_are_few() {
    // PUT, GET, LIST. Nothing is remembered between the operations, which takes one listing of the log each.
    let most = [
        ("first backup", [20, 48, 13]),
        ("unchanged", [1, 6, 1]),
        ("20 changes", [3, 20, 1]),
        ("full listing", [1, 40, 3]),
        // Emails are read in the order of their packs, whose names are random: 83 to 94 in 40 runs.
        ("restore", [3, 100, 1]),
    ];
    for (of, (what, [puts, gets, lists])) in store_requests(2_000).await.into_iter().zip(most) {
        println!("{what}: {} PUT, {} GET, {} LIST", of.puts(), of.gets(), of.lists());
        assert_eq!(of.what, what);
        assert!(of.puts() <= puts && of.gets() <= gets && of.lists() <= lists, "{what}: {:#?}", of.calls);
    }
}

/// The same new emails as a backup of a mailbox that holds nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn one_percent_of_change_costs_at_most_twice_what_those_emails_alone_cost() {
    const ALL: u32 = 20_000;
    let changed = ALL / 100;
    let home = Home::of(alice(ALL)).await;
    let recording = Arc::new(Recording::default());
    let bed = home.bed.moved_to(Decorated::new(home.bed.objects.clone(), recording.clone()));
    cost(&home, &bed, &recording).await;

    let alone = Home::of(alice(0)).await;
    let alone_recording = Arc::new(Recording::default());
    let alone_bed = alone.bed.moved_to(Decorated::new(alone.bed.objects.clone(), alone_recording.clone()));
    cost(&alone, &alone_bed, &alone_recording).await;
    for seed in 0..3 {
        let letters = Home::of(alice(changed)).await;
        for email in letters.alice.emails() {
            let raw = letters.alice.raw(&email.id).expect("it has bytes");
            let raw = [format!("X-Night: {seed}\r\n").as_bytes(), &raw].concat();
            home.alice.deliver(raw.clone(), &[], &[]);
            alone.alice.deliver(raw, &[], &[]);
        }
        let ours = cost(&home, &bed, &recording).await;
        let theirs = cost(&alone, &alone_bed, &alone_recording).await;
        let figures =
            |cost: &Cost| [cost.requests(), cost.server.bytes_out + cost.store.received(), cost.store.sent()];
        let (ours, theirs) = (figures(&ours), figures(&theirs));
        println!("requests, bytes fetched, bytes written: {ours:?}; those emails alone: {theirs:?}");
        for (what, (ours, theirs)) in
            ["requests", "bytes fetched", "bytes written"].iter().zip(ours.iter().zip(theirs))
        {
            assert!(*ours <= 2 * theirs, "{what}: {ours} against {theirs}");
        }
    }
    assert_is_now(&bed.newest(&home.url).await.1, &home.alice).await;
}

/// A minute of comparing bytes: in `make soak`.
#[tokio::test(flavor = "multi_thread")]
async fn more_changes_than_are_worth_following_are_listed() {
    if std::env::var_os("MALLE_SOAK").is_none() {
        return;
    }
    let home = Home::of(alice(60_000).sizes(Sizes::tiny())).await;
    home.good_backup().await;
    home.alice.mutate(70_000, 1, Kinds::Emails);
    let before = home.simulator.counters();
    let report = home.good_backup().await;
    let asked = home.simulator.counters().since(&before);
    assert!(report.fetched_bytes > 0, "{report:?}");
    assert!(asked.calls_of("Email/query") > 2, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_seventh_backup_lists_everything() {
    let home = Home::of(alice(2_000).sizes(Sizes::tiny())).await;
    let mut listed = Vec::new();
    for night in 0..15 {
        home.alice.mutate(3, night, Kinds::Emails);
        let before = home.simulator.counters();
        home.good_backup().await;
        let spent = home.simulator.counters().since(&before);
        listed.push(spent.bytes_out > 2_000 * 100);
    }
    let expected: Vec<bool> = (0..15).map(|night| night % 7 == 0).collect();
    assert_eq!(listed, expected);
}
