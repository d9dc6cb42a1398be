use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use jmap::{Batch, Class, Client, Credentials, DataType, Error, RefusedCredentials, Renewal};

use crate::server::{Seen, Server, Step, answer, ok, session};
use crate::{account, chain, config};

const STATE: &str = r#"{"methodResponses":[["Email/get",{"accountId":"adm","state":"s","list":[],"notFound":[]},"0"]],
    "sessionState":"s"}"#;

/// Gives these tokens one after the other, the last one for ever.
#[derive(Debug)]
struct Tokens {
    left: Mutex<VecDeque<&'static str>>,
    asked: AtomicUsize,
}

impl Tokens {
    fn of(tokens: &[&'static str]) -> Arc<Tokens> {
        Arc::new(Tokens { left: Mutex::new(tokens.iter().copied().collect()), asked: AtomicUsize::new(0) })
    }
}

impl Renewal for Tokens {
    fn renewed(&self) -> Option<Credentials> {
        self.asked.fetch_add(1, SeqCst);
        let mut left = self.left.lock().unwrap();
        let token = if left.len() > 1 { left.pop_front() } else { left.front().copied() };
        token.map(|token| Credentials::bearer(token.to_owned()))
    }
}

/// Takes "old" for the session, and only `valid` behind it.
async fn server(valid: &'static str) -> Server {
    let is_signed = |seen: &Seen, token: &str| seen.head.contains(&format!("bearer {token}\r\n"));
    Server::start(move |seen| -> Vec<Step> {
        match seen.line.as_str() {
            "get /.well-known/jmap" => ok(session("", 8)),
            _ if is_signed(seen, valid) => ok(STATE),
            _ => answer("401 Unauthorized", "", ""),
        }
    })
    .await
}

async fn client(server: &Server, renewal: Option<Arc<Tokens>>) -> Client {
    let mut config = config(&server.url);
    config.credentials = Credentials::bearer("old".to_owned());
    config.renewal = renewal.map(|tokens| tokens as Arc<dyn Renewal>);
    Client::connect(config).await.unwrap()
}

async fn state(client: &Client) -> Result<(), Error> {
    let mut batch = Batch::new(&account());
    let call = batch.state(DataType::Email);
    client.call(&batch).await?.take(call).map(drop)
}

/// How many requests one call takes, and how often newer credentials are asked for.
async fn check(
    valid: &'static str,
    tokens: Option<&[&'static str]>,
    good: bool,
    requests: usize,
    asked: usize,
) {
    let server = server(valid).await;
    let tokens = tokens.map(Tokens::of);
    let client = client(&server, tokens.clone()).await;
    let before = server.lines().len();
    let ended = state(&client).await;
    assert_eq!(ended.is_ok(), good, "{ended:?}");
    if let Err(error) = ended {
        assert_eq!(error.class(), Class::Auth, "{error}");
        assert!(!chain(&error).contains("new"), "{}", chain(&error));
    }
    assert_eq!(server.lines().len() - before, requests);
    assert_eq!(tokens.map_or(0, |tokens| tokens.asked.load(SeqCst)), asked);
}

#[tokio::test]
async fn a_refused_request_is_sent_once_more_with_newer_credentials() {
    check("old", Some(&["new"]), true, 1, 0).await;
    check("new", Some(&["new"]), true, 2, 1).await;
    // The file still holds what was refused.
    check("new", Some(&["old"]), false, 1, 1).await;
    check("new", Some(&[]), false, 1, 1).await;
    check("new", None, false, 1, 0).await;
    // Once: the second one is refused, too.
    check("newest", Some(&["new", "newest"]), false, 2, 1).await;
}

#[tokio::test]
async fn what_one_client_was_refused_no_other_one_tries() {
    let server = server("new").await;
    let refused = Arc::new(RefusedCredentials::default());
    let (old, new) = (Credentials::bearer("old".to_owned()), Credentials::bearer("new".to_owned()));
    let connect = async |renewal: Option<Arc<Tokens>>| {
        let mut config = config(&server.url);
        config.credentials = old.clone();
        config.refused = Some(refused.clone());
        config.renewal = renewal.map(|tokens| tokens as Arc<dyn Renewal>);
        Client::connect(config).await.unwrap()
    };
    let clients = [connect(None).await, connect(None).await, connect(Some(Tokens::of(&["new"]))).await];
    let before = server.lines().len();
    assert!(state(&clients[0]).await.is_err() && refused.contains(&old) && !refused.contains(&new));
    assert!(matches!(state(&clients[1]).await, Err(Error::Withheld)));
    assert!(matches!(state(&clients[0]).await, Err(Error::Withheld)));
    assert_eq!(server.lines().len() - before, 1, "two clients, three calls, one refusal");
    state(&clients[2]).await.expect("it finds newer ones before it asks");
    assert_eq!(server.lines().len() - before, 2);
    refused.forget(&old);
    assert!(matches!(state(&clients[1]).await, Err(Error::Unauthorized)), "it may ask again");
}

#[tokio::test]
async fn requests_that_are_refused_together_all_go_on() {
    let server = server("new").await;
    let tokens = Tokens::of(&["new"]);
    let client = client(&server, Some(tokens.clone())).await;
    let ended = futures::future::join_all((0..6).map(|_| state(&client))).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    state(&client).await.unwrap();
    let refused = server.lines().len();
    assert!(tokens.asked.load(SeqCst) <= 6 && refused <= 1 + 12 + 1, "{refused}");
    let asked = tokens.asked.load(SeqCst);
    state(&client).await.unwrap();
    assert_eq!(tokens.asked.load(SeqCst), asked, "the newer ones stay");
}
