//! Downloads by URL (RFC 8620 §6.2): a stream, whatever the size.

use std::io;

use axum::body::Body;
use axum::response::Response;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode, Uri};

use crate::counters::Serving;
use crate::error::Problem;
use crate::server::{Login, Server, lock};

fn not_found() -> Problem {
    Problem::plain(StatusCode::NOT_FOUND, "The requested resource does not exist on this server.")
}

pub(crate) fn serve(
    server: &Server,
    login: &Login,
    uri: &Uri,
    serving: Serving,
) -> Result<Response, Problem> {
    let mut steps = uri.path().trim_start_matches("/jmap/download/").split('/');
    let (account, blob) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
    let account = server.account(account, login).map_err(|_| not_found())?;
    let (content, mails) = {
        let account = lock(&account);
        (account.readable_blob(blob).ok_or_else(not_found)?, account.mails.clone())
    };
    let size = content.size(&mails);
    // The request counts as being served until its last piece is made.
    let pieces = content.pieces(&mails).map(move |piece| {
        let _ = &serving;
        Ok::<_, io::Error>(piece)
    });
    let mut response = Response::new(Body::from_stream(stream::iter(pieces)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, size.into());
    headers.insert(CONTENT_TYPE, media(uri));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, immutable, max-age=31536000"));
    Ok(response)
}

/// The type that the URL asks for, if it is one.
fn media(uri: &Uri) -> HeaderValue {
    let asked = uri.query().into_iter().flat_map(|query| query.split('&')).find_map(|pair| {
        let value = pair.strip_prefix("accept=")?.replace("%2F", "/").replace("%2f", "/");
        HeaderValue::from_str(&value).ok().filter(|value| !value.is_empty())
    });
    asked.unwrap_or(HeaderValue::from_static("application/octet-stream"))
}
