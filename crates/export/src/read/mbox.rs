//! Mbox files that are not ours, or have lost their side files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::{DataType, EmailId, FolderId};
use serde_json::json;

use super::root::{Root, printable};
use crate::error::Doing;
use crate::formats::mbox::{BOX, DIRECTORY, LETTERS, MAIL};
use crate::formats::quote::Unquoted;
use crate::item::{Email, Object, Receiver};
use crate::{Error, Result};

/// How Thunderbird's own indexes of its files end.
const INDEX: &str = ".msf";
/// Directories are not followed deeper.
const DEEPEST: usize = 100;
/// Where the headers with an email's status are looked for.
const MOST_HEAD: u64 = 64 << 10;
/// A line is looked at this far.
const MOST_LINE: u64 = 4 << 10;

/// An email in an mbox: its date and where its quoted bytes are.
struct Found {
    received_at: i64,
    start: u64,
    end: u64,
}

pub(super) fn read(root: &Root, receiver: &mut dyn Receiver) -> Result<()> {
    let top = if root.exists(MAIL) { MAIL } else { "" };
    let mut boxes = Vec::new();
    find(root, top, 0, BOX, &mut boxes)?;
    if boxes.is_empty() && !top.is_empty() {
        // Thunderbird's: files without an ending, what is below `A` in `A.sbd`.
        find(root, top, 0, "", &mut boxes)?;
        boxes.retain(|path| !path.ends_with(INDEX));
    }
    for path in &boxes {
        folder(path, top, &boxes, receiver)?;
    }
    for path in &boxes {
        emails(root, path, receiver)?;
    }
    Ok(())
}

fn find(root: &Root, dir: &str, depth: usize, ending: &str, boxes: &mut Vec<String>) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::TooLarge { file: printable(dir), what: "its depth", limit: DEEPEST as u64 });
    }
    for entry in root.list(dir)? {
        let path = if dir.is_empty() { entry.name } else { format!("{dir}/{}", entry.name) };
        if entry.is_dir {
            find(root, &path, depth + 1, ending, boxes)?;
        } else if path.ends_with(ending) {
            boxes.push(path);
        }
    }
    Ok(())
}

fn folder(path: &str, top: &str, boxes: &[String], receiver: &mut dyn Receiver) -> Result<()> {
    let stem = path.strip_suffix(BOX).unwrap_or(path);
    let (above, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let parent = above.strip_suffix(DIRECTORY).map_or_else(|| format!("{above}{BOX}"), str::to_owned);
    let parent = Some(parent).filter(|parent| above != top && boxes.contains(parent));
    let json = json!({"id": path, "name": name, "parentId": parent}).to_string();
    receiver.object(Object { data_type: DataType::Mailbox, id: path, json: json.as_bytes(), content: None })
}

fn emails(root: &Root, path: &str, receiver: &mut dyn Receiver) -> Result<()> {
    let (file, _) = root.open(path)?;
    let mut number = 0_u64;
    scan(&mut BufReader::new(file), path, &mut |found| {
        number += 1;
        let (mut file, _) = root.open(path)?;
        email(&mut file, path, number, found, receiver)
    })
}

/// Finds the lines that begin with `From ` at the start or after an empty line.
fn scan(file: &mut dyn BufRead, path: &str, take: &mut dyn FnMut(&Found) -> Result<()>) -> Result<()> {
    let mut current: Option<Found> = None;
    let (mut at, mut after_empty, mut at_line_start) = (0_u64, Some(0_u64), true);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = file.take(MOST_LINE).read_until(b'\n', &mut line).doing_to("read", path)? as u64;
        let is_separator = at_line_start && after_empty.is_some() && line.starts_with(b"From ");
        if let Some(mut found) = current.take_if(|_| is_separator || read == 0) {
            found.end = at - after_empty.unwrap_or_default();
            take(&found)?;
        }
        if read == 0 {
            return Ok(());
        }
        if is_separator {
            let start = at + read;
            current = Some(Found { received_at: date(&line), start, end: start });
        }
        let is_empty = at_line_start && matches!(line.as_slice(), b"\n" | b"\r\n");
        after_empty = is_empty.then_some(read);
        at_line_start = line.ends_with(b"\n");
        at += read;
    }
}

/// The date at the end of a `From ` line.
fn date(line: &[u8]) -> i64 {
    let line = String::from_utf8_lossy(line);
    let words: Vec<&str> = line.split_whitespace().collect();
    let last = words.len().saturating_sub(5);
    let date = DateTime::strptime("%a %b %d %H:%M:%S %Y", words[last..].join(" "));
    let zoned = date.ok().and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    zoned.map_or(0, |zoned| zoned.timestamp().as_second())
}

fn email(file: &mut File, path: &str, number: u64, found: &Found, receiver: &mut dyn Receiver) -> Result<()> {
    let content = |file: &mut File| -> Result<Unquoted<io::Take<File>>> {
        file.seek(SeekFrom::Start(found.start)).doing_to("read", path)?;
        let file = file.try_clone().doing_to("read", path)?;
        Ok(Unquoted::new(file.take(found.end.saturating_sub(found.start))))
    };
    // As it stands: what the email itself says of a status is quoted.
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(found.start)).doing_to("read", path)?;
    let length = found.end.saturating_sub(found.start).min(MOST_HEAD);
    file.take(length).read_to_end(&mut head).doing_to("read", path)?;
    let size = io::copy(&mut content(file)?, &mut io::sink()).doing_to("read", path)?;
    let email = Email {
        id: &EmailId::from(format!("{path}/{number}")),
        folders: &[FolderId::from(path)],
        keywords: &keywords(&head),
        received_at: found.received_at,
        size,
    };
    receiver.email(&email, &mut content(file)?)
}

/// What `Status`, `X-Status` and `X-Keywords` say.
fn keywords(head: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(head);
    let mut keywords = Vec::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        let Some((header, value)) = line.split_once(':') else { continue };
        for (keyword, place, letter) in LETTERS {
            if header.eq_ignore_ascii_case(place) && value.contains(letter) {
                keywords.push(keyword.to_owned());
            }
        }
        if header.eq_ignore_ascii_case("X-Keywords") {
            keywords.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    keywords.sort_unstable();
    keywords.dedup();
    keywords
}
