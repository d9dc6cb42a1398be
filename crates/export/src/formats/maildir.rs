//! Maildir++ below `Maildir/`: the inbox is the root, every other folder a directory `.A.B` beside.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::{Replay, Spool};
use crate::formats::utf7;
use crate::item::Email;
use crate::layout::{Out, Parsed};
use crate::name::{Name, SafePath, Taken};
use crate::report::Topic;
use crate::side::directory::{Mail, Place, PlaceOf};
use crate::tree::{Folder, Tree};
use crate::{Result, dates};

pub(crate) const ROOT: &str = "Maildir";
pub(crate) const INBOX: &str = "INBOX";
/// Longest name of a directory, without the number that may tell it from another.
const LONGEST: usize = 230;
/// With a longer name a folder cannot have others in it.
const LONGEST_PARENT: usize = 170;
/// Keywords that have a flag; in the order in which flags must stand.
pub(crate) const FLAGS: [(&str, char); 5] =
    [("$draft", 'D'), ("$flagged", 'F'), ("$forwarded", 'P'), ("$answered", 'R'), ("$seen", 'S')];

/// The flag that Dovecot takes no notice of.
const PASSED: char = 'P';
/// What stands between the name of an email and its flags; and where file systems take no colon.
const SEPARATOR: char = ':';
pub(crate) const PORTABLE: char = '!';
/// Dovecot's list of the keywords that have a lower-case letter in a folder.
pub(crate) const KEYWORDS: &str = "dovecot-keywords";

pub(crate) struct Maildir {
    /// By the folder's index.
    folders: BTreeMap<usize, Kept>,
    taken: Taken,
    emails: u64,
    has_inbox: bool,
}

#[derive(Debug)]
struct Kept {
    dir: SafePath,
    /// Keywords that have a lower-case letter here, `a` first.
    keywords: Vec<String>,
    /// The directory's name without its first dot; `INBOX` for the root.
    dotted: String,
}

impl Maildir {
    #[expect(clippy::unnecessary_wraps, reason = "every format is created alike")]
    pub(crate) fn create(_: &mut Spool) -> Result<Maildir> {
        let mut taken = Taken::default();
        taken.claim(ROOT, ".", INBOX, "");
        Ok(Maildir { folders: BTreeMap::new(), taken, emails: 0, has_inbox: false })
    }

    fn place(&mut self, folder: &Folder, out: &mut Out) -> Kept {
        let root = SafePath::top(ROOT);
        if folder.role.as_deref() == Some("inbox") && !std::mem::replace(&mut self.has_inbox, true) {
            return Kept { dir: root, keywords: Vec::new(), dotted: INBOX.to_owned() };
        }
        let parent = folder.parent.and_then(|parent| self.folders.get(&parent));
        let above = parent.map(|parent| parent.dotted.clone());
        let prefix =
            above.filter(|above| above.len() <= LONGEST_PARENT).map(|above| above + ".").unwrap_or_default();
        let wanted = format!("{prefix}{}", component(&folder.name, LONGEST - prefix.len()));
        let name = self.taken.claim(ROOT, ".", &wanted, "");
        let dotted = name.as_str()[1..].to_owned();
        let is_plain = dotted == format!("{prefix}{}", utf7::encode(&folder.name));
        if !is_plain || (prefix.is_empty() && parent.is_some()) {
            out.note(Topic::Renamed, || format!("folder `{}` is `{name}`", folder.name));
        }
        Kept { dir: root.join(&name), keywords: Vec::new(), dotted }
    }
}

/// A folder's own name as part of a directory's: dots and slashes escaped as Dovecot's `mailbox_list_storage_escape_char = %`
/// does, in modified UTF-7, cut to a length.
fn component(name: &str, longest: usize) -> String {
    let mut rest = name;
    loop {
        let escaped = rest.replace('%', "%25").replace('.', "%2e").replace('/', "%2f");
        let encoded = utf7::encode(&escaped);
        if encoded.len() <= longest {
            return if encoded.trim().is_empty() { "_".to_owned() } else { encoded };
        }
        rest = &rest[..rest.floor_char_boundary(rest.len() - rest.len().div_ceil(20))];
    }
}

/// The name that `component` was given, if it was not cut.
pub(crate) fn folder_name(component: &str) -> String {
    let text = utf7::decode(component).unwrap_or_else(|| component.to_owned());
    let unescape = [("%2e", "."), ("%2E", "."), ("%2f", "/"), ("%2F", "/"), ("%25", "%")];
    unescape.iter().fold(text, |text, (escaped, plain)| text.replace(escaped, plain))
}

fn flags(email: &Email<'_>) -> String {
    let has = |keyword: &str| email.keywords.iter().any(|has| has.eq_ignore_ascii_case(keyword));
    FLAGS.iter().filter(|(keyword, _)| has(keyword)).map(|(_, flag)| flag).collect()
}

