use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use jmap::{Batch, Class, Client, Error, Wait, Waiting};

use crate::server::{Step, answer, head, ok};
use crate::{PASSWORD, account, chain, config, connect, server};

const EMPTY: &str = r#"{"methodResponses":[],"sessionState":"s"}"#;

/// A server whose API first answers so, then well.
async fn first(first: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> crate::server::Server {
    let asked = AtomicUsize::new(0);
    server(move |_| if asked.fetch_add(1, SeqCst) == 0 { first() } else { ok(EMPTY) }).await
}

async fn call(client: &Client) -> Result<jmap::Answer, Error> {
    client.call(&Batch::new(&account())).await
}

#[tokio::test]
async fn passing_faults_are_retried() {
    let limit = r#"{"type":"urn:ietf:params:jmap:error:limit","limit":"maxConcurrentRequests","status":400}"#;
    let faults: [(Vec<Step>, u64); 7] = [
        (answer("503 Service Unavailable", "", ""), 1),
        (answer("429 Too Many Requests", "retry-after: 0\r\n", ""), 1),
        (answer("400 Bad Request", "", limit), 1),
        (answer("500 Internal Server Error", "", "oops"), 0),
        (answer("502 Bad Gateway", "", "<html>"), 0),
        (vec![Step::Close], 0),
        (vec![head("content-length: 100\r\n"), Step::Send(b"{".to_vec()), Step::Close], 0),
    ];
    for (fault, throttled) in faults {
        let shown = format!("{fault:?}");
        let server = first(move || fault.clone()).await;
        let client = connect(&server).await;
        call(&client).await.unwrap_or_else(|error| panic!("{shown}: {}", chain(&error)));
        let counters = client.counters();
        assert_eq!((counters.retries, counters.throttled), (1, throttled), "{shown}");
        assert_eq!(client.concurrency(), if throttled == 1 { 2 } else { 4 }, "{shown}");
    }
}

#[tokio::test]
async fn lasting_faults_end_after_the_configured_attempts() {
    let server = server(|_| answer("503 Service Unavailable", "", PASSWORD)).await;
    let client = connect(&server).await;
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient { retry_after: None });
    assert_eq!(server.lines().len(), 1 + 3);
    assert_eq!(client.concurrency(), 2, "refusals in a row are one");
}

#[tokio::test]
async fn a_long_retry_after_is_handed_to_the_caller() {
    let server = server(|_| answer("429 Too Many Requests", "retry-after: 3600\r\n", "")).await;
    let client = connect(&server).await;
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient { retry_after: Some(Duration::from_secs(3600)) });
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn refusals_that_last_are_not_retried() {
    let faults = [
        ("401 Unauthorized", "", Class::Auth),
        ("403 Forbidden", "", Class::Auth),
        ("404 Not Found", "", Class::Permanent),
        ("413 Content Too Large", "", Class::Permanent),
        ("400 Bad Request", r#"{"type":"urn:ietf:params:jmap:error:notRequest"}"#, Class::Permanent),
        (
            "400 Bad Request",
            r#"{"type":"urn:ietf:params:jmap:error:limit","limit":"maxSizeRequest"}"#,
            Class::Permanent,
        ),
        ("200 OK", "<html>", Class::Corrupt),
    ];
    for (status, body, class) in faults {
        let server = server(move |_| answer(status, "", body)).await;
        let client = connect(&server).await;
        assert_eq!(call(&client).await.unwrap_err().class(), class, "{status} {body}");
        assert_eq!(server.lines().len(), 2, "{status} {body}");
    }
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let silent = server(|_| vec![Step::Hang]).await;
    let stalling = server(|_| vec![head("content-length: 100\r\n"), Step::Hang]).await;
    let dripping = server(|_| {
        let drop = [Step::Send(b"1\r\nx\r\n".to_vec()), Step::Pause(Duration::from_millis(20))];
        std::iter::once(head("transfer-encoding: chunked\r\n"))
            .chain(drop.into_iter().cycle().take(1000))
            .collect()
    })
    .await;
    for (server, wait) in [(silent, Wait::Request), (stalling, Wait::Stall), (dripping, Wait::Stall)] {
        let mut config = config(&server.url);
        config.retry.attempts = 1;
        if wait == Wait::Request {
            config.timeouts.request = Duration::from_millis(200);
        } else {
            config.timeouts.stall = Duration::from_millis(200);
        }
        let client = Client::connect(config).await.unwrap();
        let error = call(&client).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { wait: which, .. } if which == wait), "{}", chain(&error));
        assert_eq!(error.class(), Class::Transient { retry_after: None });
    }
}

