//! Paths, credentials, limits: from an HTTP request to what serves it.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;

use crate::api::{self, Request};
use crate::connection::Scissors;
use crate::counters::Serving;
use crate::error::Problem;
use crate::limits::Advice;
use crate::server::{Login, Place, Role, Server, Settings};
use crate::{control, dav, download, session, upload, wire};

/// A request whose sender is known.
struct Visitor {
    login: Login,
    settings: Settings,
    serving: Serving,
}

/// Serves every path.
pub(crate) async fn handle(
    State(server): State<Arc<Server>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: axum::extract::Request,
) -> Response {
    let serving = server.meters.request(request.uri().path());
    let response = match answer(&server, &scissors, request, serving).await {
        Ok(response) => response,
        Err(refusal) => problem(&refusal),
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        server.meters.refused();
    }
    response
}

async fn answer(
    server: &Server,
    scissors: &Scissors,
    request: axum::extract::Request,
    serving: Serving,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let settings = server.settings();
    if settings.control && parts.uri.path().starts_with("/sim/") {
        return Ok(control::serve(server, &parts));
    }
    if let Some(target) = well_known(&settings, parts.uri.path()) {
        let effects = server.faults.for_request(parts.uri.path(), &[]);
        let struck = wire::before(&effects, scissors).await;
        return Ok(struck.unwrap_or_else(|| wire::redirect(target)));
    }
    // Even a request that is refused can be struck by a fault, so the refusal waits.
    let login = authorized(server, &settings, &parts.headers);
    let places = places(server, &settings, login.as_ref().ok(), &parts)?;
    let body = read(server, &settings, login.as_ref().ok(), (&parts, body)).await?;
    let is_api = parts.method == Method::POST && matches!(parts.uri.path(), "/jmap" | "/jmap/");
    let parsed = is_api.then(|| Request::parse(&body, settings.version));
    let methods: Vec<String> = match &parsed {
        Some(Ok(request)) => request.calls.iter().map(|(name, _, _)| name.clone()).collect(),
        _ => {
            let dialect = dav::dialect_at(&settings, parts.uri.path());
            dialect.map(|dialect| dav::call(dialect, &parts, &body)).into_iter().collect()
        }
    };
    let effects = server.faults.for_request(parts.uri.path(), &methods);
    if let Some(response) = wire::before(&effects, scissors).await {
        return Ok(response);
    }
    if !settings.latency.is_zero() {
        tokio::time::sleep(settings.latency).await;
    }
    let visitor = Visitor { login: login?, settings, serving };
    let response = visitor.serve(server, &parts, parsed, body)?;
    drop(places);
    Ok(wire::after(&effects, response).await)
}

/// Where a well-known path leads.
fn well_known(settings: &Settings, path: &str) -> Option<&'static str> {
    match path {
        "/.well-known/jmap" => Some("/jmap/session"),
        path => dav::well_known(settings, path),
    }
}

fn is_upload(parts: &Parts) -> bool {
    parts.uri.path().starts_with("/jmap/upload/")
}

/// The places that a request takes among the concurrent ones of its sender: uploads count as requests too.
fn places(
    server: &Server,
    settings: &Settings,
    login: Option<&Login>,
    parts: &Parts,
) -> Result<Vec<Place>, Problem> {
    let Some(Login { user, .. }) = login else { return Ok(Vec::new()) };
    let limits = &settings.limits;
    let take = |name: &str, most, limit| server.place(name, most).ok_or_else(|| Problem::limit(limit));
    let mut places = vec![take(user, limits.max_concurrent_requests, "maxConcurrentRequests")?];
    if is_upload(parts) {
        let name = format!("{user} uploads");
        places.push(take(&name, limits.max_concurrent_uploads, "maxConcurrentUpload")?);
    }
    Ok(places)
}

