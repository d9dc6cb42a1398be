use std::sync::Arc;

use async_trait::async_trait;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use lapin::{Acker, BasicProperties, Channel};
use model::{Clock, SystemClock};
use tokio::sync::mpsc;

use crate::headers::put;
use crate::publisher::Publisher;
use crate::topology::DEAD;
use crate::{QueueError, Settle};

/// Headers of a dead letter of ours.
pub(crate) const QUEUE_HEADER: &str = "x-malle-queue";
pub(crate) const REASON_HEADER: &str = "x-malle-reason";
const LONGEST_REASON: usize = 500;

/// A message of RabbitMQ that is not settled yet. Dropped, it goes back through `dropped` to the consumer that received
/// it, which returns it to the queue: dropping cannot wait for the broker.
pub(crate) struct Unsettled {
    /// `None` once it is settled.
    pub(crate) acker: Option<Acker>,
    /// Deliveries die with their channel, so each keeps it open.
    pub(crate) _channel: Channel,
    pub(crate) queue: Arc<str>,
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BasicProperties,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) dropped: mpsc::Sender<Acker>,
    pub(crate) _out: Arc<()>,
}

impl Unsettled {
    fn take(&mut self) -> Acker {
        self.acker.take().expect("settled only once, because settling consumes it")
    }
}

#[async_trait]
impl Settle for Unsettled {
    async fn ack(mut self: Box<Self>) -> Result<(), QueueError> {
        let acker = self.take();
        ours(acker.ack(BasicAckOptions::default()).await)
    }

    async fn retry(mut self: Box<Self>) -> Result<(), QueueError> {
        requeue(&self.take()).await
    }

    /// Published with its reason and confirmed, then acknowledged: between the two it may come twice, never not at all. If
    /// it cannot be published, the broker dead-letters it itself, without our reason.
    async fn reject(mut self: Box<Self>, reason: &str) -> Result<(), QueueError> {
        let letter = dead_letter(&self.properties, &self.queue, reason);
        let stored = self.publisher.send(DEAD, &self.body, letter).await;
        let acker = self.take();
        match stored {
            Ok(()) => ours(acker.ack(BasicAckOptions::default()).await),
            Err(_) => ours(acker.reject(BasicRejectOptions { requeue: false }).await),
        }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(acker) = self.acker.take() {
            // Has room for every delivery that may be out at once. Without its consumer the channel closes, which returns it too.
            let _ = self.dropped.try_send(acker);
        }
    }
}

pub(crate) async fn requeue(acker: &Acker) -> Result<(), QueueError> {
    ours(acker.nack(BasicNackOptions { requeue: true, multiple: false }).await)
}

pub(crate) fn ours(settled: lapin::Result<bool>) -> Result<(), QueueError> {
    settled.unwrap_or(false).then_some(()).ok_or(QueueError::DeliveryLost)
}

fn dead_letter(properties: &BasicProperties, queue: &str, reason: &str) -> BasicProperties {
    let mut headers: FieldTable = properties.headers().clone().unwrap_or_default();
    put(&mut headers, QUEUE_HEADER, queue);
    put(&mut headers, REASON_HEADER, &reason.chars().take(LONGEST_REASON).collect::<String>());
    let now = u64::try_from(SystemClock.now().as_second()).unwrap_or(0);
    properties.clone().with_headers(headers).with_timestamp(now).with_delivery_mode(2)
}
