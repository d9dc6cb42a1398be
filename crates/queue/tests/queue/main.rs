//! On a real RabbitMQ. It takes six seconds to start, so two tests hold all situations, each in a virtual host of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod dead_letters;
mod delivering;
mod losing;
mod refusing;
mod surviving;

use std::num::NonZeroU16;
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, ConnectionProperties};
use model::{ErrorClass, JobId, JobKind};
use queue::{
    Broker, Consumer, Delivery, Message, Outgoing, QueueError, Settings, Source, Ticket, TicketSink,
};
use testkit::rabbitmq::RabbitMq;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Where both tests run in one process: two brokers on two cores are slow, and one situation counts threads.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Far above what a busy machine needs.
const LIMIT: Duration = Duration::from_secs(60);
/// Long enough for a delivery that should not come.
const QUIET: Duration = Duration::from_millis(300);

/// One virtual host, and a client of it.
struct Place {
    vhost: &'static str,
    uri: String,
    broker: Broker,
}

impl Place {
    async fn new(rabbit: &RabbitMq, vhost: &'static str) -> Self {
        Self::with(rabbit, vhost, |_| {}).await
    }

    async fn with(rabbit: &RabbitMq, vhost: &'static str, change: fn(&mut Settings)) -> Self {
        eprintln!("situation: {vhost}");
        let uri = rabbit.vhost(vhost).await.unwrap();
        let mut settings = settings(&uri);
        change(&mut settings);
        let broker = Broker::new(settings);
        broker.check().await.unwrap();
        Self { vhost, uri, broker }
    }

    async fn publish(&self, jobs: std::ops::Range<u64>) {
        let tickets: Vec<_> = jobs.map(|job| outgoing(job, JobKind::Nightly)).collect();
        for answer in self.broker.publisher().publish(&tickets).await {
            answer.unwrap();
        }
    }

    fn consumer(&self, slots: u16) -> Consumer<Ticket> {
        self.broker.tickets(JobKind::Nightly, NonZeroU16::new(slots).unwrap(), CancellationToken::new())
    }

    /// As another program would.
    async fn publish_raw(&self, queue: &str, body: &[u8]) {
        let connection =
            lapin::Connection::connect(&self.uri, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(Default::default()).await.unwrap();
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let confirm =
            channel.basic_publish("".into(), queue.into(), options, body, properties).await.unwrap();
        assert!(confirm.await.unwrap().is_ack());
    }

    async fn ready(&self, queue: &str) -> u32 {
        let depths = self.broker.depths().await.unwrap();
        depths.into_iter().find(|depth| depth.queue == queue).unwrap().ready
    }

    async fn until_ready(&self, queue: &str, count: u32) {
        until("the depth", async || (self.ready(queue).await == count).then_some(())).await;
    }
}

fn settings(uri: &str) -> Settings {
    let mut settings = Settings::new(uri, "test").unwrap();
    settings.confirm_timeout = LIMIT;
    settings.connect_timeout = LIMIT;
    settings.renew_idle = LIMIT * 2;
    settings.first_wait = Duration::from_millis(10);
    settings.longest_wait = Duration::from_millis(300);
    settings.attempts = 1_000;
    settings
}

fn outgoing(job: u64, kind: JobKind) -> Outgoing {
    Outgoing { ticket: Ticket { job: JobId(job), kind }, trace: None }
}

/// The next delivery, over losses if it has to be; how many there were.
async fn next<M: Message>(consumer: &mut dyn Source<M>) -> (Delivery<M>, usize) {
    let receive = async {
        let mut losses = 0;
        loop {
            match consumer.next().await {
                Ok(delivery) => return (delivery.expect("not draining"), losses),
                Err(error) => {
                    assert!(transient(&error), "{error:?}");
                    losses += 1;
                }
            }
        }
    };
    timeout(LIMIT, receive).await.expect("no delivery came")
}

/// What comes next, which should be an error.
async fn lost(consumer: &mut dyn Source<Ticket>) -> Result<Option<Delivery<Ticket>>, QueueError> {
    timeout(LIMIT, consumer.next()).await.expect("nothing came")
}

async fn is_quiet<M: Message>(consumer: &mut dyn Source<M>) -> bool {
    timeout(QUIET, consumer.next()).await.is_err()
}

fn transient(error: &QueueError) -> bool {
    matches!(error.class(), ErrorClass::Transient { .. })
}

/// Tries until it is so.
async fn until<T>(what: &str, mut trial: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = trial().await {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "never came about: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_broker_that_is_well() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let rabbit = RabbitMq::start().await.unwrap();
    delivering::tickets_come_with_their_trace(&rabbit).await;
    delivering::thousands_are_confirmed(&rabbit).await;
    delivering::never_more_than_the_slots_are_out(&rabbit).await;
    delivering::what_is_dropped_or_returned_comes_again(&rabbit).await;
    delivering::draining_keeps_what_is_worked_on_and_returns_the_rest(&rabbit).await;
    delivering::requests_of_other_programs_are_read(&rabbit).await;
    dead_letters::poison_is_set_aside_and_looking_loses_nothing(&rabbit).await;
    dead_letters::a_rejected_ticket_goes_back_when_it_is_driven(&rabbit).await;
    dead_letters::only_the_letters_that_are_named_are_removed(&rabbit).await;
    dead_letters::a_delivery_limit_by_policy_ends_at_the_dead_letters(&rabbit).await;
    losing::a_deleted_queue_is_an_error_once_and_then_there_again(&rabbit).await;
    losing::a_queue_deleted_and_made_again_at_once_is_found_by_an_idle_consumer(&rabbit).await;
    losing::a_connection_closed_by_an_operator_loses_the_delivery_and_nothing_else(&rabbit).await;
    losing::a_delivery_that_was_held_for_too_long_comes_again(&rabbit).await;
    refusing::wrong_credentials_and_unknown_hosts_end_the_role(&rabbit).await;
    refusing::a_queue_with_other_arguments_is_reported(&rabbit).await;
    refusing::a_consumer_gives_up_after_its_attempts().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_broker_that_has_trouble() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut rabbit = RabbitMq::start().await.unwrap();
    surviving::an_alarm_stops_publishing_alone_and_passes(&rabbit).await;
    surviving::a_broker_that_hangs_is_noticed_by_its_silence(&rabbit).await;
    surviving::what_was_confirmed_outlives_a_kill_in_the_middle_of_publishing(&mut rabbit).await;
}
