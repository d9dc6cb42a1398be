//! HTTP with one server: credentials, redirects within the origin, bounds, time-outs, retries.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Method, Response, redirect};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::class::Class;
use crate::error::{Error, Wait};
use crate::http::broken::broken;
use crate::http::config::{Config, RetryPolicy, Timeouts, Waiting};
use crate::http::counters::Tally;
use crate::http::gate::{Gate, Pass};
use crate::http::problem::Problem;
use crate::http::renewal::Authorization;
use crate::http::retry::{random, retry_after, wait_before_retry};
use crate::http::template::origin;
use crate::http::throttle::{Metered, Throttle, Underway};
use crate::http::upload::Upload;

/// Redirects followed for one request.
const MOST_REDIRECTS: usize = 5;

/// Bytes of an error answer that are read for its problem details.
const PROBLEM_LIMIT: u64 = 64 << 10;

/// A request: a `GET`, with a body a `POST`, or one of WebDAV's.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) url: Url,
    pub(crate) body: Body,
    pub(crate) accept: &'static str,
}

/// What a request carries.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    None,
    Json(Bytes, Repeat),
    Upload(Upload),
    Dav(Dav),
}

/// A request about the resources in a place (RFC 4918), or with a resource's bytes.
#[derive(Debug, Clone)]
pub(crate) struct Dav {
    pub(crate) method: Method,
    pub(crate) media_type: &'static str,
    /// What is replaced: a version, or nothing.
    pub(crate) condition: Option<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    pub(crate) repeat: Repeat,
}

/// Whether a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    Always,
    IfNothingWasDone,
}

impl Body {
    /// Whether the failure allows to send it again.
    fn may_repeat_after(&self, error: &Error) -> bool {
        match self {
            Self::None | Self::Json(_, Repeat::Always) => true,
            Self::Dav(Dav { repeat: Repeat::Always, .. }) => true,
            Self::Json(_, Repeat::IfNothingWasDone) | Self::Dav(_) => error.did_nothing(),
            Self::Upload(upload) => !upload.is_damaged(),
        }
    }

    /// What the sender of this body waits for.
    fn awaited(&self) -> &'static str {
        match self {
            Self::None => "a session or a download",
            Self::Json(..) | Self::Dav(_) => "an answer",
            Self::Upload(_) => "the end of an upload",
        }
    }

    /// How much longer than others it may take.
    fn patience(&self) -> Duration {
        match self {
            Self::Upload(upload) => upload.patience(),
            Self::None | Self::Json(..) | Self::Dav(_) => Duration::ZERO,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    origin: url::Origin,
    authorization: Authorization,
    timeouts: Timeouts,
    retry: RetryPolicy,
    cancel: CancellationToken,
    throttle: Option<Arc<dyn Throttle>>,
    waiting: Option<Waiting>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) tally: Tally,
}

