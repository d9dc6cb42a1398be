//! Real mail for measuring: the messages of an npm package, and generated attachments.

use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Folders of the package, in order.
const FOLDERS: [&str; 5] = ["easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2"];
const ATTACHMENTS: u64 = 40;

/// One message: the folder it belongs to and its bytes.
#[derive(Debug, Clone)]
pub struct Message {
    /// Name of the folder.
    pub folder: &'static str,
    /// RFC 5322, lines ended by CRLF.
    pub raw: Bytes,
}

/// The package's messages (6,046), the mbox line stripped, line ends made CRLF.
pub fn real_mail(package: &Path) -> std::io::Result<Vec<Message>> {
    let mut messages = Vec::new();
    for folder in FOLDERS {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(package.join("data").join(folder))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
            .collect();
        paths.sort();
        for path in paths {
            let raw = Bytes::from(as_message(&std::fs::read(path)?));
            messages.push(Message { folder, raw });
        }
    }
    Ok(messages)
}

/// Messages with one base64 attachment each, 0.1 to 6 MB, about 120 MB together; the same bytes every time.
pub fn attachments() -> Vec<Message> {
    (0..ATTACHMENTS)
        .map(|i| Message { folder: "attachments", raw: attachment(i, 100_000 + i * 150_000) })
        .collect()
}

/// A message with an attachment of about so many bytes on the wire.
pub fn attachment(seed: u64, bytes: u64) -> Bytes {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut raw = format!(
        "From: Sender {seed} <s{seed}@example.org>\r\nTo: alice@example.org\r\nSubject: File {seed}\r\n\
         Message-ID: <file-{seed}@example.org>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"b{seed}\"\r\n\r\n--b{seed}\r\nContent-Type: text/plain\r\n\r\nSee file.\r\n\
         --b{seed}\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"file-{seed}.bin\"\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..bytes / 78 {
        for _ in 0..76 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            raw.push(ALPHABET[usize::try_from(state >> 58).unwrap_or(0)]);
        }
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(format!("--b{seed}--\r\n").as_bytes());
    raw.into()
}

fn as_message(text: &[u8]) -> Vec<u8> {
    let body = match text.starts_with(b"From ") {
        true => text.iter().position(|b| *b == b'\n').map_or(&[][..], |end| &text[end + 1..]),
        false => text,
    };
    let mut message = Vec::with_capacity(body.len() + body.len() / 30);
    let mut before = 0;
    for byte in body {
        if *byte == b'\n' && before != b'\r' {
            message.push(b'\r');
        }
        message.push(*byte);
        before = *byte;
    }
    message
}
