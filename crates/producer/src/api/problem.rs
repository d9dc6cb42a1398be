use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::ErrorClass;
use serde_json::json;

use crate::error::chain;
use crate::refusal::Refusal;

/// An answer that is no success: RFC 9457.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// The end of the URN that programs tell problems apart by.
    word: &'static str,
    detail: String,
    retry_after: Option<Duration>,
    /// What is wrong with each part of a list.
    errors: Vec<(u64, String)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, word: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, word, detail: detail.into(), retry_after: None, errors: Vec::new() }
    }

    pub(super) fn unusable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unusable", detail)
    }

    pub(super) fn unknown(detail: &'static str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "unknown", detail)
    }

    pub(super) fn unauthorized() -> Problem {
        let detail = "a bearer token of this API is needed in the header Authorization";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(super) fn with_errors(self, errors: Vec<(u64, String)>) -> Problem {
        Problem { errors, ..self }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Recipient(refusal) => Problem { detail, ..Problem::from(*refusal) },
            Refusal::UnknownMailbox => Problem::new(StatusCode::NOT_FOUND, "unknown-mailbox", detail),
            Refusal::ExactSelection => Problem::unusable(detail),
            Refusal::Selection(_) => Problem::new(StatusCode::BAD_REQUEST, "selection", detail),
            Refusal::KeyReused => Problem::new(StatusCode::CONFLICT, "key-reused", detail),
            Refusal::UnknownBackup => Problem::new(StatusCode::NOT_FOUND, "unknown-backup", detail),
            Refusal::Ambiguous { .. } => Problem::new(StatusCode::CONFLICT, "ambiguous-address", detail),
            Refusal::Gone => Problem::new(StatusCode::GONE, "mailbox-gone", detail),
            Refusal::GoneFromServer => Problem::new(StatusCode::GONE, "mailbox-gone", detail),
            Refusal::OtherCustomer => Problem::new(StatusCode::FORBIDDEN, "other-customer", detail),
            Refusal::PersonalPlan => Problem::new(StatusCode::FORBIDDEN, "personal-plan", detail),
            Refusal::NoPlan => Problem::new(StatusCode::CONFLICT, "no-plan", detail),
            Refusal::Underway => Problem::new(StatusCode::CONFLICT, "underway", detail),
            Refusal::TooMany { retry_after } => {
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail);
                Problem { retry_after: Some(retry_after), ..problem }
            }
            Refusal::Catalog(error) => error.into(),
        }
    }
}

impl From<catalog::Error> for Problem {
    /// Logged here, because who asks is not told why.
    fn from(error: catalog::Error) -> Self {
        tracing::warn!(error = chain(&error), "a request failed");
        match error.class() {
            _ if error.is_of_a_value() => {
                return Problem::unusable("a value is too long, or holds a character that cannot be kept");
            }
            ErrorClass::Permanent | ErrorClass::Corrupt => {
                let detail =
                    "something is wrong with the catalogue, and asking again will not mend it: see the log";
                return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", detail);
            }
            _ => (),
        }
        let detail = "the catalogue cannot be used at the moment; ask again with the same key";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        Problem { retry_after: Some(Duration::from_secs(5)), ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem { status, word, detail, retry_after, errors } = self;
        let mut body = json!({
            "type": format!("urn:malle:problem:{word}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
        });
        if !errors.is_empty() {
            let errors = errors.iter().map(|(index, reason)| json!({"index": index, "reason": reason}));
            body["errors"] = errors.collect();
        }
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
