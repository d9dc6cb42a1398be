//! A role in a process of its own, seen from outside: what it writes when things go wrong, and that it ends.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use serde_json::Value;
use telemetry::{LogFormat, Otlp, Registry};
use tracing::{Span, info, info_span};

use crate::collector::dead;
use crate::exposition::read;
use crate::settings;

const ENDPOINT: &str = "MALLE_TEST_ROLE_ENDPOINT";

/// Not a test by itself: the role, when the test below starts it.
#[test]
fn role() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else { return };
    ring::default_provider().install_default().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let registry = Registry::new("worker", "0.1.0", "abc1234");
        let settings = settings(LogFormat::Json, Some(Otlp::new(endpoint)));
        let telemetry = telemetry::install(&settings, &registry).unwrap();
        assert!(telemetry::install(&settings, &Registry::new("", "", "")).is_err());
        info_span!("job", job = 7)
            .in_scope(|| info!("begins: {}", telemetry::traceparent(&Span::current()).unwrap()));
        let panicked = tokio::spawn(async { panic!("no mailbox of alice@example.org") });
        assert!(panicked.await.unwrap_err().is_panic());
        // Batch after batch is lost, and it is said once.
        let lost = || read(&registry.text())["malle_spans_lost_total"].value(&[]);
        let start = Instant::now();
        let mut before = lost();
        for batch in 0..3 {
            (0..512).for_each(|_| info_span!("filler").in_scope(|| ()));
            while lost() == before {
                assert!(start.elapsed() < Duration::from_secs(120), "batch {batch} is not given up");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            before = lost();
        }
        telemetry.shutdown().await;
        info!("ends");
    });
}

#[tokio::test]
async fn panics_and_lost_spans_are_log_lines_without_addresses_and_the_role_ends() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::role", "--nocapture", "--test-threads=1"])
        .env(ENDPOINT, dead().await)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let logs = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{logs}");
    let lines: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    let [begins, "panicked", "spans could not be exported", "ends"] = messages[..] else { panic!("{logs}") };
    let trace = lines[0]["trace_id"].as_str().unwrap();
    assert!(begins.contains(&format!("-{trace}-")), "the line names its trace: {}", lines[0]);
    assert_eq!(lines[1]["panic"], "no mailbox of <address>");
    assert!(lines[1]["place"].as_str().is_some_and(|place| place.contains("child.rs:")), "{logs}");
    assert_eq!(testkit::leaks(logs.as_bytes(), &["alice@example.org"]), [""; 0]);
}
