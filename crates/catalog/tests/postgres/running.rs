use catalog::{Cancel, ClaimAnswer, Error, Failure, Heartbeat, Later, Redrive, Slice};
use model::{Attempt, ErrorClass, JobKind, JobState};

use crate::room::{Room, SOON, at, nightly};

const FAILURE: Failure<'_> =
    Failure { class: ErrorClass::Transient { retry_after: None }, text: "no\0route" };

#[tokio::test]
async fn slices_and_snoozes_use_no_attempt_and_failures_do() {
    let room = Room::new().await;
    let mut claimed = room.running().await;
    let (catalog, job) = (&room.catalog, claimed.claim.job);
    let number = catalog.draw_number(&claimed.claim).await.unwrap();
    for (step, (attempt, slices)) in [(1, 1), (1, 1), (2, 1), (3, 1), (1, 2)].into_iter().enumerate() {
        let claim = claimed.claim;
        let state = match step {
            0 | 4 => catalog.continue_later(&claim, at(200), Slice::Progressed).await,
            1 => catalog.snooze(&claim, Later { run_at: at(200), deadline: Some(at(99_000)) }).await,
            2 => catalog.retry(&claim, at(200), &FAILURE).await,
            _ => catalog.continue_later(&claim, at(200), Slice::Stalled).await,
        };
        assert_eq!(state.unwrap(), JobState::Waiting);
        assert!(matches!(catalog.heartbeat(&claim).await, Err(Error::Fenced)), "let go");
        claimed = room.claimed(job, at(200)).await;
        assert_eq!((claimed.attempt, claimed.slices), (Attempt(attempt), slices), "after step {step}");
        assert_eq!(claimed.number, Some(number), "kept");
        assert!(claimed.claim.epoch > claim.epoch);
    }
    let seen = catalog.job(job).await.unwrap().unwrap();
    assert_eq!(seen.failure, Some(("transient".into(), "no\u{fffd}route".into())));
    assert_eq!(seen.deadline, Some(at(99_000)), "it goes on in the next window");
    assert_eq!(catalog.draw_number(&claimed.claim).await.unwrap(), number);
}

#[tokio::test]
async fn only_the_dead_are_dropped_and_the_audit_log_says_by_whom() {
    let room = Room::new().await;
    let claim = room.running().await.claim;
    let (catalog, job) = (&room.catalog, claim.job);
    assert!(!catalog.drop_dead(job, "support:42", at(300)).await.unwrap(), "it runs");
    catalog.bury(&claim, &FAILURE).await.unwrap();
    assert!(catalog.drop_dead(job, "support:42", at(300)).await.unwrap());
    assert!(!catalog.drop_dead(job, "support:42", at(301)).await.unwrap(), "it is over");
    let seen = catalog.job(job).await.unwrap().unwrap();
    assert!(seen.state == JobState::Cancelled && seen.finished_at.is_some());
    assert_eq!(catalog.redrive(job, at(302)).await.unwrap(), Redrive::NotDead);
    let told = "SELECT count(*) FROM audit WHERE actor = 'support:42' AND action = 'job.dropped' AND mailbox IS NOT NULL";
    assert_eq!(room.number(told).await, 1);
}

#[tokio::test]
async fn the_dead_are_driven_again_and_the_cancelled_are_not() {
    let room = Room::new().await;
    let claimed = room.running().await;
    let (catalog, claim, job) = (&room.catalog, claimed.claim, claimed.claim.job);
    assert_eq!(catalog.redrive(job, at(300)).await.unwrap(), Redrive::NotDead);
    catalog.bury(&claim, &FAILURE).await.unwrap();
    assert!(matches!(catalog.bury(&claim, &FAILURE).await, Err(Error::Fenced)));
    let dead = catalog.dead_jobs(JobKind::Nightly, None, 9).await.unwrap();
    assert_eq!(dead.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);
    assert_eq!(catalog.dead_jobs(JobKind::Nightly, Some(job), 9).await.unwrap(), []);

    let newer = room.planned(nightly(claim.mailbox.unwrap(), 2)).await;
    assert_eq!(catalog.redrive(job, at(300)).await.unwrap(), Redrive::Superseded);
    assert_eq!(catalog.cancel(newer).await.unwrap(), Cancel::Cancelled);
    assert_eq!(catalog.cancel(newer).await.unwrap(), Cancel::Over);
    assert_eq!(catalog.redrive(job, at(300)).await.unwrap(), Redrive::Waiting);
    let again = room.claimed(job, at(300)).await;
    assert_eq!(again.attempt, Attempt(1), "all its attempts are before it");

    assert_eq!(catalog.heartbeat(&again.claim).await.unwrap(), Heartbeat::GoOn);
    assert_eq!(catalog.cancel(job).await.unwrap(), Cancel::Requested);
    assert_eq!(catalog.heartbeat(&again.claim).await.unwrap(), Heartbeat::Cancel);
    let state = catalog.continue_later(&again.claim, at(400), Slice::Progressed).await.unwrap();
    assert_eq!(state, JobState::Cancelled, "a slice's end is an end then");
    assert_eq!(catalog.claim(job, "w", at(400), SOON).await.unwrap(), ClaimAnswer::Finished);

    let claimed = room.claimed(room.planned(nightly(claim.mailbox.unwrap(), 3)).await, at(400)).await;
    assert_eq!(catalog.cancel(claimed.claim.job).await.unwrap(), Cancel::Requested);
    catalog.end_cancelled(&claimed.claim).await.unwrap();
    let seen = catalog.job(claimed.claim.job).await.unwrap().unwrap();
    assert_eq!(seen.state, JobState::Cancelled);
}
