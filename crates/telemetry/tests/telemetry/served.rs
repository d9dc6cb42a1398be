//! The endpoint, over real connections.

use std::net::SocketAddr;
use std::time::Duration;

use model::{BackupState, JobKind, Plan};
use serde_json::{Value, json};
use telemetry::{Ending, Endpoint, Error, Health, Open, Percentile, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::all;
use crate::exposition::read;

const LONG: Duration = Duration::from_secs(600);

async fn bound() -> Endpoint {
    Endpoint::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

async fn got(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, body) =
        testkit::http(&address.to_string(), &format!("GET {path} HTTP/1.1"), b"").await.unwrap();
    (status, String::from_utf8(body).unwrap())
}

async fn json(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, body) = got(address, path).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn metrics_are_read_as_they_were_counted() {
    let all = all();
    let endpoint = bound().await;
    let (address, stop) = (endpoint.address(), CancellationToken::new());
    let serving = tokio::spawn(endpoint.serve(all.registry.clone(), Health::default(), stop.clone()));

    all.jobs.finished.of((JobKind::Restore, Ending::Dead)).inc();
    all.jobs.slice_duration.of(JobKind::Nightly).observe(0.7);
    all.jobs.slice_duration.of(JobKind::Nightly).observe(1e9);
    all.backups.backups.of(BackupState::Shrunk).inc();
    all.backups.bytes_read.inc_by(1 << 40);
    all.outbox.lag.set(0.25);
    all.fleet.overdue.of(Plan::Personal).set(3);
    all.fleet.newest_good_age.of((Plan::Professional, Percentile::P99)).set(86_400.5);
    all.fleet.jobs.of((JobKind::Global, Open::Dead)).set(9);
    all.servers.of("mail \"2\"\\\n").refused(Refusal::Unavailable).inc_by(4);
    all.servers.of("nowhere").in_flight.set(2);

    let (status, text) = got(address, "/metrics").await;
    assert_eq!(status, 200);
    let families = read(&text);
    let value = |name: &str, labels: &[(&str, &str)]| families[name].value(labels);
    assert_eq!(
        value("malle_build_info", &[("role", "worker"), ("version", "0.1.0"), ("revision", "abc1234")]),
        1.0
    );
    assert_eq!(value("malle_jobs_finished_total", &[("kind", "restore"), ("ending", "dead")]), 1.0);
    assert_eq!(value("malle_jobs_finished_total", &[("kind", "restore"), ("ending", "done")]), 0.0);
    assert_eq!(value("malle_job_slice_duration_seconds", &[("kind", "nightly"), ("le", "1")]), 1.0);
    assert_eq!(value("malle_job_slice_duration_seconds", &[("kind", "nightly"), ("le", "+Inf")]), 2.0);
    assert_eq!(value("malle_backups_total", &[("state", "shrunk")]), 1.0);
    assert_eq!(value("malle_read_bytes_total", &[]), 1_099_511_627_776.0);
    assert_eq!(value("malle_outbox_lag_seconds", &[]), 0.25);
    assert_eq!(value("malle_overdue_mailboxes", &[("plan", "personal")]), 3.0);
    let professional = [("plan", "professional"), ("percentile", "99")];
    assert_eq!(value("malle_newest_good_backup_age_seconds", &professional), 86_400.5);
    let unknown = [("plan", "personal"), ("percentile", "99")];
    assert!(value("malle_newest_good_backup_age_seconds", &unknown).is_nan(), "no backup is not a new one");
    assert_eq!(value("malle_jobs", &[("kind", "global"), ("state", "dead")]), 9.0);
    assert_eq!(value("malle_server_refusals_total", &[("server", "mail \"2\"\\\n"), ("status", "503")]), 4.0);
    assert_eq!(value("malle_server_requests_in_flight", &[("server", "other")]), 2.0);

    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn ready_and_live_say_what_is_wrong_and_the_token_ends_it_in_spite_of_an_open_connection() {
    let (all, health, endpoint) = (all(), Health::default(), bound().await);
    let (address, stop) = (endpoint.address(), CancellationToken::new());
    let serving = tokio::spawn(endpoint.serve(all.registry, health.clone(), stop.clone()));

    let (postgres, broker) = (health.check("postgres", LONG), health.check("rabbitmq", LONG));
    postgres.passed();
    broker.failed("connection is blocked");
    let failing = json!({ "ready": false, "failing": { "rabbitmq": "connection is blocked" } });
    assert_eq!(json(address, "/health/ready").await, (503, failing));
    broker.passed();
    assert_eq!(json(address, "/health/ready").await, (200, json!({ "ready": true, "failing": {} })));

    let consumer = health.watchdog("consumer", Duration::ZERO);
    let (status, body) = json(address, "/health/live").await;
    assert_eq!((status, &body["live"]), (503, &json!(false)));
    assert!(body["stuck_seconds"]["consumer"].is_u64(), "{body}");
    consumer.finish();
    let _reaper = health.watchdog("reaper", LONG);
    assert_eq!(json(address, "/health/live").await, (200, json!({ "live": true, "stuck_seconds": {} })));
    assert_eq!(got(address, "/").await.0, 404);

    // Half a request, and nothing more.
    let mut hanging = TcpStream::connect(address).await.unwrap();
    hanging.write_all(b"GET /metrics HTTP/1.1\r\nHost:").await.unwrap();
    assert_eq!(got(address, "/health/live").await.0, 200);
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), serving).await.expect("ends").unwrap();
    drop(hanging);
}

#[tokio::test]
async fn an_answer_under_way_is_not_cut_off_by_the_end() {
    let (all, health, endpoint) = (all(), Health::default(), bound().await);
    let (address, stop) = (endpoint.address(), CancellationToken::new());
    let serving = tokio::spawn(endpoint.serve(all.registry, health, stop.clone()));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0];
    client.read_exact(&mut first).await.unwrap();
    stop.cancel();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    let body = rest.split_once("\r\n\r\n").expect("a head").1;
    assert!(read(body).contains_key("malle_build_info"));
    serving.await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = bound().await.address();
    let holder = Endpoint::bind(taken).await.unwrap();
    let error = Endpoint::bind(taken).await.unwrap_err();
    assert!(matches!(error, Error::Bind { address, .. } if address == taken));
    assert_eq!(error.to_string(), format!("cannot listen on {taken} for metrics and health"));
    drop(holder);
}
