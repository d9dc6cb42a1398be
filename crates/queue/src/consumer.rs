use std::marker::PhantomData;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::link::{Link, in_time};
use crate::publisher::Publisher;
use crate::settling::{Unsettled, requeue};
use crate::{Delivery, Message, QueueError, Settings, Settle, Source, TraceContext, topology};

/// A broker that does not answer must not hold up a process that ends; closing the connection returns the same.
const DRAIN: Duration = Duration::from_secs(3);

/// Receives from one queue, at most `slots` deliveries at once; opens it again after each loss.
#[derive(Debug)]
pub struct Consumer<M> {
    settings: Settings,
    link: Arc<Link>,
    publisher: Arc<Publisher>,
    queue: Arc<str>,
    slots: NonZeroU16,
    draining: CancellationToken,
    open: Option<Open>,
    failures: u32,
    dropped: (mpsc::Sender<Acker>, mpsc::Receiver<Acker>),
    /// A clone of it is in every delivery that is out.
    out: Arc<()>,
    message: PhantomData<fn() -> M>,
}

#[derive(Debug)]
struct Open {
    channel: Channel,
    stream: lapin::Consumer,
    since: Instant,
    renew_at: Instant,
}

impl<M: Message> Consumer<M> {
    pub(crate) fn new(
        settings: Settings,
        link: Arc<Link>,
        publisher: Arc<Publisher>,
        queue: &str,
        slots: NonZeroU16,
        draining: CancellationToken,
    ) -> Self {
        let dropped = mpsc::channel(slots.get().into());
        let (queue, out, message) = (queue.into(), Arc::default(), PhantomData);
        Self {
            settings,
            link,
            publisher,
            queue,
            slots,
            draining,
            open: None,
            failures: 0,
            dropped,
            out,
            message,
        }
    }

    async fn reopen(&mut self) -> Result<(), QueueError> {
        let Settings { first_wait, longest_wait, attempts, .. } = self.settings;
        sleep(backoff::wait(self.failures, first_wait, longest_wait, backoff::random())).await;
        match self.try_open().await {
            Ok(open) => self.open = Some(open),
            Err(error) => {
                self.failures += 1;
                if self.failures < attempts {
                    return Err(error);
                }
                return Err(QueueError::GaveUp { attempts, last: Box::new(error) });
            }
        }
        Ok(())
    }

    async fn try_open(&self) -> Result<Open, QueueError> {
        let channel = self.link.channel().await?;
        let queue = ShortString::from(&*self.queue);
        let stream = in_time(self.settings.connect_timeout, async {
            topology::declare_work(&channel, &self.queue).await?;
            // Without it deliveries would pile up in memory.
            channel.basic_qos(self.slots.get(), BasicQosOptions::default()).await?;
            let tag = ShortString::default();
            channel.basic_consume(queue, tag, BasicConsumeOptions::default(), FieldTable::default()).await
        });
        let (stream, since) = (stream.await?, Instant::now());
        Ok(Open { channel, stream, since, renew_at: since + self.settings.renew_idle })
    }

    /// Opens anew after a long silence, unless deliveries are out: they would lose their channel's slots.
    fn renew(&mut self) {
        if Arc::strong_count(&self.out) == 1 {
            self.open = None;
        } else if let Some(open) = &mut self.open {
            open.renew_at = Instant::now() + self.settings.renew_idle;
        }
    }

    /// Counts the loss, unless the time before it was long and good. Whatever the broker's reason is (a delivery held for longer than its
    /// `consumer_timeout` is a failed precondition to it), opening anew tells whether it lasts. Without an error it was the broker
    /// that ended the consumer.
    fn lost(&mut self, error: Option<lapin::Error>) -> QueueError {
        if let Some(open) = self.open.take() {
            let steady = open.since.elapsed() > self.settings.longest_wait;
            self.failures = if steady { 1 } else { self.failures + 1 };
        }
        let ended = || QueueError::ConsumerEnded { queue: self.queue.to_string() };
        error.map_or_else(ended, QueueError::Unreachable)
    }

    /// `None`: it was no message of ours and lies with the dead letters now.
    async fn receive(&self, delivery: lapin::message::Delivery, channel: Channel) -> Option<Delivery<M>> {
        let trace = delivery.properties.headers().as_ref().and_then(TraceContext::read);
        let redelivered = delivery.redelivered;
        // From here on a dropped future returns it to the queue.
        let unsettled = Box::new(Unsettled {
            acker: Some(delivery.acker),
            _channel: channel,
            queue: self.queue.clone(),
            body: delivery.data,
            properties: delivery.properties,
            publisher: self.publisher.clone(),
            dropped: self.dropped.0.clone(),
            _out: self.out.clone(),
        });
        match M::parse(&unsettled.body) {
            Ok(message) => Some(Delivery::new(message, trace, redelivered, unsettled)),
            Err(reason) => {
                // Lost in the meantime: it comes again, and is tried again.
                let _ = unsettled.reject(&reason.to_string()).await;
                None
            }
        }
    }

    /// No new deliveries; those that were received ahead go back, those that are being worked on stay ours.
    async fn drain(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let tag = open.stream.tag();
        let cancel = open.channel.basic_cancel(tag, BasicCancelOptions::default());
        // If it fails the channel is gone, and everything with it is back already.
        if in_time(self.settings.connect_timeout.min(DRAIN), cancel).await.is_ok() {
            while let Some(Ok(ahead)) = open.stream.next().await {
                let _ = requeue(&ahead.acker).await;
            }
        }
        while let Ok(acker) = self.dropped.1.try_recv() {
            let _ = requeue(&acker).await;
        }
    }
}

#[async_trait]
impl<M: Message> Source<M> for Consumer<M> {
    async fn next(&mut self) -> Result<Option<Delivery<M>>, QueueError> {
        let draining = self.draining.clone();
        loop {
            if draining.is_cancelled() {
                self.drain().await;
                return Ok(None);
            }
            let Some(open) = &mut self.open else {
                tokio::select! {
                    () = draining.cancelled() => {}
                    opened = self.reopen() => opened?,
                }
                continue;
            };
            let received = tokio::select! {
                biased;
                () = draining.cancelled() => continue,
                Some(acker) = self.dropped.1.recv() => {
                    let _ = requeue(&acker).await;
                    continue;
                }
                received = open.stream.next() => received,
                () = sleep_until(open.renew_at) => {
                    self.renew();
                    continue;
                }
            };
            match received {
                // Fetched ahead by a channel that is gone since: it comes again, and the error comes next.
                Some(Ok(delivery)) if !delivery.acker.usable() => {}
                Some(Ok(delivery)) => {
                    open.renew_at = Instant::now() + self.settings.renew_idle;
                    let channel = open.channel.clone();
                    if let Some(delivery) = self.receive(delivery, channel).await {
                        return Ok(Some(delivery));
                    }
                }
                ended => return Err(self.lost(ended.and_then(Result::err))),
            }
        }
    }
}
