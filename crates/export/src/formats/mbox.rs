//! mbox: one mboxrd file per folder below `mail/`, its emails in the order of `receivedAt`, those of one moment in the order of their
//! ids. Emails come in any order, so the files grow in the spool and go into the export at the end. Where each of them lies there is what is
//! held of it: some sixty bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::content::{Replay, Spool};
use crate::error::Doing;
use crate::format::Options;
use crate::formats::quote::Quoting;
use crate::item::Email;
use crate::layout::{Out, Parsed};
use crate::name::{Name, SafePath, Taken};
use crate::report::Topic;
use crate::side::directory::{Mail, Place, PlaceOf};
use crate::tree::{Folder, Tree};
use crate::{Result, dates};

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
    ids: Ids,
}

struct FolderBox {
    /// What its files are called, without their number and ending.
    stem: String,
    path: SafePath,
    /// Where the boxes of the folders below lie.
    below: SafePath,
    spooled: PathBuf,
    length: u64,
    /// In the order in which they came.
    mails: Vec<Spooled>,
}

/// Where an email lies in the spooled file of a folder.
struct Spooled {
    received_at: i64,
    at: u64,
    length: u64,
    /// Its place among the emails of all folders.
    number: u32,
    /// Bytes before its own first one.
    envelope: u16,
    /// The other folders that it is in come later.
    is_first: bool,
}

/// The ids of all emails, in the order in which they came.
#[derive(Default)]
struct Ids {
    /// One after the other: that is a third of what a `String` for each takes.
    text: String,
    ends: Vec<usize>,
}

impl Ids {
    fn push(&mut self, id: &str) -> u32 {
        let number = u32::try_from(self.ends.len()).expect("there are fewer than four billion emails");
        self.text.push_str(id);
        self.ends.push(self.text.len());
        number
    }

    fn get(&self, number: u32) -> &str {
        let at = number as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[at]]
    }
}

impl Mbox {
    #[expect(clippy::unnecessary_wraps, reason = "every format is created alike")]
    pub(crate) fn create(_: &mut Spool) -> Result<Mbox> {
        Ok(Mbox { boxes: BTreeMap::new(), taken: Taken::default(), open: None, ids: Ids::default() })
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

    /// Writes the files of a folder, its emails in the order of their dates.
    fn hand_over(&mut self, folder: FolderBox, places: &mut Places, out: &mut Out) -> Result<()> {
        let FolderBox { stem, path, spooled, mut mails, .. } = folder;
        if mails.is_empty() {
            return out.write(&path, b"");
        }
        let order = |mail: &Spooled| (mail.received_at, self.ids.get(mail.number));
        let is_in_order = mails.is_sorted_by(|one, next| order(one) <= order(next));
        mails.sort_unstable_by(|one, other| order(one).cmp(&order(other)));
        let parts = parts(&mails, out.options.split);
        let is_as_spooled = is_in_order && parts.len() == 1;
        for (number, part) in (1..).zip(parts) {
            let path = match number {
                1 => path.clone(),
                number => self.name_of_part(&path, &stem, number, out),
            };
            let length = places.enter(&path, part);
            if is_as_spooled {
                out.sink.adopt(&path, dates::now(), &spooled)?
            } else {
                out.sink.file(&path, dates::now(), length, &mut Pieces::open(&spooled, part)?)?
            }
        }
        if is_as_spooled { Ok(()) } else { std::fs::remove_file(&spooled).doing("remove", &spooled) }
    }

    fn name_of_part(&mut self, first: &SafePath, stem: &str, number: u32, out: &Out) -> SafePath {
        let (dir, _) = first.as_str().rsplit_once('/').expect("it is below the top");
        let ending = Endings::of(out.options).of_box;
        first.beside(&self.taken.claim(dir, "", &format!("{stem}.part{number}"), ending))
    }
}

/// The emails of each file of a folder: no file is longer than `split`, unless it holds a single one.
fn parts(mails: &[Spooled], split: Option<u64>) -> Vec<&[Spooled]> {
    let split = split.unwrap_or(u64::MAX);
    let (mut parts, mut start, mut length) = (Vec::new(), 0, 0_u64);
    for (at, mail) in mails.iter().enumerate() {
        if at > start && length.saturating_add(mail.length) > split {
            parts.push(&mails[start..at]);
            (start, length) = (at, 0);
        }
        length = length.saturating_add(mail.length);
    }
    parts.push(&mails[start..]);
    parts
}

/// Where each email went, by its number: the file, and the place of its own first byte.
struct Places {
    files: Vec<SafePath>,
    of: Vec<(u32, u64)>,
}

impl Places {
    /// Takes a file and the emails in it; returns its length.
    fn enter(&mut self, path: &SafePath, mails: &[Spooled]) -> u64 {
        let file = u32::try_from(self.files.len()).expect("there are fewer files than emails");
        self.files.push(path.clone());
        let mut length = 0;
        for mail in mails {
            if mail.is_first {
                self.of[mail.number as usize] = (file, length + u64::from(mail.envelope));
            }
            length += mail.length;
        }
        length
    }

