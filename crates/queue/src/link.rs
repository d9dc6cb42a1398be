use std::sync::Arc;
use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::{Channel, Connection, ConnectionProperties, DefaultConnectionBuilder};
use tokio::time::timeout;

use crate::renewed::Renewed;
use crate::{QueueError, Settings};

/// lapin keeps room for 32 frames in each direction: with the broker's 128 KiB each connection takes 8 MiB. What is longer comes in
/// several frames; only headers have to fit into one. RabbitMQ asks for 8 KiB at least.
const LONGEST_FRAME: u32 = 16 * 1024;

/// How a connection of ours stands, the better the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    /// Not opened yet, or lost; it is opened when it is needed.
    Closed,
    /// In use, but the broker takes no messages from it (memory or disk alarm).
    Blocked,
    /// In use.
    Open,
}

/// One connection, opened when it is needed and again after it was lost.
///
/// lapin's own recovery stays off: it replays what was declared without telling, and ends for good after a number of attempts.
#[derive(Debug)]
pub(crate) struct Link {
    settings: Settings,
    purpose: String,
    connection: Renewed<Arc<Connection>>,
}

impl Link {
    pub(crate) fn new(settings: Settings, purpose: &str) -> Self {
        Self { settings, purpose: purpose.to_owned(), connection: Renewed::new() }
    }

    /// A fresh channel.
    pub(crate) async fn channel(&self) -> Result<Channel, QueueError> {
        // Boxed: connecting is large, rare, and part of everything.
        let open = Box::pin(self.open());
        let connection = self.connection.get(|connection| connection.status().connected(), open).await?;
        in_time(self.settings.connect_timeout, connection.create_channel()).await
    }

    pub(crate) fn state(&self) -> LinkState {
        match self.connection.peek().map(|connection| connection.status().clone()) {
            Some(status) if status.connected() && status.blocked() => LinkState::Blocked,
            Some(status) if status.connected() => LinkState::Open,
            _ => LinkState::Closed,
        }
    }

    async fn open(&self) -> Result<Arc<Connection>, QueueError> {
        let Settings { uri, name, authorities, connect_timeout, heartbeat, .. } = &self.settings;
        let mut uri = uri.clone();
        uri.query.heartbeat = Some(u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX).max(1));
        uri.query.frame_max = Some(LONGEST_FRAME);
        uri.query.connection_timeout = Some(u64::try_from(connect_timeout.as_millis()).unwrap_or(u64::MAX));
        let name = format!("{name} {}", self.purpose);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: authorities.clone() };
        let builder =
            DefaultConnectionBuilder::new()?.with_uri(uri).with_properties(properties).with_tls_config(tls);
        in_time(*connect_timeout, builder.connect()).await.map(Arc::new)
    }
}

/// Every call that waits for the broker ends.
pub(crate) async fn in_time<T>(
    limit: Duration,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, QueueError> {
    match timeout(limit, call).await {
        Ok(result) => result.map_err(QueueError::from),
        Err(_) => Err(QueueError::TimedOut { after: limit }),
    }
}
