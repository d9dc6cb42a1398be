//! HTTP by hand, as much as an S3 needs: requests with a length, answers that may break off.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The only bucket.
pub const BUCKET: &str = "bucket";

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Below the bucket; empty for a request to the bucket itself.
    pub(crate) key: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// The connection breaks in the middle of the body.
    pub(crate) is_cut: bool,
}

impl Request {
    pub(crate) fn is_conditional(&self) -> bool {
        self.headers.contains_key("if-none-match")
    }

    pub(crate) fn has_checksum(&self) -> bool {
        self.method == "PUT" && self.headers.keys().any(|name| name.starts_with("x-amz-checksum-"))
    }
}

impl Answer {
    pub(crate) fn empty(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Bytes::new(), is_cut: false }
    }

    pub(crate) fn xml(status: u16, body: &str) -> Answer {
        Answer::text(status, "application/xml", &format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}"))
    }

    pub(crate) fn text(status: u16, kind: &str, body: &str) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { headers: vec![("Content-Type", kind.to_owned())], body, ..Answer::empty(status) }
    }

    pub(crate) fn error(status: u16, code: &str) -> Answer {
        Answer::xml(status, &format!("<Error><Code>{code}</Code><Message>It says {code}.</Message></Error>"))
    }
}

/// The next request without its body; `None` at the end of the connection.
pub(crate) async fn head(client: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = memchr::memmem::find(read, b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(read).await? == 0 {
            return Ok(None);
        }
    };
    let head: Vec<u8> = read.drain(..end).collect();
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    let key = decoded(path.trim_start_matches('/'));
    let key = key.strip_prefix(BUCKET).unwrap_or(&key).trim_start_matches('/').to_owned();
    Ok(Some(Request {
        method,
        key,
        query: query.split('&').filter(|text| !text.is_empty()).map(pair).collect(),
        headers: lines.filter_map(header).collect(),
        body: Bytes::new(),
    }))
}

/// Sends an answer; whether the connection goes on.
pub(crate) async fn send(client: &mut TcpStream, answer: Answer, is_head: bool) -> io::Result<bool> {
    let mut text = format!("HTTP/1.1 {} It\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    if answer.is_cut {
        bytes.extend_from_slice(&answer.body[..answer.body.len() / 2]);
    } else if !is_head {
        bytes.extend_from_slice(&answer.body);
    }
    client.write_all(&bytes).await?;
    client.flush().await?;
    Ok(!answer.is_cut)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
