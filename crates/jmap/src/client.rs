//! The client: one server, one set of credentials.

use std::sync::{Arc, PoisonError, RwLock};

use crate::error::Error;
use crate::http::config::Config;
use crate::http::counters::Counters;
use crate::http::discovery::{Found, check_url, discover, fetch};
use crate::http::template::Warning;
use crate::http::transport::{Body, Outgoing, Repeat, Transport};
use crate::methods::answer::{Answer, parse_response};
use crate::methods::batch::Batch;
use crate::session::Session;
use futures::future::BoxFuture;

/// A connection to one server as one user. Clones are cheap and share connections, limits and counters.
///
/// Every future and stream may be dropped at any point: the request is abandoned, its place in the concurrency bound is
/// given back, nothing is left behind.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    config: Config,
    pub(crate) transport: Transport,
    found: RwLock<Arc<Found>>,
}

impl Client {
    /// Finds the server's session: at the URL itself when it ends in `/session` or `/.well-known/jmap`, else under it at
    /// `/.well-known/jmap`, then `/jmap/session`, then the URL itself.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], [`Error::ForeignRedirect`], [`Error::NoSession`], [`Error::InvalidUrl`], and whatever keeps a
    /// request from succeeding.
    pub fn connect(config: Config) -> BoxFuture<'static, Result<Self, Error>> {
        Box::pin(async move {
            check_url(&config.url)?;
            let transport = Transport::new(&config)?;
            let found = discover(&transport, &config).await?;
            adopt_limits(&transport, &config, &found);
            let shared = Shared { config, transport, found: RwLock::new(Arc::new(found)) };
            Ok(Self { shared: Arc::new(shared) })
        })
    }

    pub(crate) fn found(&self) -> Arc<Found> {
        Arc::clone(&self.shared.found.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The session as last read.
    #[must_use]
    pub fn session(&self) -> Arc<Session> {
        Arc::clone(&self.found().session)
    }

    /// Reads the session again; worth it when [`Answer::session_state`] differs from [`Session::state`].
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn refresh_session(&self) -> Result<Arc<Session>, Error> {
        let Shared { transport, config, .. } = &*self.shared;
        let found = fetch(transport, &self.found().session_url, config.limits.session).await?;
        adopt_limits(transport, config, &found);
        let session = Arc::clone(&found.session);
        *self.shared.found.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
        Ok(session)
    }

    /// What an operator should know about this server's set-up.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.found().warnings.clone()
    }

    /// What was sent and received so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.transport.tally.snapshot()
    }

    /// How many requests may be in flight just now: the configured bound or the session's, less after refusals.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.shared.transport.gate.bound()
    }

    /// Sends a batch and splits the answer; parse the results with [`Answer::take`]. Sent again on transient failures of the
    /// whole request, so it holds reads only; a failed method call is the caller's to repeat.
    ///
    /// # Errors
    /// [`Error::OverLimit`] before anything is sent, else whatever keeps a request from succeeding.
    pub async fn call(&self, batch: &Batch) -> Result<Answer, Error> {
        self.ask(batch, Repeat::Always).await
    }

    /// As [`Client::call`], for batches that write: sent again only after failures that certainly did nothing
    /// ([`Error::did_nothing`]). After any other failure the caller has to find out what was done.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn change(&self, batch: &Batch) -> Result<Answer, Error> {
        self.ask(batch, Repeat::IfNothingWasDone).await
    }

    fn ask<'a>(&'a self, batch: &'a Batch, repeat: Repeat) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(async move {
            let found = self.found();
            let limits = &found.session.limits;
            let body = batch.body();
            within("maxCallsInRequest", limits.max_calls_in_request as u64, batch.len() as u64)?;
            within("maxObjectsInGet", limits.max_objects_in_get as u64, batch.most_objects() as u64)?;
            within("maxObjectsInSet", limits.max_objects_in_set as u64, batch.most_written() as u64)?;
            within("maxSizeRequest", limits.max_size_request, body.len() as u64)?;
            let most = self.shared.config.limits.answer;
            let limit = batch.answer_limit().map_or(most, |limit| limit.min(most));
            let body = Body::Json(body, repeat);
            let request = Outgoing { url: found.api.clone(), body, accept: "application/json" };
            let answer = self.shared.transport.fetch(&request, limit).await?;
            parse_response(&answer, batch, limits.max_objects_in_get)
        })
    }
}

fn adopt_limits(transport: &Transport, config: &Config, found: &Found) {
    transport.gate.set_most(config.concurrency.min(found.session.limits.max_concurrent_requests));
}

fn within(limit: &'static str, allowed: u64, asked: u64) -> Result<(), Error> {
    if asked > allowed { Err(Error::OverLimit { limit, allowed, asked }) } else { Ok(()) }
}
