//! Which of the account's folders a folder of the snapshot is. Pure.
//!
//! A folder is the one of its id (mode *exact*, same account), then the one that has its role, then the one of its name in its
//! place. A role is a weaker sign than an id or a name: its holder stays out of the question where another folder of the snapshot has the
//! holder's id or path, and where a folder of the account has the path of the one that is looked for. So private mail does not
//! end up in a folder that is another one, which may be shared. The inbox is always the inbox: mail arrives there.

use std::collections::{BTreeMap, BTreeSet};

use jmap::Id;

use crate::restore::target::Folder;

const INBOX: &str = "inbox";
/// Deeper trees are cut off.
const DEEPEST: usize = 50;

/// Finds folders of the snapshot in the account.
pub(in crate::restore) struct Finder<'a> {
    snapshot: &'a [Folder],
    wanted: Paths,
    there: Paths,
    is_same_account: bool,
}

type Paths = BTreeMap<Id, Vec<String>>;

impl<'a> Finder<'a> {
    /// `there`: the folders of the account before anything is changed.
    pub(in crate::restore) fn new(
        snapshot: &'a [Folder],
        there: &[Folder],
        is_same_account: bool,
    ) -> Finder<'a> {
        Finder { snapshot, wanted: paths(snapshot), there: paths(there), is_same_account }
    }

    /// Ids that name the same folder in the snapshot and in the account.
    pub(in crate::restore) fn same_ids(&self) -> BTreeSet<Id> {
        let known = self.snapshot.iter().map(|folder| &folder.id);
        known.filter(|id| self.is_same_account && self.there.contains_key(*id)).cloned().collect()
    }

    /// Whether the folder that has the role of `wanted` is that one.
    pub(in crate::restore) fn is_meant(&self, wanted: &Folder, holder: &Folder) -> bool {
        let is_same = self.is_same_account && wanted.id == holder.id;
        if is_same || wanted.role.as_deref() == Some(INBOX) {
            return true;
        }
        let (path, holders) = (self.wanted.get(&wanted.id), self.there.get(&holder.id));
        let is_called_alike = path == holders;
        let is_holder = |other: &Folder| {
            let has_its_id = self.is_same_account && other.id == holder.id;
            let has_its_path = !is_called_alike && self.wanted.get(&other.id) == holders;
            other.id != wanted.id && (has_its_id || has_its_path)
        };
        let has_namesake = !is_called_alike && self.there.values().any(|there| Some(there) == path);
        !has_namesake && !self.snapshot.iter().any(is_holder)
    }
}

/// Servers take blanks off the ends of names.
fn paths(folders: &[Folder]) -> Paths {
    let by_id: BTreeMap<&Id, &Folder> = folders.iter().map(|folder| (&folder.id, folder)).collect();
    let path = |folder: &Folder| {
        let (mut names, mut at) = (vec![folder.name.trim().to_owned()], folder.parent_id.as_ref());
        while let Some(parent) = at.and_then(|id| by_id.get(id)).filter(|_| names.len() < DEEPEST) {
            names.push(parent.name.trim().to_owned());
            at = parent.parent_id.as_ref();
        }
        names
    };
    folders.iter().map(|folder| (folder.id.clone(), path(folder))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(id: &str, name: &str, role: Option<&str>) -> Folder {
        let id = Id::new(id).expect("an id");
        Folder { name: name.to_owned(), role: role.map(str::to_owned), ..Folder::unnamed(&id) }
    }

    /// Whether the folder of the account that has the role is the first one of the snapshot.
    fn check(snapshot: &[Folder], there: &[Folder], is_same_account: bool, expected: bool) {
        let finder = Finder::new(snapshot, there, is_same_account);
        let holder = there.iter().find(|folder| folder.role == snapshot[0].role).expect("it has the role");
        assert_eq!(finder.is_meant(&snapshot[0], holder), expected, "{snapshot:?} {there:?}");
    }

    #[test]
    fn a_role_takes_no_folder_away_from_another_one() {
        let archive = |id: &str, name: &str| folder(id, name, Some("archive"));
        let plain = |id: &str, name: &str| folder(id, name, None);
        let mine = archive("m", "Mine");
        check(std::slice::from_ref(&mine), &[archive("x", "Archive")], false, true);
        check(std::slice::from_ref(&mine), &[archive("m", "Archive"), plain("y", "Mine")], true, true);
        // The holder is another one by its path, or its id.
        check(&[mine.clone(), plain("t", "Team")], &[archive("x", "Team")], false, false);
        check(&[mine.clone(), plain("t", "Team")], &[archive("t", "Renamed")], true, false);
        check(&[mine.clone(), plain("t", "Team")], &[archive("t", "Mine")], true, false);
        check(&[mine.clone(), plain("t", "Team")], &[archive("t", "Renamed")], false, true);
        // What is looked for is there by its name.
        check(std::slice::from_ref(&mine), &[archive("x", "Archive"), plain("y", "Mine")], false, false);
        check(&[mine.clone(), plain("t", "Mine")], &[archive("x", "Mine")], false, true);
        let inbox = |id: &str, name: &str| folder(id, name, Some("inbox"));
        check(&[inbox("i", "Posteingang"), plain("t", "Inbox")], &[inbox("x", "Inbox")], false, true);
    }
}
