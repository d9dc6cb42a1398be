//! A small S3 in this process, which is honest unless it is given a [`Quirk`].
//!
//! It knows what `malle` uses: objects, ranges, `If-None-Match: *`, checksums, listings in pages, deletions. It does not
//! look at signatures. HTTP is spoken by hand, because quirks break connections where no framework would.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use md5::{Digest, Md5};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::quirk::{Quirk, Step};
use crate::wire::{Answer, Request, head, send};

pub use crate::wire::BUCKET;

/// Keys on a page of a listing, as on real stores.
const PAGE: usize = 1000;
const LAST_MODIFIED: &str = "Sun, 01 Nov 2026 00:00:00 GMT";

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct S3 {
    endpoint: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Object>,
    quirk: Quirk,
    /// Requests since the quirk was set, and those that it met.
    requests: u64,
    hits: u64,
    attempts: BTreeMap<(String, String), u64>,
}

#[derive(Debug)]
struct Object {
    bytes: Bytes,
    /// Greater than that of every object that was written before.
    age: u64,
}

impl S3 {
    /// Listens on a loopback port of its own.
    pub fn start(quirk: Quirk) -> BoxFuture<'static, io::Result<S3>> {
        Box::pin(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let endpoint = format!("http://{}", listener.local_addr()?);
            let state = Arc::new(Mutex::new(State { quirk, ..State::default() }));
            let shared = state.clone();
            let serving = tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    // A client that goes away is no concern of ours.
                    tokio::spawn(serve(client, shared.clone()));
                }
            });
            Ok(S3 { endpoint, state, serving })
        })
    }

    /// `http://127.0.0.1:PORT`; the bucket is a path below it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// From the next request on it behaves like this.
    pub fn set(&self, quirk: Quirk) {
        let mut state = lock(&self.state);
        let objects = std::mem::take(&mut state.objects);
        *state = State { objects, quirk, ..State::default() };
    }

    /// How many requests the quirk has met since it was set.
    pub fn hits(&self) -> u64 {
        lock(&self.state).hits
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers requests on one connection until it ends or a quirk breaks it.
async fn serve(mut client: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(mut request) = head(&mut client, &mut read).await? else { return Ok(()) };
        let step = lock(&state).met(&request);
        if matches!(step, Step::Reset) {
            return Ok(());
        }
        let length = request.headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while read.len() < length {
            if client.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        request.body = read.drain(..length).collect::<Vec<u8>>().into();
        if let Step::Wait(time) = step {
            tokio::time::sleep(time).await;
        }
        let is_head = request.method == "HEAD";
        let Some(answer) = lock(&state).answer(&step, request) else { return Ok(()) };
        if !send(&mut client, answer, is_head).await? {
            return Ok(());
        }
    }
}

impl State {
    /// What the quirk makes of a request whose head came in.
    fn met(&mut self, request: &Request) -> Step {
        let attempt = self.attempts.entry((request.method.clone(), request.key.clone())).or_default();
        *attempt += 1;
        let step = self.quirk.step(request, self.requests, *attempt, self.hits);
        self.requests += 1;
        self.hits += u64::from(!matches!(step, Step::Honest));
        step
    }

    /// `None`: the connection ends without an answer.
    fn answer(&mut self, step: &Step, mut request: Request) -> Option<Answer> {
        match step {
            Step::Say(say) => return Some(say()),
            Step::ChangeOnTheWay => request.body = flipped(&request.body),
            Step::Unconditional => drop(request.headers.remove("if-none-match")),
            _ => {}
        }
        let (key, is_put) = (request.key.clone(), request.method == "PUT");
        let mut answer = self.honest(&request);
        match step {
            Step::Unanswered => return None,
            Step::ChangeBeforeTheTag if is_put => {
                let bytes = flipped(&request.body);
                answer.headers = vec![("ETag", tag(&bytes))];
                self.replace(&key, Some(bytes));
            }
            Step::ChangeInTheStore if is_put => self.replace(&key, Some(flipped(&request.body))),
            Step::CutInTheStore if is_put => {
                self.replace(&key, Some(request.body.slice(..request.body.len() / 2)));
            }
            Step::Lose if is_put => self.replace(&key, None),
            Step::ChangeAnswer(change) => change(&mut answer),
            Step::ChangeOnTheWayBack if answer.status < 300 => answer.body = flipped(&answer.body),
            _ => {}
        }
        Some(answer)
    }

    fn replace(&mut self, key: &str, bytes: Option<Bytes>) {
        match (self.objects.get_mut(key), bytes) {
            (Some(object), Some(bytes)) => object.bytes = bytes,
            (Some(_), None) => drop(self.objects.remove(key)),
            (None, _) => {}
        }
    }

    fn honest(&mut self, request: &Request) -> Answer {
        match request.method.as_str() {
            "PUT" => self.put(request),
            "GET" if request.key.is_empty() => self.list(request),
            "GET" | "HEAD" => self.get(request),
            "DELETE" => {
                self.objects.remove(&request.key);
                Answer::empty(204)
            }
            "POST" if request.query.contains_key("delete") => self.delete_many(request),
            _ => Answer::error(405, "MethodNotAllowed"),
        }
    }

    fn put(&mut self, request: &Request) -> Answer {
        if request.is_conditional() && self.objects.contains_key(&request.key) {
            return Answer::error(412, "PreconditionFailed");
        }
        if let Some(sum) = request.headers.get("x-amz-checksum-sha256") {
            let ours = ring::digest::digest(&ring::digest::SHA256, &request.body);
            if *sum != BASE64_STANDARD.encode(ours) {
                return Answer::error(400, "BadDigest");
            }
        }
        let age = self.objects.values().map(|object| object.age + 1).max().unwrap_or_default();
        let bytes = request.body.clone();
        let answer = Answer { headers: vec![("ETag", tag(&bytes))], ..Answer::empty(200) };
        self.objects.insert(request.key.clone(), Object { bytes, age });
        answer
    }

    fn get(&self, request: &Request) -> Answer {
        let Some(object) = self.objects.get(&request.key) else {
            return Answer::error(404, "NoSuchKey");
        };
        let mut headers = vec![("ETag", tag(&object.bytes)), ("Last-Modified", LAST_MODIFIED.to_owned())];
        let length = object.bytes.len();
        let range =
            request.headers.get("range").and_then(|text| text.strip_prefix("bytes=")?.split_once('-'));
        let number = |text: &str| text.parse::<usize>().ok();
        let Some((start, last)) = range.and_then(|(start, last)| Some((number(start)?, number(last)?)))
        else {
            return Answer { headers, body: object.bytes.clone(), ..Answer::empty(200) };
        };
        if start >= length {
            return Answer::error(416, "InvalidRange");
        }
        let end = length.min(last + 1);
        headers.push(("Content-Range", format!("bytes {start}-{}/{length}", end - 1)));
        Answer { headers, body: object.bytes.slice(start..end), ..Answer::empty(206) }
    }

    fn list(&self, request: &Request) -> Answer {
        let of = |name: &str| request.query.get(name).map(String::as_str);
        let prefix = of("prefix").unwrap_or_default();
        let after = of("continuation-token").or(of("start-after")).unwrap_or_default();
        let mut ages: Vec<u64> = self.objects.values().map(|object| object.age).collect();
        ages.sort_unstable();
        ages.truncate(ages.len().saturating_sub(self.quirk.unlisted()));
        let mut rows: BTreeMap<String, String> = BTreeMap::new();
        for (key, object) in &self.objects {
            let Some(rest) = key.strip_prefix(prefix).filter(|_| ages.contains(&object.age)) else {
                continue;
            };
            let (at, row) = match rest.split_once('/').filter(|_| of("delimiter").is_some()) {
                Some((dir, _)) => {
                    let dir = format!("{prefix}{dir}/");
                    (dir.clone(), format!("<CommonPrefixes><Prefix>{dir}</Prefix></CommonPrefixes>"))
                }
                None => (
                    key.clone(),
                    format!(
                        "<Contents><Key>{key}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified>\
                         <ETag>{}</ETag><Size>{}</Size></Contents>",
                        tag(&object.bytes).replace('"', "&quot;"),
                        object.bytes.len()
                    ),
                ),
            };
            if at.as_str() > after {
                rows.insert(at, row);
            }
        }
        let page = self.quirk.page().unwrap_or(PAGE);
        let is_truncated = rows.len() > page;
        let mut rows: Vec<(String, String)> = rows.into_iter().take(page).collect();
        let next = rows.last().map(|(at, _)| at.clone()).filter(|_| is_truncated);
        if self.quirk.is_unsorted() {
            rows.reverse();
        }
        let rows: String = rows.into_iter().map(|(_, row)| row).collect();
        let next = next.map(|at| format!("<NextContinuationToken>{at}</NextContinuationToken>"));
        let next = next.unwrap_or_default();
        Answer::xml(
            200,
            &format!(
                "<ListBucketResult><IsTruncated>{is_truncated}</IsTruncated>{rows}{next}</ListBucketResult>"
            ),
        )
    }

    fn delete_many(&mut self, request: &Request) -> Answer {
        let text = String::from_utf8_lossy(&request.body);
        let keys = text.split("<Key>").skip(1).filter_map(|part| Some(part.split_once("</Key>")?.0));
        let mut rows = String::new();
        for key in keys {
            self.objects.remove(key);
            rows.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
        }
        Answer::xml(200, &format!("<DeleteResult>{rows}</DeleteResult>"))
    }
}

/// The tag of an object: its MD5, as on most stores.
fn tag(bytes: &[u8]) -> String {
    let sum: [u8; 16] = Md5::digest(bytes).into();
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// One bit in the middle is another one.
fn flipped(bytes: &[u8]) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}
