//! The client against a server that misbehaves on purpose.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod accounts;
mod discovery;
mod downloads;
mod faults;
mod hostile;
mod renewal;
mod requests;
mod server;
mod throttle;
mod writes;

use std::time::Duration;

use jmap::{AccountId, Client, Config, Credentials, Error};
use server::{Seen, Server, Step, ok, session};

pub(crate) const PASSWORD: &str = "correct horse";

/// A configuration that fails fast.
pub(crate) fn config(url: &str) -> Config {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credentials = Credentials::basic("admin", PASSWORD.to_owned());
    let mut config = Config::new(url.parse().unwrap(), credentials);
    config.timeouts.connect = Duration::from_secs(5);
    config.timeouts.request = Duration::from_secs(30);
    config.timeouts.stall = Duration::from_secs(30);
    config.retry.attempts = 3;
    config.retry.first_wait = Duration::from_millis(1);
    config.limits.answer = 1 << 20;
    config
}

/// A server with a session at the first place looked at; the handler answers everything else.
pub(crate) async fn server(handler: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Server {
    Server::start(move |seen| match seen.line.as_str() {
        "get /.well-known/jmap" => ok(session("", 4)),
        _ => handler(seen),
    })
    .await
}

pub(crate) async fn connect(server: &Server) -> Client {
    Client::connect(config(&server.url)).await.unwrap()
}

pub(crate) fn account() -> AccountId {
    AccountId::new("adm").unwrap()
}

/// An error with its whole chain, as a log would show it.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
