//! Folders of a snapshot, and which of the account's they are.

use std::collections::{BTreeMap, BTreeSet};

use jmap::Id;
use model::FolderId;

use crate::restore::target::Folder;

/// Deeper trees are cut off: such a folder comes to lie beside its parent.
const DEEPEST: usize = 50;
/// Names tried when one is taken.
const MOST_NAMES: usize = 20;

/// Folders of the account by the snapshot's.
pub(super) struct Map {
    pub(super) folders: BTreeMap<Id, Id>,
    /// Where emails go whose folder the snapshot does not know.
    pub(super) home: Id,
    /// All folders of the account, as they are now.
    pub(super) there: Vec<Folder>,
    /// Folders that were made.
    pub(super) made: u64,
    /// Folders of the account that are none of the snapshot's, parents first.
    pub(super) surplus: Vec<Id>,
    /// Folders that are not as the snapshot has them, and why.
    pub(super) odd: Vec<String>,
}

impl Map {
    /// The account's folders for an email in these folders of the snapshot; never none.
    pub(super) fn of<'f>(&self, folders: impl Iterator<Item = &'f str>) -> Vec<Id> {
        let mut found: Vec<Id> = folders.filter_map(|id| self.folders.get(id).cloned()).collect();
        if found.is_empty() {
            found.push(self.home.clone());
        }
        found
    }
}

/// The name itself, then others like it: another server may take two names for equal, or have other limits.
pub(super) fn names(name: &str) -> impl Iterator<Item = String> + use<'_> {
    let short: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    let others = (2..MOST_NAMES).map(move |number| format!("{} ({number})", short.trim()));
    std::iter::once(name.to_owned()).chain(others)
}

/// The chosen folders, and those in which they lie.
pub(super) fn with_parents(folders: Vec<Folder>, chosen: &BTreeSet<FolderId>) -> Vec<Folder> {
    let parents: BTreeMap<&str, &str> = folders
        .iter()
        .filter_map(|folder| Some((folder.id.as_str(), folder.parent_id.as_ref()?.as_str())))
        .collect();
    let mut kept = BTreeSet::new();
    for folder in chosen {
        let mut at = Some(folder.as_str());
        while let Some(id) = at.filter(|id| kept.insert((*id).to_owned())) {
            at = parents.get(id).copied();
        }
    }
    folders.into_iter().filter(|folder| kept.contains(folder.id.as_str())).collect()
}

/// Folders so that each comes after its parent, where it has one.
pub(super) fn parents_first(folders: &[Folder]) -> Vec<&Folder> {
    let by_id: BTreeMap<&Id, &Folder> = folders.iter().map(|folder| (&folder.id, folder)).collect();
    let depth = |folder: &Folder| {
        let mut depth = 0;
        let mut at = folder.parent_id.as_ref();
        while let Some(parent) = at.and_then(|id| by_id.get(id)).filter(|_| depth < DEEPEST) {
            depth += 1;
            at = parent.parent_id.as_ref();
        }
        depth
    };
    let mut sorted: Vec<&Folder> = folders.iter().collect();
    sorted.sort_by_cached_key(|folder| (depth(folder), folder.id.clone()));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::new(text).expect("an id")
    }

    fn tree(folders: &[(&str, Option<&str>)]) -> Vec<Folder> {
        folders
            .iter()
            .map(|(own, parent)| Folder {
                id: id(own),
                name: (*own).to_owned(),
                parent_id: parent.map(id),
                role: None,
                sort_order: 0,
            })
            .collect()
    }

    fn check(folders: &[(&str, Option<&str>)], expected: &[&str]) {
        let folders = tree(folders);
        let sorted: Vec<&str> =
            parents_first(&folders).into_iter().map(|folder| folder.id.as_str()).collect();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn parents_come_first() {
        check(&[("c", Some("b")), ("b", Some("a")), ("a", None)], &["a", "b", "c"]);
        check(&[("a", Some("b")), ("b", None)], &["b", "a"]);
        check(&[("a", Some("lost"))], &["a"]);
        check(&[("a", Some("b")), ("b", Some("a")), ("c", None)], &["c", "a", "b"]);
        check(&[("a", Some("a"))], &["a"]);
    }

    #[test]
    fn a_selection_needs_the_folders_of_its_emails_and_what_they_lie_in() {
        let all = tree(&[
            ("a", None),
            ("b", Some("a")),
            ("c", Some("b")),
            ("d", Some("a")),
            ("e", Some("f")),
            ("f", Some("e")),
        ]);
        let kept = |chosen: &[&str]| {
            let chosen = chosen.iter().map(|id| FolderId::from(*id)).collect();
            let kept = with_parents(all.clone(), &chosen);
            kept.iter().map(|folder| folder.id.to_string()).collect::<String>()
        };
        for (chosen, expected) in
            [(&["c"][..], "abc"), (&["d", "b"], "abd"), (&[], ""), (&["gone"], ""), (&["e"], "ef")]
        {
            assert_eq!(kept(chosen), expected, "{chosen:?}");
        }
    }

    #[test]
    fn other_names_are_short_and_plain() {
        let long = "x\n".repeat(200);
        let names: Vec<String> = names(&long).collect();
        assert_eq!((names.len(), names[0].as_str()), (MOST_NAMES - 1, long.as_str()));
        assert_eq!(names[1], format!("{} (2)", "x".repeat(60)));
    }
}
