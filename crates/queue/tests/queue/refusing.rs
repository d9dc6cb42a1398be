use std::error::Error;
use std::net::TcpListener;
use std::num::NonZeroU16;

use lapin::ConnectionProperties;
use lapin::options::QueueDeclareOptions;
use model::{ErrorClass, JobKind};
use queue::{Broker, QueueError, Source, TicketSink};
use testkit::rabbitmq::{PASSWORD, RabbitMq};
use tokio_util::sync::CancellationToken;

use crate::{outgoing, settings, transient};

pub(crate) async fn wrong_credentials_and_unknown_hosts_end_the_role(rabbit: &RabbitMq) {
    let uri = rabbit.vhost("refusing").await.unwrap();
    let wrong = uri.replace(&format!(":{PASSWORD}@"), ":geheim@");
    for uri in [wrong, rabbit.uri("nowhere")] {
        let error = Broker::new(settings(&uri)).check().await.expect_err("refused");
        assert_eq!(error.class(), ErrorClass::Auth, "{error:?}");
        let chain = format!("{error} {:?} {error:?}", error.source());
        assert!(!chain.contains("geheim"), "{chain}");
    }
}

pub(crate) async fn a_queue_with_other_arguments_is_reported(rabbit: &RabbitMq) {
    let uri = rabbit.vhost("arguments").await.unwrap();
    let connection = lapin::Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let classic = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("malle.restore".into(), classic, Default::default()).await.unwrap();
    let error = Broker::new(settings(&uri)).check().await.expect_err("another kind of queue");
    assert!(matches!(error, QueueError::Precondition(_)), "{error:?}");
    let source = error.source().unwrap().to_string();
    assert!(source.contains("malle.restore"), "the broker names the queue: {source}");
}

pub(crate) async fn a_consumer_gives_up_after_its_attempts() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut settings = settings(&format!("amqp://127.0.0.1:{port}/x"));
    settings.attempts = 3;
    let broker = Broker::new(settings);
    let answer = broker.publisher().publish(&[outgoing(1, JobKind::Nightly)]).await.remove(0);
    assert!(transient(&answer.expect_err("nobody there")));
    let mut consumer = broker.tickets(JobKind::Nightly, NonZeroU16::MIN, CancellationToken::new());
    for _ in 1..3 {
        assert!(transient(&consumer.next().await.expect_err("nobody there")));
    }
    let last = consumer.next().await.expect_err("nobody there");
    assert!(matches!(last, QueueError::GaveUp { attempts: 3, .. }), "{last:?}");
    assert_eq!(last.class(), ErrorClass::Permanent);
}