/// The body, at the pace that a fault wants and up to the size that its path allows; an administrator's uploads
/// have any.
async fn read(
    server: &Server,
    settings: &Settings,
    login: Option<&Login>,
    (parts, body): (&Parts, Body),
) -> Result<Bytes, Problem> {
    let boundless = login.is_some_and(|login| login.role == Role::Administrator);
    let (most, limit) = match (is_upload(parts), boundless) {
        (true, true) => (usize::MAX, "maxSizeUpload"),
        (true, false) => (settings.limits.max_size_upload, "maxSizeUpload"),
        (false, _) => (settings.limits.max_size_request, "maxSizeRequest"),
    };
    let body = match server.faults.pace(parts.uri.path()) {
        Some((bytes, pause)) => Body::from_stream(wire::drip(body, bytes, pause)),
        None => body,
    };
    to_bytes(body, most).await.map_err(|_| Problem::limit(limit))
}

/// Credentials and rate; 401 and 429 are the answers otherwise.
fn authorized(server: &Server, settings: &Settings, headers: &HeaderMap) -> Result<Login, Problem> {
    let credentials = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let login = credentials
        .and_then(|credentials| server.login(credentials))
        .ok_or_else(|| Problem::plain(StatusCode::UNAUTHORIZED, "You have to authenticate first."))
        .inspect_err(|_| server.meters.unauthorized())?;
    if let Some(limit) = settings.limits.rate.filter(|_| login.role != Role::Administrator) {
        server.rate.admit(&login.user, limit).map_err(|seconds| too_many(limit.advice, seconds))?;
    }
    Ok(login)
}

fn too_many(advice: Advice, seconds: u64) -> Problem {
    let detail = "Your request has been rate limited. Please try again in a few seconds.";
    let problem = Problem::plain(StatusCode::TOO_MANY_REQUESTS, detail);
    match advice {
        Advice::Silent => problem,
        Advice::RetryAfter => problem.retry_after(seconds),
    }
}

impl Visitor {
    fn serve(
        self,
        server: &Server,
        parts: &Parts,
        parsed: Option<Result<Request, Problem>>,
        body: Bytes,
    ) -> Result<Response, Problem> {
        let path = parts.uri.path();
        if let Some(request) = parsed {
            let body = api::serve(server, &self.settings, &self.login, request?)?;
            return Ok(json_bytes(StatusCode::OK, "application/json; charset=utf-8", Bytes::from(body)));
        }
        match path {
            "/jmap/session" if parts.method == Method::GET => {
                let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
                Ok(json(&session::object(server, &self.settings, &self.login, host)))
            }
            _ if path.starts_with("/jmap/download/") && parts.method == Method::GET => {
                download::serve(server, &self.login, &parts.uri, self.serving)
            }
            _ if let Some(dialect) = dav::dialect_at(&self.settings, path) => {
                Ok(dav::serve((server, &self.settings), dialect, &self.login, (parts, &body)))
            }
            _ if is_upload(parts) && parts.method == Method::POST => {
                upload::serve(server, &self.settings, &self.login, (&parts.uri, &parts.headers), body)
            }
            _ => Err(Problem::plain(
                StatusCode::NOT_FOUND,
                "The requested resource does not exist on this server.",
            )),
        }
    }
}

fn json_bytes(status: StatusCode, media: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// 200 with a JSON document.
pub(crate) fn json(value: &Value) -> Response {
    json_bytes(StatusCode::OK, "application/json; charset=utf-8", Bytes::from(value.to_string()))
}

/// A problem document (RFC 7807) with the headers that go with its status.
pub(crate) fn problem(problem: &Problem) -> Response {
    let body = Bytes::from(problem.json().to_string());
    let mut response = json_bytes(problem.status, "application/problem+json", body);
    let headers = response.headers_mut();
    if let Some(seconds) = problem.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if problem.status == StatusCode::UNAUTHORIZED {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"Stalwart Server\""));
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Stalwart Server\""));
    }
    response
}
