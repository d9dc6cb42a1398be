//! Redis stopped, emptied, hanging: slower, never wrong.

use std::time::{Duration, Instant};

use coordination::{
    BudgetRules, CoordinationError, Grant, Lease, Leases, ProgressBoard, Redis, Renewal, Settings,
};
use model::{ErrorClass, JobId};

use crate::budget::{all, give_back, granted};
use crate::leases::{MAILBOX, held};
use crate::{TERMS, client, progress, until};

async fn server() -> testkit::redis::Redis {
    testkit::redis::Redis::start().await.unwrap()
}

async fn unprotected(client: &Redis) -> (Lease, CoordinationError) {
    match client.acquire(MAILBOX).await {
        Grant::Unprotected(lease, error) => (lease, error),
        other => panic!("{other:?}"),
    }
}

async fn renewed(client: &Redis, lease: &mut Lease) -> Option<()> {
    match client.renew(lease).await {
        Renewal::Renewed => Some(()),
        Renewal::Unreachable(_) => None,
        Renewal::Lost => panic!("lost"),
    }
}

#[tokio::test]
async fn without_redis_jobs_run_unprotected_and_are_protected_once_it_is_back() {
    let mut server = server().await;
    let (ours, theirs) = (client(&server, "p"), client(&server, "p"));
    server.stop();
    let (mut lease, error) = unprotected(&ours).await;
    assert!(matches!(error.class(), ErrorClass::Transient { .. }), "{error:?}");
    assert!(lease.deadline().is_none() && !lease.is_expired());
    assert!(matches!(ours.renew(&mut lease).await, Renewal::Unreachable(_)));
    assert!(ours.show(&progress::of(1)).await.is_err());
    server.restart().await.unwrap();
    loop {
        if renewed(&ours, &mut lease).await.is_some() {
            break;
        }
    }
    assert!(lease.deadline().is_some());
    until("the other client's connection", async || {
        matches!(theirs.acquire(MAILBOX).await, Grant::Taken).then_some(())
    })
    .await;
}

#[tokio::test]
async fn of_two_jobs_that_began_without_redis_one_is_told_to_stop_when_it_is_back() {
    let mut server = server().await;
    let (ours, theirs) = (client(&server, "p"), client(&server, "p"));
    server.stop();
    let ((mut first, _), (mut second, _)) = (unprotected(&ours).await, unprotected(&theirs).await);
    server.restart().await.unwrap();
    while renewed(&ours, &mut first).await.is_none() {}
    let answer = until("an answer", async || match theirs.renew(&mut second).await {
        Renewal::Unreachable(_) => None,
        answer => Some(answer),
    });
    assert!(matches!(answer.await, Renewal::Lost));
}

#[tokio::test]
async fn a_lease_whose_redis_is_gone_holds_until_its_deadline_and_no_longer() {
    let mut server = server().await;
    let ours = client(&server, "p");
    let mut lease = held(&ours).await.unwrap();
    let deadline = lease.deadline().unwrap();
    let end = format!("PEXPIRETIME p:lease:{MAILBOX}");
    let before = server.command(&end).await.unwrap();
    server.stop();
    while !lease.is_expired() {
        assert!(!matches!(ours.renew(&mut lease).await, Renewal::Renewed));
        assert_eq!(lease.deadline(), Some(deadline), "an unanswered renewal gives no time");
    }
    server.restart().await.unwrap();
    assert!(matches!(ours.renew(&mut lease).await, Renewal::Lost));
    let after = server.command(&end).await.unwrap();
    assert!(after == before || after == ":-2", "extended from {before} to {after}");
}

#[tokio::test]
async fn an_emptied_redis_costs_a_running_job_nothing() {
    let server = server().await;
    let (ours, theirs) = (client(&server, "p"), client(&server, "p"));
    let rules = BudgetRules::new(8, 100_000);
    let mut lease = held(&ours).await.unwrap();
    let permits = all(&ours, "s", &rules).await;
    assert_eq!(permits.len(), 2);
    ours.show(&progress::of(1)).await.unwrap();
    server.flush().await.unwrap();
    assert!(matches!(ours.renew(&mut lease).await, Renewal::Renewed));
    assert!(matches!(theirs.acquire(MAILBOX).await, Grant::Taken));
    give_back(&ours, permits).await;
    let again = all(&theirs, "s", &rules).await;
    assert!((1..=3).contains(&again.len()), "{} shares", again.len());
    assert!(again.iter().all(|permit| !permit.is_local()), "scripts are loaded again");
    give_back(&theirs, again).await;
    assert!(theirs.all().await.unwrap().is_empty());
    ours.clear(JobId(1)).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_hangs_delays_a_job_by_its_time_out_and_a_late_lease_is_found() {
    let server = server().await;
    let ours = client(&server, "p");
    ours.check().await.unwrap();
    server.hang(Duration::from_millis(1_500)).await.unwrap();
    let start = Instant::now();
    let (mut lease, error) = unprotected(&ours).await;
    assert!(matches!(error, CoordinationError::TimedOut { .. }), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    // What was sent is executed when it wakes: the lease is there, and ours.
    until("an answer", async || renewed(&ours, &mut lease).await).await;
    assert!(lease.deadline().is_some_and(|deadline| deadline > Instant::now() - TERMS.ttl));
}

#[tokio::test]
async fn a_redis_that_hung_leaves_no_places_taken() {
    let server = server().await;
    let ours = client(&server, "p");
    let rules = BudgetRules::new(16, 100_000);
    let before = all(&ours, "s", &rules).await;
    assert_eq!(before.len(), 4);
    server.hang(Duration::from_secs(4)).await.unwrap();
    // Neither these reports nor these questions are answered, and all of them are executed when it wakes.
    give_back(&ours, before).await;
    for _ in 0..4 {
        let alone = granted(&ours, "s", &rules).await;
        give_back(&ours, alone.into_iter().collect()).await;
    }
    until("all places, long before the end of the hold", async || {
        let permits = all(&ours, "s", &rules).await;
        let shared = permits.iter().filter(|permit| !permit.is_local()).count();
        give_back(&ours, permits).await;
        (shared >= 4).then_some(())
    })
    .await;
}

/// A process of its own that dies with a place in flight.
fn die_with_a_place(url: &str, rules: BudgetRules) {
    let settings = Settings::new(url, "p").unwrap();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let permit = runtime.block_on(async {
            let redis = Redis::new(settings).unwrap();
            granted(&redis, "s", &rules).await.expect("the only place")
        });
        runtime.shutdown_background();
        std::mem::forget(permit);
    });
    thread.join().unwrap();
}

