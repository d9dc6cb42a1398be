//! A hand-written HTTP/1.1 server that answers as a test tells it to, byte by byte, and remembers what it was asked.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What to do for an answer, in order.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// The server takes its time.
    Pause(Duration),
    /// Sends these bytes until the client goes away.
    Forever(Vec<u8>),
    /// Neither answers nor closes.
    Hang,
    Close,
}

type Handler = dyn Fn(&Seen) -> Vec<Step> + Send + Sync;

pub(crate) struct Server {
    pub(crate) url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    handler: Box<Handler>,
    seen: Mutex<Vec<Seen>>,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            seen: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { url, shared, accepting }
    }

    /// Sends the same bytes to whoever connects, without listening to a word.
    pub(crate) async fn start_raw(bytes: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut server = Self::start(|_| vec![]).await;
        server.accepting.abort();
        server.url = format!("http://{}", listener.local_addr().unwrap());
        server.accepting = tokio::spawn(async move {
            let mut connections = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(bytes).await.unwrap();
                connections.push(stream);
            }
        });
        server
    }

    /// Everything asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The first words of everything asked so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    /// The most requests that were being answered at once.
    pub(crate) fn peak(&self) -> usize {
        self.shared.peak.load(SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Some(seen) = read_request(&mut stream).await {
        shared.seen.lock().unwrap().push(seen.clone());
        let steps = (shared.handler)(&seen);
        shared.peak.fetch_max(shared.in_flight.fetch_add(1, SeqCst) + 1, SeqCst);
        let goes_on = perform(&mut stream, &steps).await;
        shared.in_flight.fetch_sub(1, SeqCst);
        if !goes_on {
            return;
        }
    }
}

async fn perform(stream: &mut TcpStream, steps: &[Step]) -> bool {
    for step in steps {
        match step {
            Step::Send(bytes) if stream.write_all(bytes).await.is_err() => return false,
            Step::Send(_) => {}
            Step::Pause(time) => tokio::time::sleep(*time).await,
            Step::Forever(bytes) => while stream.write_all(bytes).await.is_ok() {},
            Step::Hang => std::future::pending().await,
            Step::Close => return false,
        }
    }
    true
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase().replace("http/1.1", "");
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let line = head.lines().next().unwrap().trim().to_owned();
    Some(Seen { line, head, body: String::from_utf8(body).unwrap() })
}

/// A complete answer with these extra header lines.
pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes)]
}

pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<Step> {
    answer("200 OK", "content-type: application/json\r\n", body)
}

pub(crate) fn not_found() -> Vec<Step> {
    answer("404 Not Found", "", "")
}

/// The head of an answer whose body follows in further steps.
pub(crate) fn head(headers: &str) -> Step {
    Step::Send(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes())
}

/// A session whose URLs start with `prefix`; at most `concurrent` requests at once.
pub(crate) fn session(prefix: &str, concurrent: usize) -> String {
    format!(
        r#"{{"capabilities":{{"urn:ietf:params:jmap:core":{{"maxConcurrentRequests":{concurrent},"maxObjectsInGet":3}},
        "urn:ietf:params:jmap:mail":{{}},"urn:ietf:params:jmap:blob":{{}},"urn:ietf:params:jmap:principals":{{}}}},
        "accounts":{{"adm":{{"name":"admin","isPersonal":true,"accountCapabilities":{{"urn:ietf:params:jmap:mail":{{}}}}}},
          "t1":{{"name":"team"}},"t2":{{"name":"Team"}}}},
        "primaryAccounts":{{"urn:ietf:params:jmap:mail":"adm","urn:ietf:params:jmap:core":"nobody"}},"username":"admin",
        "apiUrl":"{prefix}/api","downloadUrl":"{prefix}/dl/{{accountId}}/{{blobId}}/{{name}}?t={{type}}",
        "uploadUrl":"{prefix}/up/{{accountId}}/","state":"s"}}"#
    )
}
