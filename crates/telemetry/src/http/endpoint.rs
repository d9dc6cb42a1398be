use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Error, Health, HttpLimits, Registry, serve_http};

/// `/metrics`, `/health/live` and `/health/ready` over HTTP.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Takes the address; port 0 takes any.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            Ok(Endpoint { address: listener.local_addr()?, listener })
        };
        bound.await.map_err(|source| Error::Bind { address, source })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the token is cancelled, and no longer than a second after.
    pub async fn serve(self, registry: Registry, health: Health, stop: CancellationToken) {
        let router = Router::new()
            .route("/metrics", get(metrics).with_state(registry))
            .route("/health/live", get(live).with_state(health.clone()))
            .route("/health/ready", get(ready).with_state(health));
        serve_http(self.listener, router, HttpLimits::default(), stop).await;
    }
}

async fn metrics(State(registry): State<Registry>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], registry.text())
}

async fn live(State(health): State<Health>) -> impl IntoResponse {
    let stuck = health.stuck(Instant::now());
    let seconds: Map<_, _> =
        stuck.iter().map(|(name, since)| ((*name).to_owned(), json!(since.as_secs()))).collect();
    answer(stuck.is_empty(), "live", "stuck_seconds", &seconds)
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let failing = health.failing(Instant::now());
    let reasons: Map<_, _> =
        failing.iter().map(|(name, reason)| ((*name).to_owned(), json!(reason))).collect();
    answer(failing.is_empty(), "ready", "failing", &reasons)
}

fn answer(well: bool, what: &str, wrong: &str, named: &Map<String, Value>) -> impl IntoResponse + use<> {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ what: well, wrong: named })))
}
