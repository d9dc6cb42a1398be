use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use model::JobKind;
use queue::{LinkState, QueueError, Settings, TicketSink};
use testkit::rabbitmq::RabbitMq;
use tokio::time::sleep;

use crate::{LIMIT, Place, lost, next, outgoing, transient, until};

const SHORT: Duration = Duration::from_secs(2);

pub(crate) async fn an_alarm_stops_publishing_alone_and_passes(rabbit: &RabbitMq) {
    let place = Place::with(rabbit, "alarm", |settings| settings.confirm_timeout = SHORT).await;
    place.publish(1..4).await;
    let mut consumer = place.consumer(3);
    let (done, _) = next(&mut consumer).await;
    let (bad, _) = next(&mut consumer).await;
    rabbit.raise_memory_alarm().unwrap();

    let publisher = place.broker.publisher();
    let tickets: Vec<_> = (10..20).map(|job| outgoing(job, JobKind::Manual)).collect();
    // The broker tells its connections a moment later.
    let errors = until("the alarm", async || {
        let answers = publisher.publish(&tickets).await;
        answers.into_iter().map(Result::err).collect::<Option<Vec<_>>>()
    });
    let errors = errors.await;
    assert!(errors.iter().all(transient), "{errors:?}");
    assert_eq!(place.broker.links().publishing, LinkState::Blocked);
    let start = Instant::now();
    publisher.publish(&tickets).await.remove(0).expect_err("an alarm");
    assert!(start.elapsed() < LIMIT / 4, "refused at once, not kept in memory");

    done.ack().await.unwrap();
    bad.reject("our reason").await.unwrap();
    let (third, _) = next(&mut consumer).await;
    third.ack().await.unwrap();
    let dead = place.broker.dead_letters();
    let letter = until("the letter", async || dead.list(10).await.unwrap().pop()).await;
    assert_eq!(letter.reason, "rejected", "moved by the broker itself, which takes no message of ours now");

    rabbit.clear_memory_alarm().unwrap();
    until("a publish", async || publisher.publish(&tickets[..1]).await.remove(0).ok()).await;
    assert_eq!(place.broker.links().publishing, LinkState::Open);
}

/// Connections to a broker that hangs; lapin has a thread for each.
fn connections() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "lapin-io-loop").count()
}

pub(crate) async fn a_broker_that_hangs_is_noticed_by_its_silence(rabbit: &RabbitMq) {
    let impatient = |settings: &mut Settings| {
        (settings.confirm_timeout, settings.connect_timeout) = (SHORT, SHORT);
        settings.heartbeat = SHORT;
    };
    let place = Place::with(rabbit, "hang", impatient).await;
    place.publish(1..2).await;
    let mut consumer = place.consumer(1);
    let (working, _) = next(&mut consumer).await;
    rabbit.freeze().unwrap();
    let publisher = place.broker.publisher();
    let error = publisher.publish(&[outgoing(2, JobKind::Nightly)]).await.remove(0).expect_err("no confirm");
    assert!(transient(&error), "{error:?}");
    let silent = lost(&mut consumer).await.expect_err("no heartbeat");
    assert!(matches!(silent, QueueError::Unreachable(_)) && transient(&silent), "{silent:?}");
    assert!(matches!(working.ack().await, Err(QueueError::DeliveryLost)));
    let again = lost(&mut consumer).await.expect_err("accepted by the kernel, answered by nobody");
    assert!(transient(&again), "{again:?}");
    let error =
        publisher.publish(&[outgoing(3, JobKind::Nightly)]).await.remove(0).expect_err("nobody there");
    assert!(transient(&error), "{error:?}");
    eprintln!("{} connections under way or open while it hangs", connections());
    rabbit.thaw().unwrap();
    until("a publish", async || publisher.publish(&[outgoing(4, JobKind::Nightly)]).await.remove(0).ok())
        .await;
    let (delivery, _) = next(&mut consumer).await;
    assert!(delivery.redelivered && delivery.message.job.0 == 1);
    delivery.ack().await.unwrap();
    until("the end of given up connections", async || (connections() == 2).then_some(())).await;
}

/// Publishes hundred after hundred until told to stop; the jobs that were confirmed.
async fn keep_publishing(
    publisher: &dyn TicketSink,
    enough: impl Fn(&BTreeSet<u64>, usize) -> bool,
) -> BTreeSet<u64> {
    let (mut confirmed, mut failed, mut job) = (BTreeSet::new(), 0, 0);
    let start = Instant::now();
    while !enough(&confirmed, failed) {
        assert!(start.elapsed() < LIMIT * 2, "{} confirmed, {failed} failed", confirmed.len());
        let tickets: Vec<_> = (job..job + 100).map(|job| outgoing(job + 1, JobKind::Nightly)).collect();
        job += 100;
        if failed > 0 {
            // Its caller has a back-off too.
            sleep(Duration::from_millis(20)).await;
        }
        for (ticket, answer) in tickets.iter().zip(publisher.publish(&tickets).await) {
            match answer {
                Ok(()) => drop(confirmed.insert(ticket.ticket.job.0)),
                Err(error) => {
                    assert!(transient(&error), "{error:?}");
                    failed += 1;
                }
            }
        }
    }
    eprintln!("{} confirmed, {failed} failed around a kill of the broker", confirmed.len());
    confirmed
}

pub(crate) async fn what_was_confirmed_outlives_a_kill_in_the_middle_of_publishing(rabbit: &mut RabbitMq) {
    let place = Place::new(rabbit, "kill").await;
    let (broker, mut consumer) = (place.broker.clone(), place.consumer(50));
    place.publish(900_000..900_001).await;
    next(&mut consumer).await.0.ack().await.unwrap();

    let publisher = broker.publisher();
    let (killed, kill) = tokio::sync::watch::channel(None);
    // Some after it is back, and some before it went.
    let publishing = keep_publishing(&*publisher, |confirmed, failed| {
        if confirmed.len() >= 2_000 && killed.borrow().is_none() {
            killed.send_replace(Some(confirmed.len()));
        }
        failed > 0 && killed.borrow().is_some_and(|before| confirmed.len() >= before + 1_000)
    });
    let restarting = async {
        let mut kill = kill;
        kill.wait_for(Option::is_some).await.unwrap();
        rabbit.stop();
        rabbit.restart().await.unwrap();
    };
    let (mut confirmed, ()) = tokio::join!(publishing, restarting);

    let mut losses = 0;
    while !confirmed.is_empty() {
        let (delivery, lost) = next(&mut consumer).await;
        losses += lost;
        let job = delivery.message.job.0;
        // One that was in our hands when the broker was killed comes again.
        match delivery.ack().await {
            Ok(()) => drop(confirmed.remove(&job)),
            Err(error) => assert!(matches!(error, QueueError::DeliveryLost), "{error:?}"),
        }
    }
    assert!(losses > 0, "the consumer has seen the kill");
}
