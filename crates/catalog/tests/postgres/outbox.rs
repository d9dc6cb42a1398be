use std::time::Duration;

use catalog::{NewJob, Request, Ticket};
use model::{JobKind, JobState, Plan};

use crate::room::{Room, at, nightly};

const HOLD: Duration = Duration::from_secs(600);

impl Room {
    async fn take(&self, limit: u32, hold: Duration, seconds: i64) -> Vec<Ticket> {
        self.catalog.take_unpublished(limit, hold, at(seconds)).await.unwrap()
    }
}

#[tokio::test]
async fn tickets_are_taken_when_due_by_one_and_marked_once() {
    let room = Room::new().await;
    let ids = room.mailboxes(Plan::Professional, 5).await;
    let later = |n: usize| NewJob { run_at: at(100 + i64::try_from(n).unwrap()), ..nightly(ids[n], 1) };
    room.catalog.insert_due(&[0, 1, 2, 3, 4].map(later), at(0)).await.unwrap();
    let request = Request {
        kind: JobKind::Manual,
        mailbox: Some(ids[0]),
        key: "k",
        parameters: None,
        limit: None,
        traceparent: None,
        audit: None,
    };
    let manual = room.catalog.request(&request, at(101)).await.unwrap().job;

    assert_eq!(room.take(9, HOLD, 99).await, [], "nothing is due yet");
    assert_eq!(room.catalog.outbox_lag(at(99)).await.unwrap().tickets, 0);
    let lag = room.catalog.outbox_lag(at(102)).await.unwrap();
    assert_eq!((lag.tickets, lag.oldest), (4, Some(at(100))));

    let first = room.take(2, HOLD, 103).await;
    let seen: Vec<_> = first.iter().map(|ticket| (ticket.kind, ticket.mailbox, ticket.run_at)).collect();
    let expected = [(JobKind::Manual, 0, 101), (JobKind::Nightly, 0, 100), (JobKind::Nightly, 1, 101)];
    assert_eq!(
        seen,
        expected.map(|(kind, n, run_at)| (kind, Some(ids[n]), at(run_at))),
        "so many of each kind"
    );
    let second = room.take(9, Duration::ZERO, 103).await;
    assert_eq!(second.len(), 2, "the others that are due; what is held is left to its holder");
    assert_eq!(room.take(9, HOLD, 103).await, second, "a hold ends");

    room.catalog.mark_published(&first).await.unwrap();
    room.catalog.mark_published(&first).await.unwrap();
    assert_eq!(room.catalog.outbox_lag(at(103)).await.unwrap().tickets, 2);
    assert!(room.catalog.job(manual).await.unwrap().unwrap().published_at.is_some());

    let overtaken = second[0].clone();
    let claimed = room.claimed(overtaken.job, at(103)).await;
    assert_eq!(room.catalog.snooze(&claimed.claim, at(104)).await.unwrap(), JobState::Waiting);
    room.catalog.mark_published(&second).await.unwrap();
    let due = room.take(9, HOLD, 104).await;
    let again = due
        .iter()
        .find(|ticket| ticket.job == overtaken.job)
        .expect("its new ticket is still to be published");
    assert_eq!(again.number, overtaken.number + 1);
}
