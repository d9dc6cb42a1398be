use catalog::{Failure, JobCount, NewJob, Overdue, Pause};
use model::{ErrorClass, JobKind, JobState, Plan};

use crate::room::{Room, at, nightly};

#[tokio::test]
async fn the_numbers_for_alarms_are_those_of_the_rows() {
    let room = Room::new().await;
    let catalog = &room.catalog;
    let ids = room.mailboxes(Plan::Professional, 4).await;
    let personal = room.mailboxes(Plan::Personal, 1).await[0];
    let mut jobs: Vec<_> = ids.iter().map(|id| nightly(*id, 1)).collect();
    jobs[2].run_at = at(50);
    jobs.push(NewJob { kind: JobKind::Weekend, run_at: at(5000), ..nightly(personal, 2) });
    catalog.insert_due(&jobs, at(0)).await.unwrap();
    let tickets = catalog.take_unpublished(9, std::time::Duration::ZERO, at(100)).await.unwrap();
    let of = |n: usize| tickets.iter().find(|ticket| ticket.mailbox == Some(ids[n])).unwrap().job;
    let claimed = room.claimed(of(0), at(100)).await;
    let backup = room.backup(&claimed.claim, 80).await;
    catalog.complete(&claimed.claim, Some(&backup)).await.unwrap();
    room.claimed(of(1), at(100)).await;
    let dead = room.claimed(of(3), at(100)).await;
    catalog.bury(&dead.claim, &Failure { class: ErrorClass::Permanent, text: "gone wrong" }).await.unwrap();

    let count = |kind, state, jobs| JobCount { kind, state, jobs };
    let nightly = JobKind::Nightly;
    let expected = [
        count(nightly, JobState::Dead, 1),
        count(nightly, JobState::Running, 1),
        count(nightly, JobState::Waiting, 1),
        count(JobKind::Weekend, JobState::Waiting, 1),
    ];
    assert_eq!(catalog.jobs_by_state().await.unwrap(), expected);
    assert_eq!(catalog.oldest_due(at(100)).await.unwrap(), [(nightly, at(50))]);
    assert_eq!(catalog.oldest_due(at(49)).await.unwrap(), []);

    catalog.pause(&Pause::Mailbox(ids[3]), at(0)).await.unwrap();
    assert_eq!(catalog.paused().await.unwrap(), [(Plan::Professional, 1)]);
    let since = [(Plan::Professional, at(60)), (Plan::Personal, at(0))];
    let overdue = Overdue { plan: Plan::Professional, mailboxes: 2, paused: 1 };
    assert_eq!(
        catalog.overdue(&since).await.unwrap(),
        [overdue],
        "one has a backup of second 80, the personal one is young"
    );

    room.sql(
        "UPDATE mailboxes SET newest_good_at = to_timestamp(4000000000 + id) WHERE plan = 'professional'",
    )
    .await;
    let ages = catalog.newest_good_ages(&[0.0, 0.5], at(10)).await.unwrap();
    assert_eq!((ages[0].plan, ages[0].without, ages[0].max), (Plan::Personal, 1, None));
    assert_eq!(ages[0].quantiles, [] as [f64; 0]);
    assert_eq!((ages[1].max, &ages[1].quantiles[..]), (Some(9.0), &[6.0, 7.5][..]));
}