#[tokio::test]
async fn answers_without_end_are_cut_at_the_limit() {
    let chunk = format!("10000\r\n{}\r\n", "[".repeat(0x10000)).into_bytes();
    let endless =
        server(move |_| vec![head("transfer-encoding: chunked\r\n"), Step::Forever(chunk.clone())]).await;
    let boasting = server(|_| vec![head("content-length: 99999999999999\r\n"), Step::Hang]).await;
    for server in [endless, boasting] {
        let client = connect(&server).await;
        let error = call(&client).await.unwrap_err();
        assert!(matches!(error, Error::AnswerTooLarge { limit: 1_048_576 }), "{}", chain(&error));
        assert_eq!(error.class(), Class::Corrupt);
        assert!(client.counters().bytes_received < 3 << 20);
        let small = client.call(&Batch::new(&account()).limit_answer(1000)).await.unwrap_err();
        assert!(matches!(small, Error::AnswerTooLarge { limit: 1000 }), "{}", chain(&small));
    }
}

#[tokio::test]
async fn requests_in_flight_stay_within_the_sessions_limit() {
    let server = server(|_| {
        let mut steps = vec![Step::Pause(Duration::from_millis(10))];
        steps.extend(ok(EMPTY));
        steps
    })
    .await;
    let client = connect(&server).await;
    assert_eq!(client.concurrency(), 4, "configured 8, session 4");
    let calls = futures::future::join_all((0..24).map(|_| call(&client))).await;
    assert!(calls.iter().all(Result::is_ok));
    assert_eq!(server.peak(), 4);
}

#[tokio::test]
async fn cancelling_ends_a_request_and_a_wait_for_a_retry() {
    for steps in [vec![Step::Hang], answer("503 Service Unavailable", "retry-after: 50\r\n", "")] {
        let server = server(move |_| steps.clone()).await;
        let config = config(&server.url);
        let cancel = config.cancel.clone();
        let client = Client::connect(config).await.unwrap();
        let task = tokio::spawn({
            let client = client.clone();
            async move { call(&client).await }
        });
        while server.lines().len() < 2 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Cancelled) && error.class() == Class::Cancelled);
    }
}

#[tokio::test]
async fn no_error_tells_a_secret() {
    let echo = server(|seen| ok(format!("[{:?}, {PASSWORD:?}]", seen.head))).await;
    let client = connect(&echo).await;
    let error = call(&client).await.unwrap_err();
    let shown = format!("{} {client:?}", chain(&error)).to_lowercase();
    for secret in [PASSWORD, "ywrtaw4", "basic "] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn somebody_is_told_that_an_answer_is_awaited_and_that_attempts_fail() {
    static TOLD: Mutex<Vec<(String, &str, Duration)>> = Mutex::new(Vec::new());
    let asked = AtomicUsize::new(0);
    let server = server(move |_| match asked.fetch_add(1, SeqCst) {
        0 => vec![Step::Pause(Duration::from_millis(300)), Step::Close],
        _ => ok(EMPTY),
    })
    .await;
    let mut config = config(&server.url);
    let tell = |server: &str, what, since| TOLD.lock().unwrap().push((server.to_owned(), what, since));
    config.waiting = Some(Waiting { after: Duration::from_millis(100), server: "mail".to_owned(), tell });
    let client = Client::connect(config).await.unwrap();
    call(&client).await.expect("the second attempt");
    call(&client).await.expect("answered at once");
    let told = TOLD.lock().unwrap();
    let [(server, awaited, after), (_, failed, since)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        (server.as_str(), *awaited, *failed, after.as_millis()),
        ("mail", "an answer", "an answer", 100)
    );
    assert!(since.as_millis() >= 300, "{since:?}");
}
