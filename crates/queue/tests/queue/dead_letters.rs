use std::collections::BTreeSet;

use model::{JobId, JobKind};
use queue::{DEAD, Pick, QueueError, TicketSink, TraceContext};
use serde_json::json;
use testkit::rabbitmq::RabbitMq;

use crate::{Place, next, outgoing, until};

/// More often than RabbitMQ 4 lets a message of a quorum queue come back.
const LOOKS: usize = 25;

pub(crate) async fn poison_is_set_aside_and_looking_loses_nothing(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "poison").await;
    place.publish_raw("malle.nightly", b"no ticket at all").await;
    place.publish_raw("malle.nightly", b"\x08\x05\x12\x04gold").await;
    place.publish_raw("malle.requests", b"no request").await;
    place.publish(1..2).await;
    let (delivery, losses) = next(&mut place.consumer(1)).await;
    assert_eq!((delivery.message.job, losses), (JobId(1), 0), "the ticket behind it comes");
    delivery.ack().await.unwrap();

    let dead = place.broker.dead_letters();
    let letters = until("both letters", async || {
        let letters = dead.list(10).await.unwrap();
        (letters.len() == 2).then_some(letters)
    });
    let letters = letters.await;
    let told: Vec<_> =
        letters.iter().map(|letter| (letter.queue.as_deref(), letter.reason.as_str())).collect();
    let queue = Some("malle.nightly");
    assert_eq!(told, [(queue, "not the message that belongs here"), (queue, "unusable field kind")]);
    assert_eq!(letters[0].body, b"no ticket at all");
    assert!(letters.iter().all(|letter| letter.at.is_some()));
    for _ in 0..LOOKS {
        assert_eq!(dead.list(10).await.unwrap(), letters, "they stay, in their order");
    }
    assert_eq!(dead.list(1).await.unwrap(), letters[..1]);
}

pub(crate) async fn a_rejected_ticket_goes_back_when_it_is_driven(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "redrive").await;
    let trace = TraceContext { traceparent: "00-a-b-01".to_owned(), tracestate: None };
    let mut ticket = outgoing(1, JobKind::Nightly);
    ticket.trace = Some(trace.clone());
    place.broker.publisher().publish(&[ticket]).await.remove(0).unwrap();
    let mut consumer = place.consumer(1);
    next(&mut consumer).await.0.reject("no such job").await.unwrap();
    place.publish_raw(DEAD, b"put here by somebody").await;

    let dead = place.broker.dead_letters();
    let letters = dead.list(10).await.unwrap();
    assert_eq!((letters.len(), letters[0].reason.as_str()), (2, "no such job"));
    let redriven = dead.redrive(&Pick::All).await.unwrap();
    assert_eq!(redriven.moved, 1);
    assert!(matches!(&redriven.failed[..], [(id, QueueError::NoOrigin)] if *id == letters[1].id));
    let (delivery, _) = next(&mut consumer).await;
    assert_eq!((delivery.message.job, delivery.trace.as_ref()), (JobId(1), Some(&trace)));
    assert!(!delivery.redelivered, "a new life");
    delivery.ack().await.unwrap();
    place.until_ready(DEAD, 1).await;
}

pub(crate) async fn only_the_letters_that_are_named_are_removed(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "remove").await;
    for body in [b"one", b"two", b"six"] {
        place.publish_raw(DEAD, body).await;
    }
    let dead = place.broker.dead_letters();
    let letters = dead.list(10).await.unwrap();
    let second = BTreeSet::from([letters[1].id.clone(), "no such id".to_owned()]);
    assert_eq!(dead.remove(&Pick::Only(second)).await.unwrap(), 1);
    let left = until("the others", async || {
        let left = dead.list(10).await.unwrap();
        (left.len() == 2).then_some(left)
    });
    assert_eq!(left.await, [letters[0].clone(), letters[2].clone()]);
    assert_eq!(dead.remove(&Pick::All).await.unwrap(), 2);
    assert_eq!(dead.list(10).await.unwrap(), []);
}

pub(crate) async fn a_delivery_limit_by_policy_ends_at_the_dead_letters(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "limit").await;
    rabbit.set_policy("limit", r"^malle\.(?!dead$)", json!({"delivery-limit": 2})).await.unwrap();
    place.publish(1..2).await;
    let mut consumer = place.consumer(1);
    for _ in 0..3 {
        next(&mut consumer).await.0.retry().await.unwrap();
    }
    let dead = place.broker.dead_letters();
    let letter = until("the letter", async || dead.list(10).await.unwrap().pop()).await;
    assert_eq!((letter.queue.as_deref(), letter.reason.as_str()), (Some("malle.nightly"), "delivery_limit"));
    assert!(letter.at.is_some());
    assert_eq!(dead.redrive(&Pick::Only(BTreeSet::from([letter.id]))).await.unwrap().moved, 1);
    next(&mut consumer).await.0.ack().await.unwrap();
}
