use std::fmt;

use async_trait::async_trait;

use crate::{QueueError, TraceContext};

/// A message that is ours until it is settled. Dropped without that (a panic, an early return), it goes back to its queue.
#[must_use = "a delivery has to be settled"]
pub struct Delivery<M> {
    /// What it says.
    pub message: M,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// It was given out before, to us or to somebody else. A hint only: attempts are counted in the catalogue.
    pub redelivered: bool,
    settle: Box<dyn Settle>,
}

/// How a delivery ends; each way at most once.
#[async_trait]
pub trait Settle: Send {
    /// It is done with.
    async fn ack(self: Box<Self>) -> Result<(), QueueError>;
    /// Back into its queue, at once.
    async fn retry(self: Box<Self>) -> Result<(), QueueError>;
    /// To the dead letters, for a person to look at.
    async fn reject(self: Box<Self>, reason: &str) -> Result<(), QueueError>;
}

impl<M> Delivery<M> {
    /// A delivery that ends as `settle` says.
    pub fn new(message: M, trace: Option<TraceContext>, redelivered: bool, settle: Box<dyn Settle>) -> Self {
        Self { message, trace, redelivered, settle }
    }

    /// It is done with. [`QueueError::DeliveryLost`]: it was not ours any more, and comes again to somebody.
    pub async fn ack(self) -> Result<(), QueueError> {
        self.settle.ack().await
    }

    /// Back into its queue, at once: for work that could not even begin. Waiting is the catalogue's business.
    pub async fn retry(self) -> Result<(), QueueError> {
        self.settle.retry().await
    }

    /// To the dead letters, with a reason for people: for a message that nobody can use.
    pub async fn reject(self, reason: &str) -> Result<(), QueueError> {
        self.settle.reject(reason).await
    }
}

impl<M: fmt::Debug> fmt::Debug for Delivery<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, redelivered, .. } = self;
        f.debug_struct("Delivery").field("message", message).field("redelivered", redelivered).finish()
    }
}
