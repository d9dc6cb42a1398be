use async_trait::async_trait;
use proto::{BackupRequest, NotAMessage, Ticket};

use crate::{Delivery, QueueError, TraceContext};

/// What a queue of ours carries.
pub trait Message: Sized + Send + 'static {
    /// Reads it; the error becomes the reason of a dead letter.
    fn parse(bytes: &[u8]) -> Result<Self, NotAMessage>;
}

impl Message for Ticket {
    fn parse(bytes: &[u8]) -> Result<Self, NotAMessage> {
        Ticket::parse(bytes)
    }
}

impl Message for BackupRequest {
    fn parse(bytes: &[u8]) -> Result<Self, NotAMessage> {
        BackupRequest::parse(bytes)
    }
}

/// A ticket on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Which job may be run.
    pub ticket: Ticket,
    /// The trace that led to it.
    pub trace: Option<TraceContext>,
}

/// Publishes tickets.
#[async_trait]
pub trait TicketSink: Send + Sync {
    /// One answer for each, in order. `Ok`: the broker has stored it. An error says "perhaps not": publish it again.
    async fn publish(&self, tickets: &[Outgoing]) -> Vec<Result<(), QueueError>>;
}

/// Gives out what lies in one queue.
#[async_trait]
pub trait Source<M>: Send {
    /// The next delivery; `None` once it was told to drain. After an error of class `Transient` call it again: it opens the
    /// queue anew, after a wait that grows. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Result<Option<Delivery<M>>, QueueError>;
}
