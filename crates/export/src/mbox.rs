//! mbox: one mboxrd file per folder below `mail/`. Emails come in any order, so the files grow in the spool and go into
//! the export at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;

use crate::content::{Replay, Spool};
use crate::error::Doing;
use crate::item::Email;
use crate::layout::{Out, Parsed};
use crate::name::{Name, SafePath, Taken};
use crate::quote::Quoting;
use crate::report::Topic;
use crate::side::{Mail, Place};
use crate::tree::{Folder, Tree};
use crate::{Result, dates, sink};

const BUFFER: usize = 64 << 10;
/// Longest `X-Keywords` line.
const MOST_KEYWORDS: usize = 900;
pub(crate) const MAIL: &str = "mail";
/// Keywords that have a letter of their own, and the header it goes to.
pub(crate) const LETTERS: [(&str, &str, char); 4] = [
    ("$seen", "Status", 'R'),
    ("$answered", "X-Status", 'A'),
    ("$flagged", "X-Status", 'F'),
    ("$draft", "X-Status", 'T'),
];

pub(crate) struct Mbox {
    /// By the folder's index.
    boxes: BTreeMap<usize, FolderBox>,
    taken: Taken,
    /// The file written last, still open.
    open: Option<(usize, BufWriter<File>)>,
}

struct FolderBox {
    path: SafePath,
    /// Where the boxes of the folders below lie.
    below: SafePath,
    /// Its last file.
    spooled: PathBuf,
    length: u64,
    /// Files that are as long as they may be.
    full: Vec<(SafePath, PathBuf)>,
    /// Files of it, this one included.
    parts: u32,
}

impl Mbox {
    #[expect(clippy::unnecessary_wraps, reason = "every format is created alike")]
    pub(crate) fn create(_: &mut Spool) -> Result<Mbox> {
        Ok(Mbox { boxes: BTreeMap::new(), taken: Taken::default(), open: None })
    }

    fn at(&mut self, index: usize) -> &mut FolderBox {
        self.boxes.get_mut(&index).expect("folders come before emails")
    }

    fn file(&mut self, index: usize) -> Result<&mut BufWriter<File>> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            self.close()?;
            let path = &self.at(index).spooled;
            let file = File::options().append(true).create(true).open(path).doing("open", path)?;
            self.open = Some((index, BufWriter::with_capacity(BUFFER, file)));
        }
        let (_, file) = self.open.as_mut().expect("it has just been opened");
        Ok(file)
    }

    fn close(&mut self) -> Result<()> {
        match self.open.take() {
            Some((index, mut file)) => file.flush().doing("write", &self.at(index).spooled),
            None => Ok(()),
        }
    }

    fn write(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        self.file(index)?.write_all(bytes).doing_to("write", "a spooled mbox")?;
        self.at(index).length += bytes.len() as u64;
        Ok(())
    }

    /// Begins another file if this one would become longer than was asked for.
    fn make_room(&mut self, index: usize, bytes: u64, out: &mut Out) -> Result<()> {
        let is_too_long = |split: u64| self.boxes[&index].length.saturating_add(bytes) > split;
        if self.boxes[&index].length == 0 || !out.options.split.is_some_and(is_too_long) {
            return Ok(());
        }
        self.close()?;
        let spooled = out.spool.path();
        let number = self.at(index).parts + 1;
        let below = self.at(index).below.clone();
        let (dir, stem) = below.as_str().rsplit_once('/').expect("it is below the top");
        let name = self.taken.claim(dir, "", &format!("{stem}.part{number}"), ".mbox");
        let folder = self.at(index);
        let path = folder.path.beside(&name);
        let full =
            (std::mem::replace(&mut folder.path, path), std::mem::replace(&mut folder.spooled, spooled));
        folder.full.push(full);
        (folder.length, folder.parts) = (0, number);
        Ok(())
    }

    /// Returns where the first byte of the email is.
    fn append(&mut self, index: usize, envelope: &[u8], content: &mut Replay) -> Result<u64> {
        self.write(index, envelope)?;
        let start = self.at(index).length;
        let mut quoting = Quoting::quote();
        let mut reader = content.reader()?;
        let mut buffer = vec![0; BUFFER];
        let mut quoted = Vec::with_capacity(BUFFER);
        let mut last = b'\n';
        loop {
            let read = reader.read(&mut buffer).doing_to("read", "a temporary file")?;
            quoted.clear();
            match buffer[..read].last() {
                Some(byte) => {
                    last = *byte;
                    quoting.push(&buffer[..read], &mut quoted);
                }
                None => quoting.finish(&mut quoted),
            }
            self.write(index, &quoted)?;
            if read == 0 {
                break;
            }
        }
        self.write(index, if last == b'\n' { b"\n" } else { b"\n\n" })?;
        Ok(start)
    }
}

