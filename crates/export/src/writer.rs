use std::io::Read;
use std::path::Path;

use model::DataType;
use serde_json::{Map, Value};

use crate::content::{Replay, Spool};
use crate::format::{Format, Options, Target};
use crate::formats::vandelay::archive::Vandelay;
use crate::formats::{account, maildir, mbox};
use crate::item::{Email, Object, Origin, Receiver};
use crate::layout::{Layout, Out, Parsed};
use crate::name::SafePath;
use crate::report::{Report, Topic};
use crate::side::directory::Directory;
use crate::sink::open::open;
use crate::stop::Stopper;
use crate::tree::{Folder, Tree};
use crate::{Error, Result};

/// Writes one mailbox in one format. Dropped before [`Writer::finish`], or after an error, it leaves no export behind.
pub struct Writer {
    layout: Box<dyn Layout>,
    out: Out,
    tree: Tree,
    phase: Phase,
    stopper: Stopper,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Objects,
    Emails,
    Broken,
}

impl Writer {
    /// Begins an export. What has to wait for the end lies in a private directory below `spool_dir`: as much as the metadata,
    /// for `vandelay` and `mbox` as much as the whole mailbox.
    pub fn create(format: Format, target: Target, spool_dir: &Path, origin: &Origin) -> Result<Writer> {
        let mut spool = Spool::create(spool_dir)?;
        let layout: Box<dyn Layout> = match format {
            Format::AccountDirectory => Box::new(Directory::create(account::Account::create, &mut spool)?),
            Format::Maildir => Box::new(Directory::create(maildir::Maildir::create, &mut spool)?),
            Format::Mbox => Box::new(Directory::create(mbox::Mbox::create, &mut spool)?),
            Format::Vandelay => Box::new(Vandelay::create(&mut spool, origin)?),
        };
        let stopper = Stopper::default();
        let sink = open(target, &mut spool, &stopper)?;
        let options = Options { portable_names: !sink.takes_any_name(), ..Options::default() };
        let out = Out { sink, spool, report: Report::new(format), options };
        Ok(Writer { layout, out, tree: Tree::default(), phase: Phase::Objects, stopper })
    }

    /// Before the first item: what is asked for besides.
    pub fn set_options(&mut self, options: Options) {
        let portable_names = options.portable_names || self.out.options.portable_names;
        self.out.options = Options { portable_names, ..options };
    }

    /// For another thread, to end the export while [`Writer::finish`] is at work: that takes as long as the mailbox is.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Writes what was waiting and makes the export whole.
    pub fn finish(mut self) -> Result<Report> {
        self.begin_emails("the end")?;
        let Writer { layout, mut out, tree, stopper, .. } = self;
        layout.finish(&tree, &mut out)?;
        let text = out.report.to_string();
        out.write(&SafePath::top("REPORT.txt"), text.as_bytes())?;
        stopper.check()?;
        out.sink.finish()?;
        Ok(out.report)
    }

    /// A line for people at the head of the report: of what this is an export.
    pub fn about(&mut self, line: String) {
        self.out.report.about.push(line);
    }

    /// Puts it into the report that the backup has never had this: one line for people.
    pub fn lacks(&mut self, what: &str) {
        self.out.report.note(Topic::Lacking, || what.to_owned());
    }

    /// Puts it into the report that the backup cannot give this any more: one line for people.
    pub fn lost(&mut self, what: &str) {
        self.out.report.note(Topic::Lost, || what.to_owned());
    }

    /// What is written of a type is not what the mail server had at its state ([`Origin::states`]): something is lost. Who continues from
    /// the export reads all of the type again.
    pub fn forget_state(&mut self, data_type: DataType) -> Result<()> {
        self.guarded(|writer| writer.layout.forget_state(data_type))
    }

    /// The object taken last lacks its content, which the backup cannot give any more: it is not counted as one that the export holds.
    pub fn was_bare(&mut self, data_type: DataType) {
        if let Some(count) = self.out.report.objects.get_mut(&data_type) {
            *count -= 1;
        }
    }

