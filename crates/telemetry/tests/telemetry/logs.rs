//! Log lines, caught in memory.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use telemetry::{LogFormat, Registry, Settings};
use tracing::{debug, error, info, info_span};

use crate::settings;

#[derive(Clone, Default)]
struct Caught(Arc<Mutex<Vec<u8>>>);

impl Write for Caught {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged under these settings.
fn caught(settings: &Settings, work: impl FnOnce()) -> String {
    let caught = Caught::default();
    let writer = caught.clone();
    let registry = Registry::new("worker", "0.1.0", "abc1234");
    let (dispatch, _telemetry) = telemetry::prepare(settings, &registry, move || writer.clone()).unwrap();
    tracing::dispatcher::with_default(&dispatch, work);
    String::from_utf8(caught.0.lock().unwrap().clone()).unwrap()
}

fn work() {
    let job = info_span!("job", job = 7, mailbox = 3);
    job.in_scope(|| {
        info!(slice = 2, "slice \"ended\"\nfor <alice@example.org>");
        debug!("a detail");
        error!(error = "no account alice%40example.org", "job failed");
    });
}

#[test]
fn json_is_an_object_a_line_with_spans_and_without_addresses() {
    let logs = caught(&settings(LogFormat::Json, None), work);
    let lines: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [ended, failed] = &lines[..] else { panic!("{logs}") };
    assert_eq!(ended["message"], "slice \"ended\"\nfor <<address>>");
    assert_eq!((&ended["level"], &ended["slice"]), (&json!("INFO"), &json!(2)));
    assert_eq!(ended["target"], module_path!());
    assert_eq!(ended["spans"], json!([{ "name": "job", "job": 7, "mailbox": 3 }]));
    assert!(ended["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{ended}");
    assert_eq!(failed["error"], "no account <address>");
}

#[test]
fn text_is_for_people_and_masked_as_well() {
    let logs = caught(&settings(LogFormat::Text, None), work);
    assert!(logs.contains("INFO job{job=7 mailbox=3}: "), "{logs}");
    assert!(logs.contains("no account <address>"), "{logs}");
    assert_eq!(testkit::leaks(logs.as_bytes(), &["alice@example.org"]), [""; 0]);
}

#[test]
fn the_filter_goes_by_level_and_target() {
    let with = |filter: &str| Settings { filter: filter.to_owned(), ..settings(LogFormat::Json, None) };
    assert_eq!(caught(&with("warn"), work).lines().count(), 1);
    assert_eq!(caught(&with("off,telemetry=debug"), work).lines().count(), 3);
    assert_eq!(caught(&with("debug,telemetry=off"), work), "");
}