/// A successful answer's body, read piece by piece.
pub(crate) struct Incoming {
    response: Response,
    started: Instant,
    received: u64,
    /// Kept while the body is read; absent when the caller holds it.
    _pass: Option<(Pass, Underway)>,
}

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let authorities = reqwest::Certificate::from_pem_bundle(&config.authorities).map_err(Error::Setup)?;
        let http = reqwest::Client::builder()
            .tls_certs_merge(authorities)
            .user_agent(config.user_agent.as_str())
            .redirect(redirect::Policy::none())
            .connect_timeout(config.timeouts.connect)
            .http2_adaptive_window(true)
            .build()
            .map_err(Error::Setup)?;
        Ok(Self {
            http,
            origin: config.url.origin(),
            authorization: Authorization::new(
                &config.credentials,
                config.renewal.clone(),
                config.refused.clone(),
            )?,
            timeouts: config.timeouts,
            retry: config.retry,
            cancel: config.cancel.clone(),
            throttle: config.throttle.clone(),
            waiting: config.waiting.clone(),
            gate: Gate::new(config.concurrency),
            tally: Tally::default(),
        })
    }

    /// The whole body of a successful answer, at most `limit` bytes of it.
    pub(crate) fn fetch<'a>(
        &'a self,
        request: &'a Outgoing,
        limit: u64,
    ) -> BoxFuture<'a, Result<Bytes, Error>> {
        Box::pin(async move {
            let patience = self.timeouts.request.saturating_add(request.body.patience());
            self.retrying(&request.body, || async {
                let _pass = self.gate.pass().await;
                let turn = Metered::acquire(self.throttle.as_ref()).await;
                let work = async {
                    let incoming = Incoming::new(self.send(request).await?, None);
                    self.read_whole(incoming, limit).await
                };
                let work = Box::pin(within(patience, Wait::Request, work));
                let answer = self.telling(&request.body, work).await;
                turn.end(&answer);
                answer
            })
            .await
        })
    }

    /// A successful answer whose body is still to come.
    pub(crate) fn open<'a>(&'a self, request: &'a Outgoing) -> BoxFuture<'a, Result<Incoming, Error>> {
        Box::pin(async move {
            self.retrying(&request.body, || async {
                let pass = self.gate.pass().await;
                let turn = Metered::acquire(self.throttle.as_ref()).await;
                let sending = Box::pin(within(self.timeouts.request, Wait::Request, self.send(request)));
                match self.telling(&request.body, sending).await {
                    Ok(response) => Ok(Incoming::new(response, Some((pass, turn.begun())))),
                    failed => {
                        turn.end(&failed);
                        failed.map(|response| Incoming::new(response, None))
                    }
                }
            })
            .await
        })
    }

    /// The next piece of a body, never empty; `None` at its end.
    pub(crate) fn next<'a>(
        &'a self,
        incoming: &'a mut Incoming,
    ) -> BoxFuture<'a, Result<Option<Bytes>, Error>> {
        Box::pin(async move {
            let next = self.cancel.run_until_cancelled(self.next_uncancelled(incoming)).await;
            next.unwrap_or(Err(Error::Cancelled))
        })
    }

    async fn next_uncancelled(&self, incoming: &mut Incoming) -> Result<Option<Bytes>, Error> {
        loop {
            let chunk = async { incoming.response.chunk().await.map_err(broken) };
            let Some(chunk) = within(self.timeouts.stall, Wait::Stall, chunk).await? else {
                return Ok(None);
            };
            Tally::add(&self.tally.bytes_received, chunk.len());
            incoming.received += chunk.len() as u64;
            let due = incoming.received / u64::from(self.timeouts.slowest_rate.max(1));
            let after = self.timeouts.stall + Duration::from_secs(due);
            if incoming.started.elapsed() > after {
                return Err(Error::TimedOut { wait: Wait::Stall, after });
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }

    async fn read_whole(&self, mut incoming: Incoming, limit: u64) -> Result<Bytes, Error> {
        let announced = incoming.announced().unwrap_or(0);
        if announced > limit {
            return Err(Error::AnswerTooLarge { limit });
        }
        // Reserving an honest length saves copies; a lying one costs address space, not memory, and at most `limit`.
        let mut body = BytesMut::with_capacity(usize::try_from(announced).unwrap_or(0));
        while let Some(chunk) = self.next_uncancelled(&mut incoming).await? {
            if incoming.received > limit {
                return Err(Error::AnswerTooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Tries until it goes well, the policy gives up, or the token is cancelled.
    async fn retrying<T, F>(&self, body: &Body, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let started = Instant::now();
        for number in 1.. {
            let result = self.cancel.run_until_cancelled(attempt()).await;
            let error = match result.unwrap_or(Err(Error::Cancelled)) {
                Ok(value) => {
                    self.gate.succeeded();
                    return Ok(value);
                }
                Err(error) => error,
            };
            self.heed(&error);
            if !body.may_repeat_after(&error) {
                return Err(error);
            }
            let wait = wait_before_retry(&self.retry, &error, number, started.elapsed(), random());
            let Some(wait) = wait else { return Err(error) };
            let hangs =
                matches!(error, Error::TimedOut { .. } | Error::Unreachable(_) | Error::Interrupted(_));
            if let Some(waiting) = self.waiting.as_ref().filter(|_| hangs) {
                waiting.tell_after(body.awaited(), started.elapsed());
            }
            let slept = self.cancel.run_until_cancelled(tokio::time::sleep(wait)).await;
            slept.ok_or(Error::Cancelled)?;
            self.tally.retries.fetch_add(1, Relaxed);
        }
        unreachable!("the policy bounds the attempts")
    }

    /// The same work; somebody is told if it takes long.
    async fn telling<T>(&self, body: &Body, mut work: Pin<Box<impl Future<Output = T>>>) -> T {
        let Some(waiting) = &self.waiting else { return work.await };
        let after = waiting.after.saturating_add(body.patience());
        if let Ok(done) = tokio::time::timeout(after, &mut work).await {
            return done;
        }
        waiting.tell_after(body.awaited(), after);
        work.await
    }

    /// Lowers the pace when the server asks for it, or is too slow to ask.
    fn heed(&self, error: &Error) {
        if error.is_throttle() {
            self.tally.throttled.fetch_add(1, Relaxed);
            let asked = match error.class() {
                Class::Transient { retry_after } => retry_after,
                _ => None,
            };
            self.gate.refused(asked.filter(|asked| *asked <= self.retry.longest_retry_after));
        } else if matches!(error, Error::TimedOut { .. }) {
            self.gate.refused(None);
        }
    }

    /// Sends a request; a second time if its credentials are refused and there are newer ones.
    async fn send(&self, request: &Outgoing) -> Result<Response, Error> {
        let first = self.authorization.value();
        match self.send_unless_refused(request, &first).await {
            Err(Error::Unauthorized | Error::Withheld) if self.authorization.renew(&first).await => {
                self.send_unless_refused(request, &self.authorization.value()).await
            }
            answer => answer,
        }
    }

    async fn send_unless_refused(
        &self,
        request: &Outgoing,
        authorization: &HeaderValue,
    ) -> Result<Response, Error> {
        if self.authorization.is_refused(authorization) {
            return Err(Error::Withheld);
        }
        let answer = self.send_as(request, authorization).await;
        if let Err(Error::Unauthorized) = answer {
            self.authorization.refuse(authorization);
        }
        answer
    }

    /// Follows redirects within the origin, and turns every other status than success into an error.
    async fn send_as(&self, request: &Outgoing, authorization: &HeaderValue) -> Result<Response, Error> {
        let mut url = request.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.send_once(request, &url, authorization).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(self.refusal(response).await);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            url = location.and_then(|location| url.join(location).ok()).ok_or(Error::BadRedirect)?;
            if url.origin() != self.origin {
                return Err(Error::ForeignRedirect { to: origin(&url) });
            }
        }
        Err(Error::BadRedirect)
    }

    async fn send_once(
        &self,
        request: &Outgoing,
        url: &Url,
        authorization: &HeaderValue,
    ) -> Result<Response, Error> {
        debug_assert!(url.origin() == self.origin, "credentials stay with their origin");
        let builder = match &request.body {
            Body::None => self.http.get(url.clone()),
            Body::Json(body, _) => {
                Tally::add(&self.tally.bytes_sent, body.len());
                self.http.post(url.clone()).header(CONTENT_TYPE, "application/json").body(body.clone())
            }
            Body::Dav(dav) => {
                Tally::add(&self.tally.bytes_sent, dav.body.len());
                let builder = self.http.request(dav.method.clone(), url.clone()).body(dav.body.clone());
                let builder = builder.header(CONTENT_TYPE, dav.media_type);
                match &dav.condition {
                    Some((name, value)) => builder.header(name, value),
                    None => builder.header("depth", "1"),
                }
            }
            Body::Upload(upload) => {
                self.tally.bytes_sent.fetch_add(upload.length, Relaxed);
                let post = self.http.post(url.clone()).header(CONTENT_TYPE, upload.media_type);
                let body = reqwest::Body::wrap_stream(upload.bytes());
                post.header(CONTENT_LENGTH, upload.length).body(body)
            }
        };
        self.tally.requests.fetch_add(1, Relaxed);
        let builder = builder.header(ACCEPT, request.accept).header(AUTHORIZATION, authorization.clone());
        builder.send().await.map_err(broken)
    }

    /// The error that an unsuccessful answer means.
    async fn refusal(&self, response: Response) -> Error {
        let status = response.status().as_u16();
        if status == 401 {
            return Error::Unauthorized;
        }
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, SystemTime::now()));
        let body = self.read_whole(Incoming::new(response, None), PROBLEM_LIMIT).await;
        let problem = body.ok().and_then(|body| Problem::parse(&body));
        Error::Status { status, problem, retry_after }
    }
}

impl Incoming {
    fn new(response: Response, pass: Option<(Pass, Underway)>) -> Self {
        Self { response, started: Instant::now(), received: 0, _pass: pass }
    }

    /// `Content-Length`, if there is one.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Bytes handed out so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }
}

async fn within<T>(
    time: Duration,
    wait: Wait,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(time, work).await.unwrap_or(Err(Error::TimedOut { wait, after: time }))
}
