//! Plans and publishes a whole night: `MALLE_SOAK=1 cargo test --release -p producer --test producer scale -- --nocapture`, of a million
//! mailboxes or as many as `MALLE_MAILBOXES` says; 20,000 without.

use std::sync::Arc;
use std::time::{Duration, Instant};

use producer::{OutboxSettings, Publisher};
use testkit::rabbitmq::RabbitMq;

use crate::broker::broker;
use crate::room::Room;

fn mailboxes() -> u64 {
    let usual = if std::env::var_os("MALLE_SOAK").is_some() { 1_000_000 } else { 20_000 };
    std::env::var("MALLE_MAILBOXES").map_or(usual, |number| number.parse().expect("a number"))
}

fn rate(count: u64, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64()
}

/// What a night of so many mailboxes costs.
async fn night(rabbit: &RabbitMq, vhost: &str, count: u64) -> (Duration, Duration) {
    let (room, broker) = (Room::new().await, broker(rabbit, vhost).await);
    broker.check().await.unwrap();
    room.sql(&format!(
        "INSERT INTO mailboxes (server, account, address, plan, first_seen_at, listed_at, first_backup_at) \
         SELECT 's', n, n || '@x', 'professional', '2026-01-01Z', '2026-01-01Z', '2026-01-01Z' \
         FROM generate_series(1, {count}) AS n; ANALYZE mailboxes"
    ))
    .await;
    room.set("2026-06-03T22:00");
    let planner = room.planner_with(room.clock.clone(), |settings| settings.page = 5000);
    let begin = Instant::now();
    assert_eq!(planner.round().await.unwrap().planned, count);
    let planning = begin.elapsed();
    let begin = Instant::now();
    assert_eq!(planner.round().await.unwrap().planned, 0);
    let idle = begin.elapsed();

    room.set("2026-06-04T05:59");
    let publisher = || {
        let (catalog, sink) = (room.catalog.clone(), broker.publisher());
        let (settings, metrics) = (OutboxSettings::default(), room.metrics.clone());
        Arc::new(Publisher::new(catalog, sink, room.clock.clone(), settings, metrics))
    };
    let begin = Instant::now();
    let publish = async |publisher: Arc<Publisher>| {
        let mut confirmed = 0;
        loop {
            let sent = publisher.publish(1000).await.unwrap();
            assert!(sent.error.is_none(), "{:?}", sent.error);
            match sent.confirmed {
                0 => return confirmed,
                more => confirmed += more as u64,
            }
        }
    };
    let (one, two) = tokio::join!(publish(publisher()), publish(publisher()));
    let publishing = begin.elapsed();
    assert_eq!((one + two, room.unpublished().await), (count, 0));
    eprintln!(
        "{count} mailboxes: planned in {planning:.2?} ({:.0} rows/s), a round without work {idle:.2?} ({:.0} rows/s), \
         published in {publishing:.2?} ({:.0} confirms/s)",
        rate(count, planning),
        rate(count, idle),
        rate(count, publishing)
    );
    (planning, publishing)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_costs_in_proportion_to_its_mailboxes() {
    let rabbit = RabbitMq::shared().await.unwrap();
    let many = mailboxes();
    night(&rabbit, "warm", many / 10).await;
    let (few, all) = (night(&rabbit, "few", many / 10).await, night(&rabbit, "all", many).await);
    for (what, few, all) in [("planning", few.0, all.0), ("publishing", few.1, all.1)] {
        let ratio = all.as_secs_f64() / few.as_secs_f64();
        eprintln!("{what}: ten times as many cost {ratio:.1} times as much");
        // A hundred would be quadratic; a busy machine makes twenty.
        assert!(ratio < 40.0, "{what} is not linear: {ratio}");
    }
}
