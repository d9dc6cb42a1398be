//! The thread that writes.

use std::collections::BTreeSet;
use std::io::{self, Read};

use ::export::{self as files, Receiver, Writer};
use bytes::{Buf, Bytes};
use model::EmailRecord;
use repository::ObjectRecord;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::export::request::{Exported, Loss, Losses};

/// What reaches the thread. An object or email that announces a length is followed by its pieces and their end.
pub(super) enum Step {
    Object(ObjectRecord, Option<u64>),
    /// Its content is lost, for this reason.
    Bare(ObjectRecord, String),
    Email(EmailRecord, u64),
    Piece(Bytes),
    /// All pieces came.
    Whole,
    /// The other pieces are damaged or gone.
    Broken(String),
    Lost(Loss),
    /// The snapshot never had it.
    Lacking(String),
    /// That was everything.
    End,
}

impl Step {
    /// Of what it holds.
    pub(super) fn length(&self) -> usize {
        match self {
            Step::Piece(piece) => piece.len(),
            Step::Object(object, _) | Step::Bare(object, _) => object.json.len(),
            _ => 0,
        }
    }
}

/// Writes until the end is told. A channel that closes before is the end of the export: the writer is dropped and removes
/// what it wrote.
pub(super) fn write(writer: Writer, receiver: mpsc::Receiver<Vec<Step>>) -> Result<Exported> {
    let steps = Steps { receiver, batch: Vec::new().into_iter() };
    let mut writing = Writing { writer, steps, lost: Losses::default() };
    loop {
        match writing.steps.next()? {
            Step::Object(object, length) => writing.object(&object, length)?,
            Step::Bare(object, reason) => writing.bare(&object, reason)?,
            Step::Email(email, length) => writing.email(&email, length)?,
            Step::Lost(loss) => writing.lose(loss)?,
            Step::Lacking(what) => writing.writer.lacks(&what),
            Step::End => break,
            Step::Piece(_) | Step::Whole | Step::Broken(_) => unreachable!("content is read to its end"),
        }
    }
    Ok(Exported { report: writing.writer.finish()?, lost: writing.lost, damaged: BTreeSet::new() })
}

struct Writing {
    writer: Writer,
    steps: Steps,
    lost: Losses,
}

impl Writing {
    fn object(&mut self, object: &ObjectRecord, length: Option<u64>) -> Result<()> {
        let (data_type, id, json) = (object.data_type, object.id.as_str(), object.json.as_ref());
        if let Some(length) = length {
            let mut content = Content::new(&mut self.steps);
            let content_given = Some(files::Content { length, bytes: &mut content });
            let given = files::Object { data_type, id, json, content: content_given };
            let written = self.writer.object(given);
            return match judged(written, content.drained())? {
                None => Ok(()),
                Some(reason) => self.bare(object, reason),
            };
        }
        Ok(self.writer.object(files::Object { data_type, id, json, content: None })?)
    }

    /// What is left of an object whose content is lost.
    fn bare(&mut self, object: &ObjectRecord, reason: String) -> Result<()> {
        self.lose(Loss::of_object(object, reason))?;
        self.object(object, None)?;
        self.writer.was_bare(object.data_type);
        Ok(())
    }

    fn email(&mut self, email: &EmailRecord, length: u64) -> Result<()> {
        let given = files::Email {
            id: &email.id,
            folders: &email.folders,
            keywords: &email.keywords,
            received_at: email.received_at,
            size: length,
        };
        let mut content = Content::new(&mut self.steps);
        let written = self.writer.email(&given, &mut content);
        if let Some(reason) = judged(written, content.drained())? {
            self.lose(Loss::of_email(email, reason))?;
        }
        Ok(())
    }

    fn lose(&mut self, loss: Loss) -> Result<()> {
        self.writer.lost(&loss.to_string());
        self.writer.forget_state(loss.data_type)?;
        self.lost.add(loss);
        Ok(())
    }
}

/// Why an item is lost, if it is; an error if it is not the content's fault that it could not be written.
fn judged(written: files::Result<()>, end: Ended) -> Result<Option<String>> {
    match (end, written) {
        (Ended::CutOff, _) => Err(Error::Stopped),
        (Ended::Broken(reason), _) => Ok(Some(reason)),
        (Ended::Whole, Err(error @ files::Error::Length { .. })) => Ok(Some(error.to_string())),
        (Ended::Whole, written) => Ok(written.map(|()| None)?),
    }
}

