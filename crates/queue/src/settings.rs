use std::fmt;
use std::time::Duration;

use lapin::uri::AMQPUri;
use model::forms::{MOST_SECONDS, seconds};
use model::settings;

use crate::QueueError;

settings! {
    /// How to reach the broker, and every bound of this crate. The usual values are for a broker near by.
    #[derive(Clone)]
    pub struct Settings {
        pub(crate) uri: AMQPUri = AMQPUri::default();
        /// What the broker's own tools show, with the connection's purpose behind it (` publishing`, ` consuming malle.nightly`):
        /// role and host for instance.
        pub name: String = String::new();
        /// Certificates in PEM that are trusted beside the system's; for `amqps://`.
        pub authorities: Option<String> = None;
        /// Messages that may wait for their confirm at once, over all callers.
        pub window: usize = 1000;
        /// How long one confirm may take.
        pub confirm_timeout: Duration = Duration::from_secs(10);
        /// How long opening a connection or a channel may take.
        pub connect_timeout: Duration = Duration::from_secs(10);
        /// Both sides speak at least every half of it; a connection silent for twice as long is lost.
        pub heartbeat: Duration = Duration::from_secs(10);
        /// Wait before the second attempt to open a consumer; doubled with each further one.
        pub first_wait: Duration = Duration::from_millis(100);
        /// The longest such wait. A consumer that was open for longer starts counting again.
        pub longest_wait: Duration = Duration::from_secs(10);
        /// A consumer that got nothing for so long, and has nothing out, is opened again: its queue may have been deleted.
        pub renew_idle: Duration = Duration::from_secs(60), "rabbitmq.renew_idle_seconds": seconds(1..=MOST_SECONDS);
        /// Failed attempts in a row after which a consumer gives up and the role ends: about four minutes.
        pub attempts: u32 = 30;
    }
}

impl Settings {
    /// The usual settings for the broker at `uri`, which is `amqp[s]://user:password@host[:port]/vhost`.
    pub fn new(uri: &str, name: &str) -> Result<Self, QueueError> {
        Self::default().reaching(uri, name)
    }

    /// These settings for the broker at `uri`.
    pub fn reaching(self, uri: &str, name: &str) -> Result<Self, QueueError> {
        let uri = uri.parse().map_err(|_| QueueError::InvalidUri)?;
        Ok(Self { uri, name: name.to_owned(), ..self })
    }
}

impl fmt::Debug for Settings {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { authority, vhost, .. } = &self.uri;
        let broker = format!("{}:{}/{vhost}", authority.host, authority.port);
        f.debug_struct("Settings").field("broker", &broker).field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_debug_nor_an_error_shows_the_password() {
        let settings =
            Settings::new("amqp://malle:geheim@rabbit.example.org/fleet", "worker").expect("valid");
        let shown = format!("{settings:?}");
        assert!(shown.contains("rabbit.example.org:5672/fleet") && !shown.contains("geheim"), "{shown}");
        let error = Settings::new("amqp://malle:geheim@[/", "worker").expect_err("no URI");
        assert!(!format!("{error} {error:?}").contains("geheim"));
    }
}
