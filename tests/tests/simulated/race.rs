//! Eight backups of one mailbox at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Ended, Silent, Slice};
use futures::TryStreamExt;
use model::ErrorClass;
use object_store::{ObjectMeta, ObjectStore};
use repository::Error;
use sim_stalwart::Kinds;
use testkit::{Decorated, Shaken};
use tests::{assert_is_now, seeds};
use tokio_util::sync::CancellationToken;

use crate::{Home, alice};

/// Runs them; how many won.
async fn race(home: &Home, seed: u64) -> usize {
    let shaken = Arc::new(Shaken::new(seed, 40));
    let bed = home.bed.moved_to(Decorated::new(home.bed.objects.clone(), shaken));
    let before: BTreeSet<u64> = numbers(home).await;
    let runners: Vec<_> = (0..8)
        .map(|runner| {
            let (bed, url) = (bed.clone(), home.url.clone());
            tokio::spawn(async move { bed.backup_as(&url, &format!("runner-{runner}"), false).await })
        })
        .collect();
    let (mut won, mut lost) = (BTreeSet::new(), Vec::new());
    let mut winners = Vec::new();
    for (runner, task) in runners.into_iter().enumerate() {
        match task.await.expect("no panic") {
            Ok(report) => {
                assert!(won.insert(report.number.0), "number {} twice", report.number);
                winners.push(format!("runner-{runner}"));
            }
            Err(error) => lost.push(error),
        }
    }
    assert!(!won.is_empty(), "{lost:?}");
    assert_eq!(numbers(home).await, before.union(&won).copied().collect(), "exactly the winners are visible");
    for error in lost {
        assert_eq!(error.class(), ErrorClass::Fenced, "{error}");
        let text = error.to_string();
        assert!(winners.iter().any(|winner| text.contains(winner)), "{text:?} names none of {winners:?}");
    }
    won.len()
}

async fn numbers(home: &Home) -> BTreeSet<u64> {
    let client = home.bed.client(&home.url).await.expect("the server answers");
    let account = home.bed.account(&client).await.expect("the account exists");
    let repository = match home.bed.repository(&account, "reader").await {
        Ok(repository) => repository,
        Err(error) => panic!("{error}"),
    };
    match repository.snapshots().await {
        Ok(snapshots) => snapshots.iter().map(|snapshot| snapshot.number.0).collect(),
        Err(Error::NoMailbox) => BTreeSet::new(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_winners_are_visible_and_the_losers_say_who_won() {
    let mut losers = 0;
    for seed in seeds() {
        println!("MALLE_SEED={seed}");
        let limits = sim_stalwart::Limits { max_concurrent_requests: 64, ..Default::default() };
        let home = Home::with(sim_stalwart::Simulator::builder().seed(seed).limits(limits), alice(40)).await;
        losers += 8 - race(&home, seed).await;
        for round in 1..3 {
            home.alice.mutate(10, seed * 3 + round, Kinds::All);
            losers += 8 - race(&home, seed * 3 + round).await;
            home.bed.checked(&home.url).await;
            assert_is_now(&home.bed.newest(&home.url).await.1, &home.alice).await;
        }
        home.good_backup().await;
    }
    assert!(losers > 0, "nobody ever lost: nothing was tested");
}

/// Of two that begin together on a slow server the one that is behind notices it long before its own end, and says truly what it
/// leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_loser_notices_early_and_says_what_it_leaves() {
    let limits = sim_stalwart::Limits { max_concurrent_requests: 64, ..Default::default() };
    let slow = sim_stalwart::Simulator::builder().limits(limits).latency(Duration::from_millis(150));
    let home = Home::with(slow, alice(6_000)).await;
    let keep = Some(Duration::from_millis(40));
    let run = async |writer: &'static str| {
        let slice = Slice { length: Duration::MAX, stop: CancellationToken::new(), keep };
        let ended = home.bed.slice_as(&home.url, writer, &slice, &Silent).await;
        (writer, ended, Instant::now())
    };
    let began = Instant::now();
    let (one, two) = tokio::join!(run("one"), run("two"));
    let (won, lost) = if one.1.is_ok() { (one, two) } else { (two, one) };
    let Ok(Ended::Done(report)) = won.1 else { panic!("{:?}", won.1) };
    let Err(engine::Error::Repository(Error::Lost { winner, unused_bytes, .. })) = lost.1 else {
        panic!("{:?}", lost.1)
    };
    assert_eq!(winner, won.0);
    let (first, last) = (lost.2 - began, won.2 - began);
    println!("the loser ended after {first:?}, the winner after {last:?}; {unused_bytes} bytes were left");
    assert!(first < last * 4 / 5, "{first:?} of {last:?}");
    let objects: Vec<_> = home.bed.objects.list(None).try_collect().await.expect("lists");
    let holds = |part| move |meta: &&ObjectMeta| meta.location.as_ref().contains(part);
    let of = |part| objects.iter().filter(holds(part)).map(|meta| meta.size).sum::<u64>();
    assert_eq!(of("/packs/") + of("/segments/"), report.stored_bytes + unused_bytes);
    home.bed.checked(&home.url).await;
    home.good_backup().await;
}
