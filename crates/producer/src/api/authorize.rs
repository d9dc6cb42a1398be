use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use catalog::Mailbox;
use tracing::Instrument;

use super::problem::Problem;
use super::server::Shared;
use crate::asking::is_of;
use crate::settings::{ApiToken, Scope};

/// From the first byte of a request's body to the answer.
const LIMIT: Duration = Duration::from_secs(60);

/// Hashes of tokens: BLAKE3's `Hash` compares in constant time, and a hash tells nothing about how much of a token was right.
pub(super) struct Tokens(Vec<(blake3::Hash, Arc<Principal>)>);

/// Who asks: whose token it was, and what that may be used for.
#[derive(Debug)]
pub(super) struct Principal {
    /// As the audit log writes it.
    pub(super) actor: String,
    scopes: BTreeSet<Scope>,
    /// Whose mailboxes there are for it; `None`: everybody's.
    pub(super) tenants: Option<BTreeSet<String>>,
}

impl Principal {
    /// Whether it may be used for this.
    pub(super) fn may(&self, scope: Scope) -> Result<(), Problem> {
        match self.scopes.contains(&scope) {
            true => Ok(()),
            false => {
                let detail =
                    format!("the token may not be used for this: it lacks the scope {}", scope.as_str());
                Err(Problem::new(StatusCode::FORBIDDEN, "scope", detail))
            }
        }
    }

    /// Whether the mailbox is there for it.
    pub(super) fn sees(&self, mailbox: &Mailbox) -> bool {
        is_of(self.tenants.as_ref(), mailbox)
    }
}

impl Tokens {
    pub(super) fn new(tokens: &[ApiToken]) -> Tokens {
        let hashed = |token: &ApiToken| {
            let ApiToken { name, secret, scopes, tenants } = token;
            let (scopes, tenants) = (scopes.clone(), tenants.clone());
            let principal = Principal { actor: format!("api:{name}"), scopes, tenants };
            (blake3::hash(secret.expose().as_bytes()), Arc::new(principal))
        };
        Tokens(tokens.iter().map(hashed).collect())
    }

    /// Every token is compared, whichever it is.
    fn principal(&self, headers: &HeaderMap) -> Option<Arc<Principal>> {
        let sent = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, token) = (sent.get(..7)?, &sent[7..]);
        let hash = blake3::hash(token);
        let found = self.0.iter().fold(None, |found, (known, principal)| {
            // Not `or_else`: no short cut.
            if *known == hash { Some(principal) } else { found }
        });
        found.filter(|_| scheme.eq_ignore_ascii_case(b"Bearer ")).cloned()
    }
}

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
