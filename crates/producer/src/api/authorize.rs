use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::problem::Problem;
use super::shared::Shared;
use crate::settings::Scope;

/// From the first byte of a request's body to the answer.
const LIMIT: Duration = Duration::from_secs(60);

/// Lets in who has a token of the scope, in the trace that came with the request, and no longer than the limit.
pub(super) async fn authorize(
    State((shared, scope)): State<(Shared, Scope)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(principal) = shared.tokens.principal(request.headers()) else {
        return Problem::unauthorized().into_response();
    };
    if let Err(problem) = principal.may(scope) {
        return problem.into_response();
    }
    // The route, not the path, which may hold anything.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let span = tracing::info_span!("api", method = %request.method(), route, actor = principal.actor);
    if let Some(parent) = request.headers().get("traceparent").and_then(|parent| parent.to_str().ok()) {
        telemetry::continue_trace(&span, parent);
    }
    request.extensions_mut().insert(principal);
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
