//! The account becomes the snapshot: what is there gets its folders and keywords back, what is too much goes.
//!
//! Everything is measured by a backup of the account that was made just before: what arrived later is not in it, and stays;
//! nothing is destroyed that it does not hold. A row that says where bytes lie is no proof that they are there: before an email is
//! removed, its copy is read from the store and hashed. Copies that do not open are fetched from the server again, into another
//! backup, before the first attempt changes anything; one that is damaged later stays, and is named in the report.
//!
//! What was done is counted by comparing with the backup that was made before the first attempt, so that it does not matter how
//! many attempts it took.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jmap::{DataType, Id, Set};
use model::{BlobId, EmailId, EmailRecord};
use repository::{Located, ObjectRecord, Snapshot};
use serde_json::{Map, Value, json};

use crate::backup::emails::rows::source_hash;
use crate::backup::options::Progress;
use crate::error::{Error, Result};
use crate::restore::emails::account_emails::AccountEmails;
use crate::restore::emails::ledger::Ledger;
use crate::restore::folders::mapping;
use crate::restore::folders::own::is_own;
use crate::restore::report::Unremoved;
use crate::restore::staging::Staging;
use crate::restore::target::{Folder, Target};
use crate::restore::uploads::is_damage;

/// Emails in one request.
const AT_ONCE: usize = 250;
/// Emails whose copies are read back together: few enough to hold, many enough that each pack is read about once.
const READ_BACK: usize = 8192;

/// Backups of the account.
pub(super) struct Safety {
    /// As it is, before this attempt changes it.
    pub(super) now: Arc<Snapshot>,
    /// As it was before the first attempt: what undoes everything, and holds all that may be destroyed.
    pub(super) first: Arc<Snapshot>,
}

impl Safety {
    /// Whether no attempt has changed anything yet.
    pub(super) fn is_first(&self) -> bool {
        self.now.info().number == self.first.info().number
    }
}

/// What is known for it.
pub(super) struct Exact<'a> {
    pub(super) target: Target<'a>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) safety: &'a Safety,
    pub(super) held: &'a AccountEmails,
    pub(super) map: &'a mapping::Map,
    pub(super) staging: &'a Staging<'a>,
    pub(super) progress: &'a dyn Progress,
}

