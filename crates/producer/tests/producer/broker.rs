use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use catalog::Request;
use model::{Clock, JobId, JobKind, JobState, MailboxId, Plan};
use producer::{
    Asking, OutboxSettings, Publisher, Reaper, ReaperSettings, RequestSettings, Sent, serve_requests,
};
use queue::{
    BackupRequest, Broker, Delivery, MailboxName, Outgoing, QueueError, Settings, Source, TicketSink,
    TraceContext,
};
use telemetry::{LogFormat, Otlp};
use testkit::rabbitmq::RabbitMq;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber;

use crate::room::{DOMAIN, Room, no_leak_in_logs, until};
use crate::whole;

const LIMIT: Duration = Duration::from_secs(60);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

pub(crate) async fn broker(rabbit: &RabbitMq, vhost: &str) -> Broker {
    eprintln!("situation: {vhost}");
    let mut settings = Settings::new(&rabbit.vhost(vhost).await.unwrap(), "producer").unwrap();
    settings.confirm_timeout = Duration::from_secs(5);
    Broker::new(settings)
}

impl Room {
    fn publisher(&self, sink: Arc<dyn TicketSink>, hold: Duration) -> Publisher {
        let settings = OutboxSettings { hold, ..OutboxSettings::default() };
        Publisher::new(self.catalog.clone(), sink, self.clock.clone(), settings, self.metrics.clone())
    }

    /// Night jobs that are all due.
    pub(crate) async fn night(&self, count: u32) {
        self.backed_up(Plan::Professional, count).await;
        self.set("2026-06-03T22:00");
        assert_eq!(self.planner().round().await.unwrap().planned, u64::from(count));
        self.set("2026-06-04T05:59");
    }

    fn counted(&self, lines: &[&str]) {
        let text = self.registry.text();
        let missing: Vec<_> =
            lines.iter().filter(|line| !text.lines().any(|shown| shown == **line)).collect();
        assert!(missing.is_empty(), "{missing:?} in {text}");
    }

    pub(crate) async fn unpublished(&self) -> i64 {
        self.number("SELECT count(*) FROM jobs WHERE published_at IS NULL").await
    }
}

/// Takes whatever lies in a queue until it has seen so many jobs; how often each came.
pub(crate) async fn collect(broker: &Broker, kind: JobKind, jobs: usize) -> Vec<(JobId, usize)> {
    let slots = NonZeroU16::new(200).unwrap();
    let mut consumer = broker.tickets(kind, slots, CancellationToken::new());
    let mut seen = BTreeMap::new();
    while seen.len() < jobs {
        let Ok(next) = timeout(LIMIT, consumer.next()).await else {
            panic!("{} of {jobs} jobs have a ticket", seen.len());
        };
        match next {
            Ok(delivery) => {
                let delivery = delivery.unwrap();
                *seen.entry(delivery.message.job).or_insert(0) += 1;
                // One that was in our hands when the broker died comes again.
                let _ = delivery.ack().await;
            }
            Err(error) => eprintln!("the consumer lost its queue: {error}"),
        }
    }
    seen.into_iter().collect()
}