struct Steps {
    receiver: mpsc::Receiver<Vec<Step>>,
    batch: std::vec::IntoIter<Step>,
}

impl Steps {
    fn next(&mut self) -> Result<Step> {
        loop {
            if let Some(step) = self.batch.next() {
                return Ok(step);
            }
            self.batch = self.receiver.blocking_recv().ok_or(Error::Stopped)?.into_iter();
        }
    }
}

/// The content of one item as it comes.
struct Content<'a> {
    steps: &'a mut Steps,
    piece: Bytes,
    end: Option<Ended>,
}

enum Ended {
    Whole,
    Broken(String),
    CutOff,
}

impl<'a> Content<'a> {
    fn new(steps: &'a mut Steps) -> Content<'a> {
        Content { steps, piece: Bytes::new(), end: None }
    }

    /// Takes the next piece; at the end none.
    fn advance(&mut self) {
        match self.steps.next() {
            Ok(Step::Piece(piece)) => self.piece = piece,
            Ok(Step::Whole) => self.end = Some(Ended::Whole),
            Ok(Step::Broken(reason)) => self.end = Some(Ended::Broken(reason)),
            _ => self.end = Some(Ended::CutOff),
        }
    }

    /// Takes what was not read.
    fn drained(mut self) -> Ended {
        loop {
            match self.end.take() {
                Some(end) => return end,
                None => self.advance(),
            }
        }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.end {
                Some(Ended::Whole) => return Ok(0),
                Some(_) => return Err(io::Error::other("the rest of it is damaged or gone")),
                None => self.advance(),
            }
        }
        let read = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ::export::{Format, Origin, Target};
    use model::{BlobId, Envelope};

    use super::*;

    fn email(id: &str, length: u64) -> Step {
        let email = EmailRecord {
            id: id.into(),
            blob: BlobId([0; 32]),
            source_hash: 0,
            received_at: 0,
            size: length,
            folders: Vec::new(),
            keywords: Vec::new(),
            envelope: Envelope { subject: format!("about {id}"), ..Envelope::default() },
        };
        Step::Email(email, length)
    }

    fn piece(text: &'static str) -> Step {
        Step::Piece(text.as_bytes().into())
    }

    /// Writes below a directory.
    fn written(below: &Path, steps: Vec<Step>) -> Result<Exported> {
        let (sender, receiver) = mpsc::channel(100);
        for step in steps {
            sender.try_send(vec![step]).expect("there is room");
        }
        drop(sender);
        let target = Target::Folder(below.join("mail"));
        let writer = Writer::create(Format::Maildir, target, below, &Origin::default()).expect("writable");
        write(writer, receiver)
    }

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    #[test]
    fn damaged_content_costs_its_email_and_nothing_else() {
        let dir = dir();
        let steps = vec![
            email("a", 9),
            piece("dam"),
            Step::Broken("its bytes cannot be read".to_owned()),
            email("b", 6),
            piece("wh"),
            piece("ole\n"),
            Step::Whole,
            email("c", 2),
            piece("longer than announced"),
            piece("and not read"),
            Step::Whole,
            email("d", 0),
            Step::Whole,
            Step::End,
        ];
        let exported = written(dir.path(), steps).expect("written");
        let lost: Vec<_> = exported.lost.named.iter().map(|loss| (&*loss.id, &*loss.name)).collect();
        assert_eq!(lost, [("a", "about a"), ("c", "about c")]);
        assert_eq!((exported.report.emails, exported.report.bytes), (2, 6));
        let report = std::fs::read_to_string(dir.path().join("mail/REPORT.txt")).expect("it is there");
        assert!(report.contains("Email a \"about a\": its bytes cannot be read"), "{report}");
    }

    #[test]
    fn a_channel_that_closes_early_leaves_nothing() {
        for steps in [vec![], vec![email("a", 6), piece("wh")], vec![email("a", 1), piece("w"), Step::Whole]]
        {
            let dir = dir();
            let stopped = written(dir.path(), steps);
            assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
            assert_eq!(std::fs::read_dir(dir.path()).expect("listable").count(), 0);
        }
    }
}
