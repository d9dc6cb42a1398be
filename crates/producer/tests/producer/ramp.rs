use model::{Plan, SignedDuration};

use crate::room::Room;

const PER_HOUR: u32 = 25;

/// Two producers, a server full of new customers, a round every seven minutes.
#[tokio::test(flavor = "multi_thread")]
async fn first_backups_of_a_server_keep_to_the_ramp_whoever_plans_them() {
    let room = Room::new().await;
    room.mailboxes(Plan::Professional, 230).await;
    let ramped =
        || room.planner_with(room.clock.clone(), |settings| settings.first_backups_per_hour = PER_HOUR);
    let (one, two) = (ramped(), ramped());
    assert_eq!(one.round().await.unwrap().planned, 0, "first backups wait for the window");
    room.set("2026-06-03T22:00");
    for _ in 0..20 {
        let (first, second) = tokio::join!(one.round(), two.round());
        first.unwrap();
        second.unwrap();
        let hour_ago = room.now() - SignedDuration::from_hours(1);
        let admitted =
            room.number(&format!("SELECT count(*) FROM jobs WHERE created_at > '{hour_ago}'")).await;
        assert_eq!(admitted, i64::from(PER_HOUR), "full, and not more than full");
        room.pass(7);
    }
    assert_eq!(room.jobs().await, i64::from(PER_HOUR) * 3, "in 140 minutes");
    assert_eq!(room.number("SELECT count(*) FROM jobs WHERE NOT first").await, 0);

    // One that has its first backup is planned like all others.
    room.sql("UPDATE mailboxes SET first_backup_at = now() WHERE id = (SELECT max(id) FROM mailboxes)").await;
    assert_eq!(one.round().await.unwrap().planned, 1);
}
