//! A dry run: what a restore would do to the account, found out without doing any of it.

use std::collections::{BTreeMap, BTreeSet};

use jmap::{Email, Id};
use model::{DataType, EmailRecord, FolderId};

use crate::error::Result;
use crate::restore::emails::account_emails::{AccountEmails, each};
use crate::restore::emails::dates;
use crate::restore::emails::ledger::Mark;
use crate::restore::exact::patch;
use crate::restore::folders::mapping::Map;
use crate::restore::request::{Act, Mode, Planned, Tell};
use crate::restore::run::Work;
use crate::restore::seam::Seam;
use crate::restore::target::Folder;
use crate::search::folders::{self, FolderTree};

impl Work<'_> {
    pub(super) async fn rehearse(&mut self, tell: &Tell<'_>) -> Result<()> {
        let mut planned = None;
        if self.has_emails {
            let held = match self.how.mode {
                Mode::Beside => None,
                Mode::Missing | Mode::Exact => Some(self.compare(None).await?),
            };
            let before = self.target.folders().await?;
            let map = self.map(None).await?;
            self.tell_folders(&before, &map, tell);
            self.tell_imports(tell).await?;
            if let Some(held) = held.filter(|_| self.how.mode == Mode::Exact) {
                self.tell_changes(&held, &map, tell).await?;
                self.tell_removals(&held, tell).await?;
            }
            planned = Some(map);
        }
        let ids = self.give_objects(Seam::Rehearsed(tell)).await?;
        self.settle_shares(ids, planned.as_ref()).await
    }

    fn tell_folders(&mut self, before: &[Folder], map: &Map, tell: &Tell<'_>) {
        self.done.folders = map.made;
        let (old, new) = (tree(before), tree(&map.there));
        let path = |tree: &FolderTree, id: &Id| tree.path(&id.as_str().into()).unwrap_or_default();
        let say = |act, id: &Id, name: String| {
            tell(&Planned { act, data_type: DataType::Mailbox, id: id.as_str(), name: &name });
        };
        for folder in &map.there {
            let now = path(&new, &folder.id);
            match before.iter().find(|known| known.id == folder.id) {
                None => {
                    let of = map.folders.iter().find(|(_, there)| **there == folder.id);
                    let of = of.map_or("", |(id, _)| id.as_str());
                    tell(&Planned { act: Act::Create, data_type: DataType::Mailbox, id: of, name: &now });
                }
                Some(known) if known == folder => {}
                Some(_) => match path(&old, &folder.id) {
                    was if was == now => say(Act::Change, &folder.id, now),
                    was => say(Act::Change, &folder.id, format!("{was} -> {now}")),
                },
            }
        }
        if self.how.mode == Mode::Exact {
            map.surplus.iter().rev().for_each(|id| say(Act::Remove, id, path(&new, id)));
            self.done.removed_folders = map.surplus.len() as u64;
        }
    }

    async fn tell_imports(&self, tell: &Tell<'_>) -> Result<()> {
        each(self.snapshot, |position, email| {
            if self.ledger.get(position) == Mark::Open {
                say_email(tell, Act::Create, email.id.as_str(), &email.envelope.subject);
            }
        })
        .await
    }

    /// Emails that are there, in other folders or with other keywords.
    async fn tell_changes(&mut self, held: &AccountEmails, map: &Map, tell: &Tell<'_>) -> Result<()> {
        let most = self.target.client.session().limits.max_objects_in_get;
        let mut emails = self.snapshot.emails().await?;
        let (mut pairs, mut position) = (BTreeMap::new(), 0);
        loop {
            let email = emails.next().await?;
            let is_end = email.is_none();
            if let (Some(email), Some(at)) = (email, self.ledger.pair_of(position))
                && let Ok(id) = Id::new(held.id(at))
            {
                pairs.insert(id, held.with_keyword(at, email));
            }
            if pairs.len() == most || is_end {
                self.done.relabelled += self.tell_changes_of(&std::mem::take(&mut pairs), map, tell).await?;
            }
            if is_end {
                return Ok(());
            }
            position += 1;
        }
    }

    async fn tell_changes_of(
        &self,
        pairs: &BTreeMap<Id, EmailRecord>,
        map: &Map,
        tell: &Tell<'_>,
    ) -> Result<u64> {
        if pairs.is_empty() {
            return Ok(0);
        }
        let ids: Vec<Id> = pairs.keys().cloned().collect();
        let mut changed = 0;
        for there in self.target.metadata(&ids).await? {
            let Some(email) = pairs.get(&there.id) else { continue };
            let folders: BTreeSet<&str> = there.mailbox_ids.iter().map(Id::as_str).collect();
            let is_same =
                email.keywords.iter().map(String::as_str).eq(there.keywords.iter().map(AsRef::as_ref));
            if !patch(map, email, &folders, is_same, None).is_empty() {
                changed += 1;
                say_email(tell, Act::Change, there.id.as_str(), &email.envelope.subject);
            }
        }
        Ok(changed)
    }

    async fn tell_removals(&mut self, held: &AccountEmails, tell: &Tell<'_>) -> Result<()> {
        let is_kept = self.ledger.paired(held.len());
        let surplus = (0..held.len()).filter(|at| !is_kept[*at]);
        let surplus: Vec<Id> = surplus.filter_map(|at| Id::new(held.id(at)).ok()).collect();
        for piece in surplus.chunks(self.target.client.session().limits.max_objects_in_get) {
            for Email { id, size, received_at, .. } in self.target.metadata(piece).await? {
                self.done.removed += 1;
                let date = dates::writable(received_at.unix_seconds());
                let name =
                    format!("received {}, {size} bytes", date.as_deref().unwrap_or("at a strange time"));
                say_email(tell, Act::Remove, id.as_str(), &name);
            }
        }
        Ok(())
    }
}

fn say_email(tell: &Tell<'_>, act: Act, id: &str, name: &str) {
    tell(&Planned { act, data_type: DataType::Email, id, name });
}

fn tree(folders: &[Folder]) -> FolderTree {
    FolderTree::new(folders.iter().map(|folder| {
        let parent = folder.parent_id.as_ref().map(|id| FolderId::from(id.as_str()));
        let (name, role) = (folder.name.clone(), folder.role.clone());
        (folder.id.as_str().into(), folders::Folder { name, parent, role })
    }))
}
