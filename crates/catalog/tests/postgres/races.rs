use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::{ClaimAnswer, NewJob, Request};
use model::{BackupNumber, JobKind, MailboxId, Plan};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

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

    assert_eq!(room.catalog.insert_due(&jobs, at(0)).await.unwrap(), u64::from(MAILBOXES));
    for id in &ids {
        let key = id.to_string();
        let request = Request {
            kind: JobKind::Manual,
            mailbox: Some(*id),
            key: &key,
            parameters: None,
            limit: None,
            traceparent: None,
            audit: None,
        };
        room.catalog.request(&request, at(0)).await.unwrap();
    }
    let tickets = room.catalog.take_unpublished(999, SOON.try_into().unwrap(), at(100)).await.unwrap();
    assert_eq!(tickets.len(), 2 * ids.len());

    // Each task tries all jobs, each from another one on.
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
async fn mailboxes_and_keys_are_given_once() {
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
                traceparent: None,
                audit: None,
            };
            catalog.request(&request, at(0)).await.unwrap()
        }
    })
    .await;
    assert_eq!(requested.iter().filter(|requested| requested.new).count(), 1);
    assert!(requested.iter().all(|other| other.job == requested[0].job));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_insert_the_same_slots_without_deadlock() {
    const MAILBOXES: i8 = 100;
    let room = Room::with(|settings| settings.pool_size = 32).await;
    let ids = room.mailboxes(Plan::Professional, MAILBOXES.unsigned_abs().into()).await;
    let kinds = [JobKind::Nightly, JobKind::Weekend, JobKind::Verify, JobKind::Prune];
    let job = |kind| move |id: &MailboxId| NewJob { kind, ..nightly(*id, 1) };
    let jobs: Vec<_> = kinds.iter().flat_map(|kind| ids.iter().map(job(*kind))).collect();
    for round in 0..20 {
        let inserted = at_once(6, |n| {
            let (catalog, mut jobs) = (room.catalog.clone(), jobs.clone());
            jobs.rotate_left(n * 50);
            if n % 2 == 1 {
                jobs.reverse();
            }
            async move { catalog.insert_due(&jobs, at(0)).await }
        });
        let inserted: Vec<_> =
            inserted.await.into_iter().map(|inserted| inserted.expect("no deadlock")).collect();
        assert_eq!(
            inserted.iter().sum::<u64>(),
            jobs.len() as u64,
            "round {round}: {inserted:?}, each slot once"
        );
        room.sql("TRUNCATE jobs").await;
    }
}

/// Draws as the catalogue does, without a job for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_number_is_drawn_twice_while_the_sequence_is_raised() {
    let room = Room::with(|settings| settings.pool_size = 8).await;
    let newest = Arc::new(AtomicU64::new(1));
    let drawn = at_once(8, |n| {
        let (catalog, url, newest) = (room.catalog.clone(), room.postgres.url(), newest.clone());
        async move {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let mut drawn = Vec::new();
            for _ in 0..500 {
                if n % 2 == 1 {
                    let next = newest.load(Ordering::Relaxed) + 1;
                    catalog.raise_numbers(BackupNumber(next)).await.unwrap();
                    continue;
                }
                let row = client.query_one("SELECT nextval('malle.backup_numbers')", &[]).await.unwrap();
                let number = row.get::<_, i64>(0).cast_unsigned();
                newest.fetch_max(number, Ordering::Relaxed);
                drawn.push(number);
            }
            drawn
        }
    });
    let mut drawn: Vec<u64> = drawn.await.into_iter().flatten().collect();
    drawn.sort_unstable();
    let count = drawn.len();
    drawn.dedup();
    assert_eq!((drawn.len(), count), (2000, 2000));
}
