//! mbox: one mboxrd file per folder below `mail/`. Emails come in any order, so the files grow in the spool and go into
//! the export at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;

use crate::content::{Replay, Spool};
use crate::error::Doing;
use crate::format::Options;
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
/// How the file of a folder ends.
pub(crate) const BOX: &str = ".mbox";
/// How the directory of what is below a folder ends in Thunderbird's trees, where files have no ending.
pub(crate) const DIRECTORY: &str = ".sbd";
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
    /// What its files are called, without their number and ending.
    stem: String,
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
    fn make_room(
        &mut self,
        index: usize,
        envelope: &[u8],
        content: &mut Replay,
        out: &mut Out,
    ) -> Result<()> {
        let Some(split) = out.options.split.filter(|_| self.boxes[&index].length > 0) else { return Ok(()) };
        let mut length = self.boxes[&index].length + envelope.len() as u64;
        each_quoted(content, |bytes| {
            length += bytes.len() as u64;
            Ok(())
        })?;
        if length <= split {
            return Ok(());
        }
        self.close()?;
        let spooled = out.spool.path();
        let ending = Endings::of(out.options).of_box;
        let folder = self.boxes.get_mut(&index).expect("folders come before emails");
        folder.parts += 1;
        let (dir, _) = folder.path.as_str().rsplit_once('/').expect("it is below the top");
        let name = self.taken.claim(dir, "", &format!("{}.part{}", folder.stem, folder.parts), ending);
        let path = folder.path.beside(&name);
        let full =
            (std::mem::replace(&mut folder.path, path), std::mem::replace(&mut folder.spooled, spooled));
        folder.full.push(full);
        folder.length = 0;
        Ok(())
    }

    /// Returns where the first byte of the email is.
    fn append(&mut self, index: usize, envelope: &[u8], content: &mut Replay) -> Result<u64> {
        self.write(index, envelope)?;
        let start = self.at(index).length;
        each_quoted(content, |bytes| self.write(index, bytes))?;
        Ok(start)
    }
}

/// An email as it stands in an mbox behind what is put before it, piece by piece, the empty line after it included.
fn each_quoted(content: &mut Replay, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
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
        take(&quoted)?;
        if read == 0 {
            break;
        }
    }
    take(if last == b'\n' { b"\n" } else { b"\n\n" })
}

/// What names end in.
struct Endings {
    of_box: &'static str,
    of_directory: &'static str,
}

impl Endings {
    fn of(options: Options) -> Endings {
        match options.thunderbird {
            true => Endings { of_box: "", of_directory: DIRECTORY },
            false => Endings { of_box: BOX, of_directory: "" },
        }
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
        let endings = Endings::of(out.options);
        // A directory never has the ending of a box, nor a box that of a directory.
        let is_taken = [BOX, DIRECTORY].iter().any(|ending| folder.name.to_lowercase().ends_with(ending));
        let raw = if is_taken { format!("{}_", folder.name) } else { folder.name.clone() };
        let name = self.taken.claim(dir.as_str(), "", &raw, endings.of_box);
        let stem = name.as_str().strip_suffix(endings.of_box).unwrap_or(name.as_str());
        let below = dir.join(&Name::sanitised(&format!("{stem}{}", endings.of_directory)));
        let stem = Name::sanitised(stem);
        let path = dir.join(&name);
        if stem.as_str() != folder.name || above.is_some_and(|above| above != dir) {
            out.note(Topic::Renamed, || format!("folder `{}` is `{}`", folder.name, path.as_str()));
        }
        let spooled = out.spool.path();
        let stem = stem.to_string();
        let fresh = FolderBox { stem, below, path, spooled, length: 0, full: Vec::new(), parts: 1 };
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
            self.make_room(*index, &envelope, content, out)?;
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
