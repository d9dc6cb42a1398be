//! The whole role.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use catalog::Pause;
use model::{JobId, JobKind, Plan};
use producer::{
    ApiSettings, ApiToken, Connections, Directory, Disappeared, Error, Parts, Rules, Secret, Settings,
    WatchSettings, run,
};
use queue::{Broker, Outgoing, Source, Ticket, TicketSink};
use telemetry::{FleetMetrics, Health};
use testkit::rabbitmq::RabbitMq;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::broker::{broker, collect};
use crate::directory::{Pages, page};
use crate::room::{Room, until};

const LIMIT: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

struct Running {
    role: JoinHandle<Result<(), Error>>,
    health: Health,
    stop: CancellationToken,
}

impl Room {
    fn start(&self, broker: &Broker, change: impl FnOnce(&mut Settings)) -> Running {
        let mut settings = Settings::new("Europe/Paris");
        (settings.plan.every, settings.reaper.every) = (SHORT, SHORT);
        settings.watch = WatchSettings { ready: SHORT, every: SHORT, every_mailbox: SHORT };
        settings.plan.verify_days = None;
        change(&mut settings);
        let (health, stop) = (Health::default(), CancellationToken::new());
        let registry = telemetry::Registry::new("producer", "test", "test");
        let (fleet, outbox) = (FleetMetrics::new(&registry), telemetry::OutboxMetrics::new(&registry));
        let parts = Parts {
            read_selection: |_| Ok(()),
            catalog: self.catalog.clone(),
            broker: broker.clone(),
            clock: self.clock.clone(),
            outbox,
            fleet,
            health: health.clone(),
            directories: vec![listed_by_itself()],
        };
        let role = tokio::spawn(run(settings, parts, stop.clone()));
        self.fleet.lock().unwrap().push(registry);
        Running { role, health, stop }
    }

    fn metrics_of_the_newest(&self) -> String {
        self.fleet.lock().unwrap().last().unwrap().text()
    }
}

/// A server that names two mailboxes.
fn listed_by_itself() -> Directory {
    let pages = vec![page(&["x"], true, 2), page(&["y"], false, 2)];
    Directory {
        server: "listed by itself".to_owned(),
        listing: Arc::new(Pages::new(pages)),
        rules: Rules::default(),
        disappeared: Disappeared::Stay,
        every: Duration::from_secs(3600),
    }
}

impl Running {
    fn is_well(&self) -> bool {
        self.health.failing(std::time::Instant::now()).is_empty()
    }

    async fn end(self) {
        let begin = Instant::now();
        self.stop.cancel();
        timeout(LIMIT, self.role).await.unwrap().unwrap().unwrap();
        eprintln!("ended within {:?}", begin.elapsed());
        assert!(self.health.stuck(std::time::Instant::now() + Duration::from_secs(86_400)).is_empty());
    }
}

pub(crate) async fn a_producer_plans_publishes_watches_and_ends(rabbit: &RabbitMq) {
    let (room, broker) = (Arc::new(Room::new().await), broker(rabbit, "whole").await);
    room.backed_up(Plan::Professional, 40).await;
    room.mailboxes(Plan::Personal, 3).await;
    room.catalog.list_mailboxes("other", &[crate::room::listed("nobody", None)], room.now()).await.unwrap();
    broker.check().await.unwrap();
    let with_api = |settings: &mut Settings| {
        let token = ApiToken {
            name: "test".to_owned(),
            secret: Secret::new("t".repeat(32)),
            scopes: producer::Scope::ALL.into(),
            tenants: None,
        };
        let listen = ([127, 0, 0, 1], 0).into();
        let (tokens, rules) = (vec![token], Rules::default());
        let (servers, zones) = (Vec::new(), Vec::new());
        settings.api =
            Some(ApiSettings { listen, tokens, connections: Connections::default(), rules, servers, zones });
    };
    let (one, two) = (room.start(&broker, with_api), room.start(&broker, |_| ()));
    until("both are ready", async || one.is_well() && two.is_well()).await;
    room.set("2026-06-03T22:00");
    until("all are planned", async || room.jobs().await == 40).await;
    room.set("2026-06-04T05:59");
    until("all are published", async || room.unpublished().await == 0).await;
    room.set("2026-06-04T06:00");
    room.catalog.pause(&Pause::Plan(Plan::Personal), room.now()).await.unwrap();
    a_ticket_dies(&broker).await;
    let lines = [
        "malle_jobs{kind=\"nightly\",state=\"waiting\"} 40",
        "malle_overdue_mailboxes{plan=\"professional\"} 40",
        "malle_overdue_mailboxes{plan=\"personal\"} 0",
        "malle_mailboxes{plan=\"personal\"} 3",
        "malle_unplanned_mailboxes 3",
        "malle_queued_tickets{kind=\"nightly\"} 40",
        "malle_outbox_tickets 0",
        "malle_dead_letters 1",
        "malle_paused_mailboxes{plan=\"personal\"} 3",
        "malle_paused_mailboxes{plan=\"professional\"} 0",
        "malle_mailboxes_without_good_backup{plan=\"personal\"} 3",
        "malle_newest_good_backup_age_seconds{percentile=\"100\",plan=\"personal\"} NaN",
    ];
    until("the numbers of the fleet", async || {
        let text = room.metrics_of_the_newest();
        lines.iter().all(|line| text.lines().any(|shown| shown == *line))
    })
    .await;
    let seen = collect(&broker, JobKind::Nightly, 40).await;
    assert!(seen.iter().all(|(_, times)| *times == 1), "two producers, one ticket a job: {seen:?}");
    one.end().await;
    two.end().await;
}

