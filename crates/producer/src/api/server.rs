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
use telemetry::{HttpLimits, serve_http};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::authorize::authorize;
use super::principal::Tokens;
use super::problem::Problem;
use super::shared::Shared;
use super::{backups, jobs, mailboxes, pauses, requests};
use crate::Error;
use crate::asking::Asking;
use crate::settings::{ApiSettings, Connections, Scope};

/// What one call of the catalogue may take: who asks an API waits for seconds.
const ANSWERS: Duration = Duration::from_secs(3);
/// For answers under way when the role ends.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// The HTTP API for the platform team's programs; [`openapi`] describes it.
pub struct Api {
    listener: TcpListener,
    address: SocketAddr,
    limits: HttpLimits,
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
        let (asking, lists) = (asking.with_limit(ANSWERS), catalog.clone());
        let catalog = catalog.with_limit(ANSWERS);
        let shared = Shared { catalog, lists, asking, clock, tokens, rules, servers, zones };
        let Connections { all: connections, of_one_address } = settings.connections;
        let limits =
            HttpLimits { connections, of_one_address, last_answers: LAST_ANSWERS, ..HttpLimits::default() };
        Ok(Api { listener, address, limits, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the token is cancelled; answers under way then have ten seconds.
    pub async fn serve(self, stop: CancellationToken) {
        serve_http(self.listener, router(self.shared), self.limits, stop).await;
    }
}

/// Method and path of everything that a token is needed for, and the scope that the token needs.
fn routes() -> Vec<(&'static str, &'static str, Scope, MethodRouter<Shared>)> {
    use Scope::{Backup, Directory, Operate, Read, Restore};
    vec![
        ("post", "/v1/backups", Backup, post(requests::backup)),
        ("post", "/v1/restores", Restore, post(requests::restore)),
        ("post", "/v1/verifications", Operate, post(requests::verify)),
        ("get", "/v1/jobs/{job}", Read, get(jobs::show)),
        ("delete", "/v1/jobs/{job}", Operate, delete(jobs::cancel)),
        ("post", "/v1/jobs/{job}/redrive", Operate, post(jobs::redrive)),
        ("put", "/v1/mailboxes", Directory, put(mailboxes::put)),
        ("post", "/v1/mailboxes/find", Read, post(mailboxes::find)),
        ("get", "/v1/mailboxes/unplanned", Read, get(mailboxes::unplanned)),
        ("delete", "/v1/mailboxes/{mailbox}", Directory, delete(mailboxes::delete)),
        ("get", "/v1/mailboxes/{mailbox}/backups", Read, get(backups::list)),
        ("get", "/v1/pauses", Read, get(pauses::list)),
        ("post", "/v1/pauses", Operate, post(pauses::pause)),
        ("delete", "/v1/pauses", Operate, delete(pauses::resume)),
    ]
}

fn router(shared: Shared) -> Router {
    let guarded = routes().into_iter().fold(Router::new(), |router, (_, path, scope, to)| {
        let guard = middleware::from_fn_with_state((shared.clone(), scope), authorize);
        router.route(path, to.route_layer(guard))
    });
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
        let routed = routes().into_iter().map(|(method, path, ..)| (method, path)).chain([open]);
        let routed: BTreeSet<_> = routed.map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
        assert_eq!(described, routed);
        let of: Value = serde_json::from_str(openapi()).unwrap();
        for (method, path, scope, _) in routes() {
            assert_eq!(of["paths"][path][method]["x-scope"], scope.as_str(), "{method} {path}");
        }
    }
}
