use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use jmap::{Batch, Class, Client, Download, Error, JmapBlobId, Wait};

use crate::server::{Server, Step, answer, head, ok};
use crate::{account, chain, config, connect, server};

fn blob() -> Download {
    Download::new(&account(), &JmapBlobId::new("b 1").unwrap(), 1000).named("a/b.eml", "message/rfc822")
}

async fn all(client: &Client, download: Download) -> Result<Vec<u8>, Error> {
    client
        .download(download)
        .try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
}

async fn serving(steps: Vec<Step>) -> (Server, Client) {
    let server = server(move |_| steps.clone()).await;
    let client = connect(&server).await;
    (server, client)
}

#[tokio::test]
async fn a_download_comes_whole_by_the_sessions_template() {
    let (server, client) = serving(ok("hello")).await;
    assert_eq!(all(&client, blob().expecting(5)).await.unwrap(), b"hello");
    assert_eq!(all(&client, blob()).await.unwrap(), b"hello");
    assert_eq!(server.lines()[1], "get /dl/adm/b%201/a%2fb.eml?t=message%2frfc822");
}

#[tokio::test]
async fn a_download_of_the_wrong_length_is_corrupt() {
    let chunked = |text: &str| {
        vec![
            head("transfer-encoding: chunked\r\n"),
            Step::Send(format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len()).into_bytes()),
        ]
    };
    for steps in [ok("hello!"), ok("hell"), chunked("hello!"), chunked("hell")] {
        let (_server, client) = serving(steps).await;
        let error = all(&client, blob().expecting(5)).await.unwrap_err();
        assert!(matches!(error, Error::WrongLength { expected: 5, .. }), "{}", chain(&error));
        assert_eq!(error.class(), Class::Corrupt);
    }
    for steps in [ok("x".repeat(1001)), chunked(&"x".repeat(1001))] {
        let (_server, client) = serving(steps).await;
        let error = all(&client, blob()).await.unwrap_err();
        assert!(matches!(error, Error::AnswerTooLarge { limit: 1000 }), "{}", chain(&error));
    }
}

#[tokio::test]
async fn a_download_that_breaks_or_stalls_ends_with_a_passing_error() {
    let broken = vec![head("content-length: 9\r\n"), Step::Send(b"he".to_vec()), Step::Close];
    let stalled = vec![head("content-length: 9\r\n"), Step::Send(b"he".to_vec()), Step::Hang];
    for steps in [broken, stalled] {
        let server = server(move |_| steps.clone()).await;
        let mut config = config(&server.url);
        config.timeouts.stall = Duration::from_millis(200);
        let client = Client::connect(config).await.unwrap();
        let error = all(&client, blob()).await.unwrap_err();
        assert_eq!(error.class(), Class::Transient { retry_after: None });
        let is_right = matches!(error, Error::Interrupted(_) | Error::TimedOut { wait: Wait::Stall, .. });
        assert!(is_right, "{}", chain(&error));
        assert_eq!(server.lines().len(), 2, "retrying from the start is the caller's");
    }
}

#[tokio::test]
async fn failures_before_the_first_byte_are_retried() {
    let asked = AtomicUsize::new(0);
    let server = server(move |_| match asked.fetch_add(1, SeqCst) {
        0 => answer("503 Service Unavailable", "", ""),
        1 => vec![Step::Close],
        _ => ok("hello"),
    })
    .await;
    let client = connect(&server).await;
    assert_eq!(all(&client, blob()).await.unwrap(), b"hello");
    assert_eq!(client.counters().retries, 2);
}

#[tokio::test]
async fn a_missing_blob_is_permanent() {
    let (server, client) = serving(crate::server::not_found()).await;
    assert_eq!(all(&client, blob()).await.unwrap_err().class(), Class::Permanent);
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn an_id_that_would_climb_the_path_is_refused_unsent() {
    let (server, client) = serving(ok("")).await;
    let climbing = Download::new(&account(), &JmapBlobId::new("..").unwrap(), 1000);
    assert!(matches!(all(&client, climbing).await.unwrap_err(), Error::InvalidId(_)));
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn a_dropped_download_gives_its_place_back() {
    let server = server(|seen| match seen.line.starts_with("get /dl") {
        true => vec![head("content-length: 900\r\n"), Step::Send(b"x".to_vec()), Step::Hang],
        false => ok(r#"{"methodResponses":[]}"#),
    })
    .await;
    let mut config = config(&server.url);
    config.concurrency = 1;
    let client = Client::connect(config).await.unwrap();
    let batch = Batch::new(&account());
    let mut stream = Box::pin(client.download(blob()));
    assert_eq!(stream.next().await.unwrap().unwrap().as_ref(), b"x");
    let mut waiting = Box::pin(client.call(&batch));
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(stream);
    waiting.await.unwrap();
}
