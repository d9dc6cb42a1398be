use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use model::{Clock, JobKind, Plan};
use producer::{Asking, RequestSettings, serve_requests};
use queue::{BackupRequest, Delivery, MailboxName, QueueError, Settle, Source};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::room::{DOMAIN, Room, no_leak_in_logs};

/// How each request ended, in turn.
type Ends = Arc<Mutex<Vec<String>>>;

struct Requests(VecDeque<BackupRequest>, Ends);

struct Noted(Ends);

impl Noted {
    fn note(&self, end: &str) -> Result<(), QueueError> {
        self.0.lock().unwrap().push(end.to_owned());
        Ok(())
    }
}

#[async_trait]
impl Settle for Noted {
    async fn ack(self: Box<Self>) -> Result<(), QueueError> {
        self.note("done")
    }

    async fn retry(self: Box<Self>) -> Result<(), QueueError> {
        self.note("again")
    }

    async fn reject(self: Box<Self>, reason: &str) -> Result<(), QueueError> {
        self.note(reason)
    }
}

#[async_trait]
impl Source<BackupRequest> for Requests {
    async fn next(&mut self) -> Result<Option<Delivery<BackupRequest>>, QueueError> {
        let delivery = |request| Delivery::new(request, None, false, Box::new(Noted(self.1.clone())));
        Ok(self.0.pop_front().map(delivery))
    }
}

#[tokio::test]
async fn a_request_that_the_catalogue_can_never_take_does_not_stop_the_next() {
    let room = Room::new().await;
    room.mailboxes(Plan::Professional, 1).await;
    let clock: Arc<dyn Clock> = room.clock.clone();
    let asking = Asking::new(room.catalog.clone(), clock, RequestSettings::default(), |_| Ok(()));
    let request = |key: &str, account: &str| BackupRequest {
        idempotency_key: key.to_owned(),
        mailbox: MailboxName::Address(format!("{account}@{DOMAIN}")),
        kind: JobKind::Manual,
    };
    let nul = request("one", "professional0\0");
    let (ends, stop) = (Ends::default(), CancellationToken::new());
    let mut requests = Requests(
        VecDeque::from([nul, request("t\0o", "professional0"), request("3", "professional0")]),
        ends.clone(),
    );
    timeout(Duration::from_secs(60), serve_requests(&asking, &mut requests, &stop)).await.unwrap().unwrap();
    let ends = ends.lock().unwrap().clone();
    assert!(ends[..2].iter().all(|reason| reason.contains("22021")), "{ends:?}");
    assert_eq!(ends[2..], ["done"]);
    assert_eq!(room.jobs().await, 1);
    no_leak_in_logs("goes to the dead letters", &[]);
}
