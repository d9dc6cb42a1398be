//! Which emails of the snapshot the account holds.
//!
//! An email is the same when its bytes and `receivedAt` are. Length and date are known without reading: only where the account
//! holds an email of equal length and date are its bytes read and hashed. Twins are counted: as many as the account holds are
//! there, no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{BlobId, EmailId, EmailRecord};
use repository::{BlobHasher, Snapshot};

use crate::emails::server_blob;
use crate::error::Result;
use crate::listing::IdList;
use crate::restore::content::hash_all;
use crate::restore::dates;
use crate::restore::ledger::{Ledger, Mark};
use crate::restore::target::Target;

/// Emails of a backup that are looked up together.
const LOOKED_UP: usize = 4096;

/// Length in bytes and `receivedAt`.
type Key = (u64, i64);

fn key(size: u64, received_at: i64) -> Key {
    (size, dates::comparable(received_at))
}

/// The emails of an account, or of one folder.
pub(super) struct Held {
    source: Source,
    ids: IdList,
    /// Of each email, in the order of ids; `None` for one that went meanwhile.
    keys: Vec<Option<Key>>,
    /// What the server says of its bytes.
    digests: Vec<u64>,
}

/// Where the account's bytes are read.
enum Source {
    /// On the server.
    Server,
    /// In a backup of the account, which was made just now.
    Backup(Arc<Snapshot>),
    /// Likewise, and in the same repository: equal ids, equal bytes.
    SameMailbox(Arc<Snapshot>),
}

/// Emails of the snapshot and of the account that may be the same.
#[derive(Default)]
struct Group {
    /// Positions, and what their bytes are.
    ours: Vec<(usize, BlobId)>,
    /// Indices of the account's.
    theirs: Vec<usize>,
}

impl Held {
    /// Lists them. `but`: those that lie in this folder are left out.
    pub(super) async fn list(
        target: Target<'_>,
        hasher: &BlobHasher,
        folder: Option<&jmap::Id>,
        but: Option<&jmap::Id>,
    ) -> Result<Held> {
        let ids = target.emails(folder).await?;
        let (keys, digests) = (vec![None; ids.len()], vec![0; ids.len()]);
        let mut held = Held { source: Source::Server, keys, digests, ids };
        let pieces: Vec<_> = target.pieces(&held.ids).collect();
        for piece in pieces {
            for email in target.metadata(&piece).await? {
                let is_ours = but.is_some_and(|but| email.mailbox_ids.contains(but));
                let at = held.ids.position(email.id.as_str()).filter(|_| !is_ours);
                if let Some(at) = at {
                    held.keys[at] = Some(key(email.size, email.received_at.unix_seconds()));
                    held.digests[at] = server_blob(hasher, &email);
                }
            }
        }
        Ok(held)
    }

