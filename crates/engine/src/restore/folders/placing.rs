//! The snapshot's folders are found in the account, made, and put into their places.
//!
//! Servers refuse what would stand in the way for a moment only: two siblings of one name, a tree that is too deep. So folders
//! get out of the way first, and some take a step through the folder of the restore. A folder that cannot be put into its
//! place all the same stays where it is, holds its emails, and is named in the report.

use std::collections::{BTreeMap, BTreeSet};

use jmap::{DataType, Id, Set, SetError};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::restore::folders::finding::Finder;
use crate::restore::folders::mapping::{Map, names, parents_first};
use crate::restore::folders::own::is_own;
use crate::restore::request::RestoreId;
use crate::restore::target::{Folder, Target};

/// Finds the snapshot's folders in the account and makes those that are missing; in mode *exact* gives them their names and
/// places too. `staging_folder`: the folder of the restore; without it nothing is written, and the result is what would be.
pub(in crate::restore) async fn place(
    target: Target<'_>,
    snapshot: &[Folder],
    how: Places<'_>,
    staging_folder: Option<&Id>,
) -> Result<Map> {
    let mut there = target.folders().await?;
    there.retain(|folder| !is_own(folder));
    let (taken, odd) = (BTreeSet::new(), Vec::new());
    let is_same_account =
        matches!(how, Places::Missing { same_account: true } | Places::Exact { same_account: true });
    let finder = Finder::new(snapshot, &there, is_same_account);
    let kept = if matches!(how, Places::Exact { .. }) { finder.same_ids() } else { BTreeSet::new() };
    let mut placing =
        Placing { target, how, snapshot, staging_folder, there, taken, odd, finder, kept, made: 0 };
    let root = match how {
        Places::Below(name) => Some(placing.root(name).await?),
        Places::Missing { .. } | Places::Exact { .. } => None,
    };
    let mut folders: BTreeMap<Id, Id> = BTreeMap::new();
    for folder in parents_first(snapshot) {
        let parent = folder.parent_id.as_ref().and_then(|id| folders.get(id)).or(root.as_ref()).cloned();
        let id = match placing.find(folder, parent.as_ref()) {
            Some(id) => {
                placing.taken.insert(id.clone());
                placing.adjust(&id, folder, parent.as_ref()).await?;
                id
            }
            None => placing.make(folder, parent.as_ref()).await?,
        };
        folders.insert(folder.id.clone(), id);
    }
    let Placing { there, taken, made, odd, .. } = placing;
    let home = match root {
        Some(root) => root,
        None => inbox(&there)?,
    };
    let surplus = parents_first(&there).into_iter().map(|folder| folder.id.clone());
    let surplus = surplus.filter(|id| !taken.contains(id)).collect();
    Ok(Map { folders, home, there, made, surplus, odd })
}

/// Where the snapshot's folders belong.
#[derive(Clone, Copy)]
pub(in crate::restore) enum Places<'a> {
    /// All below one of this name.
    Below(&'a str),
    /// Where the account has folders of the same role, or name and parent. `same_account`: equal ids name the same folder.
    Missing { same_account: bool },
    /// Just where the snapshot has them. `same_account`: equal ids name the same folder.
    Exact { same_account: bool },
}

struct Placing<'a> {
    target: Target<'a>,
    how: Places<'a>,
    snapshot: &'a [Folder],
    staging_folder: Option<&'a Id>,
    there: Vec<Folder>,
    /// Folders of the account that are one of the snapshot's.
    taken: BTreeSet<Id>,
    odd: Vec<String>,
    finder: Finder<'a>,
    /// Folders that are those of the snapshot by their ids (mode *exact*).
    kept: BTreeSet<Id>,
    made: u64,
}

type Refusable<T> = Result<std::result::Result<T, SetError>>;

