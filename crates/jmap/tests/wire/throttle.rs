use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use jmap::{Batch, Client, Download, JmapBlobId, Outcome, Throttle, Turn};

use crate::server::{Step, answer, ok};
use crate::{account, config, server};

/// How each turn ended; `None`: it was dropped.
#[derive(Debug, Clone, Default)]
struct Book(Arc<Mutex<Vec<Option<Outcome>>>>);

struct Page {
    book: Book,
    place: usize,
}

#[async_trait]
impl Throttle for Book {
    async fn acquire(&self) -> Box<dyn Turn> {
        let mut turns = self.0.lock().unwrap();
        turns.push(None);
        Box::new(Page { book: self.clone(), place: turns.len() - 1 })
    }
}

impl Turn for Page {
    fn end(self: Box<Self>, outcome: Outcome, _latency: Duration) {
        self.book.0.lock().unwrap()[self.place] = Some(outcome);
    }
}

impl Book {
    fn turns(&self) -> Vec<Option<Outcome>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn connect(url: &str) -> (Client, Book) {
    let book = Book::default();
    let mut config = config(url);
    config.throttle = Some(Arc::new(book.clone()));
    let client = Client::connect(config).await.unwrap();
    assert_eq!(book.turns(), [Some(Outcome::Answered)], "the session is a request too");
    (client, book)
}

#[tokio::test]
async fn every_attempt_takes_a_turn_and_says_how_it_went() {
    let crowded =
        r#"{"type":"urn:ietf:params:jmap:error:limit","limit":"maxConcurrentRequests","status":400}"#;
    let limit = r#"{"type":"urn:ietf:params:jmap:error:limit","limit":"requests a minute","status":400}"#;
    let refused = |status, seconds: Option<u64>| Outcome::Refused {
        status,
        retry_after: seconds.map(Duration::from_secs),
    };
    for (faulty, outcome) in [
        (answer("429 Too Many Requests", "retry-after: 0\r\n", ""), refused(429, Some(0))),
        (answer("503 Service Unavailable", "retry-after: 7200\r\n", ""), refused(503, Some(7200))),
        (answer("400 Bad Request", "", limit), refused(429, None)),
        (answer("400 Bad Request", "", crowded), Outcome::Crowded),
        (answer("500 Internal Server Error", "", ""), Outcome::Failed),
        (vec![Step::Close], Outcome::Failed),
        (answer("404 Not Found", "", ""), Outcome::Answered),
    ] {
        let server = server(move |_| faulty.clone()).await;
        let (client, book) = connect(&server.url).await;
        client.call(&Batch::new(&account())).await.unwrap_err();
        let turns = book.turns();
        assert!(!turns.is_empty() && turns.iter().all(|turn| *turn == Some(outcome)), "{turns:?}");
    }
}

#[tokio::test]
async fn a_download_keeps_its_turn_until_it_is_read_or_dropped() {
    let server = server(|_| ok("0123456789")).await;
    let (client, book) = connect(&server.url).await;
    let blob = Download::new(&account(), &JmapBlobId::new("b1").unwrap(), 100);
    let mut body = Box::pin(client.download(blob));
    body.try_next().await.unwrap().expect("its first piece");
    assert_eq!(book.0.lock().unwrap().as_slice(), [None]);
    drop(body);
    assert_eq!(book.turns(), [Some(Outcome::Answered)]);
}

#[tokio::test]
async fn an_abandoned_request_ends_without_a_word() {
    let server = server(|_| vec![Step::Hang]).await;
    let (client, book) = connect(&server.url).await;
    let call = tokio::time::timeout(Duration::from_millis(50), client.call(&Batch::new(&account()))).await;
    assert!(call.is_err());
    assert_eq!(book.turns(), [None]);
}
