use std::num::NonZeroU16;
use std::time::Instant;

use model::{JobId, JobKind, MailboxId};
use queue::{BackupRequest, MailboxName, REQUESTS, Source, TicketSink, TraceContext};
use testkit::rabbitmq::RabbitMq;
use tokio_util::sync::CancellationToken;

use crate::{Place, is_quiet, next, outgoing};

pub(crate) async fn tickets_come_with_their_trace(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "trace").await;
    let trace = TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        tracestate: Some("congo=t61rcWkgMzE".to_owned()),
    };
    let mut first = outgoing(1, JobKind::Nightly);
    first.trace = Some(trace.clone());
    let answers = place.broker.publisher().publish(&[first.clone(), outgoing(2, JobKind::Restore)]).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let mut nightly = place.consumer(5);
    let (delivery, _) = next(&mut nightly).await;
    assert_eq!((delivery.message, delivery.trace.as_ref()), (first.ticket, Some(&trace)));
    assert!(!delivery.redelivered);
    delivery.ack().await.unwrap();
    assert!(is_quiet(&mut nightly).await, "the other kind has a queue of its own");
    place.until_ready("malle.restore", 1).await;
    place.until_ready("malle.nightly", 0).await;
}

pub(crate) async fn thousands_are_confirmed(rabbit: &RabbitMq) {
    const TICKETS: u32 = 20_000;
    let place = Place::new(rabbit, "thousands").await;
    let tickets: Vec<_> = (1..=TICKETS).map(|job| outgoing(job.into(), JobKind::Weekend)).collect();
    let start = Instant::now();
    let answers = place.broker.publisher().publish(&tickets).await;
    let rate = f64::from(TICKETS) / start.elapsed().as_secs_f64();
    assert!(answers.iter().all(Result::is_ok));
    eprintln!("{TICKETS} tickets in one quorum queue: {rate:.0} confirms/s");
    place.until_ready("malle.weekend", TICKETS).await;
}

pub(crate) async fn never_more_than_the_slots_are_out(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "slots").await;
    place.publish(1..6).await;
    let mut consumer = place.consumer(2);
    let (first, _) = next(&mut consumer).await;
    let (second, _) = next(&mut consumer).await;
    assert!(is_quiet(&mut consumer).await);
    place.until_ready("malle.nightly", 3).await;
    first.ack().await.unwrap();
    let (third, _) = next(&mut consumer).await;
    assert_eq!(third.message.job, JobId(3));
    second.ack().await.unwrap();
    third.ack().await.unwrap();
}

pub(crate) async fn what_is_dropped_or_returned_comes_again(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "again").await;
    place.publish(1..2).await;
    let mut consumer = place.consumer(1);
    drop(next(&mut consumer).await);
    let (delivery, losses) = next(&mut consumer).await;
    assert!(delivery.redelivered && losses == 0, "on the same channel");
    delivery.retry().await.unwrap();
    let (delivery, _) = next(&mut consumer).await;
    assert!(delivery.redelivered);
    drop(delivery);
    drop(consumer);
    let (delivery, _) = next(&mut place.consumer(1)).await;
    assert_eq!(delivery.message.job, JobId(1), "without its consumer it comes to the next one");
    delivery.ack().await.unwrap();
}

pub(crate) async fn draining_keeps_what_is_worked_on_and_returns_the_rest(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "drain").await;
    place.publish(1..6).await;
    let draining = CancellationToken::new();
    let slots = NonZeroU16::new(3).unwrap();
    let mut consumer = place.broker.tickets(JobKind::Nightly, slots, draining.clone());
    let (working, _) = next(&mut consumer).await;
    place.until_ready("malle.nightly", 2).await;
    draining.cancel();
    assert!(consumer.next().await.unwrap().is_none());
    assert!(consumer.next().await.unwrap().is_none());
    place.until_ready("malle.nightly", 4).await;
    drop(consumer);
    working.ack().await.unwrap();
    let mut others = place.consumer(5);
    let mut jobs = Vec::new();
    for _ in 0..4 {
        let (delivery, _) = next(&mut others).await;
        jobs.push(delivery.message.job.0);
        delivery.ack().await.unwrap();
    }
    jobs.sort();
    assert_eq!(jobs, [2, 3, 4, 5]);
    assert!(is_quiet(&mut others).await, "the one that was worked on is done");
}

pub(crate) async fn requests_of_other_programs_are_read(rabbit: &RabbitMq) {
    let place = Place::new(rabbit, "requests").await;
    let request = BackupRequest {
        idempotency_key: "from-billing-1".to_owned(),
        mailbox: MailboxName::Id(MailboxId(9)),
        kind: JobKind::Manual,
    };
    place.publish_raw(REQUESTS, &request.to_bytes()).await;
    let trace = TraceContext { traceparent: "00-a-b-01".to_owned(), tracestate: None };
    place.broker.publisher().request(&request, Some(&trace)).await.unwrap();
    let mut requests = place.broker.requests(NonZeroU16::MIN, CancellationToken::new());
    for expected in [None, Some(&trace)] {
        let (delivery, _) = next(&mut requests).await;
        assert_eq!((&delivery.message, delivery.trace.as_ref()), (&request, expected));
        delivery.ack().await.unwrap();
    }
}