#[tokio::test]
async fn a_place_is_kept_while_its_request_is_under_way_and_free_in_seconds_when_nobody_holds_it() {
    let server = server().await;
    let (ours, theirs) = (client(&server, "p"), client(&server, "p"));
    let rules = BudgetRules::new(1, 100_000);
    let long = granted(&ours, "s", &rules).await.expect("the only place");
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(granted(&theirs, "s", &rules).await.is_none(), "it is under way");
    }
    give_back(&ours, vec![long]).await;
    die_with_a_place(&server.url(), rules);
    let dead = Instant::now();
    let next = until("the place of the dead", || granted(&theirs, "s", &rules)).await;
    let waited = dead.elapsed();
    assert!(waited > Duration::from_secs(3) && waited < Duration::from_secs(15), "{waited:?}");
    drop(next);
    let dropped = Instant::now();
    let next = until("a place that was dropped", || granted(&theirs, "s", &rules)).await;
    assert!(dropped.elapsed() < Duration::from_secs(15), "{:?}", dropped.elapsed());
    give_back(&theirs, vec![next]).await;
}

/// What a job asks of Redis besides its lease costs a time-out once, not each time; when it answers again all places are there
/// within seconds, those too that workers asked for which ask for nothing more.
#[tokio::test]
async fn while_redis_hangs_nobody_waits_for_it_again_and_again() {
    let server = server().await;
    let (ours, idle) = (client(&server, "p"), client(&server, "p"));
    let rules = BudgetRules::new(16, 100_000);
    for client in [&ours, &idle] {
        client.check().await.unwrap();
    }
    server.hang(Duration::from_secs(5)).await.unwrap();
    // Many at once, by a worker that then has nothing more to do.
    let asking: Vec<_> = (0..16).map(|_| granted(&idle, "s", &rules)).collect();
    let local = futures::future::join_all(asking).await;
    drop(local);
    let begun = Instant::now();
    for n in 0..20 {
        let permit = granted(&ours, "s", &rules).await;
        give_back(&ours, permit.into_iter().collect()).await;
        let _ = ours.show(&progress::of(n)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let awake = Instant::now();
    until("all places", async || {
        let permits = all(&ours, "s", &rules).await;
        let shared = permits.iter().filter(|permit| !permit.is_local()).count();
        give_back(&ours, permits).await;
        (shared >= 4).then_some(())
    })
    .await;
    assert!(awake.elapsed() < Duration::from_secs(12), "{:?}", awake.elapsed());
}

#[tokio::test]
async fn without_redis_each_worker_has_a_small_share_of_its_own() {
    let mut server = server().await;
    let (ours, theirs) = (client(&server, "p"), client(&server, "p"));
    let hold = Duration::from_millis(500);
    let rules = BudgetRules { local: 2, hold, ..BudgetRules::new(16, 100_000) };
    let shared = all(&ours, "s", &rules).await;
    assert_eq!((shared.len(), shared.iter().any(|permit| permit.is_local())), (4, false));
    // These are reported to nobody; their places get free by themselves.
    drop(shared);
    server.stop();
    for worker in [&ours, &theirs] {
        // It opens up from one to two by good answers, and never further.
        for _ in 0..20 {
            let permits = all(worker, "s", &rules).await;
            assert!((1..=2).contains(&permits.len()), "{} shares", permits.len());
            assert!(permits.iter().all(|permit| permit.is_local()));
            give_back(worker, permits).await;
        }
        let permits = all(worker, "s", &rules).await;
        assert_eq!(permits.len(), 2);
        give_back(worker, permits).await;
    }
    server.restart().await.unwrap();
    let back = until("a shared one", async || {
        let permit = granted(&theirs, "s", &rules).await;
        permit.filter(|permit| !permit.is_local())
    });
    give_back(&theirs, vec![back.await]).await;
}
