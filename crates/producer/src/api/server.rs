use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Router, middleware};
use catalog::Catalog;
use model::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::authorize::{Tokens, authorize};
use super::problem::Problem;
use super::{jobs, mailboxes, pauses, wishes};
use crate::Error;
use crate::asking::Asking;
use crate::directory::Rules;
use crate::settings::ApiSettings;

/// For answers under way when the role ends.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What all requests share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) catalog: Catalog,
    pub(super) asking: Asking,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) rules: Arc<Rules>,
    /// As configured.
    pub(super) servers: Arc<[String]>,
    pub(super) zones: Arc<[String]>,
}

/// The HTTP API for the platform team's programs; [`openapi`] describes it.
pub struct Api {
    listener: TcpListener,
    address: SocketAddr,
    shared: Shared,
}

/// The description of the API: OpenAPI 3.1, JSON.
pub fn openapi() -> &'static str {
    include_str!("openapi.json")
}

impl Api {
    /// Takes the address; port 0 takes any.
    pub async fn bind(
        settings: &ApiSettings,
        catalog: Catalog,
        asking: Asking,
        clock: Arc<dyn Clock>,
    ) -> Result<Api, Error> {
        settings.check()?;
        let tokens = Arc::new(Tokens::new(&settings.tokens));
        let rules = Arc::new(settings.rules.clone());
        let (servers, zones) = (settings.servers.clone().into(), settings.zones.clone().into());
        let listen = |source| Error::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        tracing::info!(%address, "the API listens");
        let shared = Shared { catalog, asking, clock, tokens, rules, servers, zones };
        Ok(Api { listener, address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the token is cancelled; answers under way then have ten seconds.
    pub async fn serve(self, stop: CancellationToken) {
        let server = axum::serve(self.listener, router(self.shared))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let end = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            // Errors of single connections do not end it.
            _ = server.into_future() => (),
            () = end => (),
        }
    }
}

/// Method and path of everything that a token is needed for.
fn routes() -> Vec<(&'static str, &'static str, MethodRouter<Shared>)> {
    vec![
        ("post", "/v1/backups", post(wishes::backup)),
        ("post", "/v1/restores", post(wishes::restore)),
        ("get", "/v1/jobs/{job}", get(jobs::show)),
        ("delete", "/v1/jobs/{job}", delete(jobs::cancel)),
        ("post", "/v1/jobs/{job}/redrive", post(jobs::redrive)),
        ("put", "/v1/mailboxes", put(mailboxes::put)),
        ("post", "/v1/mailboxes/find", post(mailboxes::find)),
        ("get", "/v1/mailboxes/unplanned", get(mailboxes::unplanned)),
        ("delete", "/v1/mailboxes/{mailbox}", delete(mailboxes::delete)),
        ("get", "/v1/pauses", get(pauses::list)),
        ("post", "/v1/pauses", post(pauses::pause)),
        ("delete", "/v1/pauses", delete(pauses::resume)),
    ]
}

fn router(shared: Shared) -> Router {
    let guarded = routes().into_iter().fold(Router::new(), |router, (_, path, to)| router.route(path, to));
    let guarded = guarded.route_layer(middleware::from_fn_with_state(shared.clone(), authorize));
    let described = || async { ([(header::CONTENT_TYPE, "application/json")], openapi()) };
    guarded
        .route("/v1/openapi.json", get(described))
        .fallback(|| async { Problem::unknown("there is nothing at this path").into_response() })
        .method_not_allowed_fallback(|| async {
            let detail = "this path does not know that method";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail).into_response()
        })
        // Bodies are bounded where they are read.
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_names_every_route_and_no_other() {
        let described: Value = serde_json::from_str(openapi()).unwrap();
        assert_eq!(described["openapi"], "3.1.0");
        let paths = described["paths"].as_object().unwrap().iter();
        let methods = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let described: BTreeSet<(String, String)> = paths
            .flat_map(|(path, of)| methods(of).into_iter().map(|method| (method, path.clone())))
            .collect();
        let open = ("get", "/v1/openapi.json");
        let routed = routes().into_iter().map(|(method, path, _)| (method, path)).chain([open]);
        let routed: BTreeSet<_> = routed.map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
        assert_eq!(described, routed);
    }
}
