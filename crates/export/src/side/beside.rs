//! Objects as files that other programs read: contacts as `.vcf`, events as `.ics`, scripts as `.sieve`, files as files.

use model::DataType;

use crate::content::Replay;
use crate::convert::Calendar;
use crate::dates::now;
use crate::layout::{Out, Parsed};
use crate::name::{Name, SafePath, Taken};
use crate::report::Topic;
use crate::side::collected::{Collected, Kind};
use crate::side::files::Files;
use crate::side::placed::{Placed, SIDE};
use crate::{Result, convert};

/// Longest text of an event that is held in memory.
const LONGEST_TEXT: u64 = 64 << 20;

#[derive(Default)]
pub(crate) struct Beside {
    files: Files,
    collected: Collected,
    taken: Taken,
    number: u64,
}

impl Beside {
    /// Writes what can be written of an object. What has found its place comes back; a file whose directory is not known yet
    /// waits for it.
    pub(crate) fn object(
        &mut self,
        object: &Parsed<'_>,
        content: Option<&mut Replay>,
        out: &mut Out,
    ) -> Result<Vec<Placed>> {
        let file = match object.data_type {
            DataType::FileNode => return self.files.add(object, content, out),
            DataType::SieveScript => self.script(object, content, out)?,
            DataType::ContactCard => {
                for kind in convert::media_without_bytes(object.map) {
                    out.note(Topic::NoContent, || format!("{kind} of {}", object.describe()));
                }
                if let Some(text) = converted(convert::vcard(object.json), object, out) {
                    self.single(Kind::Contacts, &text, object, out)?;
                    self.collected.contact(object, &text, out)?;
                }
                self.other(content, out)?
            }
            DataType::CalendarEvent => {
                let mut content = content;
                let given = content.as_deref_mut().map(text_of).transpose()?.flatten();
                let given = given.and_then(Calendar::given);
                let calendar = given.or_else(|| convert::icalendar(object.json));
                if let Some(calendar) = converted(calendar, object, out) {
                    for zone in &calendar.unknown_zones {
                        out.note(Topic::UnknownZone, || format!("{}: `{zone}`", object.describe()));
                    }
                    self.single(Kind::Calendars, &calendar.single(), object, out)?;
                    self.collected.event(object, &calendar, out)?;
                }
                self.other(content, out)?
            }
            DataType::Calendar => {
                self.collected.container(Kind::Calendars, object);
                self.other(content, out)?
            }
            DataType::AddressBook => {
                self.collected.container(Kind::Contacts, object);
                self.other(content, out)?
            }
            _ => self.other(content, out)?,
        };
        Ok(vec![Placed::new(object, file)])
    }

    pub(crate) fn objects_end(&mut self, out: &mut Out) -> Result<Vec<Placed>> {
        self.collected.end(out)?;
        self.files.end(out)
    }

    fn script(
        &mut self,
        object: &Parsed<'_>,
        content: Option<&mut Replay>,
        out: &mut Out,
    ) -> Result<Option<SafePath>> {
        let Some(content) = content else {
            out.note(Topic::NoContent, || object.describe());
            return Ok(None);
        };
        let dir = SafePath::top("sieve");
        let raw = object.text("name").unwrap_or("script");
        let name = self.taken.claim(dir.as_str(), "", raw, ".sieve");
        if name.as_str() != format!("{raw}.sieve") {
            out.note(Topic::Renamed, || format!("script `{raw}` is `{name}`"));
        }
        let path = dir.join(&name);
        out.replay(&path, now(), content)?;
        Ok(Some(path))
    }

    /// Numbered, so that names need not be remembered to be unique.
    fn single(&mut self, kind: Kind, text: &str, object: &Parsed<'_>, out: &mut Out) -> Result<()> {
        self.number += 1;
        let title: String = convert::title(object.map).chars().take(60).collect();
        let name = Name::sanitised(&format!("{:06} {title}{}", self.number, kind.ending()));
        out.write(&kind.dir().with("single").join(&name), text.as_bytes())
    }

    /// Content of an object that has no file of its own kind.
    fn other(&mut self, content: Option<&mut Replay>, out: &mut Out) -> Result<Option<SafePath>> {
        let Some(content) = content else { return Ok(None) };
        self.number += 1;
        let path = SafePath::top(SIDE).with("content").join(&Name::sanitised(&self.number.to_string()));
        out.replay(&path, now(), content)?;
        Ok(Some(path))
    }
}

/// `None`: it is no text, or too long for one.
fn text_of(content: &mut Replay) -> Result<Option<String>> {
    if content.size > LONGEST_TEXT {
        return Ok(None);
    }
    Ok(String::from_utf8(content.start(LONGEST_TEXT)?).ok())
}

fn converted<T>(converted: Option<T>, object: &Parsed<'_>, out: &mut Out) -> Option<T> {
    if converted.is_none() {
        out.note(Topic::NotConverted, || object.describe());
    }
    converted
}
