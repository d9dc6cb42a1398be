//! The folders of a mailbox as a forest, whatever the server said: parents that are missing or inside their own children
//! are cut off.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::report::{Report, Topic};

/// What `Mailbox/get` says of a folder, as far as a format can use it.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Index of the folder above, once the tree is settled.
    pub(crate) parent: Option<usize>,
    pub(crate) role: Option<String>,
    pub(crate) sort_order: u64,
    pub(crate) is_subscribed: bool,
    parent_id: Option<String>,
}

impl Folder {
    pub(crate) fn from_json(id: &str, json: &Map<String, Value>) -> Folder {
        let text = |key: &str| json.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        Folder {
            id: id.to_owned(),
            name: text("name").unwrap_or_default().to_owned(),
            parent: None,
            role: text("role").map(str::to_lowercase),
            sort_order: json.get("sortOrder").and_then(Value::as_u64).unwrap_or_default(),
            is_subscribed: json.get("isSubscribed").and_then(Value::as_bool).unwrap_or(true),
            parent_id: text("parentId").map(str::to_owned),
        }
    }
}

/// All folders of a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    folders: Vec<Folder>,
    by_id: HashMap<String, usize>,
    rescue: Option<usize>,
}

impl Tree {
    pub(crate) fn add(&mut self, folder: Folder) {
        if !self.by_id.contains_key(&folder.id) {
            self.by_id.insert(folder.id.clone(), self.folders.len());
            self.folders.push(folder);
        }
    }

    pub(crate) fn get(&self, index: usize) -> &Folder {
        &self.folders[index]
    }

    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Finds every parent; returns the order in which parents come before their children.
    pub(crate) fn settle(&mut self, report: &mut Report) -> Vec<usize> {
        for index in 0..self.folders.len() {
            let Some(parent_id) = self.folders[index].parent_id.clone() else { continue };
            self.folders[index].parent = self.find(&parent_id);
            if self.folders[index].parent.is_none() {
                self.orphan(index, report);
            }
        }
        let mut state = vec![Visit::New; self.folders.len()];
        let mut order = Vec::with_capacity(self.folders.len());
        for index in 0..self.folders.len() {
            self.visit(index, &mut state, &mut order, report);
        }
        order
    }

    /// Walks up to the first folder that is in order already, cutting the last link of a circle.
    fn visit(&mut self, index: usize, state: &mut [Visit], order: &mut Vec<usize>, report: &mut Report) {
        let mut path = Vec::new();
        let mut next = Some(index);
        while let Some(at) = next {
            match state[at] {
                Visit::Done => break,
                Visit::OnPath => {
                    let last: usize = *path.last().expect("a folder on the path was pushed");
                    self.folders[last].parent = None;
                    self.orphan(last, report);
                    break;
                }
                Visit::New => {
                    state[at] = Visit::OnPath;
                    path.push(at);
                    next = self.folders[at].parent;
                }
            }
        }
        for at in path.into_iter().rev() {
            state[at] = Visit::Done;
            order.push(at);
        }
    }

    fn orphan(&self, index: usize, report: &mut Report) {
        report.note(Topic::Orphaned, || format!("folder `{}`", self.folders[index].name));
    }

    /// The folder for emails that are in none, and whether it has just been made.
    pub(crate) fn rescue(&mut self) -> (usize, bool) {
        if let Some(index) = self.rescue {
            return (index, false);
        }
        let free = |id: &String| !self.by_id.contains_key(id);
        let mut ids = (1..).map(|n| format!("malle-no-folder-{n}"));
        let id = ids.find(free).unwrap_or_default();
        let json = Map::from_iter([("name".to_owned(), Value::from(self.free_name()))]);
        let index = self.folders.len();
        self.add(Folder::from_json(&id, &json));
        self.rescue = Some(index);
        (index, true)
    }

    fn free_name(&self) -> String {
        let is_free = |name: &String| {
            self.folders.iter().all(|folder| folder.name.to_lowercase() != name.to_lowercase())
        };
        let mut names = (1..).map(|n| match n {
            1 => "No folder".to_owned(),
            _ => format!("No folder {n}"),
        });
        names.find(is_free).unwrap_or_default()
    }

    /// Folders with their parents before them.
    pub(crate) fn in_order(&self) -> Vec<&Folder> {
        let mut depths: Vec<(usize, usize)> =
            (0..self.folders.len()).map(|index| (self.depth(index), index)).collect();
        depths.sort_unstable();
        depths.into_iter().map(|(_, index)| &self.folders[index]).collect()
    }

    fn depth(&self, index: usize) -> usize {
        std::iter::successors(Some(index), |at| self.folders[*at].parent).count()
    }
}

#[derive(Clone, Copy)]
enum Visit {
    New,
    OnPath,
    Done,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Format;

    fn tree(parents: &[(&str, Option<&str>)]) -> Tree {
        let mut tree = Tree::default();
        for (id, parent) in parents {
            let json = json!({"name": id, "parentId": parent});
            tree.add(Folder::from_json(id, json.as_object().expect("an object")));
        }
        tree
    }

    fn orphans(report: &Report) -> u64 {
        report.notes.get(&Topic::Orphaned).map_or(0, |note| note.count)
    }

    #[test]
    fn parents_that_come_later_are_found() {
        let mut report = Report::new(Format::Mbox);
        let mut tree = tree(&[("c", Some("b")), ("b", Some("a")), ("a", None)]);
        assert_eq!(tree.settle(&mut report), [2, 1, 0]);
        assert_eq!(orphans(&report), 0);
    }

    #[test]
    fn missing_parents_and_circles_are_cut() {
        let mut report = Report::new(Format::Mbox);
        let mut tree = tree(&[("a", Some("b")), ("b", Some("a")), ("s", Some("s")), ("x", Some("gone"))]);
        assert_eq!(tree.settle(&mut report).len(), 4);
        assert_eq!(orphans(&report), 3);
        assert_eq!((tree.get(0).parent, tree.get(1).parent), (Some(1), None));
    }

    proptest! {
        #[test]
        fn every_folder_comes_once_and_after_its_parent(links in proptest::collection::vec(0..12_usize, 0..10)) {
            let ids: Vec<String> = (0..links.len()).map(|n| n.to_string()).collect();
            let parents: Vec<String> = links.iter().map(ToString::to_string).collect();
            let pairs: Vec<(&str, Option<&str>)> =
                ids.iter().zip(&parents).map(|(id, parent)| (id.as_str(), Some(parent.as_str()))).collect();
            let mut tree = tree(&pairs);
            let order = tree.settle(&mut Report::new(Format::Mbox));
            prop_assert_eq!(order.len(), links.len());
            for (at, index) in order.iter().enumerate() {
                let parent = tree.get(*index).parent;
                prop_assert!(parent.is_none_or(|parent| order[..at].contains(&parent)));
            }
        }
    }
}