    fn take_object(&mut self, object: &Parsed<'_>, mut content: Option<Replay>) -> Result<()> {
        if object.data_type == DataType::Mailbox {
            self.tree.add(Folder::from_json(object.id, object.map));
        }
        self.layout.object(object, content.as_mut(), &mut self.out)?;
        *self.out.report.objects.entry(object.data_type).or_default() += 1;
        Ok(())
    }

    fn begin_emails(&mut self, item: &str) -> Result<()> {
        match self.phase {
            Phase::Emails => return Ok(()),
            Phase::Broken => return Err(misused(item.to_owned(), self.phase)),
            Phase::Objects => self.phase = Phase::Emails,
        }
        self.layout.objects_end(&mut self.out)?;
        for index in self.tree.settle(&mut self.out.report) {
            self.layout.folder(index, self.tree.get(index), &mut self.out)?;
        }
        Ok(())
    }

    fn take_email(&mut self, email: &Email<'_>, mut content: Replay) -> Result<()> {
        let folders = self.homes(email)?;
        self.layout.email(email, &folders, &mut content, &mut self.out)?;
        self.out.report.emails += 1;
        self.out.report.bytes += email.size;
        Ok(())
    }

    /// The folders an email goes to; one of our own if it has none.
    fn homes(&mut self, email: &Email<'_>) -> Result<Vec<usize>> {
        let mut homes = Vec::with_capacity(email.folders.len());
        let mut unknown = 0_usize;
        for id in email.folders {
            match self.tree.find(id.as_str()) {
                Some(index) if !homes.contains(&index) => homes.push(index),
                Some(_) => {}
                None => unknown += 1,
            }
        }
        if homes.is_empty() {
            let (index, is_new) = self.tree.rescue();
            if is_new {
                self.layout.folder(index, self.tree.get(index), &mut self.out)?;
            }
            let name = &self.tree.get(index).name;
            self.out.report.note(Topic::Homeless, || format!("email {} is in `{name}`", email.id));
            homes.push(index);
        } else if unknown > 0 {
            self.out.report.note(Topic::UnknownFolder, || format!("email {}", email.id));
        }
        Ok(homes)
    }

    fn guarded(&mut self, write: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()> {
        let result = write(self);
        if result.is_err() {
            self.phase = Phase::Broken;
        }
        result
    }
}

fn misused(item: String, phase: Phase) -> Error {
    let what = match phase {
        Phase::Broken => "an earlier item failed, so this export cannot be finished; begin a new one",
        _ => "all objects come before the first email",
    };
    Error::Misused { item, what }
}

/// An item whose JSON is none, or whose content cannot be read to its end or is of another length, is an error after which the
/// writer may be used on: nothing of the item was written yet. Every other error is its end.
impl Receiver for Writer {
    fn object(&mut self, object: Object<'_>) -> Result<()> {
        let Object { data_type, id, json, content } = object;
        let item = || format!("{data_type} {id}");
        if self.phase != Phase::Objects {
            return Err(misused(item(), self.phase));
        }
        let not_json = |source| Error::NotJson { item: item(), source };
        let map: Map<String, Value> = serde_json::from_slice(json).map_err(not_json)?;
        let json = str::from_utf8(json).map_err(|error| not_json(serde::de::Error::custom(error)))?;
        let content = match content {
            Some(content) => Some(Replay::capture(content.bytes, content.length, &self.out.spool, &item)?),
            None => None,
        };
        let parsed = Parsed { data_type, id, json, map: &map };
        self.guarded(|writer| writer.take_object(&parsed, content))
    }

    fn email(&mut self, email: &Email<'_>, content: &mut dyn Read) -> Result<()> {
        let item = || format!("email {}", email.id);
        self.guarded(|writer| writer.begin_emails(&item()))?;
        let content = Replay::capture(content, email.size, &self.out.spool, &item)?;
        self.guarded(|writer| writer.take_email(email, content))
    }
}
