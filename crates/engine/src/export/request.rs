use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use ::export::{Format, Options, Report, Target};
use model::{DataType, EmailRecord};
use repository::{Object, ObjectRecord};
use serde::Deserialize;

use crate::backup::options::Progress;
use crate::search::selection::Selection;

/// Losses that are named; all are counted.
const NAMED: usize = 10_000;

/// What an export needs to know besides where from.
pub struct Export<'a> {
    /// What it looks like inside.
    pub format: Format,
    /// Where it goes.
    pub target: Target,
    /// What is asked for besides.
    pub options: Options,
    /// A directory for what has to wait for the end: as much as the metadata, for `vandelay` and `mbox` as much as the emails.
    pub spool: &'a Path,
    /// `None`: everything. Otherwise only the emails that are meant, and the folders that hold them.
    pub selection: Option<&'a Selection>,
    /// Where the mailbox lies, for formats that can be continued from there; `None`: unknown.
    pub source: Option<Source>,
    /// Lines for people at the head of the report: of which account and snapshot it is.
    pub about: Vec<String>,
    /// Told what is going on.
    pub progress: &'a dyn Progress,
}

/// An account on a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The URL that is given to a program that continues from the export.
    pub url: String,
    /// The account's id.
    pub account_id: String,
}

/// What an export holds, and what it should.
#[derive(Debug)]
pub struct Exported {
    /// What was written, and what the format could not carry.
    pub report: Report,
    /// What the repository has lost.
    pub lost: Losses,
    /// The packs and segments that were met missing or damaged, as far as they are known by name.
    pub damaged: BTreeSet<Object>,
}

/// What the repository has lost; the rest was exported.
#[derive(Debug, Default)]
pub struct Losses {
    /// The first ones.
    pub named: Vec<Loss>,
    /// All of them.
    pub count: u64,
}

/// An email or another object whose bytes are damaged or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Its type.
    pub data_type: DataType,
    /// Its id.
    pub id: String,
    /// The subject, or the object's name.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

impl Losses {
    pub(super) fn add(&mut self, loss: Loss) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(loss);
        }
    }
}

impl Loss {
    pub(super) fn of_email(email: &EmailRecord, reason: String) -> Loss {
        let (id, name) = (email.id.to_string(), email.envelope.subject.clone());
        Loss { data_type: DataType::Email, id, name, reason }
    }

    pub(super) fn of_object(object: &ObjectRecord, reason: String) -> Loss {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let named = serde_json::from_slice(&object.json);
        let name = named.map(|named: Named| named.name).unwrap_or_default();
        Loss { data_type: object.data_type, id: object.id.clone(), name, reason }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { data_type, id, name, reason } = self;
        write!(f, "{data_type} {id} {name:?}: {reason}")
    }
}
