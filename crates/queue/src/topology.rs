use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use model::JobKind;

/// Where messages end that nobody can use.
pub const DEAD: &str = "malle.dead";
/// Where other programs ask for backups.
pub const REQUESTS: &str = "malle.requests";

/// The queue of the tickets for jobs of this kind.
pub fn queue_of(kind: JobKind) -> String {
    format!("malle.{kind}")
}

/// Every queue but the dead letters'.
pub(crate) fn work_queues() -> impl Iterator<Item = String> {
    JobKind::ALL.iter().map(|kind| queue_of(*kind)).chain([REQUESTS.to_owned()])
}

/// Declares all queues; does nothing to those that are there. Arguments cannot be changed later, so only what has to hold
/// stands here; what an operator may want to tune is a policy (README).
pub(crate) async fn declare(channel: &Channel) -> lapin::Result<()> {
    declare_dead(channel).await?;
    for queue in work_queues() {
        declare_work(channel, &queue).await?;
    }
    Ok(())
}

pub(crate) async fn declare_dead(channel: &Channel) -> lapin::Result<()> {
    channel.queue_declare(DEAD.into(), durable(), arguments(&[("x-queue-type", "classic")])).await.map(drop)
}

pub(crate) async fn declare_work(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let work =
        [("x-queue-type", "quorum"), ("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", DEAD)];
    channel.queue_declare(queue.into(), durable(), arguments(&work)).await.map(drop)
}

fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() }
}

fn arguments(pairs: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    table
}