impl Mail for Mbox {
    fn object(&mut self, _: &Parsed<'_>, _: Option<&mut Replay>, _: &mut Out) -> Result<()> {
        Ok(())
    }

    fn folder(&mut self, index: usize, folder: &Folder, out: &mut Out) -> Result<()> {
        let top = SafePath::top(MAIL);
        let above = folder.parent.and_then(|parent| self.boxes.get(&parent)).map(|above| &above.below);
        let dir = above.filter(|dir| dir.has_room()).unwrap_or(&top);
        // A directory never has the ending of a box.
        let is_box = folder.name.to_lowercase().ends_with(".mbox");
        let raw = if is_box { format!("{}_", folder.name) } else { folder.name.clone() };
        let name = self.taken.claim(dir.as_str(), "", &raw, ".mbox");
        let stem = Name::sanitised(name.as_str().trim_end_matches(".mbox"));
        let path = dir.join(&name);
        if stem.as_str() != folder.name || above.is_some_and(|above| above != dir) {
            out.note(Topic::Renamed, || format!("folder `{}` is `{}`", folder.name, path.as_str()));
        }
        let spooled = out.spool.path();
        let fresh =
            FolderBox { below: dir.join(&stem), path, spooled, length: 0, full: Vec::new(), parts: 1 };
        self.boxes.insert(index, fresh);
        Ok(())
    }

    fn email(
        &mut self,
        email: &Email<'_>,
        folders: &[usize],
        content: &mut Replay,
        out: &mut Out,
    ) -> Result<Place> {
        let envelope = envelope(email, content, out)?;
        if folders.len() > 1 {
            out.note(Topic::Copied, || format!("email {} is in {} folders", email.id, folders.len()));
        }
        let mut first = None;
        for index in folders {
            self.make_room(*index, email.size, out)?;
            let start = self.append(*index, &envelope, content)?;
            let path = self.at(*index).path.clone();
            first.get_or_insert(Place { path, start: Some(start) });
        }
        Ok(first.expect("an email has a folder"))
    }

    fn finish(mut self, _: &Tree, out: &mut Out) -> Result<()> {
        self.close()?;
        out.sink.directory(&SafePath::top(MAIL))?;
        for FolderBox { path, spooled, length, full, .. } in self.boxes.into_values() {
            for (path, spooled) in full {
                out.sink.adopt(&path, sink::now(), &spooled)?;
            }
            match length {
                0 => out.write(&path, b"")?,
                _ => out.sink.adopt(&path, sink::now(), &spooled)?,
            }
        }
        Ok(())
    }
}

/// The `From ` line, and the keywords as headers before the email's own.
fn envelope(email: &Email<'_>, content: &mut Replay, out: &mut Out) -> Result<Vec<u8>> {
    let date = dates::asctime(email.received_at);
    if date.is_clamped {
        out.note(Topic::DateChanged, || format!("email {}", email.id));
    }
    let start = content.start(1000)?;
    let first_line = start.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let end = if first_line.ends_with(b"\r\n") { "\r\n" } else { "\n" };
    let (status, x_status, keywords) =
        (letters(email, "Status"), letters(email, "X-Status"), others(email, out));
    let mut envelope = format!("From MAILER-DAEMON {}\nStatus: {status}O{end}", date.text);
    for (header, value) in [("X-Status", x_status), ("X-Keywords", keywords)] {
        if !value.is_empty() {
            envelope.push_str(&format!("{header}: {value}{end}"));
        }
    }
    Ok(envelope.into_bytes())
}

fn letters(email: &Email<'_>, header: &str) -> String {
    let has = |keyword: &str| email.keywords.iter().any(|has| has.eq_ignore_ascii_case(keyword));
    let set = LETTERS.iter().filter(|(keyword, place, _)| *place == header && has(keyword));
    set.map(|(_, _, letter)| letter).collect()
}

fn others(email: &Email<'_>, out: &mut Out) -> String {
    let has_letter =
        |keyword: &&String| LETTERS.iter().any(|(known, ..)| known.eq_ignore_ascii_case(keyword));
    let others: Vec<&str> =
        email.keywords.iter().filter(|keyword| !has_letter(keyword)).map(String::as_str).collect();
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let mut text: String = others.join(" ");
    let words: Vec<String> = others.iter().map(|keyword| keyword.chars().map(plain).collect()).collect();
    let written = words.join(" ");
    if written == text && text.len() <= MOST_KEYWORDS {
        return text;
    }
    out.note(Topic::KeywordsBeside, || format!("email {}", email.id));
    text = written;
    text.truncate(MOST_KEYWORDS);
    text.trim_end().to_owned()
}