/// Of a kind that nothing here publishes.
async fn a_ticket_dies(broker: &Broker) {
    let kind = JobKind::Drill;
    let ticket = Outgoing { ticket: Ticket { job: JobId(1), kind }, trace: None };
    broker.publisher().publish(&[ticket]).await.remove(0).unwrap();
    let mut consumer = broker.tickets(kind, NonZeroU16::MIN, CancellationToken::new());
    timeout(LIMIT, consumer.next()).await.unwrap().unwrap().unwrap().reject("nobody drills").await.unwrap();
}

/// An alarm blocks publishing, then the database is killed: both pass.
pub(crate) async fn an_alarm_and_a_killed_database_pass(rabbit: &RabbitMq) {
    let (mut room, broker) = (Room::new().await, broker(rabbit, "alarm").await);
    broker.check().await.unwrap();
    room.backed_up(Plan::Professional, 50).await;
    let role = room.start(&broker, |settings| settings.outbox.longest_wait = Duration::from_secs(1));
    until("ready", async || role.is_well()).await;
    rabbit.raise_memory_alarm().unwrap();
    room.set("2026-06-03T22:00");
    until("all are planned", async || room.jobs().await == 50).await;
    room.set("2026-06-04T05:59");
    until("the alarm is noticed", async || !role.is_well()).await;
    assert_eq!(room.unpublished().await, 50);
    rabbit.clear_memory_alarm().unwrap();
    until("all are published", async || room.unpublished().await == 0).await;
    until("ready again", async || role.is_well()).await;

    room.postgres.stop().unwrap();
    until("the database is missed", async || !role.is_well()).await;
    room.postgres.start_again().await.unwrap();
    until("ready once more", async || role.is_well()).await;
    room.sql("UPDATE jobs SET state = 'done', finished_at = now()").await;
    room.set("2026-06-04T22:00");
    until("the next night is planned", async || room.jobs().await == 100).await;
    role.end().await;
}

pub(crate) async fn every_ticket_gets_there_though_the_broker_was_killed(rabbit: &mut RabbitMq) {
    const JOBS: u32 = 3000;
    let (room, broker) = (Room::new().await, broker(rabbit, "killed").await);
    broker.check().await.unwrap();
    room.night(JOBS).await;
    let impatient = |settings: &mut Settings| {
        settings.outbox.batch = 100;
        settings.outbox.longest_wait = Duration::from_secs(1);
    };
    let (one, two) = (room.start(&broker, impatient), room.start(&broker, impatient));
    until("some are published", async || room.unpublished().await < i64::from(JOBS) - 200).await;
    rabbit.stop();
    let left = room.unpublished().await;
    assert!(left > 0, "killed in the middle");
    eprintln!("{left} of {JOBS} were left when the broker was killed");
    until("it is noticed", async || !one.is_well()).await;
    rabbit.restart().await.unwrap();
    until("all are published", async || room.unpublished().await == 0).await;
    let seen = collect(&broker, JobKind::Nightly, usize::try_from(JOBS).unwrap()).await;
    let twice = seen.iter().filter(|(_, times)| *times > 1).count();
    eprintln!("{twice} of {JOBS} tickets came more than once");
    until("ready again", async || one.is_well()).await;
    one.end().await;
    two.end().await;
}
