//! The side files in `malle/`, which give back exactly what was written.

use std::io::{self, Read, Seek, SeekFrom};

use model::{DataType, EmailId, FolderId};
use serde::Deserialize;

use super::root::Root;
use crate::error::Doing;
use crate::formats::quote::Unquoted;
use crate::item::{Content, Email, Object, Receiver};
use crate::side::placed::{EMAILS, EmailLine, OBJECTS, ObjectLine, SIDE};
use crate::{Error, Result};

pub(super) fn is_there(root: &Root) -> bool {
    [OBJECTS, EMAILS].iter().all(|name| root.exists(&format!("{SIDE}/{name}")))
}

pub(super) fn read(root: &Root, receiver: &mut dyn Receiver) -> Result<()> {
    let (objects, emails) = (format!("{SIDE}/{OBJECTS}"), format!("{SIDE}/{EMAILS}"));
    root.lines(&objects, &mut |line| object(root, &parsed(line, &objects)?, receiver))?;
    root.lines(&emails, &mut |line| email(root, &parsed(line, &emails)?, receiver))
}

fn parsed<'a, T: Deserialize<'a>>(line: &'a [u8], file: &str) -> Result<T> {
    serde_json::from_slice(line).map_err(|error| Error::corrupt(file, format!("a line is damaged: {error}")))
}

fn object(root: &Root, line: &ObjectLine<'_>, receiver: &mut dyn Receiver) -> Result<()> {
    let known = DataType::ALL.into_iter().find(|known| known.name() == line.data_type);
    let unknown = || Error::corrupt(OBJECTS, format!("there is no type `{}`", line.data_type.escape_debug()));
    let data_type = known.ok_or_else(unknown)?;
    let json = line.json.as_ref().map(|json| json.get()).or(line.text.as_deref()).unwrap_or_default();
    let mut file = match &line.file {
        Some(path) => Some(root.open(path)?),
        None => None,
    };
    let content = file.as_mut().map(|(file, length)| Content { length: *length, bytes: file });
    receiver.object(Object { data_type, id: &line.id, json: json.as_bytes(), content })
}

fn email(root: &Root, line: &EmailLine<'_>, receiver: &mut dyn Receiver) -> Result<()> {
    let id = EmailId::from(&*line.id);
    let folders: Vec<FolderId> = line.folders.iter().map(|id| FolderId::from(&**id)).collect();
    let keywords: Vec<String> = line.keywords.iter().map(ToString::to_string).collect();
    let email = Email {
        id: &id,
        folders: &folders,
        keywords: &keywords,
        received_at: line.received_at,
        size: line.size,
    };
    let (mut file, length) = root.open(&line.file)?;
    if let Some(start) = line.start {
        file.seek(SeekFrom::Start(start)).doing_to("read", &line.file)?;
        return receiver.email(&email, &mut Whole(Unquoted::new(file).take(line.size)));
    }
    if length != line.size {
        let what = format!("it has {length} bytes and had {} when it was written", line.size);
        return Err(Error::corrupt(line.file.as_ref(), what));
    }
    receiver.email(&email, &mut file)
}

/// As many bytes as there must be, or an error: an mbox may be cut off.
struct Whole<R>(io::Take<R>);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 if !out.is_empty() && self.0.limit() > 0 => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends within an email"))
            }
            read => Ok(read),
        }
    }
}
