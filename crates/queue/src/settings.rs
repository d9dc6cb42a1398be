use std::fmt;
use std::time::Duration;

use lapin::uri::AMQPUri;

use crate::QueueError;

/// How to reach the broker, and every bound of this crate.
#[derive(Clone)]
pub struct Settings {
    pub(crate) uri: AMQPUri,
    /// What the broker's own tools show, with the connection's purpose behind it (` publishing`, ` consuming malle.nightly`):
    /// role and host for instance.
    pub name: String,
    /// Certificates in PEM that are trusted beside the system's; for `amqps://`.
    pub authorities: Option<String>,
    /// Messages that may wait for their confirm at once, over all callers.
    pub window: usize,
    /// How long one confirm may take.
    pub confirm_timeout: Duration,
    /// How long opening a connection or a channel may take.
    pub connect_timeout: Duration,
    /// Both sides speak at least every half of it; a connection silent for twice as long is lost.
    pub heartbeat: Duration,
    /// Wait before the second attempt to open a consumer; doubled with each further one.
    pub first_wait: Duration,
    /// The longest such wait. A consumer that was open for longer starts counting anew.
    pub longest_wait: Duration,
    /// A consumer that got nothing for so long, and has nothing out, is opened anew (README).
    pub renew_idle: Duration,
    /// Failed attempts in a row after which a consumer gives up and the role ends.
    pub attempts: u32,
}

impl Settings {
    /// With defaults for a broker near by: window 1,000, confirms within 10 s, heartbeat 10 s, about four minutes of attempts.
    /// `uri` is `amqp[s]://user:password@host[:port]/vhost`.
    pub fn new(uri: &str, name: &str) -> Result<Self, QueueError> {
        let uri = uri.parse().map_err(|_| QueueError::InvalidUri)?;
        Ok(Self {
            uri,
            name: name.to_owned(),
            authorities: None,
            window: 1000,
            confirm_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(10),
            renew_idle: Duration::from_secs(60),
            attempts: 30,
        })
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