impl Exact<'_> {
    /// Emails in one request, as far as the server takes so many.
    fn at_once(&self) -> usize {
        AT_ONCE.min(self.target.client.session().limits.max_objects_in_set).max(1)
    }

    /// Gives emails that are there their folders and keywords back; how many were not as they should be before the first attempt.
    pub(super) async fn relabel(&self, ledger: &Ledger) -> Result<u64> {
        let mut pairs: Vec<(Id, EmailRecord)> = Vec::new();
        let mut emails = self.snapshot.emails().await?;
        let (mut position, mut changed) = (0, 0);
        while let Some(email) = emails.next().await? {
            if let Some(at) = ledger.pair_of(position)
                && let Ok(id) = Id::new(self.held.id(at))
            {
                pairs.push((id, self.held.with_keyword(at, email)));
            }
            if pairs.len() == self.at_once() {
                changed += self.relabel_some(std::mem::take(&mut pairs)).await?;
            }
            position += 1;
        }
        Ok(changed + self.relabel_some(pairs).await?)
    }

    async fn relabel_some(&self, pairs: Vec<(Id, EmailRecord)>) -> Result<u64> {
        let ids: Vec<EmailId> = pairs.iter().map(|(id, _)| EmailId::from(id.as_str())).collect();
        let there = self.safety.now.find_emails(&ids).await?;
        let there = by_id(&there);
        let first =
            if self.safety.is_first() { Vec::new() } else { self.safety.first.find_emails(&ids).await? };
        let first = by_id(&first);
        let (mut set, mut changed) = (Set::new(), BTreeSet::new());
        for (id, email) in &pairs {
            let Some(there) = there.get(id.as_str()) else { continue };
            let patch = self.patch(email, there);
            // What an earlier attempt changed is as it should be by now.
            let was_changed =
                first.get(id.as_str()).is_some_and(|before| !self.patch(email, before).is_empty());
            if was_changed || !patch.is_empty() {
                changed.insert(id.clone());
            }
            if !patch.is_empty() {
                set.update(id, patch.into());
            }
        }
        if set.is_empty() {
            return Ok(changed.len() as u64);
        }
        let written = self.target.set("the emails' folders and keywords", DataType::Email, set).await?;
        // An email that its owner deleted meanwhile is in the safety backup, and gone: they meant it.
        let lost = written.not_updated.values().find(|refusal| refusal.kind != "notFound");
        match lost {
            Some(refusal) => Err(Error::Refused {
                what: "the emails' folders and keywords".to_owned(),
                reason: refusal.to_string(),
            }),
            None => Ok(changed.iter().filter(|id| !written.not_updated.contains_key(*id)).count() as u64),
        }
    }

    /// What has to change; the restore's own folder stays until the end.
    fn patch(&self, email: &EmailRecord, there: &EmailRecord) -> Map<String, Value> {
        let own = self.staging.folder.as_str();
        let mut now: BTreeSet<&str> = there.folders.iter().map(|id| id.as_str()).collect();
        let staged = now.remove(own).then_some(own);
        patch(self.map, email, &now, email.keywords == there.keywords, staged)
    }

    /// Destroys what the account held when it was backed up and the snapshot does not have. How many emails are gone of those
    /// that were there before the first attempt, and which are not because the store cannot give them back.
    pub(super) async fn remove_surplus(&self, ledger: &Ledger) -> Result<(u64, Unremoved)> {
        let (mut removed, mut unremoved) = (self.removed_before().await?, Unremoved::default());
        let is_kept = ledger.paired(self.held.len());
        if is_kept.iter().all(|kept| *kept) && self.staging.given_up.is_empty() {
            return Ok((removed, unremoved));
        }
        let bin = self.staging.removing().await?;
        let mut emails = self.safety.now.emails().await?;
        let (mut at, mut surplus) = (0, Vec::new());
        loop {
            let email = emails.next().await?;
            let is_end = email.is_none();
            surplus.extend(email.filter(|_| !is_kept[at]).map(|email| (email.id, email.source_hash)));
            at += 1;
            if surplus.len() == READ_BACK || is_end {
                let read = self.read_back(std::mem::take(&mut surplus), &mut unremoved).await?;
                for some in read.chunks(self.at_once()) {
                    removed += self.remove(some, &bin).await?;
                }
            }
            if is_end {
                break;
            }
        }
        for folder in self.staging.given_up.iter().chain([&bin]) {
            self.staging.clear(folder).await?;
        }
        Ok((removed, unremoved))
    }

    /// How many emails earlier attempts removed: they are in the first backup and not in the latest.
    async fn removed_before(&self) -> Result<u64> {
        if self.safety.is_first() {
            return Ok(0);
        }
        let mut first = self.safety.first.emails().await?;
        let (mut gone, mut at) = (0, 0);
        // Both are in the order of ids.
        while let Some(email) = first.next().await? {
            while at < self.held.len() && self.held.id(at) < email.id.as_str() {
                at += 1;
            }
            gone += u64::from(at == self.held.len() || self.held.id(at) != email.id.as_str());
        }
        Ok(gone)
    }

    /// Leaves those out whose copy does not open, and names them. What is in no backup from before the first attempt came by
    /// this restore, or is left alone later.
    async fn read_back(
        &self,
        surplus: Vec<(EmailId, u64)>,
        unremoved: &mut Unremoved,
    ) -> Result<Vec<(EmailId, u64)>> {
        self.progress.phase("reading back");
        let ids: Vec<EmailId> = surplus.iter().map(|(id, _)| id.clone()).collect();
        let mut lost = BTreeSet::new();
        for (email, reason) in unreadable(&self.safety.first, &ids).await? {
            unremoved.add(&email, reason);
            lost.insert(email.id);
        }
        self.progress.phase("removing");
        Ok(surplus.into_iter().filter(|(id, _)| !lost.contains(id)).collect())
    }

    async fn remove(&self, surplus: &[(EmailId, u64)], bin: &Id) -> Result<u64> {
        let digests: BTreeMap<&str, u64> =
            surplus.iter().map(|(id, digest)| (id.as_str(), *digest)).collect();
        let ids: Vec<Id> = surplus.iter().filter_map(|(id, _)| Id::new(id.as_str()).ok()).collect();
        let hasher = self.safety.now.hasher();
        let at_first = self.held_at_first(surplus.iter().map(|(id, _)| id)).await?;
        let held = |email: &jmap::Email| {
            let is_same = digests.get(email.id.as_str()) == Some(&source_hash(&hasher, email));
            is_same && (at_first.contains(email.id.as_str()) || self.staging.holds(email))
        };
        let there = self.target.metadata(&ids).await?;
        let doomed: Vec<Id> =
            there.iter().filter(|email| held(email)).map(|email| email.id.clone()).collect();
        let mut into_bin = Set::new();
        for id in &doomed {
            into_bin.update(id, json!({ "mailboxIds": { bin.as_str(): true } }));
        }
        if into_bin.is_empty() {
            return Ok(0);
        }
        let moved = self.target.set("what is too much", DataType::Email, into_bin).await?;
        let moved: Vec<Id> = doomed.into_iter().filter(|id| !moved.not_updated.contains_key(id)).collect();
        self.staging.assert_alive().await?;
        let mut destroy = Set::new();
        moved.iter().for_each(|id| destroy.destroy(id));
        let destroyed = self.target.set("what is too much", DataType::Email, destroy).await?;
        Ok(destroyed.destroyed.iter().filter(|id| at_first.contains(id.as_str())).count() as u64)
    }

    /// Those of these ids that the account held before the first attempt; others arrived since.
    async fn held_at_first(&self, ids: impl Iterator<Item = &EmailId>) -> Result<BTreeSet<String>> {
        let ids: Vec<EmailId> = ids.cloned().collect();
        let held = self.safety.first.find_emails(&ids).await?;
        Ok(held.into_iter().map(|email| email.id.into()).collect())
    }

    /// Destroys folders that the snapshot does not have, as far as they are empty and not newer than the backup; how many are gone
    /// of those that were there before the first attempt.
    pub(super) async fn remove_folders(&self) -> Result<u64> {
        let known = self.safety.first.objects_of(model::DataType::Mailbox).await?;
        let known: Vec<Folder> =
            known.iter().filter_map(|folder| serde_json::from_slice(&folder.json).ok()).collect();
        let known: BTreeSet<&str> =
            known.iter().filter(|folder| !is_own(folder)).map(|folder| folder.id.as_str()).collect();
        let there: BTreeSet<&str> = self.map.there.iter().map(|folder| folder.id.as_str()).collect();
        let mut removed = known.difference(&there).count() as u64;
        // Children stand behind their parents.
        for folder in self.map.surplus.iter().rev().filter(|id| known.contains(id.as_str())) {
            let mut set = Set::new().with("onDestroyRemoveEmails", false);
            set.destroy(folder);
            let gone = self.target.set("a folder", DataType::Mailbox, set).await;
            match gone {
                Ok(gone) => removed += gone.destroyed.len() as u64,
                Err(Error::Write { source, .. }) if source.method_error().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

/// Reads from the store what a backup holds and the snapshot does not. What is damaged the backup remembers as met.
pub(super) async fn read_surplus(
    backup: &Snapshot,
    snapshot: &Snapshot,
    held: &AccountEmails,
    ledger: &Ledger,
) -> Result<()> {
    let is_kept = ledger.paired(held.len());
    let mut ids = Vec::new();
    for (at, _) in is_kept.iter().enumerate().filter(|(_, kept)| !**kept) {
        ids.push(EmailId::from(held.id(at)));
        if ids.len() == READ_BACK {
            unreadable(backup, &std::mem::take(&mut ids)).await?;
        }
    }
    unreadable(backup, &ids).await?;
    let mut objects = backup.each_object().await?;
    while let Some(found) = objects.next().await? {
        let Ok(ObjectRecord { data_type, id, blob: Some(blob), .. }) = found.object else { continue };
        let wanted = snapshot.find_object(data_type, &id).await;
        if wanted.is_ok_and(|wanted| wanted.and_then(|wanted| wanted.blob) == Some(blob)) {
            continue;
        }
        let place = backup.locate(&[blob]).await?.remove(&blob);
        prove(backup, place).await?;
    }
    Ok(())
}

/// Those of these emails whose copies do not open, and why. They are read in the order in which they lie in the store.
async fn unreadable(backup: &Snapshot, ids: &[EmailId]) -> Result<Vec<(EmailRecord, String)>> {
    let mut copies = backup.find_emails(ids).await?;
    let blobs: Vec<BlobId> = copies.iter().map(|email| email.blob).collect();
    let places = backup.locate(&blobs).await?;
    copies.sort_by_cached_key(|email| places.get(&email.blob).map(Located::order));
    let mut lost = Vec::new();
    for email in copies {
        if let Some(reason) = prove(backup, places.get(&email.blob).cloned()).await? {
            lost.push((email, reason));
        }
    }
    Ok(lost)
}

/// Reads bytes back that lie there and hashes them. `Some`: why they do not open.
pub(super) async fn prove(snapshot: &Snapshot, place: Option<Located>) -> Result<Option<String>> {
    let Some(place) = place else { return Ok(Some("its copy is not in the store".to_owned())) };
    let read = async {
        let mut pieces = snapshot.read_located(place).await?;
        while pieces.next().await?.is_some() {}
        Ok(())
    };
    match read.await {
        Ok(()) => Ok(None),
        Err(error) if is_damage(&error) => Ok(Some(format!("its copy in the store does not open: {error}"))),
        Err(error) => Err(error.into()),
    }
}

fn by_id(emails: &[EmailRecord]) -> BTreeMap<&str, &EmailRecord> {
    emails.iter().map(|email| (email.id.as_str(), email)).collect()
}

/// What has to change about an email that lies in the folders `now`, and in the restore's own one if it is `staged`.
pub(super) fn patch(
    map: &mapping::Map,
    email: &EmailRecord,
    now: &BTreeSet<&str>,
    has_its_keywords: bool,
    staged: Option<&str>,
) -> Map<String, Value> {
    let wanted: BTreeSet<Id> = map.of(email.folders.iter().map(|id| id.as_str())).into_iter().collect();
    let mut patch = Map::new();
    if wanted.iter().map(Id::as_str).ne(now.iter().copied()) {
        let folders = wanted.iter().map(Id::as_str).chain(staged);
        patch.insert("mailboxIds".into(), folders.map(|id| (id.to_owned(), json!(true))).collect());
    }
    if !has_its_keywords {
        let keywords = email.keywords.iter().map(|keyword| (keyword.clone(), json!(true)));
        patch.insert("keywords".into(), keywords.collect());
    }
    patch
}
