use std::io::Read;

use model::DataType;
use serde_json::{Map, Value};

use crate::Result;
use crate::content::{Replay, Spool};
use crate::dates::now;
use crate::format::Options;
use crate::item::Email;
use crate::name::SafePath;
use crate::report::{Report, Topic};
use crate::sink::contract::Sink;
use crate::tree::{Folder, Tree};

/// What every format writes with.
pub(crate) struct Out {
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) spool: Spool,
    pub(crate) report: Report,
    pub(crate) options: Options,
}

impl Out {
    /// A file of bytes at hand.
    pub(crate) fn write(&mut self, path: &SafePath, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        self.sink.file(path, now(), bytes.len() as u64, &mut rest as &mut dyn Read)
    }

    pub(crate) fn replay(&mut self, path: &SafePath, modified: u32, content: &mut Replay) -> Result<()> {
        let size = content.size;
        self.sink.file(path, modified, size, &mut content.reader()?)
    }

    pub(crate) fn note(&mut self, topic: Topic, what: impl FnOnce() -> String) {
        self.report.note(topic, what);
    }
}

/// An object with its JSON parsed.
pub(crate) struct Parsed<'a> {
    pub(crate) data_type: DataType,
    pub(crate) id: &'a str,
    pub(crate) json: &'a str,
    pub(crate) map: &'a Map<String, Value>,
}

impl Parsed<'_> {
    /// A property that is a text and not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn describe(&self) -> String {
        let name = ["name", "title", "email", "uid"].into_iter().find_map(|key| self.text(key));
        format!("{} {} `{}`", self.data_type, self.id, name.unwrap_or_default())
    }

    /// Stalwart keeps the vacation responder as a script as well; nobody can create one of that name.
    pub(crate) fn is_vacation_script(&self) -> bool {
        self.data_type == DataType::SieveScript
            && self.text("name").is_some_and(|name| name.eq_ignore_ascii_case("vacation"))
    }
}

/// One format. Called in this order: objects (folders too, in any order), `folder` for every folder after its parent,
/// emails, `finish`. A folder for emails without one may follow later.
pub(crate) trait Layout: Send {
    fn object(&mut self, object: &Parsed<'_>, content: Option<&mut Replay>, out: &mut Out) -> Result<()>;

    /// All objects are there.
    fn objects_end(&mut self, out: &mut Out) -> Result<()>;

    fn folder(&mut self, index: usize, folder: &Folder, out: &mut Out) -> Result<()>;

    /// `folders` is never empty and holds no index twice.
    fn email(
        &mut self,
        email: &Email<'_>,
        folders: &[usize],
        content: &mut Replay,
        out: &mut Out,
    ) -> Result<()>;

    /// What was written of a type is not what the mail server had at the state of the origin.
    fn forget_state(&mut self, data_type: DataType) -> Result<()> {
        let _ = data_type;
        Ok(())
    }

    fn finish(self: Box<Self>, tree: &Tree, out: &mut Out) -> Result<()>;
}
