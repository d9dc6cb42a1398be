//! Errors of a method call (RFC 8620 §3.6.2) and of a whole request (§3.6.1).

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Value, json};

/// The arguments of an `error` response.
#[derive(Clone, Debug)]
pub(crate) struct MethodError {
    kind: Cow<'static, str>,
    description: Option<String>,
}

impl MethodError {
    pub(crate) fn of(kind: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: kind.into(), description: None }
    }

    pub(crate) fn invalid(description: impl Into<String>) -> Self {
        Self { kind: Cow::Borrowed("invalidArguments"), description: Some(description.into()) }
    }

    pub(crate) fn because(self, description: String) -> Self {
        Self { description: Some(description), ..self }
    }

    pub(crate) fn json(&self) -> Value {
        match &self.description {
            Some(description) => json!({ "type": self.kind, "description": description }),
            None => json!({ "type": self.kind }),
        }
    }
}

/// A request that is refused as a whole: an RFC 7807 problem.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    kind: &'static str,
    detail: String,
    limit: Option<&'static str>,
    pub(crate) retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), limit: None, retry_after: None }
    }

    pub(crate) fn plain(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, "about:blank", detail)
    }

    /// The same with a `Retry-After` of so many seconds.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// A limit of the session object was passed; `name` is its property.
    pub(crate) fn limit(name: &'static str) -> Self {
        let problem =
            Self::new(StatusCode::BAD_REQUEST, "urn:ietf:params:jmap:error:limit", "limit exceeded");
        Self { limit: Some(name), ..problem }
    }

    pub(crate) fn json(&self) -> Value {
        let mut body = json!({
            "type": self.kind, "status": self.status.as_u16(), "detail": self.detail,
            "title": self.status.canonical_reason().unwrap_or("Error"),
        });
        if let Some(limit) = self.limit {
            body["limit"] = limit.into();
        }
        body
    }
}
