use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::problem::Problem;
use super::server::Shared;
use crate::settings::ApiToken;

/// From the first byte of a request's body to the answer.
const LIMIT: Duration = Duration::from_secs(60);

/// Hashes of tokens: BLAKE3's `Hash` compares in constant time, and a hash tells nothing about how much of a token was right.
pub(super) struct Tokens(Vec<(String, blake3::Hash)>);

/// Whose token it was, as the audit log writes it.
#[derive(Debug, Clone)]
pub(super) struct Actor(pub(super) String);

impl Tokens {
    pub(super) fn new(tokens: &[ApiToken]) -> Tokens {
        let hashed =
            |ApiToken { name, secret }: &ApiToken| (name.clone(), blake3::hash(secret.expose().as_bytes()));
        Tokens(tokens.iter().map(hashed).collect())
    }

    /// Every token is compared, whichever it is.
    fn actor(&self, headers: &HeaderMap) -> Option<Actor> {
        let sent = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, token) = (sent.get(..7)?, &sent[7..]);
        let hash = blake3::hash(token);
        let found = self.0.iter().fold(None, |found, (name, known)| {
            // Not `or_else`: no short cut.
            if *known == hash { Some(name) } else { found }
        });
        found.filter(|_| scheme.eq_ignore_ascii_case(b"Bearer ")).map(|name| Actor(format!("api:{name}")))
    }
}

/// Lets in who has a token, in the trace that came with the request, and no longer than the limit.
pub(super) async fn authorize(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let Some(actor) = shared.tokens.actor(request.headers()) else {
        let detail = "a bearer token of this API is needed in the header Authorization";
        return Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response();
    };
    // The route, not the path, which may hold anything.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let span = tracing::info_span!("api", method = %request.method(), route, actor = actor.0);
    if let Some(parent) = request.headers().get("traceparent").and_then(|parent| parent.to_str().ok()) {
        telemetry::continue_trace(&span, parent);
    }
    request.extensions_mut().insert(actor);
    let answer = async {
        let answer = tokio::time::timeout(LIMIT, next.run(request)).await;
        let answer = answer.unwrap_or_else(|_| {
            let detail = "the request took too long; ask again with the same key";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).into_response()
        });
        tracing::info!(status = answer.status().as_u16(), "answered");
        answer
    };
    answer.instrument(span).await
}
