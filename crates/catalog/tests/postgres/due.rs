use catalog::{NewJob, Pause, Plannable};
use model::{JobKind, Plan};

use crate::room::{Room, SERVER, at, date, listed, nightly};

impl Room {
    async fn plannable(&self) -> Vec<Plannable> {
        let mut all: Vec<Plannable> = Vec::new();
        loop {
            let page = self.catalog.plannable(all.last().map(|row| row.id), 2).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    async fn paused(&self) -> Vec<bool> {
        self.plannable().await.iter().map(|row| row.paused).collect()
    }
}

#[tokio::test]
async fn a_slot_has_one_job_and_an_outage_one_catch_up() {
    let room = Room::new().await;
    let mailbox = room.mailbox().await;
    let insert = async |jobs: &[NewJob]| room.catalog.insert_due(jobs, at(0)).await.unwrap();
    assert_eq!(insert(&[nightly(mailbox, 1)]).await, 1);
    assert_eq!(insert(&[nightly(mailbox, 1)]).await, 0, "the same slot");
    assert_eq!(
        insert(&[nightly(mailbox, 2), nightly(mailbox, 3)]).await,
        0,
        "the first night is not over yet"
    );
    let weekend = NewJob { kind: JobKind::Weekend, ..nightly(mailbox, 2) };
    assert_eq!(insert(&[weekend, weekend]).await, 1, "another schedule is not in the way");

    room.sql("UPDATE jobs SET state = 'done', finished_at = now()").await;
    assert_eq!(insert(&[nightly(mailbox, 1)]).await, 0, "what was done stays done");
    assert_eq!(
        insert(&[2, 3, 4].map(|day| nightly(mailbox, day))).await,
        1,
        "three nights of outage, one catch-up"
    );
    assert_eq!(room.plannable().await[0].newest_slot, Some(date(4)), "the newest");

    let global = NewJob { mailbox: None, kind: JobKind::Global, ..nightly(mailbox, 1) };
    assert_eq!(insert(&[global]).await, 1);
    assert_eq!(insert(&[global]).await, 0, "a global slot has one job too");
    assert_eq!(insert(&[]).await, 0);
}

#[tokio::test]
async fn planning_reads_what_it_needs_in_pages() {
    let room = Room::new().await;
    let mut ids = room.mailboxes(Plan::Professional, 4).await;
    ids.extend(room.mailboxes(Plan::Personal, 1).await);
    room.catalog.mark_gone(ids[3], at(1)).await.unwrap();
    room.sql("UPDATE mailboxes SET plan = NULL WHERE account = 'professional2'").await;
    let job = room.planned(nightly(ids[0], 5)).await;
    let claimed = room.claimed(job, at(100)).await;
    let backup = room.backup(&claimed.claim, 1).await;
    room.catalog.complete(&claimed.claim, Some(&backup)).await.unwrap();

    let rows = room.plannable().await;
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[0], ids[1], ids[4]]);
    assert_eq!(rows.iter().map(|row| row.backed_up).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(rows.iter().map(|row| row.newest_slot).collect::<Vec<_>>(), [Some(date(5)), None, None]);
    assert_eq!(rows[2].plan, Plan::Personal);

    assert_eq!(room.paused().await, [false, false, false]);
    let pauses = [Pause::Mailbox(ids[1]), Pause::Plan(Plan::Personal), Pause::Server(SERVER.into())];
    for (pause, expected) in
        pauses.iter().zip([[false, true, false], [false, true, true], [true, true, true]])
    {
        room.catalog.pause(pause, at(1)).await.unwrap();
        room.catalog.pause(pause, at(2)).await.unwrap();
        assert_eq!(room.paused().await, expected, "{pause:?}");
    }
    let paused = room.catalog.pauses().await.unwrap();
    let expected = [&pauses[0], &pauses[1], &pauses[2]].map(|pause| (pause.clone(), at(1)));
    assert_eq!(paused, expected, "by scope and name, since they began");
    for pause in &pauses {
        room.catalog.resume(pause).await.unwrap();
    }
    assert_eq!(room.paused().await, [false, false, false]);
}

#[tokio::test]
async fn a_mailbox_that_its_server_does_not_know_is_left_out_for_a_week_or_until_it_is_listed() {
    let room = Room::new().await;
    let ids = room.mailboxes(Plan::Professional, 2).await;
    let planned = async || room.plannable().await.iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(planned().await, ids);
    room.catalog.mark_unknown(ids[0], at(10)).await.unwrap();
    assert_eq!(planned().await, ids[1..]);
    let again = [listed("professional0", None)];
    room.catalog.list_mailboxes(SERVER, &again, at(9)).await.unwrap();
    assert_eq!(planned().await, ids[1..], "listed before");
    room.catalog.list_mailboxes(SERVER, &again, at(11)).await.unwrap();
    assert_eq!(planned().await, ids);
    room.catalog.mark_unknown(ids[0], at(20)).await.unwrap();
    assert_eq!(planned().await, ids[1..]);
    room.sql(
        "UPDATE mailboxes SET unknown_at = now() - interval '8 days' WHERE unknown_at IS NOT NULL; \
              UPDATE mailboxes SET listed_at = now() - interval '9 days'",
    )
    .await;
    assert_eq!(planned().await, ids, "a week later");
}