    fn get(&self, number: usize) -> Place {
        let (file, start) = self.of[number];
        Place { path: self.files[file as usize].clone(), start: Some(start) }
    }
}

/// Emails one after the other, wherever they lie in a spooled file.
struct Pieces<'a> {
    file: File,
    rest: std::slice::Iter<'a, Spooled>,
    /// Bytes left of the one that is being read.
    left: u64,
}

impl<'a> Pieces<'a> {
    fn open(spooled: &Path, mails: &'a [Spooled]) -> Result<Pieces<'a>> {
        Ok(Pieces { file: File::open(spooled).doing("open", spooled)?, rest: mails.iter(), left: 0 })
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some(mail) = self.rest.next() else { return Ok(0) };
            self.file.seek(SeekFrom::Start(mail.at))?;
            self.left = mail.length;
        }
        let read = (&self.file).take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
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
        if options.thunderbird {
            Endings { of_box: "", of_directory: DIRECTORY }
        } else {
            Endings { of_box: BOX, of_directory: "" }
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
        let (stem, spooled) = (stem.to_string(), out.spool.path());
        let fresh = FolderBox { stem, below, path, spooled, length: 0, mails: Vec::new() };
        self.boxes.insert(index, fresh);
        Ok(())
    }

    fn email(
        &mut self,
        email: &Email<'_>,
        folders: &[usize],
        content: &mut Replay,
        out: &mut Out,
    ) -> Result<Option<Place>> {
        let envelope = envelope(email, content, out)?;
        if folders.len() > 1 {
            out.note(Topic::Copied, || format!("email {} is in {} folders", email.id, folders.len()));
        }
        let number = self.ids.push(email.id.as_str());
        for (nth, index) in folders.iter().enumerate() {
            let at = self.at(*index).length;
            self.write(*index, &envelope)?;
            each_quoted(content, |bytes| self.write(*index, bytes))?;
            let folder = self.at(*index);
            folder.mails.push(Spooled {
                received_at: email.received_at,
                at,
                length: folder.length - at,
                number,
                envelope: u16::try_from(envelope.len()).expect("keywords are cut"),
                is_first: nth == 0,
            });
        }
        Ok(None)
    }

    fn finish(mut self, _: &Tree, out: &mut Out) -> Result<Option<PlaceOf>> {
        self.close()?;
        out.sink.directory(&SafePath::top(MAIL))?;
        let mut places = Places { files: Vec::new(), of: vec![(0, 0); self.ids.ends.len()] };
        for folder in std::mem::take(&mut self.boxes).into_values() {
            self.hand_over(folder, &mut places, out)?;
        }
        Ok(Some(Box::new(move |number| places.get(number))))
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