async fn ready(broker: &Broker, kind: JobKind) -> u32 {
    let depths = broker.depths().await.unwrap();
    depths.iter().find(|depth| depth.queue == queue::queue_of(kind)).unwrap().ready
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_broker_that_is_well() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let rabbit = RabbitMq::start().await.unwrap();
    a_crash_between_publishing_and_marking_costs_a_second_ticket(&rabbit).await;
    tickets_carry_the_trace_of_who_asked(&rabbit).await;
    lost_tickets_are_published_again_at_a_bounded_rate(&rabbit).await;
    requests_are_granted_or_refused_like_those_of_the_api(&rabbit).await;
    whole::a_producer_plans_publishes_watches_and_ends(&rabbit).await;
    whole::an_alarm_and_a_killed_database_pass(&rabbit).await;
    no_leak_in_logs("a request is refused", &[testkit::rabbitmq::PASSWORD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_broker_that_is_stopped_in_the_middle() {
    let mut rabbit = RabbitMq::start().await.unwrap();
    whole::every_ticket_gets_there_though_the_broker_was_killed(&mut rabbit).await;
}

/// Publishes, and then dies.
struct Dies(Arc<dyn TicketSink>, CancellationToken);

#[async_trait]
impl TicketSink for Dies {
    async fn publish(&self, tickets: &[Outgoing]) -> Vec<Result<(), QueueError>> {
        self.0.publish(tickets).await;
        self.1.cancel();
        std::future::pending().await
    }
}

/// A broker whose queue of manual jobs has lost its leader.
struct Ill;

#[async_trait]
impl TicketSink for Ill {
    async fn publish(&self, tickets: &[Outgoing]) -> Vec<Result<(), QueueError>> {
        let ill = |kind| if kind == JobKind::Manual { Err(QueueError::NotStored) } else { Ok(()) };
        tickets.iter().map(|outgoing| ill(outgoing.ticket.kind)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_stores_nothing_stands_in_no_others_way() {
    let room = Room::new().await;
    let publisher = room.publisher(Arc::new(Ill), Duration::from_secs(2));
    let mailbox = room.mailboxes(Plan::Professional, 1).await[0];
    let manual = Request {
        kind: JobKind::Manual,
        mailbox: Some(mailbox),
        key: "k",
        parameters: None,
        limit: None,
        traceparent: None,
        audit: None,
    };
    room.catalog.request(&manual, room.now()).await.unwrap();
    let sent = publisher.publish(100).await.unwrap();
    assert_eq!((sent.confirmed, sent.failed), (0, 1), "nobody is well: it is given back and tried again");
    room.night(3).await;
    let sent = publisher.publish(100).await.unwrap();
    assert_eq!((sent.confirmed, sent.failed), (3, 1));
    let sent = publisher.publish(100).await.unwrap();
    assert_eq!((sent.confirmed, sent.failed), (0, 0), "the ill one waits");
    until("the end of its hold", async || publisher.publish(100).await.unwrap().failed == 1).await;
}

async fn a_crash_between_publishing_and_marking_costs_a_second_ticket(rabbit: &RabbitMq) {
    let (room, broker) = (Room::new().await, broker(rabbit, "crash").await);
    room.night(5).await;
    let dead = CancellationToken::new();
    let hold = Duration::from_secs(2);
    let dies = room.publisher(Arc::new(Dies(broker.publisher(), dead.clone())), hold);
    tokio::select! {
        _ = dies.publish(100) => panic!("it cannot end"),
        () = dead.cancelled() => (),
    }
    assert_eq!(room.unpublished().await, 5);
    let lives = room.publisher(broker.publisher(), hold);
    until("the end of the dead one's hold", async || lives.publish(100).await.unwrap().confirmed == 5).await;
    assert_eq!(room.unpublished().await, 0);
    until("two tickets for each job", async || ready(&broker, JobKind::Nightly).await == 10).await;
}

async fn tickets_carry_the_trace_of_who_asked(rabbit: &RabbitMq) {
    let (room, broker) = (Room::new().await, broker(rabbit, "trace").await);
    let mailbox = room.mailboxes(Plan::Professional, 1).await[0];
    let asked = format!("00-{TRACE}-b7ad6b7169203331-01");
    let request = Request {
        kind: JobKind::Manual,
        mailbox: Some(mailbox),
        key: "k",
        parameters: None,
        limit: None,
        traceparent: Some(&asked),
        audit: None,
    };
    let job = room.catalog.request(&request, room.now()).await.unwrap().job;
    let registry = telemetry::Registry::new("producer", "test", "test");
    let settings = telemetry::Settings {
        role: "producer".into(),
        version: "test".into(),
        instance: "test".into(),
        filter: "info".into(),
        format: LogFormat::Json,
        // Nobody is there.
        otlp: Some(Otlp::new("http://127.0.0.1:9")),
    };
    let (dispatch, installed) = telemetry::prepare(&settings, &registry, std::io::sink).unwrap();
    let publisher = room.publisher(broker.publisher(), Duration::from_secs(60));
    let mut consumer = broker.tickets(JobKind::Manual, NonZeroU16::MIN, CancellationToken::new());
    let mut carried = async || {
        let sent = publisher.publish(9).with_subscriber(dispatch.clone()).await.unwrap();
        assert_eq!((sent.confirmed, sent.failed), (1, 0));
        let delivery = timeout(LIMIT, consumer.next()).await.unwrap().unwrap().unwrap();
        let trace: Option<TraceContext> = delivery.trace.clone();
        delivery.ack().await.unwrap();
        trace.unwrap().traceparent
    };
    let first = carried().await;
    assert!(first.starts_with(&format!("00-{TRACE}-")) && first != asked, "{first}");

    // A slice ends: the next ticket begins a trace of its own, linked to the first.
    let claim = room.catalog.claim(job, "w", room.now(), model::SignedDuration::ZERO).await.unwrap();
    let catalog::ClaimAnswer::Claimed(claimed) = claim else { panic!("{claim:?}") };
    let waits = room.catalog.snooze(&claimed.claim, room.now()).await.unwrap();
    assert_eq!(waits, JobState::Waiting);
    let second = carried().await;
    assert!(!second.contains(TRACE), "{second}");
    drop(installed);
}

async fn all_confirmed(publisher: &Publisher, expected: usize) {
    let Sent { confirmed, failed, error } = publisher.publish(100).await.unwrap();
    assert_eq!((confirmed, failed), (expected, 0), "{error:?}");
}

async fn lost_tickets_are_published_again_at_a_bounded_rate(rabbit: &RabbitMq) {
    let (room, broker) = (Room::new().await, broker(rabbit, "lost").await);
    room.night(30).await;
    let publisher = room.publisher(broker.publisher(), Duration::from_secs(60));
    all_confirmed(&publisher, 30).await;
    until("all are there", async || ready(&broker, JobKind::Nightly).await == 30).await;
    let settings = ReaperSettings { limit: 20, ..ReaperSettings::default() };
    let (catalog, clock) = (room.catalog.clone(), room.clock.clone());
    let reaper = Reaper::new(catalog, broker.clone(), clock, settings, room.metrics.clone());
    room.sql("UPDATE jobs SET published_at = published_at - interval '1 hour'").await;
    assert_eq!(reaper.round().await.unwrap().republished, 0, "a backlog, and nothing is lost");
    rabbit.delete_queue("lost", "malle.nightly").await.unwrap();
    assert_eq!(reaper.round().await.unwrap().republished, 20, "bounded");
    let Sent { confirmed, failed, error } = publisher.publish(100).await.unwrap();
    assert_eq!((confirmed, failed), (0, 20), "their queue is gone: {error:?}");
    assert!(matches!(error, Some(QueueError::Unroutable { .. })), "{error:?}");
    all_confirmed(&publisher, 20).await;
    until("they are there", async || ready(&broker, JobKind::Nightly).await == 20).await;
    assert_eq!(reaper.round().await.unwrap().republished, 10);
    all_confirmed(&publisher, 10).await;
    let seen = collect(&broker, JobKind::Nightly, 30).await;
    assert!(seen.iter().all(|(_, times)| *times == 1), "{seen:?}");
    room.counted(&["malle_tickets_republished_total{kind=\"nightly\"} 30", "malle_ticket_failures_total 20"]);
}

/// A broker that was away for so long that the consumer has given up, twice.
struct Away(u32);

#[async_trait]
impl Source<BackupRequest> for Away {
    async fn next(&mut self) -> Result<Option<Delivery<BackupRequest>>, QueueError> {
        let last = Box::new(QueueError::Blocked);
        match self.0.checked_sub(1) {
            None => Ok(None),
            Some(left) => {
                self.0 = left;
                Err(QueueError::GaveUp { attempts: 30, last })
            }
        }
    }
}

async fn requests_are_granted_or_refused_like_those_of_the_api(rabbit: &RabbitMq) {
    let (room, broker) = (Room::new().await, broker(rabbit, "requests").await);
    let professional = room.mailboxes(Plan::Professional, 1).await[0];
    room.mailboxes(Plan::Personal, 1).await;
    let clock: Arc<dyn Clock> = room.clock.clone();
    let asking = Asking::new(room.catalog.clone(), clock, RequestSettings::default(), |_| Ok(()));
    let request = |key: &str, mailbox| BackupRequest {
        idempotency_key: key.to_owned(),
        mailbox,
        kind: JobKind::Manual,
    };
    let address = |account: &str| MailboxName::Address(format!("{account}@{DOMAIN}"));
    let on = CancellationToken::new();
    serve_requests(&asking, &mut Away(2), &on).await.expect("the role goes on without a broker");
    let publisher = broker.publisher();
    for request in [
        request("one", MailboxName::Id(professional)),
        request("one", address("Professional0")),
        request("two", address("personal0")),
        request("three", address("nobody")),
        request("four", MailboxName::Id(MailboxId(99))),
    ] {
        publisher.request(&request, None).await.unwrap();
    }
    let stop = CancellationToken::new();
    let mut requests = broker.requests(NonZeroU16::new(4).unwrap(), stop.clone());
    let draining = stop.clone();
    let serving = tokio::spawn(async move { serve_requests(&asking, &mut requests, &draining).await });
    until("all requests are answered", async || {
        room.number("SELECT count(*) FROM audit WHERE actor = 'queue'").await == 2
            && broker.depths().await.unwrap().iter().all(|depth| depth.ready == 0)
    })
    .await;
    stop.cancel();
    timeout(LIMIT, serving).await.unwrap().unwrap().unwrap();
    assert_eq!(room.jobs().await, 1, "one request, twice the same, by number and by address");
    let job = room.catalog.job(room.newest_job().await).await.unwrap().unwrap();
    assert_eq!((job.kind, job.mailbox), (JobKind::Manual, Some(professional)));
    assert!(broker.dead_letters().list(9).await.unwrap().is_empty());
    let left = broker.depths().await.unwrap().iter().map(|depth| depth.ready).sum::<u32>();
    assert_eq!(left, 0, "nothing came back into the queue");
}
