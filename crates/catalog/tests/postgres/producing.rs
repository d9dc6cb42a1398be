//! What producers need: the ramp of first backups, changes of plan, tickets given back, traces, numbers for metrics.

use std::time::Duration;

use catalog::{NewJob, Request, Unlisted};
use model::{BackupState, JobKind, JobState, Plan};

use crate::room::{Room, SERVER, at, listed, nightly};

const HOLD: Duration = Duration::from_secs(600);

#[tokio::test]
async fn two_producers_admit_no_more_first_backups_than_the_ramp_allows() {
    let room = Room::new().await;
    let ids = room.mailboxes(Plan::Professional, 120).await;
    let jobs: Vec<NewJob> = ids.iter().map(|id| nightly(*id, 1)).collect();
    let catalog = &room.catalog;
    let insert = async |jobs: &[NewJob], since: i64, seconds: i64| {
        let admit = |admitted: u32| 3_u32.saturating_sub(admitted);
        catalog.insert_first(SERVER, jobs, at(since), admit, at(seconds)).await.unwrap()
    };
    // Many hours, because two are seldom quite at once.
    for (hour, jobs) in (0..).map(|hour| hour * 3600).zip(jobs.chunks(8)) {
        let (front, back) = jobs.split_at(4);
        let (one, two) = tokio::join!(insert(front, hour, hour + 100), insert(back, hour, hour + 100));
        assert_eq!((one + two, one.min(two)), (3, 0), "one of them came first");
        assert_eq!(insert(jobs, hour, hour + 200).await, 0, "the hour is full");
    }
    let elsewhere = catalog.insert_first("other", &[], at(0), |admitted| admitted, at(100)).await.unwrap();
    assert_eq!(elsewhere, 0);
    assert_eq!(room.number("SELECT count(*) FROM jobs WHERE first").await, 45);
}

#[tokio::test]
async fn a_change_of_plan_is_seen_and_what_waits_by_the_other_schedule_is_cancelled() {
    let room = Room::new().await;
    let ids = room.mailboxes(Plan::Personal, 2).await;
    let weekend = |at: usize| NewJob { kind: JobKind::Weekend, ..nightly(ids[at], 2) };
    let (waiting, running) = (room.planned(weekend(0)).await, room.planned(weekend(1)).await);
    room.claimed(running, at(100)).await;
    let seen = async || {
        let rows = room.catalog.plannable(None, 9).await.unwrap();
        rows.iter().map(|row| (row.plan_since, row.unfinished, row.outdated)).collect::<Vec<_>>()
    };
    assert_eq!(seen().await, [(at(0), true, false), (at(0), true, false)]);
    assert_eq!(room.catalog.cancel_outdated(&ids).await.unwrap(), 0);

    let upgraded = ["personal0", "personal1"].map(|account| listed(account, Some(Plan::Professional)));
    room.catalog.list_mailboxes(SERVER, &upgraded, at(200)).await.unwrap();
    room.catalog.list_mailboxes(SERVER, &upgraded, at(300)).await.unwrap();
    assert_eq!(seen().await, [(at(200), false, true), (at(200), true, false)], "what runs is left to end");
    assert_eq!(room.catalog.cancel_outdated(&ids).await.unwrap(), 1);
    assert_eq!(room.catalog.job(waiting).await.unwrap().unwrap().state, JobState::Cancelled);
    assert_eq!(seen().await, [(at(200), false, false), (at(200), true, false)]);
}

#[tokio::test]
async fn a_ticket_that_was_given_back_comes_at_once_and_keeps_its_trace() {
    let room = Room::new().await;
    let mailbox = room.mailbox().await;
    let (catalog, trace) = (&room.catalog, Some("00-of-who-asked-01"));
    let request = Request {
        kind: JobKind::Manual,
        mailbox: Some(mailbox),
        key: "k",
        parameters: None,
        limit: None,
        traceparent: trace,
        audit: None,
    };
    let manual = catalog.request(&request, at(0)).await.unwrap().job;
    let planned = room.planned(nightly(mailbox, 1)).await;
    let take = async || catalog.take_unpublished(9, HOLD, at(100)).await.unwrap();
    let mut tickets = take().await;
    assert_eq!(tickets.iter().map(|ticket| ticket.traceparent.as_deref()).collect::<Vec<_>>(), [trace, None]);
    assert!(take().await.is_empty());
    catalog.give_back(&tickets).await.unwrap();
    assert_eq!(take().await, tickets);

    for ticket in &mut tickets {
        ticket.traceparent = Some("00-of-the-ticket-01".into());
    }
    catalog.mark_published(&tickets).await.unwrap();
    catalog.give_back(&tickets).await.unwrap();
    assert!(take().await.is_empty(), "what is published is not given back");
    for (job, expected) in [(manual, "00-of-who-asked-01"), (planned, "00-of-the-ticket-01")] {
        let claimed = room.claimed(job, at(100)).await;
        catalog.snooze(&claimed.claim, at(101)).await.unwrap();
        let again = catalog.take_unpublished(9, HOLD, at(101)).await.unwrap();
        assert_eq!(again[0].traceparent.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn numbers_for_metrics_and_guards() {
    let room = Room::new().await;
    let running = room.running().await;
    let backup = room.backup(&running.claim, 1).await;
    room.catalog.complete(&running.claim, Some(&backup)).await.unwrap();
    room.mailboxes(Plan::Personal, 2).await;
    room.catalog.list_mailboxes(SERVER, &[listed("nobody's", None)], at(500)).await.unwrap();
    let catalog = &room.catalog;
    assert_eq!(catalog.planned().await.unwrap(), [(Plan::Personal, 2), (Plan::Professional, 1)]);
    assert_eq!(catalog.newest_backups().await.unwrap(), [(BackupState::Good, 1)]);
    let unplanned = catalog.unplanned_mailboxes(None, 9).await.unwrap();
    assert_eq!(unplanned[0].address.as_str(), "nobody's@example.org");
    assert_eq!(catalog.unplanned_mailboxes(Some(unplanned[0].id), 9).await.unwrap(), []);
    assert_eq!(
        catalog.count_unlisted(SERVER, None, at(500)).await.unwrap(),
        Unlisted { active: 4, unlisted: 3 }
    );
}
