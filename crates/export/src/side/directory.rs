use crate::Result;
use crate::content::{Replay, Spool};
use crate::item::Email;
use crate::layout::{Layout, Out, Parsed};
use crate::lines::JsonLines;
use crate::name::SafePath;
use crate::side::beside::Beside;
use crate::side::placed::{EMAILS, EmailLine, OBJECTS, SIDE};
use crate::tree::{Folder, Tree};

/// Where the bytes of an email went.
pub(crate) struct Place {
    pub(crate) path: SafePath,
    pub(crate) start: Option<u64>,
}

/// What the three formats differ in. Where an email went is told when it comes or, of all of them, at the end.
pub(crate) trait Mail: Send {
    /// Takes what the format itself has a place for, besides folders and emails.
    fn object(&mut self, object: &Parsed<'_>, content: Option<&mut Replay>, out: &mut Out) -> Result<()>;

    fn folder(&mut self, index: usize, folder: &Folder, out: &mut Out) -> Result<()>;

    fn email(
        &mut self,
        email: &Email<'_>,
        folders: &[usize],
        content: &mut Replay,
        out: &mut Out,
    ) -> Result<Option<Place>>;

    fn finish(self, tree: &Tree, out: &mut Out) -> Result<Option<PlaceOf>>;
}

/// Tells where an email went, by its number among all.
pub(crate) type PlaceOf = Box<dyn Fn(usize) -> Place>;

/// A format that is a directory of files.
pub(crate) struct Directory<M> {
    mail: M,
    beside: Beside,
    objects: JsonLines,
    emails: JsonLines,
}

impl<M: Mail> Directory<M> {
    pub(crate) fn create(mail: fn(&mut Spool) -> Result<M>, spool: &mut Spool) -> Result<Directory<M>> {
        let mail = mail(spool)?;
        let objects = JsonLines::create(spool)?;
        Ok(Directory { mail, beside: Beside::default(), objects, emails: JsonLines::create(spool)? })
    }
}

impl<M: Mail> Layout for Directory<M> {
    fn object(&mut self, object: &Parsed<'_>, mut content: Option<&mut Replay>, out: &mut Out) -> Result<()> {
        self.mail.object(object, content.as_deref_mut(), out)?;
        for placed in self.beside.object(object, content, out)? {
            self.objects.push(&placed.line())?;
        }
        Ok(())
    }

    fn objects_end(&mut self, out: &mut Out) -> Result<()> {
        for placed in self.beside.objects_end(out)? {
            self.objects.push(&placed.line())?;
        }
        Ok(())
    }

    fn folder(&mut self, index: usize, folder: &Folder, out: &mut Out) -> Result<()> {
        self.mail.folder(index, folder, out)
    }

    fn email(
        &mut self,
        email: &Email<'_>,
        folders: &[usize],
        content: &mut Replay,
        out: &mut Out,
    ) -> Result<()> {
        let place = self.mail.email(email, folders, content, out)?;
        let place = place.as_ref();
        self.emails.push(&EmailLine {
            id: email.id.as_str().into(),
            folders: email.folders.iter().map(|id| id.as_str().into()).collect(),
            keywords: email.keywords.iter().map(|keyword| keyword.as_str().into()).collect(),
            received_at: email.received_at,
            size: email.size,
            file: place.map(|place| place.path.as_str()).unwrap_or_default().into(),
            start: place.and_then(|place| place.start),
        })
    }

    fn finish(self: Box<Self>, tree: &Tree, out: &mut Out) -> Result<()> {
        let emails = match self.mail.finish(tree, out)? {
            Some(place_of) => placed(self.emails, &place_of, &mut out.spool)?,
            None => self.emails,
        };
        let side = SafePath::top(SIDE);
        self.objects.hand_over(&side.with(OBJECTS), out.sink.as_mut())?;
        emails.hand_over(&side.with(EMAILS), out.sink.as_mut())
    }
}

/// The lines of emails with where these went.
fn placed(lines: JsonLines, place_of: &PlaceOf, spool: &mut Spool) -> Result<JsonLines> {
    let mut placed = JsonLines::create(spool)?;
    lines.each(|number, line: EmailLine<'static>| {
        let Place { path, start } = place_of(number);
        placed.push(&EmailLine { file: path.as_str().into(), start, ..line })
    })?;
    Ok(placed)
}
