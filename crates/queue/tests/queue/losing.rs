use std::num::NonZeroU16;

use model::{JobId, JobKind};
use queue::{LinkState, QueueError, TicketSink};
use testkit::rabbitmq::RabbitMq;
use tokio_util::sync::CancellationToken;

use crate::{Place, QUIET, is_quiet, lost, next, outgoing, transient, until};

pub(crate) async fn a_deleted_queue_is_an_error_once_and_then_there_again(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "deleted").await;
    place.publish(1..2).await;
    let mut consumer = place.consumer(1);
    next(&mut consumer).await.0.ack().await.unwrap();
    rabbit.delete_queue(place.vhost, "malle.nightly").await.unwrap();
    let ended = lost(&mut consumer).await.expect_err("the broker ended the consumer");
    assert!(matches!(&ended, QueueError::ConsumerEnded { queue } if queue == "malle.nightly"), "{ended:?}");
    assert!(transient(&ended));

    let publisher = place.broker.publisher();
    let tickets = [outgoing(2, JobKind::Nightly), outgoing(3, JobKind::Manual)];
    let answers = publisher.publish(&tickets).await;
    assert!(
        matches!(&answers[0], Err(QueueError::Unroutable { queue }) if queue == "malle.nightly"),
        "{answers:?}"
    );
    assert!(answers[1].is_ok(), "each message has its own answer");
    publisher.publish(&tickets[..1]).await.remove(0).unwrap();
    let (delivery, losses) = next(&mut consumer).await;
    assert_eq!((delivery.message.job, losses), (JobId(2), 0));
    delivery.ack().await.unwrap();
}

/// The broker calls it a failed precondition, which is what it calls queues with other arguments as well.
pub(crate) async fn a_delivery_that_was_held_for_too_long_comes_again(rabbit: &RabbitMq) {
    rabbit.set_consumer_timeout(1_000).unwrap();
    let place = Place::new(rabbit, "held").await;
    place.publish(1..2).await;
    let mut consumer = place.consumer(1);
    let (held, _) = next(&mut consumer).await;
    let error = lost(&mut consumer).await.expect_err("the broker closed the channel");
    assert!(transient(&error), "{error:?}");
    let late = held.ack().await.expect_err("the channel is gone");
    assert!(matches!(late, QueueError::DeliveryLost), "{late:?}");
    let (again, _) = next(&mut consumer).await;
    assert!(again.redelivered && again.message.job == JobId(1));
    again.ack().await.unwrap();
    rabbit.set_consumer_timeout(1_800_000).unwrap();
}

/// RabbitMQ 3.10 then tells the consumer nothing, and gives it nothing any more.
pub(crate) async fn a_queue_deleted_and_made_again_at_once_is_found_by_an_idle_consumer(rabbit: &RabbitMq) {
    let place = Place::with(rabbit, "recreated", |settings| settings.renew_idle = QUIET / 2).await;
    place.publish(1..2).await;
    let mut consumer = place.consumer(1);
    let (working, _) = next(&mut consumer).await;
    assert!(is_quiet(&mut consumer).await, "while a delivery is out its channel stays");
    working.ack().await.unwrap();
    rabbit.delete_queue(place.vhost, "malle.nightly").await.unwrap();
    let publisher = place.broker.publisher();
    until("a publish", async || publisher.publish(&[outgoing(2, JobKind::Nightly)]).await.remove(0).ok())
        .await;
    let (delivery, _) = next(&mut consumer).await;
    assert_eq!(delivery.message.job, JobId(2));
    delivery.ack().await.unwrap();
}

pub(crate) async fn a_connection_closed_by_an_operator_loses_the_delivery_and_nothing_else(
    rabbit: &RabbitMq,
) {
    let place = Place::new(rabbit, "closed").await;
    place.publish(1..2).await;
    let mut consumer = place.consumer(1);
    let (delivery, _) = next(&mut consumer).await;
    let mut other = place.broker.tickets(JobKind::Manual, NonZeroU16::MIN, CancellationToken::new());
    place.broker.publisher().publish(&[outgoing(9, JobKind::Manual)]).await.remove(0).unwrap();
    let (elsewhere, _) = next(&mut other).await;
    until("a closed connection", async || {
        (rabbit.close_connections(place.vhost, "test consuming malle.nightly").await.unwrap() == 1)
            .then_some(())
    })
    .await;
    let error = lost(&mut consumer).await.expect_err("the connection is gone");
    assert!(matches!(error, QueueError::Unreachable(_)) && transient(&error), "{error:?}");
    assert_eq!(place.broker.links().consuming, LinkState::Open, "of the other queue");
    elsewhere.ack().await.expect("it came over a connection of its own");
    let late = delivery.ack().await.expect_err("the channel is gone");
    assert!(matches!(late, QueueError::DeliveryLost), "{late:?}");
    let (again, _) = next(&mut consumer).await;
    assert!(again.redelivered && again.message.job == JobId(1));
    again.ack().await.unwrap();

    until("a closed connection", async || {
        (rabbit.close_connections(place.vhost, "test publishing").await.unwrap() == 1).then_some(())
    })
    .await;
    // The first one may still go into the closing connection.
    let publisher = place.broker.publisher();
    until("a publish", async || publisher.publish(&[outgoing(2, JobKind::Nightly)]).await.remove(0).ok())
        .await;
    next(&mut consumer).await.0.ack().await.unwrap();
}
