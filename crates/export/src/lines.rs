//! Text that grows while a mailbox is written and goes into the export at its end.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Result;
use crate::content::Spool;
use crate::dates::now;
use crate::error::Doing;
use crate::name::SafePath;
use crate::sink::contract::Sink;

/// A spooled file.
pub(crate) struct Spooled {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Spooled {
    pub(crate) fn create(spool: &mut Spool) -> Result<Spooled> {
        let path = spool.path();
        let file = File::create_new(&path).doing("create", &path)?;
        Ok(Spooled { path, file: BufWriter::new(file) })
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).doing("write", &self.path)
    }

    fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.file, value).map_err(std::io::Error::from).doing("write", &self.path)
    }

    pub(crate) fn hand_over(mut self, path: &SafePath, sink: &mut dyn Sink) -> Result<()> {
        self.file.flush().doing("write", &self.path)?;
        sink.adopt(path, now(), &self.path)
    }
}

/// JSON values, one a line.
pub(crate) struct JsonLines(Spooled);

impl JsonLines {
    pub(crate) fn create(spool: &mut Spool) -> Result<JsonLines> {
        Spooled::create(spool).map(JsonLines)
    }

    pub(crate) fn push(&mut self, value: &impl Serialize) -> Result<()> {
        self.0.json(value)?;
        self.0.push(b"\n")
    }

    /// Gives each value back with its number, and removes them.
    pub(crate) fn each<T: DeserializeOwned>(
        self,
        mut take: impl FnMut(usize, T) -> Result<()>,
    ) -> Result<()> {
        let Spooled { path, mut file } = self.0;
        file.flush().doing("write", &path)?;
        let mut lines = BufReader::new(File::open(&path).doing("open", &path)?);
        let (mut line, mut number) = (Vec::new(), 0);
        while lines.read_until(b'\n', &mut line).doing("read", &path)? > 0 {
            take(number, serde_json::from_slice(&line).map_err(std::io::Error::from).doing("read", &path)?)?;
            line.clear();
            number += 1;
        }
        std::fs::remove_file(&path).doing("remove", &path)
    }

    pub(crate) fn hand_over(self, path: &SafePath, sink: &mut dyn Sink) -> Result<()> {
        self.0.hand_over(path, sink)
    }
}

/// A compact JSON array.
pub(crate) struct JsonArray {
    spooled: Spooled,
    before_next: &'static [u8],
}

impl JsonArray {
    pub(crate) fn create(spool: &mut Spool) -> Result<JsonArray> {
        Ok(JsonArray { spooled: Spooled::create(spool)?, before_next: b"[" })
    }

    pub(crate) fn push(&mut self, value: &impl Serialize) -> Result<()> {
        self.spooled.push(self.before_next)?;
        self.before_next = b",";
        self.spooled.json(value)
    }

    pub(crate) fn hand_over(mut self, path: &SafePath, sink: &mut dyn Sink) -> Result<()> {
        let end: &[u8] = if self.before_next == b"[" { b"[]" } else { b"]" };
        self.spooled.push(end)?;
        self.spooled.hand_over(path, sink)
    }
}