impl Kept {
    /// Letters for the keywords that Dovecot knows no flag for, `P` included. False: a keyword has neither flag nor letter.
    fn letters(&mut self, email: &Email<'_>) -> (String, bool) {
        let (mut letters, mut is_complete) = (BTreeSet::new(), true);
        for keyword in email.keywords {
            let flag = FLAGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(keyword));
            if flag.is_some_and(|(_, flag)| *flag != PASSED) {
                continue;
            }
            match self.letter(keyword) {
                Some(letter) => drop(letters.insert(letter)),
                None => is_complete &= flag.is_some(),
            }
        }
        (letters.into_iter().collect(), is_complete)
    }

    /// The letter of a keyword in this folder; `None`: it can have none, or all are taken.
    fn letter(&mut self, keyword: &str) -> Option<char> {
        let known = self.keywords.iter().position(|known| known.eq_ignore_ascii_case(keyword));
        let at = known.unwrap_or(self.keywords.len());
        let letter = ('a'..='z').nth(at)?;
        if known.is_none() {
            let is_word = !keyword.is_empty() && keyword.bytes().all(|byte| byte.is_ascii_graphic());
            is_word.then(|| self.keywords.push(keyword.to_owned()))?;
        }
        Some(letter)
    }
}

/// The directories that make a Maildir.
fn make(dir: &SafePath, out: &mut Out) -> Result<()> {
    for part in ["cur", "new", "tmp"] {
        out.sink.directory(&dir.with(part))?;
    }
    Ok(())
}

impl Mail for Maildir {
    fn object(&mut self, _: &Parsed<'_>, _: Option<&mut Replay>, _: &mut Out) -> Result<()> {
        Ok(())
    }

    fn folder(&mut self, index: usize, folder: &Folder, out: &mut Out) -> Result<()> {
        let place = self.place(folder, out);
        make(&place.dir, out)?;
        if place.dotted != INBOX {
            out.write(&place.dir.with("maildirfolder"), b"")?;
        }
        self.folders.insert(index, place);
        Ok(())
    }

    fn email(
        &mut self,
        email: &Email<'_>,
        folders: &[usize],
        content: &mut Replay,
        out: &mut Out,
    ) -> Result<Option<Place>> {
        self.emails += 1;
        let modified = dates::file_time(email.received_at);
        if i64::from(modified) != email.received_at {
            out.note(Topic::DateChanged, || format!("email {}", email.id));
        }
        let separator = if out.options.portable_names { PORTABLE } else { SEPARATOR };
        let (flags, mut paths) = (flags(email), Vec::with_capacity(folders.len()));
        let mut is_complete = true;
        for index in folders {
            let Some(place) = self.folders.get_mut(index) else { continue };
            let (letters, has_all) = place.letters(email);
            is_complete &= has_all;
            let name = Name::maildir(modified, self.emails, separator, &format!("{flags}{letters}"));
            paths.push(place.dir.with("cur").join(&name));
        }
        if !is_complete {
            out.note(Topic::KeywordsBeside, || format!("email {}: {}", email.id, email.keywords.join(" ")));
        }
        let mut paths = paths.into_iter();
        let first = paths.next().expect("an email has a folder");
        out.replay(&first, modified, content)?;
        for path in paths {
            if out.sink.again(&first, &path, modified, content)? {
                out.report.note(Topic::Copied, || format!("email {}", email.id));
            }
        }
        Ok(Some(Place { path: first, start: None }))
    }

    fn finish(self, _: &Tree, out: &mut Out) -> Result<Option<PlaceOf>> {
        for folder in self.folders.values().filter(|folder| !folder.keywords.is_empty()) {
            let lines = folder.keywords.iter().enumerate().map(|(at, keyword)| format!("{at} {keyword}\n"));
            out.write(&folder.dir.with(KEYWORDS), lines.collect::<String>().as_bytes())?;
        }
        if !self.has_inbox {
            make(&SafePath::top(ROOT), out)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders() {
        for (name, expected) in [
            ("Entwürfe", "Entw&APw-rfe"),
            ("a.b/c", "a%2eb%2fc"),
            ("100%", "100%25"),
            ("R&D", "R&-D"),
            ("..", "%2e%2e"),
            ("", "_"),
        ] {
            assert_eq!(component(name, 200), expected);
            if !name.is_empty() {
                assert_eq!(folder_name(expected), name);
            }
        }
        for longest in [60, 61, 62, 200] {
            let cut = component(&"ä.😀".repeat(200), longest);
            assert!(cut.len() <= longest && utf7::decode(&cut).is_some(), "{cut}");
        }
    }
}
