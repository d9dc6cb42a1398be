//! Faults of a whole answer, from its status line to its last byte.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use http::header::{CONTENT_LENGTH, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use crate::connection::{End, Scissors};
use crate::effect::Effect;
use crate::error::Problem;
use crate::faults;
use crate::routes::problem;

/// What happens before a request is served; an answer if it is not served at all.
pub(crate) async fn before(effects: &[Arc<Effect>], scissors: &Scissors) -> Option<Response> {
    faults::run(effects);
    for effect in effects {
        match &**effect {
            Effect::Delay(delay) => tokio::time::sleep(*delay).await,
            Effect::Reset { after } => scissors.cut_after(*after, End::Reset),
            Effect::ResetUnserved => {
                scissors.cut_after(0, End::Reset);
                return Some(Response::new(Body::empty()));
            }
            Effect::Truncate { after } => scissors.cut_after(*after, End::Close),
            Effect::Status { code, retry_after } => return Some(status(*code, *retry_after)),
            Effect::Redirect(url) => return Some(redirect(url)),
            _ => {}
        }
    }
    None
}

fn status(code: u16, retry_after: Option<u64>) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = problem(&Problem::plain(code, "a fault that was asked for"));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// 307 to a path or URL.
pub(crate) fn redirect(url: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(url) = HeaderValue::from_str(url) {
        response.headers_mut().insert(LOCATION, url);
    }
    response
}

/// Changes an answer's body and length as the effects want it.
pub(crate) async fn after(effects: &[Arc<Effect>], mut response: Response) -> Response {
    for effect in effects {
        response = match &**effect {
            Effect::Drip { bytes, pause } => {
                let (bytes, pause) = (*bytes, *pause);
                with_length(response, |body| drip(body, bytes, pause))
            }
            Effect::NeverEnding { pause } => never_ending(response, *pause),
            Effect::ContentLength { add } => wrong_length(response, *add).await,
            Effect::InvalidJson => halved(response).await,
            Effect::Huge { bytes } => padded(response, *bytes),
            _ => response,
        };
    }
    response
}

type Chunk = Result<Bytes, io::Error>;

fn chunks(body: Body) -> impl Stream<Item = Chunk> + Send + 'static {
    body.into_data_stream().map(|chunk| chunk.map_err(io::Error::other))
}

/// Replaces the body and keeps the length that the head states.
fn with_length<S>(response: Response, change: impl FnOnce(Body) -> S) -> Response
where
    S: Stream<Item = Chunk> + Send + 'static,
{
    let (mut parts, body) = response.into_parts();
    let length = axum::body::HttpBody::size_hint(&body).exact();
    if let Some(length) = length {
        parts.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    Response::from_parts(parts, Body::from_stream(change(body)))
}

/// The same bytes in pieces, a pause before each.
pub(crate) fn drip(body: Body, piece: usize, pause: Duration) -> impl Stream<Item = Chunk> + Send + 'static {
    let pieces = chunks(body).flat_map(move |chunk| match chunk {
        Ok(bytes) => {
            let count = bytes.len().div_ceil(piece.max(1));
            stream::iter((0..count).map(move |at| {
                let from = at * piece.max(1);
                Ok(bytes.slice(from..bytes.len().min(from + piece.max(1))))
            }))
            .left_stream()
        }
        Err(error) => stream::once(async { Err(error) }).right_stream(),
    });
    pieces.then(move |piece| async move {
        tokio::time::sleep(pause).await;
        piece
    })
}

fn blanks(bytes: u64) -> impl Stream<Item = Chunk> + Send + 'static {
    const PIECE: usize = 16 << 10;
    static BLANKS: [u8; PIECE] = [b' '; PIECE];
    let whole = bytes / PIECE as u64;
    let rest = usize::try_from(bytes % PIECE as u64).unwrap_or(0);
    let pieces = (0..whole).map(|_| &BLANKS[..]).chain([&BLANKS[..rest]]);
    stream::iter(pieces.map(|piece| Ok(Bytes::from_static(piece))))
}

fn never_ending(response: Response, pause: Duration) -> Response {
    static BLANKS: [u8; 1024] = [b' '; 1024];
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let endless = stream::repeat(()).then(move |()| async move {
        tokio::time::sleep(pause).await;
        Ok(Bytes::from_static(&BLANKS))
    });
    Response::from_parts(parts, Body::from_stream(chunks(body).chain(endless)))
}

fn padded(response: Response, bytes: u64) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from_stream(blanks(bytes).chain(chunks(body))))
}

async fn wrong_length(response: Response, add: i64) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let claimed = (bytes.len() as u64).saturating_add_signed(add);
    let sent = bytes.slice(..bytes.len().min(usize::try_from(claimed).unwrap_or(usize::MAX)));
    parts.headers.insert(CONTENT_LENGTH, claimed.into());
    // hyper throws away what it has not flushed when a body ends early: give it the time.
    let flushed = stream::once(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(Bytes::new())
    });
    let sent = stream::iter([Ok::<_, io::Error>(sent)]);
    Response::from_parts(parts, Body::from_stream(sent.chain(flushed)))
}

async fn halved(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(bytes.slice(..bytes.len() / 2)))
}
