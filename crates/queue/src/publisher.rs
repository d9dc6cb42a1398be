use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use proto::BackupRequest;
use tokio::sync::Semaphore;

use crate::headers::properties;
use crate::link::{Link, LinkState, in_time};
use crate::renewed::Renewed;
use crate::topology::{self, REQUESTS, queue_of};
use crate::{Outgoing, QueueError, Settings, TicketSink, TraceContext};

const TICKET: &str = "malle.ticket.v1.Ticket";
const REQUEST: &str = "malle.ticket.v1.Request";

/// Publishes with confirms, over a connection that does nothing else.
#[derive(Debug)]
pub struct Publisher {
    settings: Settings,
    link: Arc<Link>,
    channel: Renewed<Channel>,
    window: Semaphore,
}

impl Publisher {
    pub(crate) fn new(settings: Settings, link: Arc<Link>) -> Self {
        let window = Semaphore::new(settings.window.max(1));
        Self { settings, link, channel: Renewed::new(), window }
    }

    /// Asks for a backup, as another program would. `Ok`: the broker has stored the request; whether it is granted is decided by a
    /// producer. After an error ask again with the same key.
    pub async fn request(
        &self,
        request: &BackupRequest,
        trace: Option<&TraceContext>,
    ) -> Result<(), QueueError> {
        let mut headers = FieldTable::default();
        if let Some(trace) = trace {
            trace.write(&mut headers);
        }
        self.send(REQUESTS, &request.to_bytes(), properties(REQUEST, headers)).await
    }

    /// `Ok` only if the broker has stored the message in that queue.
    pub(crate) async fn send(
        &self,
        queue: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), QueueError> {
        let channel = self.open_channel().await?;
        self.send_on(&channel, queue, body, properties).await
    }

    /// Never opens anything: of a batch that meets a lost connection each message fails at once.
    async fn send_on(
        &self,
        channel: &Channel,
        queue: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), QueueError> {
        let _place = self.window.acquire().await.expect("never closed");
        self.not_blocked()?;
        let sent = in_time(self.settings.confirm_timeout, confirmed(channel, queue, body, properties)).await;
        let result = sent.and_then(|confirmation| match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err(QueueError::Unroutable { queue: queue.to_owned() }),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err(QueueError::NotStored),
        });
        // A new channel declares the queues again, and lets go of the confirms that lapin still keeps after a time-out.
        if matches!(result, Err(QueueError::Unroutable { .. } | QueueError::TimedOut { .. })) {
            self.channel.discard(|current| current.id() == channel.id());
        }
        result
    }

    /// What is sent during an alarm would wait in memory for its end.
    fn not_blocked(&self) -> Result<(), QueueError> {
        if self.link.state() == LinkState::Blocked { Err(QueueError::Blocked) } else { Ok(()) }
    }

    async fn open_channel(&self) -> Result<Channel, QueueError> {
        self.not_blocked()?;
        self.channel().await
    }

    async fn send_ticket(
        &self,
        channel: &Channel,
        Outgoing { ticket, trace }: &Outgoing,
    ) -> Result<(), QueueError> {
        let mut headers = FieldTable::default();
        if let Some(trace) = trace {
            trace.write(&mut headers);
        }
        self.send_on(channel, &queue_of(ticket.kind), &ticket.to_bytes(), properties(TICKET, headers)).await
    }

    /// The channel in use; a new one has confirms switched on and all queues declared.
    pub(crate) async fn channel(&self) -> Result<Channel, QueueError> {
        let make = async {
            let channel = self.link.channel().await?;
            in_time(self.settings.connect_timeout, async {
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                topology::declare(&channel).await
            })
            .await?;
            Ok(channel)
        };
        self.channel.get(|channel| channel.status().connected(), make).await
    }
}

async fn confirmed(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    properties: BasicProperties,
) -> lapin::Result<Confirmation> {
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let key = ShortString::from(queue);
    channel.basic_publish(ShortString::default(), key, mandatory, body, properties).await?.await
}

#[async_trait]
impl TicketSink for Publisher {
    async fn publish(&self, tickets: &[Outgoing]) -> Vec<Result<(), QueueError>> {
        let channel = match self.open_channel().await {
            Ok(channel) => channel,
            Err(error) => return tickets.iter().map(|_| Err(error.clone())).collect(),
        };
        // By index: over references the compiler asks for a closure of every lifetime.
        let sends = (0..tickets.len()).map(|index| self.send_ticket(&channel, &tickets[index]));
        stream::iter(sends).buffered(self.settings.window.max(1)).collect().await
    }
}
