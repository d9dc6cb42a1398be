//! Paths below `/sim/` by which scripts steer a simulator that runs as a process of its own (`make demo`).

use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde_json::json;

use crate::churn::Kinds;
use crate::error::Problem;
use crate::rng::Rng;
use crate::routes::{json, problem};
use crate::server::{Server, lock};

/// `POST /sim/mutate?account=NAME&changes=N&seed=S` and `GET /sim/counters`.
pub(crate) fn serve(server: &Server, parts: &Parts) -> Response {
    let query = parts.uri.query().unwrap_or_default();
    let value = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    let number = |name: &str| value(name).and_then(|text| text.parse::<u32>().ok());
    match parts.uri.path() {
        "/sim/counters" => json(&json!(server.meters.read())),
        "/sim/mutate" => {
            let name = value("account").unwrap_or_default().replace("%40", "@");
            let account = {
                let directory = server.directory();
                directory.names.get(&name).and_then(|id| directory.accounts.get(id)).cloned()
            };
            let Some(account) = account else {
                return problem(&Problem::plain(StatusCode::NOT_FOUND, "no such account"));
            };
            let (changes, mut rng) =
                (number("changes").unwrap_or(1), Rng::new(number("seed").unwrap_or(1).into()));
            let mut account = lock(&account);
            (0..changes).for_each(|_| account.mutate(&mut rng, Kinds::All));
            json(&json!({ "changes": changes }))
        }
        _ => problem(&Problem::plain(StatusCode::NOT_FOUND, "no such control")),
    }
}
