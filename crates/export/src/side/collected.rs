//! One file for each calendar and address book, beside those of single items: what other programs import at once.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use serde_json::Value;

use crate::Result;
use crate::convert::Calendar;
use crate::dates::now;
use crate::error::Doing;
use crate::layout::{Out, Parsed};
use crate::name::{SafePath, Taken};
use crate::report::Topic;
use crate::zones::Zones;

const HEAD: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//malle//export//EN\r\n";
const TAIL: &str = "END:VCALENDAR\r\n";

/// What calendars and address books have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Calendars,
    Contacts,
}

impl Kind {
    pub(crate) fn dir(self) -> SafePath {
        match self {
            Kind::Calendars => SafePath::top("calendars"),
            Kind::Contacts => SafePath::top("contacts"),
        }
    }

    pub(crate) fn ending(self) -> &'static str {
        match self {
            Kind::Calendars => ".ics",
            Kind::Contacts => ".vcf",
        }
    }

    /// Property of an item that names what it lies in.
    fn membership(self) -> &'static str {
        match self {
            Kind::Calendars => "calendarIds",
            Kind::Contacts => "addressBookIds",
        }
    }

    /// What the file is called of items that lie in nothing that is known.
    fn nowhere(self) -> &'static str {
        match self {
            Kind::Calendars => "No calendar",
            Kind::Contacts => "No address book",
        }
    }
}

/// Items of all calendars and address books, spooled until the names of these are known.
#[derive(Default)]
pub(crate) struct Collected {
    names: BTreeMap<(Kind, String), String>,
    /// By the id of what they lie in, whether or not it has a name; empty for what lies in nothing.
    files: BTreeMap<(Kind, String), Spooled>,
}

struct Spooled {
    path: PathBuf,
    length: u64,
    zones: Zones,
    /// Names of zones that lie in it.
    own_zones: HashSet<String>,
}

impl Collected {
    /// Takes a calendar or an address book.
    pub(crate) fn container(&mut self, kind: Kind, object: &Parsed<'_>) {
        let name = object.text("name").unwrap_or(object.id).to_owned();
        self.names.insert((kind, object.id.to_owned()), name);
    }

    /// Takes a contact's text.
    pub(crate) fn contact(&mut self, object: &Parsed<'_>, text: &str, out: &mut Out) -> Result<()> {
        for id in homes(Kind::Contacts, object) {
            self.file(Kind::Contacts, id, out).append(text.as_bytes())?;
        }
        Ok(())
    }

    /// Takes an event's or a task's components.
    pub(crate) fn event(&mut self, object: &Parsed<'_>, calendar: &Calendar, out: &mut Out) -> Result<()> {
        let Some(components) = calendar.components() else {
            out.note(Topic::NotConverted, || format!("{} is in no whole calendar", object.describe()));
            return Ok(());
        };
        for id in homes(Kind::Calendars, object) {
            let file = self.file(Kind::Calendars, id, out);
            file.zones.add(&calendar.zones);
            for (zone, component) in components.clone() {
                if zone.is_none_or(|zone| file.own_zones.insert(zone)) {
                    file.append(component.as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, kind: Kind, id: String, out: &mut Out) -> &mut Spooled {
        self.files.entry((kind, id)).or_insert_with(|| Spooled {
            path: out.spool.path(),
            length: 0,
            zones: Zones::default(),
            own_zones: HashSet::new(),
        })
    }

    /// All names are known: writes the files.
    pub(crate) fn end(&mut self, out: &mut Out) -> Result<()> {
        let mut taken = Taken::default();
        for ((kind, id), spooled) in std::mem::take(&mut self.files) {
            let (dir, name) = (kind.dir(), self.names.get(&(kind, id)));
            let raw = name.map_or(kind.nowhere(), String::as_str);
            let name = taken.claim(dir.as_str(), "", raw, kind.ending());
            let path = dir.join(&name);
            if name.as_str() != format!("{raw}{}", kind.ending()) {
                out.note(Topic::Renamed, || format!("`{raw}` is `{}`", path.as_str()));
            }
            spooled.hand_over(kind, &path, out)?;
        }
        Ok(())
    }
}

impl Spooled {
    fn append(&mut self, text: &[u8]) -> Result<()> {
        let mut file =
            File::options().append(true).create(true).open(&self.path).doing("open", &self.path)?;
        self.length += text.len() as u64;
        file.write_all(text).doing("write", &self.path)
    }

    fn hand_over(self, kind: Kind, path: &SafePath, out: &mut Out) -> Result<()> {
        if kind == Kind::Contacts {
            return out.sink.adopt(path, now(), &self.path);
        }
        let zones = self.zones.definitions(|name| !self.own_zones.contains(name));
        let size = (HEAD.len() + zones.len() + TAIL.len()) as u64 + self.length;
        let spooled = File::open(&self.path).doing("open", &self.path)?;
        let mut all = HEAD.as_bytes().chain(zones.as_bytes()).chain(spooled).chain(TAIL.as_bytes());
        out.sink.file(path, now(), size, &mut all)?;
        std::fs::remove_file(&self.path).doing("remove", &self.path)
    }
}

/// Ids of what an item lies in; an empty one if that is nothing.
fn homes(kind: Kind, object: &Parsed<'_>) -> Vec<String> {
    let ids = object.map.get(kind.membership()).and_then(Value::as_object);
    let ids = ids.into_iter().flatten().filter(|(_, is_in)| **is_in == Value::Bool(true));
    let ids: Vec<String> = ids.map(|(id, _)| id.clone()).collect();
    if ids.is_empty() { vec![String::new()] } else { ids }
}
