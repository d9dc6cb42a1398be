//! Where the folders of a snapshot are in the account, or have to be made.

use std::collections::{BTreeMap, BTreeSet};

use jmap::{DataType, Id, Set, SetError};
use serde_json::json;

use crate::error::{Error, Result};
use crate::restore::request::RestoreId;
use crate::restore::staging::is_own;
use crate::restore::target::{Folder, Target};

/// Deeper trees are cut off: such a folder comes to lie beside its parent.
const DEEPEST: usize = 50;
/// Names tried when one is taken.
const MOST_NAMES: usize = 20;

/// Folders of the account by the snapshot's.
pub(super) struct Map {
    folders: BTreeMap<Id, Id>,
    /// Where emails go whose folder the snapshot does not know.
    pub(super) home: Id,
    /// Folders that were made.
    pub(super) made: u64,
    /// Folders of the account that the snapshot does not have, parents first (mode *exact*).
    pub(super) surplus: Vec<Id>,
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
    Ok(Map { folders, home, made, surplus: Vec::new() })
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
    Ok(Map { folders, home, made, surplus: Vec::new() })
}

/// Makes the account's folders those of the snapshot, but for those that are too much: they go at the end. `same_account`:
/// equal ids name the same folder.
pub(super) async fn exact(target: Target<'_>, snapshot: &[Folder], same_account: bool) -> Result<Map> {
    let mut there = target.folders().await?;
    there.retain(|folder| !is_own(folder));
    let mut taken = BTreeSet::new();
    let mut made = 0;
    let mut folders: BTreeMap<Id, Id> = BTreeMap::new();
    for folder in parents_first(snapshot) {
        let parent = folder.parent_id.as_ref().and_then(|id| folders.get(id)).cloned();
        let is_free = |id: &Id| !taken.contains(id);
        let by_id =
            there.iter().find(|known| same_account && known.id == folder.id).map(|known| known.id.clone());
        let by_role = || folder.role.as_ref().and_then(|role| with_role(&there, role)).filter(is_free);
        let by_name = || child(&there, &folder.name, parent.as_ref()).filter(is_free);
        let id = match by_id.filter(is_free).or_else(by_role).or_else(by_name) {
            Some(known) => known,
            None => {
                clear_name(target, &mut there, &folder.name, parent.as_ref()).await?;
                let role = folder.role.as_deref().filter(|role| with_role(&there, role).is_none());
                make(target, &mut there, &mut made, &folder.name, parent.as_ref(), role).await?
            }
        };
        taken.insert(id.clone());
        adjust(target, &mut there, &id, folder, parent.as_ref()).await?;
        folders.insert(folder.id.clone(), id);
    }
    let home = inbox(&there)?;
    let surplus = parents_first(&there).into_iter().map(|folder| folder.id.clone());
    let surplus = surplus.filter(|id| !taken.contains(id)).collect();
    Ok(Map { folders, home, made, surplus })
}

/// Gives a folder the name, place, role and order of the snapshot's.
async fn adjust(
    target: Target<'_>,
    there: &mut [Folder],
    id: &Id,
    wanted: &Folder,
    parent: Option<&Id>,
) -> Result<()> {
    let Some(at) = there.iter().position(|folder| folder.id == *id) else { return Ok(()) };
    let is_in_place = there[at].name == wanted.name && there[at].parent_id.as_ref() == parent;
    if !is_in_place {
        clear_name(target, there, &wanted.name, parent).await?;
    }
    let now = &there[at];
    let mut patch = serde_json::Map::new();
    if !is_in_place {
        patch.insert("name".into(), json!(wanted.name));
        patch.insert("parentId".into(), json!(parent));
    }
    if now.sort_order != wanted.sort_order {
        patch.insert("sortOrder".into(), json!(wanted.sort_order));
    }
    if now.role != wanted.role && wanted.role.as_ref().is_none_or(|role| with_role(there, role).is_none()) {
        patch.insert("role".into(), json!(wanted.role));
    }
    if patch.is_empty() {
        return Ok(());
    }
    change(target, id, patch.into()).await?;
    let (own, parent_id) = (id.clone(), parent.cloned());
    there[at] = Folder { id: own, parent_id, ..wanted.clone() };
    Ok(())
}

/// Moves a folder out of the way that has this name in this place; its own turn comes, or it is too much.
async fn clear_name(target: Target<'_>, there: &mut [Folder], name: &str, parent: Option<&Id>) -> Result<()> {
    let is_same = |folder: &&mut Folder| {
        folder.parent_id.as_ref() == parent && folder.name.to_lowercase() == name.to_lowercase()
    };
    let Some(folder) = there.iter_mut().find(is_same) else { return Ok(()) };
    let short: String = folder.name.chars().take(60).collect();
    let aside = format!("{} ({})", short.trim(), RestoreId::random());
    change(target, &folder.id, json!({ "name": aside })).await?;
    folder.name = aside;
    Ok(())
}

async fn change(target: Target<'_>, id: &Id, patch: serde_json::Value) -> Result<()> {
    let mut set = Set::new();
    set.update(id, patch);
    let written = target.set("a folder", DataType::Mailbox, set).await?;
    match written.not_updated.get(id) {
        None => Ok(()),
        Some(refusal) => {
            Err(Error::Refused { what: format!("the folder {id}"), reason: refusal.to_string() })
        }
    }
}

fn inbox(there: &[Folder]) -> Result<Id> {
    let inbox = with_role(there, "inbox").or_else(|| there.first().map(|folder| folder.id.clone()));
    inbox.ok_or_else(|| Error::Refused {
        what: "emails".to_owned(),
        reason: "the account has no folder at all".to_owned(),
    })
}

fn with_role(there: &[Folder], role: &str) -> Option<Id> {
    there.iter().find(|folder| folder.role.as_deref() == Some(role)).map(|folder| folder.id.clone())
}

/// The folder of this name in this place.
fn child(there: &[Folder], name: &str, parent: Option<&Id>) -> Option<Id> {
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
fn names(name: &str) -> impl Iterator<Item = String> + use<'_> {
    let short: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    let others = (2..MOST_NAMES).map(move |number| format!("{} ({number})", short.trim()));
    std::iter::once(name.to_owned()).chain(others)
}

/// Folders so that each comes after its parent, where it has one.
fn parents_first(folders: &[Folder]) -> Vec<&Folder> {
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
