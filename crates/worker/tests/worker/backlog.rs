use std::time::Duration;

use model::JobKind;
use testkit::is_soak;
use tokio::time::Instant;

use crate::house::{House, Shifted, until};
use crate::room::Room;

/// Mailboxes that the night begins with, and how many more wait behind them.
const NIGHT: u32 = 500;
const CROWD: u32 = 50_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_manual_backup_and_a_restore_start_at_once_although_a_night_waits() {
    let crowd = if is_soak() { CROWD } else { CROWD / 5 };
    let house = House::new(NIGHT + 2, 4).await;
    let (night, patience) = (Shifted::night(), Duration::from_secs(3_600));
    let room = Room::with_tickets_lost_after(&house, "backlog", night, patience).await;
    let mailboxes = room.mailboxes(0..NIGHT + 2).await;
    let (night, by_hand) = mailboxes.split_at(NIGHT as usize);
    let mut shift = room.plan("w1");
    shift.settings.slots.nightly = 2;
    room.nightly(night).await;
    room.crowd(crowd).await;
    let published = "SELECT count(*) FROM jobs WHERE published_at IS NOT NULL";
    until("all tickets at the broker", async || {
        (room.number(published).await == i64::from(NIGHT + crowd)).then_some(())
    })
    .await;
    let worker = room.start(shift);
    until("the night to begin", async || {
        (worker.metrics.jobs.running.of(JobKind::Nightly).get() == 2).then_some(())
    })
    .await;
    let started = Instant::now();
    let manual = room.request(JobKind::Manual, by_hand[0], None).await;
    let claimed = async |job| room.job(job).await.worker.map(drop);
    until("the backup by hand to start", async || claimed(manual).await).await;
    let after = started.elapsed();
    let number = room.until_done(manual).await.number.unwrap();
    let order = serde_json::json!({"number": number.0, "mode": "missing"});
    let asked = Instant::now();
    let restore = room.request(JobKind::Restore, by_hand[0], Some(&order)).await;
    until("the restore to start", async || claimed(restore).await).await;
    let restore_after = asked.elapsed();
    room.until_done(restore).await;
    let left = room.number("SELECT count(*) FROM jobs WHERE kind = 'nightly' AND state = 'waiting'").await;
    eprintln!(
        "beside {} nightly tickets: manual started after {:.3} s, restore after {:.3} s, {left} still waited",
        NIGHT + crowd,
        after.as_secs_f32(),
        restore_after.as_secs_f32()
    );
    assert!(left >= i64::from(crowd), "the night was still waiting");
    assert!(after < Duration::from_secs(3) && restore_after < Duration::from_secs(3));
    let started = Instant::now();
    worker.drain().await;
    eprintln!("drained under load after {:.2} s", started.elapsed().as_secs_f32());
    assert_eq!(room.number("SELECT count(*) FROM jobs WHERE state = 'running'").await, 0);
    assert_eq!(
        room.number("SELECT coalesce(sum(attempt), 0)::bigint FROM jobs WHERE state = 'waiting'").await,
        0
    );
}
