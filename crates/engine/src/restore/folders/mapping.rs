//! Folders of a snapshot, and which of the account's they are.

use std::collections::BTreeMap;

use jmap::Id;

use crate::restore::target::Folder;

/// Deeper trees are cut off: such a folder comes to lie beside its parent.
const DEEPEST: usize = 50;
/// Names tried when one is taken.
const MOST_NAMES: usize = 20;

/// Folders of the account by the snapshot's.
pub(in crate::restore) struct Map {
    pub(in crate::restore) folders: BTreeMap<Id, Id>,
    /// Where emails go whose folder the snapshot does not know.
    pub(in crate::restore) home: Id,
    /// All folders of the account, as they are now.
    pub(in crate::restore) there: Vec<Folder>,
    /// Folders that were made.
    pub(in crate::restore) made: u64,
    /// Folders of the account that are none of the snapshot's, parents first.
    pub(in crate::restore) surplus: Vec<Id>,
    /// Folders that are not as the snapshot has them, and why.
    pub(in crate::restore) odd: Vec<String>,
}

impl Map {
    /// The account's folders for an email in these folders of the snapshot; never none.
    pub(in crate::restore) fn of<'f>(&self, folders: impl Iterator<Item = &'f str>) -> Vec<Id> {
        let mut found: Vec<Id> = folders.filter_map(|id| self.folders.get(id).cloned()).collect();
        if found.is_empty() {
            found.push(self.home.clone());
        }
        found
    }
}

/// The name itself, then others like it: another server may take two names for equal, or have other limits.
pub(in crate::restore) fn names(name: &str) -> impl Iterator<Item = String> + use<'_> {
    let short: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    let others = (2..MOST_NAMES).map(move |number| format!("{} ({number})", short.trim()));
    std::iter::once(name.to_owned()).chain(others)
}

/// Folders so that each comes after its parent, where it has one.
pub(in crate::restore) fn parents_first(folders: &[Folder]) -> Vec<&Folder> {
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

    fn check(folders: &[(&str, Option<&str>)], expected: &[&str]) {
        let folders: Vec<Folder> = folders
            .iter()
            .map(|(own, parent)| Folder {
                id: id(own),
                name: (*own).to_owned(),
                parent_id: parent.map(id),
                role: None,
                sort_order: 0,
                is_subscribed: None,
            })
            .collect();
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
    fn other_names_are_short_and_plain() {
        let long = "x\n".repeat(200);
        let names: Vec<String> = names(&long).collect();
        assert_eq!((names.len(), names[0].as_str()), (MOST_NAMES - 1, long.as_str()));
        assert_eq!(names[1], format!("{} (2)", "x".repeat(60)));
    }
}
