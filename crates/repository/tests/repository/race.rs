//! Eight backups of one mailbox at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use repository::Error;
use testkit::{Decorated, Shaken};

use crate::support::{Mailbox, SMALL, Site, assert_clean, backup, clock, mails, read};

const WRITERS: usize = 8;

fn seeds() -> u64 {
    let soak = std::env::var_os("MALLE_SOAK").is_some();
    if soak { 500 } else { 20 }
}

/// One writer: tries until it wins if it is stubborn, once if not. Its number and what it wrote.
async fn writer(
    site: Arc<Site>,
    seed: u64,
    i: usize,
    stubborn: bool,
) -> (String, Result<(u64, Mailbox), Error>) {
    let name = format!("writer {i}");
    let shaken = Arc::new(Shaken::new(seed * 100 + i as u64, 30));
    let store = Decorated::new(site.inner.clone(), shaken);
    let mailbox = mails(i * 5, 12);
    let mut end = Err(Error::NoMailbox);
    for _ in 0..if stubborn { 100 } else { 1 } {
        end = match site.open_through(store.clone(), &name).await {
            Ok(repository) => backup(&repository, &mailbox, &clock()).await,
            Err(error) => Err(error),
        };
        if !matches!(end, Err(Error::Lost { .. })) {
            break;
        }
    }
    (name, end.map(|committed| (committed.number.0, mailbox)))
}

async fn race(seed: u64, stubborn: bool) {
    let site = Arc::new(Site::new(SMALL));
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..WRITERS {
        tasks.spawn(writer(site.clone(), seed, i, stubborn));
    }
    let (mut winners, mut losers) = (BTreeMap::new(), Vec::new());
    while let Some(end) = tasks.join_next().await {
        match end.expect("runs") {
            (name, Ok((number, mailbox))) => {
                let taken = winners.insert(number, (name, mailbox));
                assert!(taken.is_none(), "seed {seed}: number {number} was taken twice");
            }
            (_, Err(Error::Lost { winner, number, .. })) => losers.push((winner, number)),
            (name, Err(error)) => panic!("seed {seed}: {name} met {error}"),
        }
    }
    assert_eq!(winners.len() + losers.len(), WRITERS, "seed {seed}");
    assert!(!winners.is_empty() && (!stubborn || losers.is_empty()), "seed {seed}");
    for (winner, number) in losers {
        assert_eq!(winners.get(&number).map(|(name, _)| name), Some(&winner), "seed {seed}");
    }
    let repository = site.open().await;
    let visible = repository.snapshots().await.expect("lists");
    let visible: Vec<u64> = visible.iter().map(|info| info.number.0).collect();
    assert_eq!(visible, winners.keys().copied().collect::<Vec<_>>(), "seed {seed}");
    for (number, (_, mailbox)) in winners {
        let number = Some(model::SnapshotNumber(number));
        assert_eq!(read(&repository, number).await.expect("reads"), mailbox, "seed {seed}");
    }
    assert_clean(&repository, &format!("seed {seed}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_writers_exactly_the_winners_are_visible() {
    for seed in 0..seeds() {
        race(seed, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_that_start_again_all_get_through() {
    for seed in 0..seeds() {
        race(seed, true).await;
    }
}
