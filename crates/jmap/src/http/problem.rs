//! Request-level errors: problem details (RFC 7807, RFC 8620 section 3.6.1).

use std::fmt;

use serde::Deserialize;

use crate::text::printable;

/// The prefix of the types RFC 8620 defines.
const JMAP_ERROR: &str = "urn:ietf:params:jmap:error:";

/// Why the server refused a whole request. All texts are the server's, cut and made printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind it is.
    pub kind: ProblemKind,
    /// The name of the exceeded limit (`maxSizeRequest`, …) with [`ProblemKind::Limit`].
    pub limit: Option<String>,
    /// The server's explanation.
    pub detail: Option<String>,
}

/// The problem types of RFC 8620 section 3.6.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// `unknownCapability`: `using` names one the server does not know.
    UnknownCapability,
    /// `notJSON`: the request's media type or syntax.
    NotJson,
    /// `notRequest`: the request's shape.
    NotRequest,
    /// `limit`: a limit of the session was exceeded.
    Limit,
    /// Any other type URI, `about:blank` included.
    Other(String),
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    limit: Option<String>,
}

impl Problem {
    /// Reads problem details from an error answer's body; `None` when it is something else.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(body).ok()?;
        let kind = wire.kind?;
        let kind = match kind.strip_prefix(JMAP_ERROR) {
            Some("unknownCapability") => ProblemKind::UnknownCapability,
            Some("notJSON") => ProblemKind::NotJson,
            Some("notRequest") => ProblemKind::NotRequest,
            Some("limit") => ProblemKind::Limit,
            _ => ProblemKind::Other(printable(&kind)),
        };
        Some(Self {
            kind,
            limit: wire.limit.as_deref().map(printable),
            detail: wire.detail.or(wire.title).as_deref().map(printable),
        })
    }

    /// Whether waiting or asking less in parallel helps: every limit but those on a request's own size.
    #[must_use]
    pub fn is_rate_limit(&self) -> bool {
        self.kind == ProblemKind::Limit
            && !matches!(
                self.limit.as_deref(),
                Some("maxSizeRequest" | "maxCallsInRequest" | "maxObjectsInGet" | "maxSizeUpload")
            )
    }

    /// Whether too many requests were in flight at once.
    #[must_use]
    pub fn is_concurrency_limit(&self) -> bool {
        self.kind == ProblemKind::Limit
            && matches!(self.limit.as_deref(), Some("maxConcurrentRequests" | "maxConcurrentUpload"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ProblemKind::UnknownCapability => f.write_str("unknownCapability")?,
            ProblemKind::NotJson => f.write_str("notJSON")?,
            ProblemKind::NotRequest => f.write_str("notRequest")?,
            ProblemKind::Limit => write!(f, "limit {}", self.limit.as_deref().unwrap_or("unnamed"))?,
            ProblemKind::Other(kind) => f.write_str(kind)?,
        }
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, shown: Option<&str>, rate_limit: bool) {
        let problem = Problem::parse(body.as_bytes());
        assert_eq!(problem.as_ref().map(ToString::to_string).as_deref(), shown, "{body}");
        assert_eq!(problem.is_some_and(|p| p.is_rate_limit()), rate_limit, "{body}");
    }

    #[test]
    fn problem_details_of_all_kinds() {
        check(
            r#"{"type":"urn:ietf:params:jmap:error:limit","limit":"maxConcurrentRequests","status":400}"#,
            Some("limit maxConcurrentRequests"),
            true,
        );
        check(
            r#"{"type":"urn:ietf:params:jmap:error:limit","limit":"maxSizeRequest","detail":"too big"}"#,
            Some("limit maxSizeRequest (too big)"),
            false,
        );
        check(r#"{"type":"urn:ietf:params:jmap:error:limit"}"#, Some("limit unnamed"), true);
        check(r#"{"type":"urn:ietf:params:jmap:error:notJSON"}"#, Some("notJSON"), false);
        check(r#"{"type":"about:blank","title":"No"}"#, Some("about:blank (No)"), false);
        check(r#"{"title":"no type"}"#, None, false);
        check("<html>", None, false);
        let limit = |name| {
            let body = format!(r#"{{"type":"urn:ietf:params:jmap:error:limit","limit":"{name}"}}"#);
            Problem::parse(body.as_bytes()).is_some_and(|problem| problem.is_concurrency_limit())
        };
        assert!(
            limit("maxConcurrentRequests") && limit("maxConcurrentUpload") && !limit("maxCallsInRequest")
        );
    }
}
