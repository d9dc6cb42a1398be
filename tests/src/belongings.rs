//! What an account holds, ids aside: what a restore has to bring back.

use std::collections::{BTreeMap, BTreeSet};

use crate::truth::{Digest, Mail, Mails, Things};

/// The last second of 9999, behind which no protocol can write a date.
const LAST_SECOND: i64 = 253_402_300_799;

/// Names of folders from the top down. Servers take blanks off their ends.
pub type Path = Vec<String>;

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder {
    /// Where it is.
    pub path: Path,
    /// As JMAP names it.
    pub role: Option<String>,
    /// Its place among its siblings.
    pub order: u64,
}

/// An email.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Its bytes.
    pub bytes: Digest,
    /// The folders it lies in.
    pub folders: BTreeSet<Path>,
    /// Its keywords.
    pub keywords: BTreeSet<String>,
    /// Seconds since 1970; `None` where it does not count, see [`Belongings::forget_dates`].
    pub received_at: Option<i64>,
}

/// Folders, and emails with how often each is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Belongings {
    /// The folders, and how many there are of each: some servers have twins.
    pub folders: BTreeMap<Folder, usize>,
    /// The emails.
    pub emails: BTreeMap<Item, usize>,
}

impl Belongings {
    /// Of emails and folders by id, all of one account or snapshot.
    pub fn of(mails: &Mails, folders: &Things) -> Belongings {
        let places: BTreeMap<&String, Path> = folders.keys().map(|id| (id, path(folders, id))).collect();
        let mut known = BTreeMap::new();
        for (id, (json, _)) in folders {
            let role = json["role"].as_str().map(str::to_owned);
            let order = json["sortOrder"].as_u64().unwrap_or(0);
            *known.entry(Folder { path: places[id].clone(), role, order }).or_default() += 1;
        }
        let mut emails = BTreeMap::new();
        for mail in mails.values() {
            *emails.entry(item(mail, &places)).or_default() += 1;
        }
        Belongings { folders: known, emails }
    }

    /// What is inside this folder at the top, as if that were the top.
    pub fn below(self, top: &str) -> Belongings {
        let inside = |path: Path| match path.split_first() {
            Some((first, rest)) if first == top && !rest.is_empty() => Some(rest.to_vec()),
            _ => None,
        };
        let folders = self.folders.into_iter();
        let folders = folders
            .filter_map(|(folder, count)| Some((Folder { path: inside(folder.path)?, ..folder }, count)));
        let mut emails = BTreeMap::new();
        for (item, count) in self.emails {
            let places: BTreeSet<Path> = item.folders.into_iter().filter_map(inside).collect();
            if !places.is_empty() {
                *emails.entry(Item { folders: places, ..item }).or_default() += count;
            }
        }
        Belongings { folders: folders.collect(), emails }
    }

    /// How many emails.
    pub fn count(&self) -> usize {
        self.emails.values().sum()
    }

    /// Where the folders are, and how many in the same place.
    pub fn paths(&self) -> BTreeMap<&Path, usize> {
        let mut paths = BTreeMap::new();
        for (folder, count) in &self.folders {
            *paths.entry(&folder.path).or_default() += count;
        }
        paths
    }

    /// Bytes of emails whose date no protocol can write: years such as 32548, which Stalwart makes of dates before 1970. A
    /// restore leaves them to the server.
    pub fn undatable(&self) -> BTreeSet<Digest> {
        let is_odd = |item: &&Item| item.received_at.is_some_and(|at| !(0..=LAST_SECOND).contains(&at));
        self.emails.keys().filter(is_odd).map(|item| item.bytes).collect()
    }

    /// Takes the dates of these emails for equal; how many emails there are of them.
    pub fn forget_dates(&mut self, of: &BTreeSet<Digest>) -> usize {
        let mut forgotten = 0;
        for (mut item, count) in std::mem::take(&mut self.emails) {
            if of.contains(&item.bytes) {
                item.received_at = None;
                forgotten += count;
            }
            *self.emails.entry(item).or_default() += count;
        }
        forgotten
    }

    /// What is different, in words; of folders where they are, not what role they have.
    pub fn difference(&self, expected: &Belongings) -> Option<String> {
        let (found, wanted) = (self.paths(), expected.paths());
        let lost: Vec<_> =
            wanted.iter().filter(|(path, count)| found.get(*path) != Some(*count)).take(5).collect();
        let added: Vec<_> =
            found.iter().filter(|(path, count)| wanted.get(*path) != Some(*count)).take(5).collect();
        let differs = |one: &Belongings, other: &Belongings| -> Vec<Item> {
            let differing = one.emails.iter().filter(|(item, count)| other.emails.get(item) != Some(*count));
            differing.map(|(item, _)| item.clone()).collect()
        };
        let (surplus, missing) = (differs(self, expected), differs(expected, self));
        let is_same = lost.is_empty() && added.is_empty() && surplus.is_empty() && missing.is_empty();
        (!is_same).then(|| {
            format!(
                "folders missing {lost:?}, too much {added:?}; {} emails too much, {} missing: {:#?} {:#?}",
                surplus.len(),
                missing.len(),
                surplus.first(),
                missing.first()
            )
        })
    }

    /// Panics when there is a difference.
    #[track_caller]
    pub fn assert_same(&self, expected: &Belongings, when: &str) {
        if let Some(difference) = self.difference(expected) {
            panic!("{when}: {difference}");
        }
    }
}

fn item(mail: &Mail, places: &BTreeMap<&String, Path>) -> Item {
    Item {
        bytes: mail.bytes.expect("both sides know the bytes"),
        folders: mail.folders.iter().map(|id| places[id].clone()).collect(),
        keywords: mail.keywords.clone(),
        received_at: Some(mail.received_at),
    }
}

fn path(folders: &Things, id: &str) -> Path {
    let mut path = Vec::new();
    let mut at = Some(id);
    while let Some((folder, _)) = at.and_then(|id| folders.get(id)) {
        path.insert(0, folder["name"].as_str().unwrap_or_default().trim().to_owned());
        assert!(path.len() <= folders.len(), "folders in a circle");
        at = folder["parentId"].as_str();
    }
    path
}
