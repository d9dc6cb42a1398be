use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::{StatusCode, header, request};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Of everything but a list.
const USUAL: usize = 16 << 10;

/// From the end of the headers on.
const LONGEST_BODY: Duration = Duration::from_secs(20);

/// As in the queue's contract (`proto/ticket.proto`).
const LONGEST_KEY: usize = 200;

/// A JSON body of at most `LIMIT` bytes.
pub(super) struct Body<T, const LIMIT: usize = USUAL>(pub(super) T);

impl<S: Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for Body<T, LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("application/json")) {
            let detail = "the body has to be application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail));
        }
        let reading = tokio::time::timeout(LONGEST_BODY, to_bytes(request.into_body(), LIMIT));
        let read = reading.await.map_err(|_| {
            let detail = format!("the body did not come within {} s", LONGEST_BODY.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", detail)
        })?;
        let bytes = read.map_err(|_| {
            let detail = format!("the body is longer than {LIMIT} bytes, or ended early");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
        })?;
        serde_json::from_slice(&bytes).map(Body).map_err(|error| Problem::unusable(error.to_string()))
    }
}

/// The header `Idempotency-Key`: the same key is the same request.
pub(super) struct Key(pub(super) String);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let key = parts.headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
        if key.is_empty() || key.len() > LONGEST_KEY {
            let detail = format!("a header Idempotency-Key of 1 to {LONGEST_KEY} ASCII characters is needed");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "idempotency-key", detail));
        }
        Ok(Key(key.to_owned()))
    }
}

/// The number in the path.
pub(super) struct Id(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<u64>::from_request_parts(parts, state).await;
        // Numbers of the catalogue have 63 bits.
        match path {
            Ok(Path(id)) if i64::try_from(id).is_ok() => Ok(Id(id)),
            _ => Err(Problem::new(StatusCode::BAD_REQUEST, "number", "the path has no number")),
        }
    }
}
