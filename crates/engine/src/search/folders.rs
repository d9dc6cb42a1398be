//! The folders of a snapshot as a tree with paths, whatever the server said of them.

use std::collections::{BTreeMap, BTreeSet};

use model::{DataType, FolderId};
use repository::{ObjectRecord, Snapshot};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::search::fold::fold;

/// A folder deeper than this is put at the top: no mailbox of a person goes so deep, and paths stay short.
const MOST_LEVELS: usize = 64;
/// Folders named in an error.
const NAMED: usize = 30;

/// One folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// As the server has it; its id if the server gave it none.
    pub name: String,
    /// The folder it lies in, which is in the tree; `None` at the top.
    pub parent: Option<FolderId>,
    /// JMAP's role (`inbox`, `sent`, …), in lower case.
    pub role: Option<String>,
}

/// The folders of a mailbox. Every one has a path of at most 64 names: where parents form a circle, the one with the smallest
/// id stands at the top, and so does one whose parent is missing. Siblings of one name have one path and stay two folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderTree {
    folders: BTreeMap<FolderId, Folder>,
    depths: BTreeMap<FolderId, usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MailboxObject {
    name: Option<String>,
    parent_id: Option<String>,
    role: Option<String>,
}

impl FolderTree {
    /// Of folders as the server described them.
    pub fn new(folders: impl IntoIterator<Item = (FolderId, Folder)>) -> FolderTree {
        let mut tree = FolderTree { folders: folders.into_iter().collect(), depths: BTreeMap::new() };
        let ids: Vec<FolderId> = tree.folders.keys().cloned().collect();
        for id in ids {
            tree.place(id);
        }
        tree
    }

    /// Of a snapshot's objects; those of other types are passed over.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a ObjectRecord>) -> FolderTree {
        let folders = objects.into_iter().filter(|object| object.data_type == DataType::Mailbox);
        FolderTree::new(folders.map(|object| (object.id.as_str().into(), folder_of(object))))
    }

    /// The folders of a snapshot.
    pub async fn read(snapshot: &Snapshot) -> Result<FolderTree> {
        Ok(FolderTree::of(&snapshot.objects_of(DataType::Mailbox).await?))
    }

    /// Settles where a folder stands, and so does its ancestors'.
    fn place(&mut self, id: FolderId) {
        let (mut chain, mut on_chain) = (vec![id.clone()], BTreeSet::from([id]));
        let mut depth = loop {
            let last = &chain[chain.len() - 1];
            if let Some(depth) = self.depths.get(last) {
                chain.pop();
                break depth + 1;
            }
            match self.folders.get(last).and_then(|folder| folder.parent.clone()) {
                Some(parent) if on_chain.contains(&parent) => self.cut_circle(&parent),
                Some(parent) if self.folders.contains_key(&parent) => {
                    on_chain.insert(parent.clone());
                    chain.push(parent);
                    continue;
                }
                Some(_) => self.lift(&last.clone()),
                None => break 0,
            }
            // A parent is gone from the chain: begin again with what is left.
            chain.truncate(1);
            on_chain = chain.iter().cloned().collect();
        };
        while let Some(id) = chain.pop() {
            if depth >= MOST_LEVELS {
                self.lift(&id);
                depth = 0;
            }
            self.depths.insert(id, depth);
            depth += 1;
        }
    }

    fn cut_circle(&mut self, on_it: &FolderId) {
        let parent_of = |id: &FolderId| self.folders.get(id).and_then(|folder| folder.parent.clone());
        let circle = std::iter::successors(parent_of(on_it), |id| parent_of(id).filter(|_| id != on_it));
        if let Some(smallest) = circle.min() {
            self.lift(&smallest);
        }
    }

    fn lift(&mut self, id: &FolderId) {
        if let Some(folder) = self.folders.get_mut(id) {
            folder.parent = None;
        }
    }

    /// One folder.
    pub fn get(&self, id: &FolderId) -> Option<&Folder> {
        self.folders.get(id)
    }

    /// All folders, a parent always before its children.
    pub fn iter(&self) -> impl Iterator<Item = (&FolderId, &Folder)> {
        let mut folders: Vec<_> = self.folders.iter().collect();
        folders.sort_by_key(|(id, _)| self.depths.get(*id));
        folders.into_iter()
    }

    /// The names from the top down to a folder, joined by `/`; in a name `/` is written `\/` and `\` is written `\\`.
    pub fn path(&self, id: &FolderId) -> Option<String> {
        let mut names: Vec<String> = self.upwards(id).map(|(_, folder)| escaped(&folder.name)).collect();
        names.reverse();
        (!names.is_empty()).then(|| names.join("/"))
    }

    /// A folder and those it lies in, from the inside out.
    pub(crate) fn upwards<'a>(
        &'a self,
        id: &'a FolderId,
    ) -> impl Iterator<Item = (&'a FolderId, &'a Folder)> {
        let first = self.folders.get_key_value(id);
        std::iter::successors(first, |(_, folder)| {
            folder.parent.as_ref().and_then(|parent| self.folders.get_key_value(parent))
        })
    }

    /// Adds a folder and those it lies in.
    pub(crate) fn add_upwards(&self, folder: &FolderId, to: &mut BTreeSet<FolderId>) {
        for (id, _) in self.upwards(folder) {
            if !to.insert(id.clone()) {
                break;
            }
        }
    }

    /// The folders that a path means, and those inside them if wanted. Who spells a path exactly gets the folders of exactly
    /// that path; otherwise case and accents do not count; if there is still none, the name of a role (`inbox`, `sent`,
    /// `drafts`, `junk`, `trash`, `archive`) means the folder that has it.
    pub fn named(&self, path: &str, subfolders: Subfolders) -> BTreeSet<FolderId> {
        let paths: Vec<(&FolderId, String)> =
            self.folders.keys().filter_map(|id| Some((id, self.path(id)?))).collect();
        let such = |is: &IsMeant<'_>| -> BTreeSet<&FolderId> {
            paths.iter().filter(|(id, path)| is(id, path)).map(|(id, _)| *id).collect()
        };
        let trimmed = path.trim_matches('/');
        let folded = fold(trimmed);
        let spellings: [&IsMeant<'_>; 4] = [
            &|_, found| found == path,
            &|_, found| found == trimmed,
            &|_, found| fold(found) == folded,
            &|id, _| self.folders[id].role.as_ref() == Some(&folded),
        ];
        let meant = spellings.into_iter().map(such).find(|meant| !meant.is_empty()).unwrap_or_default();
        let is_meant = |id: &&FolderId| match subfolders {
            Subfolders::Left => meant.contains(*id),
            Subfolders::Taken => self.upwards(id).any(|(above, _)| meant.contains(above)),
        };
        self.folders.keys().filter(is_meant).cloned().collect()
    }

    /// The error that names the folders there are.
    pub(crate) fn lacks(&self, path: &str) -> Error {
        let mut paths: Vec<String> = self.folders.keys().filter_map(|id| self.path(id)).collect();
        paths.sort_unstable();
        let more = if paths.len() > NAMED { ", …" } else { "" };
        paths.truncate(NAMED);
        Error::NoFolder { path: path.to_owned(), has: format!("{}{more}", paths.join(", ")) }
    }
}

