use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use catalog::Mailbox;

use super::problem::Problem;
use crate::asking::is_of;
use crate::settings::{ApiToken, Scope};

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
        if self.scopes.contains(&scope) {
            Ok(())
        } else {
            let detail = format!("the token may not be used for this: it lacks the scope {}", scope.as_str());
            Err(Problem::new(StatusCode::FORBIDDEN, "scope", detail))
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
    pub(super) fn principal(&self, headers: &HeaderMap) -> Option<Arc<Principal>> {
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
