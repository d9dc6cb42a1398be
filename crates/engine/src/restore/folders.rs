//! Where the folders of a snapshot are in the account, or have to be made.

use std::collections::BTreeMap;

use jmap::{DataType, Id, SetError};
use serde_json::json;

use crate::error::{Error, Result};
use crate::restore::target::{Folder, Target};

/// Deeper trees are cut off: such a folder comes to lie beside its parent.
const DEEPEST: usize = 50;
/// Names tried when one is taken.
const MOST_NAMES: usize = 20;

/// Folders of the account by the snapshot's.
pub(super) struct Map {
    pub(super) folders: BTreeMap<Id, Id>,
    /// Where emails go whose folder the snapshot does not know.
    pub(super) home: Id,
    /// Folders that were made.
    pub(super) made: u64,
    /// Folders of the account that the snapshot does not have, parents first (mode *exact*).
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

/// Makes the whole tree below a folder of its own.
pub(super) async fn beside(target: Target<'_>, snapshot: &[Folder], root: &str) -> Result<Map> {
    let mut there = target.folders().await?;
    let mut made = 0;
    let home = match there.iter().find(|folder| folder.parent_id.is_none() && folder.name == root) {
        Some(folder) => folder.id.clone(),
        None => make(target, &mut there, &mut made, root, None, None).await?,
    };
    let mut folders = BTreeMap::new();
    for folder in parents_first(snapshot) {
        let parent = folder.parent_id.as_ref().and_then(|id| folders.get(id)).unwrap_or(&home).clone();
        let id = match child(&there, &folder.name, Some(&parent)) {
            Some(known) => known,
            None => make(target, &mut there, &mut made, &folder.name, Some(&parent), None).await?,
        };
        folders.insert(folder.id.clone(), id);
    }
    Ok(Map { folders, home, made, surplus: Vec::new(), odd: Vec::new() })
}

/// Finds the account's own folders by role, then by name in the same place, and makes those that are missing.
pub(super) async fn missing(target: Target<'_>, snapshot: &[Folder]) -> Result<Map> {
    let mut there = target.folders().await?;
    let mut made = 0;
    let mut folders: BTreeMap<Id, Id> = BTreeMap::new();
    for folder in parents_first(snapshot) {
        let parent = folder.parent_id.as_ref().and_then(|id| folders.get(id)).cloned();
        let by_role = folder.role.as_ref().and_then(|role| with_role(&there, role));
        let known = by_role.or_else(|| child(&there, &folder.name, parent.as_ref()));
        let role = folder.role.as_deref().filter(|role| with_role(&there, role).is_none());
        let id = match known {
            Some(known) => known,
            None => make(target, &mut there, &mut made, &folder.name, parent.as_ref(), role).await?,
        };
        folders.insert(folder.id.clone(), id);
    }
    let home = inbox(&there)?;
    Ok(Map { folders, home, made, surplus: Vec::new(), odd: Vec::new() })
}

pub(super) fn inbox(there: &[Folder]) -> Result<Id> {
    let inbox = with_role(there, "inbox").or_else(|| there.first().map(|folder| folder.id.clone()));
    inbox.ok_or_else(|| Error::Refused {
        what: "emails".to_owned(),
        reason: "the account has no folder at all".to_owned(),
    })
}

pub(super) fn with_role(there: &[Folder], role: &str) -> Option<Id> {
    there.iter().find(|folder| folder.role.as_deref() == Some(role)).map(|folder| folder.id.clone())
}

/// The folder of this name in this place.
pub(super) fn child(there: &[Folder], name: &str, parent: Option<&Id>) -> Option<Id> {
    let mut siblings = there.iter().filter(|folder| folder.parent_id.as_ref() == parent);
    siblings.find(|folder| folder.name == name).map(|folder| folder.id.clone())
}

async fn make(
    target: Target<'_>,
    there: &mut Vec<Folder>,
    made: &mut u64,
    name: &str,
    parent: Option<&Id>,
    role: Option<&str>,
) -> Result<Id> {
    let mut refusal = None;
    for name in names(name) {
        let mut object = json!({ "name": name, "parentId": parent, "isSubscribed": true });
        if let Some(role) = role {
            object["role"] = json!(role);
        }
        match target.create("a folder", DataType::Mailbox, object).await? {
            Ok(id) => {
                let (name, parent_id) = (name, parent.cloned());
                let folder = Folder {
                    id: id.clone(),
                    name,
                    parent_id,
                    role: role.map(str::to_owned),
                    sort_order: 0,
                    is_subscribed: true,
                };
                there.push(folder);
                *made += 1;
                return Ok(id);
            }
            Err(error) => refusal = Some(error),
        }
    }
    let reason = refusal.as_ref().map(SetError::to_string).unwrap_or_default();
    Err(Error::Refused { what: format!("the folder {name:?}"), reason })
}

/// The name itself, then others like it: another server may take two names for equal, or have other limits.
pub(super) fn names(name: &str) -> impl Iterator<Item = String> + use<'_> {
    let short: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    let others = (2..MOST_NAMES).map(move |number| format!("{} ({number})", short.trim()));
    std::iter::once(name.to_owned()).chain(others)
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

    fn check(folders: &[(&str, Option<&str>)], expected: &[&str]) {
        let folders: Vec<Folder> = folders
            .iter()
            .map(|(own, parent)| Folder {
                id: id(own),
                name: (*own).to_owned(),
                parent_id: parent.map(id),
                role: None,
                sort_order: 0,
                is_subscribed: true,
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
