//! A bucket that overwrites what it was asked to create only if absent, and buckets nobody gave credentials for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use sim_stalwart::Kinds;
use tokio_util::task::AbortOnDropHandle;

use crate::home::{ALICE, Ended, Home, end};

type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// As much of S3 as `malle` uses, without conditions and without checking signatures.
struct CarelessStore {
    endpoint: String,
    _serving: AbortOnDropHandle<()>,
}

impl CarelessStore {
    async fn start() -> CarelessStore {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().fallback(answer).with_state(Objects::default());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        CarelessStore { endpoint, _serving: AbortOnDropHandle::new(serving) }
    }

    async fn run(&self, home: &Home, args: &[&str]) -> Ended {
        let mut command = home.malle(args);
        command
            .args(["--store", "s3://bucket"])
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "an id")
            .env("AWS_SECRET_ACCESS_KEY", "a secret");
        end(command.spawn().expect("malle runs")).await
    }
}

async fn answer(
    State(objects): State<Objects>,
    method: Method,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut objects = objects.lock().expect("nobody panicked");
    let key = uri.path().trim_start_matches("/bucket").trim_start_matches('/').to_owned();
    match method {
        Method::PUT => {
            objects.insert(key, body);
            [(header::ETAG, "\"1\"")].into_response()
        }
        Method::GET if key.is_empty() => {
            let prefix = query.get("prefix").map_or("", String::as_str);
            list(&objects, prefix, query.contains_key("delimiter"))
        }
        Method::GET | Method::HEAD => match objects.get(&key) {
            Some(object) => part(object, headers.get(header::RANGE).and_then(|range| range.to_str().ok())),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        _ => StatusCode::FORBIDDEN.into_response(),
    }
}

fn part(object: &Bytes, range: Option<&str>) -> Response {
    let common = [(header::ETAG, "\"1\""), (header::LAST_MODIFIED, "Sun, 01 Nov 2026 00:00:00 GMT")];
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let number = |text: &str| text.parse::<usize>().ok();
    let Some((start, end)) = range.and_then(|(start, end)| Some((number(start)?, number(end)?))) else {
        return (common, object.clone()).into_response();
    };
    let end = object.len().min(end + 1);
    let content = format!("bytes {start}-{}/{}", end - 1, object.len());
    let head = [(header::CONTENT_RANGE, content)];
    (StatusCode::PARTIAL_CONTENT, common, head, object.slice(start..end)).into_response()
}

fn list(objects: &BTreeMap<String, Bytes>, prefix: &str, is_one_level: bool) -> Response {
    let mut rows = BTreeSet::new();
    for (key, object) in objects {
        let Some(rest) = key.strip_prefix(prefix) else { continue };
        rows.insert(match rest.split_once('/').filter(|_| is_one_level) {
            Some((dir, _)) => format!("<CommonPrefixes><Prefix>{prefix}{dir}/</Prefix></CommonPrefixes>"),
            None => format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified>\
                 <ETag>1</ETag><Size>{}</Size></Contents>",
                object.len()
            ),
        });
    }
    let rows: String = rows.into_iter().collect();
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>").into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_overwrites_is_refused_unless_there_is_a_single_writer() {
    let (home, s3) = (Home::new().await, CarelessStore::start().await);
    let backup = ["backup", "--account", ALICE];
    s3.run(&home, &["init"]).await.refused(12, &["--single-writer", "another store"]);
    s3.run(&home, &["init", "--single-writer"]).await.good();
    let alone = [&backup[..], &["--single-writer"]].concat();
    s3.run(&home, &alone).await.good();
    home.alice().mutate(5, 1, Kinds::Emails);
    s3.run(&home, &alone).await.good();
    // It was promised when the store was made, and has to be promised by every writer.
    s3.run(&home, &backup).await.refused(12, &["--single-writer"]);
    let list = s3.run(&home, &["list", "--account", ALICE, "--json", "--single-writer"]).await.good();
    assert_eq!(list.objects().len(), 2);
    s3.run(&home, &["verify", "--account", ALICE, "--read-data", "--single-writer"]).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_without_usable_credentials_are_refused_with_what_to_set() {
    let home = Home::new().await;
    std::fs::write(home.path("account.json"), "not what Google gave out: hunter2").expect("writable");
    let google = home.path("account.json").display().to_string();
    for (url, variable, value, says) in [
        ("gs://bucket/prefix", "GOOGLE_SERVICE_ACCOUNT", google.as_str(), "GOOGLE_"),
        ("gs://bucket", "GOOGLE_SERVICE_ACCOUNT", "/nowhere/at/all", "GOOGLE_"),
        ("az://container/prefix", "AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==", "AZURE_"),
    ] {
        let mut command = home.malle(&["list", "--store", url]);
        let ended = end(command.env(variable, value).spawn().expect("malle runs")).await;
        ended.refused(2, &["set up the store", says]);
        assert!(!ended.err.contains("hunter2") && !ended.err.contains("aHVudGVyMg"), "{ended:?}");
    }
}
