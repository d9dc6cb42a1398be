use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use model::JobKind;
use proto::{BackupRequest, Ticket};
use tokio_util::sync::CancellationToken;

use crate::link::{Link, LinkState, in_time};
use crate::topology::{DEAD, REQUESTS, queue_of, work_queues};
use crate::{Consumer, DeadLetters, Message, Publisher, QueueError, Settings};

/// Our side of RabbitMQ: a connection to publish, since the broker may stop reading from it, one for each consumer, since an ill
/// queue may take its connection with it, and one to look at queues.
#[derive(Debug, Clone)]
pub struct Broker {
    settings: Settings,
    publishing: Arc<Link>,
    looking: Arc<Link>,
    publisher: Arc<Publisher>,
    /// Those of the consumers that there are.
    consuming: Arc<Mutex<Vec<Weak<Link>>>>,
}

/// How the connections stand, for metrics and readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Links {
    /// The one that publishes.
    pub publishing: LinkState,
    /// The best of those that consume; closed in a role that consumes nothing.
    pub consuming: LinkState,
}

/// What lies in one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// Its name.
    pub queue: String,
    /// Messages that wait; those that a worker holds are not among them.
    pub ready: u32,
    /// Consumers, of all processes.
    pub consumers: u32,
}

impl Broker {
    /// Opens nothing yet; a connection is opened by whatever needs it first.
    pub fn new(settings: Settings) -> Self {
        let publishing = Arc::new(Link::new(settings.clone(), "publishing"));
        let looking = Arc::new(Link::new(settings.clone(), "looking"));
        let publisher = Arc::new(Publisher::new(settings.clone(), publishing.clone()));
        Self { settings, publishing, looking, publisher, consuming: Arc::default() }
    }

    /// Opens the publishing connection and declares every queue: a check of settings and rights.
    pub async fn check(&self) -> Result<(), QueueError> {
        self.publisher.channel().await.map(drop)
    }

    /// For tickets on their way out.
    pub fn publisher(&self) -> Arc<Publisher> {
        self.publisher.clone()
    }

    /// Tickets for jobs of one kind, at most `slots` at once. After `draining` no new ones come; the consumer, or what it
    /// delivered, has to live on until everything is settled.
    pub fn tickets(&self, kind: JobKind, slots: NonZeroU16, draining: CancellationToken) -> Consumer<Ticket> {
        self.consumer(&queue_of(kind), slots, draining)
    }

    /// Requests for backups from other programs.
    pub fn requests(&self, slots: NonZeroU16, draining: CancellationToken) -> Consumer<BackupRequest> {
        self.consumer(REQUESTS, slots, draining)
    }

    fn consumer<M: Message>(
        &self,
        queue: &str,
        slots: NonZeroU16,
        draining: CancellationToken,
    ) -> Consumer<M> {
        let link = Arc::new(Link::new(self.settings.clone(), &format!("consuming {queue}")));
        let mut consuming = self.consuming();
        consuming.retain(|link| link.strong_count() > 0);
        consuming.push(Arc::downgrade(&link));
        Consumer::new(self.settings.clone(), link, self.publisher.clone(), queue, slots, draining)
    }

    /// For operators.
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(self.settings.clone(), self.looking.clone(), self.publisher.clone())
    }

    /// How the connections stand right now.
    pub fn links(&self) -> Links {
        let states = self.consuming().iter().filter_map(Weak::upgrade).map(|link| link.state()).max();
        Links { publishing: self.publishing.state(), consuming: states.unwrap_or(LinkState::Closed) }
    }

    fn consuming(&self) -> MutexGuard<'_, Vec<Weak<Link>>> {
        self.consuming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All queues, the dead letters' last. A missing queue holds nothing; the publish after the next one makes it again.
    pub async fn depths(&self) -> Result<Vec<Depth>, QueueError> {
        let mut channel = self.looking.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let mut depths = Vec::new();
        for queue in work_queues().chain([DEAD.to_owned()]) {
            let name = queue.as_str().into();
            let declare = channel.queue_declare(name, passive, FieldTable::default());
            let (ready, consumers) = match in_time(self.settings.connect_timeout, declare).await {
                Ok(found) => (found.message_count(), found.consumer_count()),
                // That closed the channel.
                Err(error) if error.is_not_found() => {
                    channel = self.looking.channel().await?;
                    (0, 0)
                }
                Err(error) => return Err(error),
            };
            depths.push(Depth { queue, ready, consumers });
        }
        Ok(depths)
    }
}
