use std::time::Duration;

use catalog::{Cancel, Catalog};
use model::{Attempt, JobKind, JobState, Plan};

use crate::room::{Room, at, nightly};

const SILENT: Duration = Duration::from_secs(60);

async fn publish(catalog: &Catalog) -> usize {
    let tickets = catalog.take_unpublished(99, SILENT, at(100)).await.unwrap();
    catalog.mark_published(&tickets).await.unwrap();
    tickets.len()
}

#[tokio::test]
async fn the_silent_are_released_the_lost_published_again_and_the_finished_deleted() {
    let room = Room::new().await;
    let ids = room.mailboxes(Plan::Professional, 6).await;
    let jobs: Vec<_> = ids.iter().map(|id| nightly(*id, 1)).collect();
    let catalog = &room.catalog;
    assert_eq!(catalog.insert_due(&jobs, at(0)).await.unwrap(), 6);
    let tickets = catalog.take_unpublished(99, SILENT, at(100)).await.unwrap();
    catalog.mark_published(&tickets).await.unwrap();

    let (silent, waiting) = tickets.split_at(4);
    for ticket in silent {
        room.claimed(ticket.job, at(100)).await;
    }
    assert_eq!(catalog.cancel(silent[3].job).await.unwrap(), Cancel::Requested);
    assert_eq!(catalog.release_stale(SILENT, 9).await.unwrap(), [], "their hearts beat");
    room.sql("UPDATE jobs SET heartbeat_at = heartbeat_at - interval '61 seconds'").await;
    let (one, two) = tokio::join!(catalog.release_stale(SILENT, 2), catalog.release_stale(SILENT, 2));
    let released = one.unwrap().len() + two.unwrap().len();
    assert!((2..=4).contains(&released), "bounded, and no job twice: {released}");
    assert_eq!(released + catalog.release_stale(SILENT, 9).await.unwrap().len(), 4);
    let seen = catalog.job(silent[0].job).await.unwrap().unwrap();
    assert_eq!((seen.state, seen.attempt, seen.published_at), (JobState::Waiting, Attempt(1), None));
    assert_eq!(catalog.job(silent[3].job).await.unwrap().unwrap().state, JobState::Cancelled);
    assert_eq!(publish(catalog).await, 3);

    let lost = async |limit, seconds| {
        catalog.republish_lost(JobKind::Nightly, SILENT, limit, at(seconds)).await.unwrap()
    };
    assert_eq!(lost(9, 100).await, 0, "they are on their way");
    assert_eq!(catalog.tickets_out(SILENT, at(100)).await.unwrap(), []);
    room.sql(&format!(
        "UPDATE jobs SET published_at = now() - interval '1 hour' WHERE id IN ({}, {})",
        waiting[0].job, waiting[1].job
    ))
    .await;
    assert_eq!(catalog.tickets_out(SILENT, at(99)).await.unwrap(), [], "not due");
    assert_eq!(
        catalog.tickets_out(SILENT, at(100)).await.unwrap(),
        [(JobKind::Nightly, 5)],
        "two of them old"
    );
    assert_eq!(lost(1, 100).await, 1, "bounded");
    assert_eq!(lost(9, 99).await, 0, "not due");
    assert_eq!(
        catalog.republish_lost(JobKind::Weekend, SILENT, 9, at(100)).await.unwrap(),
        0,
        "another kind"
    );
    assert_eq!(lost(9, 100).await, 1);
    assert_eq!(publish(catalog).await, 2);

    let done = room.claimed(waiting[0].job, at(100)).await;
    catalog.complete(&done.claim, None).await.unwrap();
    assert_eq!(catalog.delete_finished(SILENT, 9).await.unwrap(), 0, "too young");
    room.sql("UPDATE jobs SET finished_at = finished_at - interval '2 minutes'").await;
    assert_eq!(catalog.delete_finished(SILENT, 9).await.unwrap(), 2, "one done, one cancelled");

    room.sql("UPDATE jobs SET state = 'dead', finished_at = now() - interval '1 hour'").await;
    let dead = u64::try_from(room.number("SELECT count(*) FROM jobs").await).unwrap();
    assert!(dead > 0);
    assert_eq!(catalog.delete_dead(Duration::from_secs(7200), 9).await.unwrap(), 0, "too young");
    assert_eq!(catalog.delete_dead(SILENT, 9).await.unwrap(), dead);
    let entry =
        "INSERT INTO audit (at, actor, action, details) VALUES (now() - interval '1 hour', 'a', 'b', '{}')";
    room.sql(&format!("{entry}; {entry}; {entry}")).await;
    assert_eq!(catalog.delete_audit(Duration::from_secs(7200), 9).await.unwrap(), 0, "too young");
    assert_eq!(catalog.delete_audit(SILENT, 2).await.unwrap(), 2, "a limit at a time");
    assert_eq!(catalog.delete_audit(SILENT, 2).await.unwrap(), 1);
}
