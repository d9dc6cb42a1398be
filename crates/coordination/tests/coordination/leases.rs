use std::sync::Mutex;
use std::time::{Duration, Instant};

use coordination::{Grant, Lease, Leases, Renewal};
use model::MailboxId;
use tokio::time::sleep;

use crate::{TERMS, client, memory, until};

pub(crate) const MAILBOX: MailboxId = MailboxId(7);

pub(crate) async fn held(leases: &dyn Leases) -> Option<Lease> {
    match leases.acquire(MAILBOX).await {
        Grant::Held(lease) => Some(lease),
        Grant::Unprotected(..) | Grant::Taken => None,
    }
}

async fn one_holder_at_a_time(a: &dyn Leases, b: &dyn Leases) {
    let first = held(a).await.unwrap();
    assert!(matches!(b.acquire(MAILBOX).await, Grant::Taken));
    assert!(matches!(a.acquire(MAILBOX).await, Grant::Taken), "not twice by the same worker either");
    assert!(matches!(b.acquire(MailboxId(8)).await, Grant::Held(_)), "another mailbox is free");
    a.release(first).await;
    let second = held(b).await.unwrap();
    b.release(second).await;
}

async fn of_many_at_once_one_wins(leases: &dyn Leases) {
    let grants = futures::future::join_all((0..16).map(|_| held(leases))).await;
    let mut winners: Vec<_> = grants.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    leases.release(winners.pop().unwrap()).await;
}

async fn renewed_it_outlives_its_first_life(a: &dyn Leases, b: &dyn Leases) {
    let start = Instant::now();
    let mut lease = held(a).await.unwrap();
    while start.elapsed() < TERMS.ttl * 2 {
        assert!(matches!(a.renew(&mut lease).await, Renewal::Renewed));
        assert!(matches!(b.acquire(MAILBOX).await, Grant::Taken));
        sleep(TERMS.ttl / 10).await;
    }
    a.release(lease).await;
}

async fn expired_it_is_never_extended_and_never_takes_anothers(a: &dyn Leases, b: &dyn Leases) {
    let mut asleep = held(a).await.unwrap();
    until("the deadline", async || asleep.is_expired().then_some(())).await;
    assert!(matches!(a.renew(&mut asleep).await, Renewal::Lost));
    let next = until("the end of the lease", || held(b)).await;
    assert!(asleep.deadline() < next.deadline());
    assert!(matches!(a.renew(&mut asleep).await, Renewal::Lost));
    a.release(asleep).await;
    assert!(matches!(a.acquire(MAILBOX).await, Grant::Taken), "the late release touched the new holder");
    b.release(next).await;
}

/// Some holders fall asleep without giving it back; nobody may come in before their own deadline.
async fn two_never_hold_it(clients: &[&dyn Leases]) {
    const GRANTS: usize = 60;
    // Until when the last holder counts itself in, and how many there were.
    let last = Mutex::new((Instant::now(), 0));
    let work = clients.iter().map(|leases| async {
        while last.lock().unwrap().1 < GRANTS {
            let Some(mut lease) = held(*leases).await else {
                sleep(Duration::from_millis(2)).await;
                continue;
            };
            let turn = {
                let mut last = last.lock().unwrap();
                assert!(Instant::now() >= last.0, "two holders");
                *last = (lease.deadline().unwrap(), last.1 + 1);
                last.1
            };
            if turn % 3 == 0 && matches!(leases.renew(&mut lease).await, Renewal::Renewed) {
                last.lock().unwrap().0 = lease.deadline().unwrap();
            }
            if turn % 10 != 0 {
                last.lock().unwrap().0 = Instant::now();
                leases.release(lease).await;
            }
        }
    });
    futures::future::join_all(work).await;
}

async fn suite(clients: &[&dyn Leases]) {
    let (a, b) = (clients[0], clients[1]);
    one_holder_at_a_time(a, b).await;
    of_many_at_once_one_wins(a).await;
    renewed_it_outlives_its_first_life(a, b).await;
    expired_it_is_never_extended_and_never_takes_anothers(a, b).await;
    two_never_hold_it(clients).await;
}

#[tokio::test]
async fn leases_in_memory_keep_the_rules() {
    let memory = memory();
    suite(&[&memory, &memory, &memory, &memory]).await;
}

#[tokio::test]
async fn leases_in_redis_keep_the_rules() {
    let server = testkit::redis::Redis::start().await.unwrap();
    let clients: Vec<_> = (0..8).map(|_| client(&server, "leases")).collect();
    let clients: Vec<&dyn Leases> = clients.iter().map(|client| client as &dyn Leases).collect();
    suite(&clients).await;
}
