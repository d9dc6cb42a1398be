use std::collections::BTreeMap;
use std::future::Future;

use catalog::{ClaimAnswer, Request};
use model::{BackupNumber, JobKind, MailboxId, Plan};
use tokio::task::JoinSet;

use crate::room::{Room, SERVER, SOON, at, listed, nightly};

/// What so many tasks at once answer.
async fn at_once<T: Send + 'static, F>(tasks: usize, work: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    (0..tasks).map(work).collect::<JoinSet<_>>().join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_is_claimed_once_and_a_mailbox_runs_one() {
    const MAILBOXES: u32 = 20;
    let room = Room::with(|settings| settings.pool_size = 32).await;
    let ids = room.mailboxes(Plan::Professional, MAILBOXES).await;
    let jobs: Vec<_> = ids.iter().map(|id| nightly(*id, 1)).collect();

    let inserted = at_once(8, |n| {
        let (catalog, mut jobs) = (room.catalog.clone(), jobs.clone());
        if n % 2 == 1 {
            jobs.reverse();
        }
        async move { catalog.insert_due(&jobs, at(0)).await.unwrap() }
    });
    assert_eq!(inserted.await.iter().sum::<u64>(), u64::from(MAILBOXES), "eight producers, each slot once");
    for id in &ids {
        let request =
            Request { kind: JobKind::Manual, mailbox: Some(*id), key: "k", parameters: None, limit: None };
        room.catalog.request(&request, at(0)).await.unwrap();
    }
    let tickets = room.catalog.take_unpublished(999, SOON.try_into().unwrap(), at(100)).await.unwrap();
    assert_eq!(tickets.len(), 2 * ids.len());

    // Two jobs a mailbox, four tasks a job, until each has run five slices.
    let claims = at_once(64, |n| {
        let (catalog, mut tickets) = (room.catalog.clone(), tickets.clone());
        let start = n * 5 % tickets.len();
        tickets.rotate_left(start);
        async move {
            let mut claims = Vec::new();
            for ticket in tickets {
                if let ClaimAnswer::Claimed(claimed) =
                    catalog.claim(ticket.job, "w", at(100), -SOON).await.unwrap()
                {
                    claims.push(claimed.claim);
                    catalog.snooze(&claimed.claim, at(100)).await.unwrap();
                }
            }
            claims
        }
    });
    let mut epochs: BTreeMap<MailboxId, Vec<u64>> = BTreeMap::new();
    for claim in claims.await.into_iter().flatten() {
        epochs.entry(claim.mailbox.unwrap()).or_default().push(claim.epoch.0);
    }
    assert_eq!(epochs.len(), ids.len());
    for (mailbox, mut epochs) in epochs {
        epochs.sort_unstable();
        let newest = room.catalog.mailbox(mailbox).await.unwrap().unwrap().epoch.0;
        assert_eq!(
            epochs,
            (1..=newest).collect::<Vec<_>>(),
            "each claim has an epoch of its own, none is lost"
        );
    }

    let holders = at_once(64, |n| {
        let (catalog, job) = (room.catalog.clone(), tickets[n % tickets.len()].job);
        async move { matches!(catalog.claim(job, "w", at(100), SOON).await.unwrap(), ClaimAnswer::Claimed(_)) }
    });
    let held = holders.await.into_iter().filter(|claimed| *claimed).count();
    assert_eq!(held, ids.len(), "40 jobs, 20 mailboxes: one runs in each");
    let most = "SELECT max(running) FROM (SELECT count(*) AS running FROM jobs WHERE state = 'running' GROUP BY mailbox) r";
    assert_eq!(room.number(most).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_keys_and_mailboxes_are_given_once() {
    let room = Room::with(|settings| settings.pool_size = 32).await;
    let listing: Vec<_> = (0..50).map(|n| listed(&format!("a{n}"), Some(Plan::Professional))).collect();
    let new = at_once(8, |n| {
        let (catalog, mut listing) = (room.catalog.clone(), listing.clone());
        listing.rotate_left(n * 7);
        async move { catalog.list_mailboxes(SERVER, &listing, at(0)).await.unwrap() }
    });
    assert_eq!(new.await.iter().sum::<u64>(), 50, "eight listings, each mailbox once");

    let ids: Vec<_> = room.catalog.plannable(None, 99).await.unwrap().iter().map(|row| row.id).collect();
    let requested = at_once(32, |n| {
        let (catalog, id) = (room.catalog.clone(), ids[0]);
        async move {
            let key = format!("k{}", n % 4);
            let request = Request {
                kind: JobKind::Manual,
                mailbox: Some(id),
                key: &key,
                parameters: None,
                limit: None,
            };
            catalog.request(&request, at(0)).await.unwrap()
        }
    })
    .await;
    assert_eq!(requested.iter().filter(|requested| requested.new).count(), 1);
    assert!(requested.iter().all(|other| other.job == requested[0].job));

    let jobs: Vec<_> = ids.iter().map(|id| nightly(*id, 1)).collect();
    room.catalog.insert_due(&jobs, at(0)).await.unwrap();
    let tickets = room.catalog.take_unpublished(999, SOON.try_into().unwrap(), at(100)).await.unwrap();
    let nightly: Vec<_> = tickets.iter().filter(|ticket| ticket.kind == JobKind::Nightly).copied().collect();
    let numbers = at_once(100, |n| {
        let (catalog, job) = (room.catalog.clone(), nightly[n / 2].job);
        async move {
            if n % 2 == 1 {
                catalog.raise_numbers(BackupNumber(n as u64)).await.unwrap();
                return None;
            }
            match catalog.claim(job, "w", at(100), SOON).await.unwrap() {
                ClaimAnswer::Claimed(claimed) => Some(catalog.draw_number(&claimed.claim).await.unwrap()),
                other => panic!("{other:?}"),
            }
        }
    });
    let mut numbers: Vec<_> = numbers.await.into_iter().flatten().collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 50, "drawn while the sequence was raised, and none twice");
}