/// Whether a folder with this id and path is meant.
type IsMeant<'a> = dyn Fn(&FolderId, &str) -> bool + 'a;

/// Whether the folders inside a folder are meant too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subfolders {
    /// They are.
    Taken,
    /// They are not.
    Left,
}

fn folder_of(object: &ObjectRecord) -> Folder {
    let said: MailboxObject = serde_json::from_slice(&object.json).unwrap_or(MailboxObject {
        name: None,
        parent_id: None,
        role: None,
    });
    Folder {
        name: said.name.unwrap_or_else(|| object.id.clone()),
        parent: said.parent_id.map(FolderId::from),
        role: said.role.map(|role| role.to_ascii_lowercase()),
    }
}

fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('/', "\\/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(folders: &[(&str, &str, Option<&str>)]) -> FolderTree {
        FolderTree::new(folders.iter().map(|(id, name, parent)| {
            let folder = Folder { name: (*name).to_owned(), parent: parent.map(FolderId::from), role: None };
            (FolderId::from(*id), folder)
        }))
    }

    #[track_caller]
    fn check(tree: &FolderTree, path: &str, subfolders: Subfolders, expected: &[&str]) {
        let expected: BTreeSet<FolderId> = expected.iter().map(|id| FolderId::from(*id)).collect();
        assert_eq!(tree.named(path, subfolders), expected, "{path}");
    }

    #[test]
    fn paths_are_escaped_and_found_again() {
        let tree = tree(&[
            ("a", "Archive", None),
            ("b", "2025", Some("a")),
            ("c", "a/b\\c", Some("b")),
            ("d", "archive", None),
            ("e", "Réunions", Some("d")),
        ]);
        assert_eq!(tree.path(&"c".into()).as_deref(), Some("Archive/2025/a\\/b\\\\c"));
        assert_eq!(tree.path(&"x".into()), None);
        check(&tree, "Archive", Subfolders::Left, &["a"]);
        check(&tree, "Archive", Subfolders::Taken, &["a", "b", "c"]);
        check(&tree, "ARCHIVE", Subfolders::Left, &["a", "d"]);
        check(&tree, "/archive/reunions/", Subfolders::Taken, &["e"]);
        check(&tree, "Archive/2025/a\\/b\\\\c", Subfolders::Taken, &["c"]);
        check(&tree, "2025", Subfolders::Taken, &[]);
    }

    #[test]
    fn a_role_stands_for_its_folder_only_where_no_folder_is_called_so() {
        let sent = |name: &str| Folder { name: name.to_owned(), parent: None, role: Some("sent".to_owned()) };
        let by_role = FolderTree::new([("a".into(), sent("Gesendet"))]);
        check(&by_role, "Sent", Subfolders::Taken, &["a"]);
        let other = Folder { role: None, ..sent("sent") };
        let by_name = FolderTree::new([("a".into(), sent("Gesendet")), ("b".into(), other)]);
        check(&by_name, "Sent", Subfolders::Taken, &["b"]);
    }

    #[test]
    fn circles_missing_parents_and_twins_do_no_harm() {
        let tree = tree(&[
            ("a", "A", Some("c")),
            ("b", "B", Some("a")),
            ("c", "C", Some("b")),
            ("d", "D", Some("c")),
            ("e", "E", Some("e")),
            ("f", "F", Some("nowhere")),
            ("g", "F", None),
        ]);
        let paths: Vec<_> = tree.folders.keys().filter_map(|id| tree.path(id)).collect();
        assert_eq!(paths, ["A", "A/B", "A/B/C", "A/B/C/D", "E", "F", "F"]);
        check(&tree, "f", Subfolders::Taken, &["f", "g"]);
    }

    #[test]
    fn what_the_server_said_may_be_anything() {
        let object = |id: &str, json: &'static str| ObjectRecord {
            data_type: DataType::Mailbox,
            id: id.to_owned(),
            json: json.as_bytes().into(),
            blob: None,
        };
        let objects = [
            object("a", r#"{"name": "In", "role": "INBOX", "parentId": null}"#),
            object("b", r#"{"name": 7}"#),
            object("c", "no JSON"),
            object("d", r#"{"name": "", "parentId": "a"}"#),
        ];
        let tree = FolderTree::of(&objects);
        let paths: Vec<_> = tree.folders.keys().filter_map(|id| tree.path(id)).collect();
        assert_eq!(paths, ["In", "b", "c", "In/"]);
        assert_eq!(tree.get(&"a".into()).and_then(|folder| folder.role.as_deref()), Some("inbox"));
    }

    #[test]
    fn a_hundred_thousand_folders_inside_each_other_are_cut_in_time() {
        let folders = (0..100_000_u32).map(|i| {
            let parent = i.checked_sub(1).map(|above| FolderId::from(format!("{above:06}")));
            (FolderId::from(format!("{i:06}")), Folder { name: "x".to_owned(), parent, role: None })
        });
        let tree = FolderTree::new(folders.collect::<Vec<_>>().into_iter().rev());
        assert_eq!(tree.path(&"000063".into()).map(|path| path.len()), Some(127));
        assert_eq!(tree.path(&"000064".into()).as_deref(), Some("x"));
    }

    proptest! {
        #[test]
        fn every_folder_has_a_path_and_comes_behind_its_parent(
            parents in proptest::collection::vec(proptest::option::of(0usize..24), 0..20)
        ) {
            let tree = FolderTree::new(parents.iter().enumerate().map(|(i, parent)| {
                let parent = parent.map(|parent| FolderId::from(format!("{parent:02}")));
                (FolderId::from(format!("{i:02}")), Folder { name: format!("n{i}"), parent, role: None })
            }));
            let mut seen = BTreeSet::new();
            for (id, folder) in tree.iter() {
                prop_assert!(folder.parent.as_ref().is_none_or(|parent| seen.contains(parent)));
                let path = tree.path(id).expect("it is in the tree");
                prop_assert!(path.ends_with(&folder.name));
                prop_assert!(tree.named(&path, Subfolders::Left).contains(id));
                seen.insert(id.clone());
            }
            prop_assert_eq!(seen.len(), parents.len());
        }
    }
}