    /// What a backup of the account holds. `but`: those in these folders are left out.
    pub(super) async fn of_backup(
        backup: &Arc<Snapshot>,
        same_mailbox: bool,
        but: &BTreeSet<jmap::Id>,
    ) -> Result<Held> {
        let (mut ids, mut keys, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        each(backup, |_, email| {
            let is_left_out = email.folders.iter().any(|folder| but.contains(folder.as_str()));
            ids.push(email.id.clone());
            keys.push((!is_left_out).then(|| key(email.size, email.received_at)));
            digests.push(email.server_blob);
        })
        .await?;
        let source = match same_mailbox {
            true => Source::SameMailbox(Arc::clone(backup)),
            false => Source::Backup(Arc::clone(backup)),
        };
        Ok(Held { source, ids: IdList::of(ids.iter().map(|id| id.as_str())), keys, digests })
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The id of the `at`th.
    pub(super) fn id(&self, at: usize) -> &str {
        self.ids.get(at)
    }

    /// Marks what is open and held here as present: all emails of the account. `same_account`: equal ids with equal digests
    /// are the same email.
    pub(super) async fn mark_present(
        &mut self,
        target: Target<'_>,
        snapshot: &Snapshot,
        ledger: &mut Ledger,
        same_account: bool,
    ) -> Result<()> {
        if same_account {
            self.mark_by_id(snapshot, ledger, Mark::Present).await?;
        }
        let groups = self.groups(snapshot, ledger, Mark::Present).await?;
        self.mark_by_content(target, snapshot, ledger, groups, Mark::Present).await
    }

    /// Marks what was imported by this restore: all emails here were, so that where they are as many as ours of this length
    /// and date, nothing need be read.
    pub(super) async fn mark_restored(
        self,
        target: Target<'_>,
        snapshot: &Snapshot,
        ledger: &mut Ledger,
    ) -> Result<()> {
        let groups = self.groups(snapshot, ledger, Mark::Restored).await?;
        let (full, doubtful): (BTreeMap<_, _>, _) =
            groups.into_iter().partition(|(_, group)| group.theirs.len() >= group.ours.len());
        for (position, _) in full.into_values().flat_map(|group| group.ours) {
            ledger.set(position, Mark::Restored);
        }
        self.mark_by_content(target, snapshot, ledger, doubtful, Mark::Restored).await
    }

    async fn mark_by_content(
        &self,
        target: Target<'_>,
        snapshot: &Snapshot,
        ledger: &mut Ledger,
        groups: BTreeMap<Key, Group>,
        mark: Mark,
    ) -> Result<()> {
        let doubtful: BTreeSet<usize> = groups.values().flat_map(|group| group.theirs.clone()).collect();
        let ids: Vec<&str> = doubtful.iter().map(|at| self.ids.get(*at)).collect();
        let hashes = self.hashes(target, snapshot, &ids).await?;
        for group in groups.into_values() {
            let hash = |at: &usize| Some((hashes.get(self.ids.get(*at)).copied()?, *at));
            // In the order of ids, so that whoever looks twice finds the same pairs.
            let mut theirs: Vec<(BlobId, usize)> = group.theirs.iter().filter_map(hash).collect();
            for (position, blob) in group.ours {
                if let Some(found) = theirs.iter().position(|(their, _)| *their == blob) {
                    let (_, at) = theirs.remove(found);
                    ledger.pair(position, at, mark);
                }
            }
        }
        Ok(())
    }

    /// Hashes of the bytes of these emails, as `snapshot` hashes.
    async fn hashes(
        &self,
        target: Target<'_>,
        snapshot: &Snapshot,
        ids: &[&str],
    ) -> Result<BTreeMap<String, BlobId>> {
        let (backup, same_mailbox) = match &self.source {
            Source::Server => {
                let ids: Vec<jmap::Id> = ids.iter().filter_map(|id| jmap::Id::new(id).ok()).collect();
                return hash_all(target, &snapshot.hasher(), &ids).await;
            }
            Source::Backup(backup) => (backup, false),
            Source::SameMailbox(backup) => (backup, true),
        };
        let mut hashes = BTreeMap::new();
        for piece in ids.chunks(LOOKED_UP) {
            let ids: Vec<EmailId> = piece.iter().map(|id| EmailId::from(*id)).collect();
            for email in backup.find_emails(&ids).await? {
                let hash = match same_mailbox {
                    true => email.blob,
                    false => rehash(backup, &email.blob, &snapshot.hasher()).await?,
                };
                hashes.insert(email.id.to_string(), hash);
            }
        }
        Ok(hashes)
    }

    async fn mark_by_id(&mut self, snapshot: &Snapshot, ledger: &mut Ledger, mark: Mark) -> Result<()> {
        each(snapshot, |position, email| {
            let at = self.ids.position(email.id.as_str());
            let is_same = |at: &usize| self.keys[*at].is_some() && self.digests[*at] == email.server_blob;
            if let Some(at) = at.filter(is_same).filter(|_| ledger.get(position) == Mark::Open) {
                ledger.pair(position, at, mark);
                self.keys[at] = None;
            }
        })
        .await
    }

    /// By length and date. Those that are marked already stand first: they take what they are before others do.
    async fn groups(&self, snapshot: &Snapshot, ledger: &Ledger, mark: Mark) -> Result<BTreeMap<Key, Group>> {
        let mut theirs: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
        for (at, key) in self.keys.iter().enumerate() {
            if let Some(key) = key {
                theirs.entry(*key).or_default().push(at);
            }
        }
        let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
        each(snapshot, |position, email| {
            let key = key(email.size, email.received_at);
            let state = ledger.get(position);
            if !(state == Mark::Open || (state == mark && mark == Mark::Restored)) {
                return;
            }
            if let Some(indices) = theirs.get(&key) {
                let group =
                    groups.entry(key).or_insert_with(|| Group { theirs: indices.clone(), ours: Vec::new() });
                group.ours.push((position, email.blob));
            }
        })
        .await?;
        for group in groups.values_mut() {
            group.ours.sort_by_key(|(position, _)| ledger.get(*position) == Mark::Open);
        }
        groups.retain(|_, group| group.ours.iter().any(|(at, _)| ledger.get(*at) == Mark::Open));
        Ok(groups)
    }
}

/// The hash of a blob under another mailbox's key.
async fn rehash(snapshot: &Snapshot, blob: &BlobId, hasher: &BlobHasher) -> Result<BlobId> {
    let mut hash = hasher.stream();
    let mut pieces = snapshot.blob_reader(blob).await?;
    while let Some(piece) = pieces.next().await? {
        hash.update(&piece);
    }
    Ok(BlobId(*hash.finalize().as_bytes()))
}

/// Every email of a snapshot in the order of ids.
pub(super) async fn each(snapshot: &Snapshot, mut visit: impl FnMut(usize, &EmailRecord)) -> Result<()> {
    let mut emails = snapshot.emails().await?;
    let mut position = 0;
    while let Some(email) = emails.next().await? {
        visit(position, &email);
        position += 1;
    }
    Ok(())
}
