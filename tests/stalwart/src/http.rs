//! The HTTP listener: Stalwart's own routes, and before them the `/jmap` routes that `stalwart-lite` left out,
//! as Stalwart 0.15 has them.

use hyper::{
    Method, Request as HyperRequest, body::Incoming, header::CONTENT_TYPE, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use stalwart_lib::{
    self as trc,
    common::{
        Inner, Server,
        auth::AccessToken,
        core::BuildServer,
        listener::{SessionData, SessionManager, SessionStream},
    },
    directory::Permission,
    http::{
        auth::authenticate::Authenticator,
        management::{ToManageHttpResponse, UnauthorizedResponse},
        request::ParseHttp,
    },
    http_proto::{
        DownloadResponse, HttpRequest, HttpResponse, HttpSessionData, JsonResponse, ToHttpResponse,
        form_urlencoded,
        request::{decode_path_element, fetch_body},
    },
    jmap::{
        api::{ToJmapHttpResponse, ToRequestError, request::RequestHandler, session::SessionHandler},
        blob::{download::BlobDownload, upload::BlobUpload},
    },
    jmap_proto::request::Request,
    types::{blob::BlobId, id::Id},
};
use std::{str::FromStr, sync::Arc};

const BINARY: &str = "application/octet-stream";

#[derive(Clone)]
pub struct HttpSessions {
    pub inner: Arc<Inner>,
}

impl SessionManager for HttpSessions {
    async fn handle<T: SessionStream>(self, session: SessionData<T>) {
        let SessionData {
            stream,
            instance,
            local_ip,
            local_port,
            remote_ip,
            remote_port,
            session_id,
            in_flight,
            ..
        } = session;
        let _in_flight = in_flight;
        let service = service_fn(|request: HyperRequest<Incoming>| {
            let server = self.inner.build_server();
            let session = HttpSessionData {
                instance: instance.clone(),
                local_ip,
                local_port,
                remote_ip,
                remote_port,
                is_tls: false,
                session_id,
            };
            async move { Ok::<_, hyper::Error>(answer(&server, request, session).await.build()) }
        });
        // A client that goes away is an error here, and nothing to tell anyone about.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn shutdown(&self) {}
}

async fn answer(server: &Server, request: HttpRequest, session: HttpSessionData) -> HttpResponse {
    let path: Vec<String> = request
        .uri()
        .path()
        .split('/')
        .skip(1)
        .map(str::to_owned)
        .collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [".well-known", "jmap"] | ["jmap", ..] => jmap(server, request, &session, &path)
            .await
            .unwrap_or_else(|error| refusal(&error)),
        _ => Box::pin(server.parse_http_request(request, session))
            .await
            .unwrap_or_else(|error| ToManageHttpResponse::into_http_response(&error)),
    }
}

fn refusal(error: &trc::Error) -> HttpResponse {
    use trc::AuthEvent::{Error, Failed, TokenExpired};
    match error.as_ref() {
        trc::EventType::Auth(Failed | Error | TokenExpired) => HttpResponse::unauthorized(true),
        _ => ToJmapHttpResponse::into_http_response(error.to_request_error()),
    }
}

async fn jmap(
    server: &Server,
    mut request: HttpRequest,
    session: &HttpSessionData,
    path: &[&str],
) -> trc::Result<HttpResponse> {
    let (_in_flight, token) = server.authenticate_headers(&request, session, false).await?;
    match (request.method().clone(), path) {
        (Method::GET, [".well-known", "jmap"] | ["jmap", "session"]) => {
            let base = format!("http://{}:{}", session.local_ip, session.local_port);
            let object = server.handle_session_resource(base, token).await?;
            Ok(JsonResponse::new(without_missing_engines(json!(object))).into_http_response())
        }
        (Method::POST, ["jmap"] | ["jmap", ""]) => call(server, &mut request, token, session).await,
        (Method::POST, ["jmap", "upload", account, ..]) => {
            let account = Id::from_str(account).map_err(|()| not_found())?;
            upload(server, &mut request, token, session, account).await
        }
        (Method::GET, ["jmap", "download", _account, blob, name]) => {
            download(server, &request, &token, blob, name).await
        }
        _ => Err(not_found()),
    }
}

/// Stalwart names these in its session; `stalwart-lite` has no methods for them.
const MISSING_ENGINES: [&str; 7] = [
    "urn:ietf:params:jmap:calendars",
    "urn:ietf:params:jmap:calendars:parse",
    "urn:ietf:params:jmap:contacts",
    "urn:ietf:params:jmap:contacts:parse",
    "urn:ietf:params:jmap:filenode",
    "urn:ietf:params:jmap:principals:availability",
    "urn:ietf:params:jmap:websocket",
];

fn without_missing_engines(mut session: Value) -> Value {
    match &mut session {
        Value::Object(members) => {
            members.retain(|name, _| !MISSING_ENGINES.contains(&name.as_str()));
            members
                .values_mut()
                .for_each(|value| *value = without_missing_engines(value.take()));
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    session
}

async fn call(
    server: &Server,
    request: &mut HttpRequest,
    token: Arc<AccessToken>,
    session: &HttpSessionData,
) -> trc::Result<HttpResponse> {
    let limits = &server.core.jmap;
    let body = fetch_body(request, body_limit(server, &token), session.session_id)
        .await
        .ok_or_else(|| trc::LimitEvent::SizeRequest.into_err())?;
    let calls = Request::parse(&body, limits.request_max_calls, limits.request_max_size)?;
    let answers = Box::pin(server.handle_jmap_request(calls, token, session)).await;
    Ok(ToJmapHttpResponse::into_http_response(answers))
}

async fn upload(
    server: &Server,
    request: &mut HttpRequest,
    token: Arc<AccessToken>,
    session: &HttpSessionData,
    account: Id,
) -> trc::Result<HttpResponse> {
    let body = fetch_body(request, body_limit(server, &token), session.session_id)
        .await
        .ok_or_else(|| trc::LimitEvent::SizeUpload.into_err())?;
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or(BINARY);
    let stored = server.blob_upload(account, content_type, &body, token).await?;
    Ok(ToHttpResponse::into_http_response(stored))
}

async fn download(
    server: &Server,
    request: &HttpRequest,
    token: &AccessToken,
    blob: &str,
    name: &str,
) -> trc::Result<HttpResponse> {
    let blob = BlobId::from_base32(blob).ok_or_else(not_found)?;
    let bytes = server.blob_download(&blob, token).await?.ok_or_else(not_found)?;
    let content_type = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        .find(|(key, _)| key == "accept")
        .map_or_else(|| BINARY.to_owned(), |(_, value)| value.into_owned());
    Ok(DownloadResponse {
        filename: decode_path_element(name).into_owned(),
        content_type,
        blob: bytes,
    }
    .into_http_response())
}

/// In bytes; 0 means any size.
fn body_limit(server: &Server, token: &AccessToken) -> usize {
    if token.has_permission(Permission::UnlimitedUploads) {
        0
    } else {
        server.core.jmap.upload_max_size
    }
}

fn not_found() -> trc::Error {
    trc::ResourceEvent::NotFound.into_err()
}
