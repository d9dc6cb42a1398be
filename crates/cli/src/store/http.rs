//! The HTTP client of buckets. It looks at each answer before `object_store` does, which would retry some in vain (501, 507)
//! and keeps of the others only text: what is final becomes a [`StoreAnswer`] in the chain of causes.

use async_trait::async_trait;
use futures::StreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use repository::StoreAnswer;

use crate::terminal::waiting;

/// Of an error's body no more is read.
const LONGEST_BODY: usize = 64 << 10;

/// Makes such clients.
#[derive(Debug, Default)]
pub(crate) struct Connector(ReqwestConnector);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Client(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct Client(HttpClient);

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let what = match request.method().as_str() {
            "GET" | "HEAD" => "an object or a list",
            _ => "the end of a write",
        };
        let host = request.uri().host().unwrap_or_default().to_owned();
        let bytes = request.body().content_length() as u64;
        let sending = Box::pin(self.0.execute(request));
        let response = waiting::for_store(&host, what, bytes, sending).await?;
        if response.status().is_success() && !says_html(&response) {
            return Ok(response);
        }
        judged(response).await
    }
}

/// Objects are sent without a type, lists and errors as XML or JSON.
fn says_html(response: &HttpResponse) -> bool {
    let kind = response.headers().get("content-type");
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Reads the body, and gives the answer on unless it is final.
async fn judged(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (parts, body) = response.into_parts();
    let body = match parts.status.is_success() {
        // It may be an object after all.
        true => body.bytes().await?.to_vec(),
        false => beginning(body).await?,
    };
    let region = parts.headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
    let status = parts.status.as_u16();
    let answer = StoreAnswer::new(status, region, &body);
    // Providers of credentials answer so too, and `object_store` has its own ways with them.
    let is_plain_refusal = matches!(status, 401 | 403) && !answer.has_code();
    if answer.is_final() && !is_plain_refusal && !is_object(status, &body) {
        // Of this kind nothing is tried again.
        return Err(HttpError::new(HttpErrorKind::Unknown, answer));
    }
    Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(body)))
}

/// Whether something that was called a page is not one.
fn is_object(status: u16, body: &[u8]) -> bool {
    (200..300).contains(&status) && !body.trim_ascii_start().starts_with(b"<")
}

async fn beginning(body: HttpResponseBody) -> Result<Vec<u8>, HttpError> {
    let mut pieces = body.bytes_stream();
    let mut read = Vec::new();
    while read.len() < LONGEST_BODY
        && let Some(piece) = pieces.next().await
    {
        read.extend_from_slice(&piece?);
    }
    Ok(read)
}