impl Placing<'_> {
    async fn root(&mut self, name: &str) -> Result<Id> {
        if let Some(id) = self.child(name, None) {
            return Ok(id);
        }
        let created = self.create(json!({ "name": name, "parentId": null, "isSubscribed": true })).await?;
        created.map_err(|refusal| refused(name, Some(&refusal)))
    }

    /// The account's folder that is this one.
    fn find(&self, folder: &Folder, parent: Option<&Id>) -> Option<Id> {
        let by_name = || self.likest(folder, parent);
        if matches!(self.how, Places::Below(_)) {
            return by_name();
        }
        let by_id = self.kept.get(&folder.id).filter(|id| !self.taken.contains(*id)).cloned();
        by_id.or_else(|| self.by_role(folder)).or_else(by_name)
    }

    fn by_role(&self, folder: &Folder) -> Option<Id> {
        let holder = with_role(&self.there, folder.role.as_deref()?)?;
        let holder = self.there.iter().find(|known| known.id == holder)?;
        let is_free = !self.taken.contains(&holder.id);
        (is_free && self.finder.is_meant(folder, holder)).then(|| holder.id.clone())
    }

    /// Of folders of its name in its place (some servers have twins) the one with most of the same folders inside.
    fn likest(&self, folder: &Folder, parent: Option<&Id>) -> Option<Id> {
        let wanted = names_inside(self.snapshot, &folder.id);
        let alike = |known: &&Folder| names_inside(&self.there, &known.id).intersection(&wanted).count();
        // The last of the greatest is taken: the first one where all are alike.
        let twins = self.free(&folder.name, parent).rev();
        twins.max_by_key(alike).map(|known| known.id.clone())
    }

    /// The folder of this name in this place that is none of the snapshot's yet.
    fn child(&self, name: &str, parent: Option<&Id>) -> Option<Id> {
        self.free(name, parent).next().map(|folder| folder.id.clone())
    }

    /// Servers take blanks off the ends of names.
    fn free(&self, name: &str, parent: Option<&Id>) -> impl DoubleEndedIterator<Item = &Folder> {
        self.there.iter().filter(move |folder| {
            let is_here = folder.parent_id.as_ref() == parent && folder.name.trim() == name.trim();
            is_here && !self.taken.contains(&folder.id) && !self.kept.contains(&folder.id)
        })
    }

    /// Gives a folder the name, place, role and order of the snapshot's.
    async fn adjust(&mut self, id: &Id, wanted: &Folder, parent: Option<&Id>) -> Result<()> {
        let now = self.there.iter().find(|folder| folder.id == *id).cloned();
        let Some(now) = now.filter(|_| matches!(self.how, Places::Exact { .. })) else { return Ok(()) };
        let is_elsewhere = now.name != wanted.name || now.parent_id.as_ref() != parent;
        if is_elsewhere && let Err(refusal) = self.put(id, &wanted.name, parent).await? {
            self.odd.push(format!("{:?} is not in its place: {refusal}", wanted.name));
        }
        let mut patch = serde_json::Map::new();
        if now.sort_order != wanted.sort_order {
            patch.insert("sortOrder".into(), json!(wanted.sort_order));
        }
        let wants = wanted.is_subscribed.filter(|_| self.target.is_owners());
        if let Some(is_subscribed) = wants.filter(|is| Some(*is) != now.is_subscribed) {
            patch.insert("isSubscribed".into(), json!(is_subscribed));
        }
        if now.role != wanted.role {
            self.free_role(wanted.role.as_deref()).await?;
            patch.insert("role".into(), json!(wanted.role));
        }
        if !patch.is_empty()
            && let Err(refusal) = self.change(id, patch.into()).await?
        {
            self.odd.push(format!("{:?} is not as it was: {refusal}", wanted.name));
        }
        Ok(())
    }

    /// Takes a role from the folder that has it.
    async fn free_role(&mut self, role: Option<&str>) -> Result<()> {
        if let Some(holder) = role.and_then(|role| with_role(&self.there, role)) {
            self.change(&holder, json!({ "role": null })).await?.ok();
        }
        Ok(())
    }

    /// Moves and renames a folder, by a way that the server takes.
    async fn put(&mut self, id: &Id, name: &str, parent: Option<&Id>) -> Refusable<()> {
        self.make_room(id, name, parent).await?;
        let there = json!({ "name": name, "parentId": parent });
        let Err(refusal) = self.change(id, there.clone()).await? else { return Ok(Ok(())) };
        self.lift_children(id).await?;
        if self.change(id, there).await?.is_ok() {
            return Ok(Ok(()));
        }
        // A twin is refused where it is named, but not where it is moved to.
        let by_detour = json!({ "name": name, "parentId": self.staging_folder });
        if self.change(id, by_detour).await?.is_ok()
            && self.change(id, json!({ "parentId": parent })).await?.is_ok()
        {
            return Ok(Ok(()));
        }
        // Not in the folder of the restore, which goes.
        let aside = json!({ "name": aside(name), "parentId": null });
        Ok(self.change(id, aside).await?.and(Err(refusal)))
    }

    async fn make(&mut self, wanted: &Folder, parent: Option<&Id>) -> Result<Id> {
        if matches!(self.how, Places::Exact { .. }) {
            let new = Id::new("new").expect("an id");
            self.make_room(&new, &wanted.name, parent).await?;
            self.free_role(wanted.role.as_deref()).await?;
        }
        let mut last = None;
        for name in names(&wanted.name) {
            // An earlier attempt may have made it under this name.
            let known = self.child(&name, parent).filter(|_| last.is_some());
            let made = match known {
                Some(known) => Ok(known),
                None => self.create(self.object(wanted, &name, parent)).await?,
            };
            match made {
                Ok(id) => {
                    self.taken.insert(id.clone());
                    if let Some(refusal) = last {
                        self.odd.push(format!("{:?} is called {name:?}: {refusal}", wanted.name));
                    }
                    return Ok(id);
                }
                Err(refusal) if last.is_none() => {
                    if let Some(id) = self.look_again(&name, parent).await? {
                        return Ok(id);
                    }
                    if let Some(id) = self.make_by_detour(wanted, &name, parent).await? {
                        return Ok(id);
                    }
                    last = Some(refusal);
                }
                Err(_) => {}
            }
        }
        Err(refused(&wanted.name, last.as_ref()))
    }

    /// Somebody may have made the folder meanwhile: its owner, or whoever took this restore over.
    async fn look_again(&mut self, name: &str, parent: Option<&Id>) -> Result<Option<Id>> {
        let folders = self.target.folders().await?;
        if !folders.iter().any(|folder| Some(&folder.id) == self.staging_folder) {
            return Err(Error::Superseded);
        }
        self.there = folders.into_iter().filter(|folder| !is_own(folder)).collect();
        let found = self.child(name, parent);
        self.taken.extend(found.clone());
        Ok(found)
    }

    fn object(&self, wanted: &Folder, name: &str, parent: Option<&Id>) -> Value {
        // If the owner's choice is unknown, or the folder is a copy, it is subscribed so that mail programs show it.
        let is_beside = matches!(self.how, Places::Below(_));
        let is_subscribed = wanted.is_subscribed.filter(|_| !is_beside).unwrap_or(true);
        let mut object = json!({
            "name": name, "parentId": parent, "sortOrder": wanted.sort_order, "isSubscribed": is_subscribed,
        });
        let role = wanted.role.as_deref().filter(|role| with_role(&self.there, role).is_none());
        if let Some(role) = role.filter(|_| !matches!(self.how, Places::Below(_))) {
            object["role"] = json!(role);
        }
        object
    }

    async fn make_by_detour(
        &mut self,
        wanted: &Folder,
        name: &str,
        parent: Option<&Id>,
    ) -> Result<Option<Id>> {
        let object = self.object(wanted, name, self.staging_folder);
        let Ok(id) = self.create(object).await? else { return Ok(None) };
        if self.change(&id, json!({ "parentId": parent })).await?.is_ok() {
            return Ok(Some(id));
        }
        let mut set = Set::new();
        set.destroy(&id);
        self.target.set("a folder", DataType::Mailbox, set).await?;
        self.there.retain(|folder| folder.id != id);
        self.taken.remove(&id);
        self.made -= 1;
        Ok(None)
    }

    /// Moves a folder out of the way that has this name in this place; its own turn comes, or it is too much.
    async fn make_room(&mut self, but: &Id, name: &str, parent: Option<&Id>) -> Result<()> {
        let is_in_the_way = |folder: &&Folder| {
            let is_same =
                folder.parent_id.as_ref() == parent && folder.name.to_lowercase() == name.to_lowercase();
            is_same && folder.id != *but && !self.taken.contains(&folder.id)
        };
        if let Some(id) = self.there.iter().find(is_in_the_way).map(|folder| folder.id.clone()) {
            self.change(&id, json!({ "name": aside(name) })).await?.ok();
        }
        Ok(())
    }

    /// Moves what hangs below a folder and is not in its place yet to the top.
    async fn lift_children(&mut self, id: &Id) -> Result<()> {
        let children: Vec<(Id, String)> = self
            .there
            .iter()
            .filter(|folder| folder.parent_id.as_ref() == Some(id) && !self.taken.contains(&folder.id))
            .map(|folder| (folder.id.clone(), folder.name.clone()))
            .collect();
        for (child, name) in children {
            self.change(&child, json!({ "name": aside(&name), "parentId": null })).await?.ok();
        }
        Ok(())
    }

    async fn create(&mut self, object: Value) -> Refusable<Id> {
        let created = match self.staging_folder {
            Some(_) => self.target.create("a folder", DataType::Mailbox, object.clone()).await?,
            None => Ok(Id::new(&format!("new-{}", self.made)).expect("an id")),
        };
        if let Ok(id) = &created {
            let mut folder = Folder::unnamed(id);
            folder.apply(&object);
            self.there.push(folder);
            self.taken.insert(id.clone());
            self.made += 1;
        }
        Ok(created)
    }

    async fn change(&mut self, id: &Id, patch: Value) -> Refusable<()> {
        if self.staging_folder.is_some() {
            let mut set = Set::new();
            set.update(id, patch.clone());
            let mut written = self.target.set("a folder", DataType::Mailbox, set).await?;
            if let Some(refusal) = written.not_updated.remove(id) {
                return Ok(Err(refusal));
            }
        }
        if let Some(folder) = self.there.iter_mut().find(|folder| folder.id == *id) {
            folder.apply(&patch);
        }
        Ok(Ok(()))
    }
}

fn names_inside<'f>(folders: &'f [Folder], parent: &Id) -> BTreeSet<&'f str> {
    let inside = folders.iter().filter(|folder| folder.parent_id.as_ref() == Some(parent));
    inside.map(|folder| folder.name.trim()).collect()
}

/// A name that nothing else has.
pub(in crate::restore) fn aside(name: &str) -> String {
    let short: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    format!("{} ({})", short.trim(), RestoreId::random())
}

fn with_role(there: &[Folder], role: &str) -> Option<Id> {
    there.iter().find(|folder| folder.role.as_deref() == Some(role)).map(|folder| folder.id.clone())
}

/// Where emails are found that have no other place.
pub(in crate::restore) fn inbox(there: &[Folder]) -> Result<Id> {
    let inbox = with_role(there, "inbox").or_else(|| there.first().map(|folder| folder.id.clone()));
    inbox.ok_or_else(|| Error::Refused {
        what: "emails".to_owned(),
        reason: "the account has no folder at all".to_owned(),
    })
}

fn refused(name: &str, refusal: Option<&SetError>) -> Error {
    let reason = refusal.map(SetError::to_string).unwrap_or_default();
    Error::Refused { what: format!("the folder {name:?}"), reason }
}
