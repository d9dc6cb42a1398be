//! Which emails of the snapshot the account holds.
//!
//! An email is the same when its bytes and `receivedAt` are. Length and date are known without reading: only where the account
//! holds an email of equal length and date are its bytes read and hashed; where a date cannot be told any is right. Twins are counted: as many as the account holds are
//! there, no more.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use model::{BlobId, EmailId, EmailRecord};
use repository::{BlobHasher, Located, Snapshot};

use crate::backup::emails::rows::source_hash;
use crate::error::Result;
use crate::restore::content::{bytes_of, hash_all};
use crate::restore::emails::dates;
use crate::restore::emails::ledger::{Ledger, Mark};
use crate::restore::emails::twins::{Key, Twins, key};
use crate::restore::emails::wrapping;
use crate::restore::folders::mapping::Map;
use crate::restore::staging::Staging;
use crate::restore::target::Target;
use crate::restore::uploads::{self, is_damage};
use crate::server::listing::IdList;
use crate::stored_emails::{StoredEmails, locate};

/// Emails whose bytes are looked up together.
const LOOKED_UP: usize = 4096;

/// The emails of an account, or of one folder: some 30 bytes each.
pub(in crate::restore) struct AccountEmails {
    source: Source,
    ids: IdList,
    /// Of each email, in the order of ids; `None` for one that went meanwhile, or whose counterpart is found.
    keys: Vec<Option<Key>>,
    /// What the server says of its bytes; empty unless the snapshot is of the same account.
    digests: Vec<u64>,
    /// Of each whether it lies in the folder of the restore (of a backup only).
    ours: Vec<bool>,
    /// Of each what tells it from an equal one (of the folder of the restore only).
    labels: Vec<u64>,
    /// Those that may stand for another email, which is their attachment, and when they were received.
    wrapped: BTreeMap<usize, i64>,
    /// Those of them that do stand for one of the snapshot's.
    standing: BTreeSet<usize>,
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

impl AccountEmails {
    /// Lists them. `hasher`: the snapshot's, if it is of the same account. `but`: those that lie in this folder are left out.
    pub(in crate::restore) async fn list(
        target: Target<'_>,
        hasher: Option<&BlobHasher>,
        folder: Option<&jmap::Id>,
        but: Option<&jmap::Id>,
    ) -> Result<AccountEmails> {
        let ids = target.emails(folder).await?;
        let (mut keys, mut digests) = (vec![None; ids.len()], vec![0; hasher.map_or(0, |_| ids.len())]);
        let mut labels = vec![0; folder.map_or(0, |_| ids.len())];
        let mut wrapped = BTreeMap::new();
        for piece in target.pieces(&ids) {
            for email in target.metadata(&piece).await? {
                let is_ours = but.is_some_and(|but| email.mailbox_ids.contains(but));
                let at = ids.position(email.id.as_str()).filter(|_| !is_ours);
                if let Some(at) = at {
                    keys[at] = Some(key(email.size, email.received_at.unix_seconds()));
                    if wrapping::is_marked(email.keywords.iter().map(AsRef::as_ref)) {
                        wrapped.insert(at, email.received_at.unix_seconds());
                    }
                    if let Some(folder) = folder {
                        let others = email.mailbox_ids.iter().filter(|id| *id != folder);
                        let keywords = email.keywords.iter().map(ToString::to_string);
                        labels[at] = label(others.map(ToString::to_string), keywords);
                    }
                    if let Some(hasher) = hasher {
                        digests[at] = source_hash(hasher, &email);
                    }
                }
            }
        }
        let (source, ours, standing) = (Source::Server, Vec::new(), BTreeSet::new());
        Ok(AccountEmails { source, ids, keys, digests, ours, labels, wrapped, standing })
    }

    /// What a backup of the account holds. Those in the folder of the restore are its own; those in the folders of what was
    /// being removed are left out.
    pub(in crate::restore) async fn of_backup(
        backup: &Arc<Snapshot>,
        same_mailbox: bool,
        staging: &Staging<'_>,
    ) -> Result<AccountEmails> {
        let source = if same_mailbox {
            Source::SameMailbox(Arc::clone(backup))
        } else {
            Source::Backup(Arc::clone(backup))
        };
        let (ids, ours) = (IdList::default(), Vec::new());
        let (keys, digests, labels) = (Vec::new(), Vec::new(), Vec::new());
        let (wrapped, standing) = (BTreeMap::new(), BTreeSet::new());
        let mut held = AccountEmails { source, ids, keys, digests, ours, labels, wrapped, standing };
        let mut emails = backup.emails().await?;
        while let Some(email) = emails.next().await? {
            let lies_in = |is_meant: &dyn Fn(&str) -> bool| {
                email.folders.iter().any(|folder| is_meant(folder.as_str()))
            };
            let is_left_out = lies_in(&|folder| staging.given_up.contains(folder));
            held.ours.push(lies_in(&|folder| staging.folder.as_str() == folder));
            if !is_left_out && wrapping::is_marked(email.keywords.iter().map(String::as_str)) {
                held.wrapped.insert(held.ids.len(), email.received_at);
            }
            held.ids.push(email.id.as_str());
            held.keys.push((!is_left_out).then(|| key(email.size, email.received_at)));
            if same_mailbox {
                held.digests.push(email.source_hash);
            }
        }
        Ok(held)
    }

    pub(in crate::restore) fn len(&self) -> usize {
        self.ids.len()
    }

    /// How the `at`th came by this restore, if it did.
    pub(in crate::restore) fn brought_by_us(&self, at: usize) -> Option<Mark> {
        let is_ours = self.ours.get(at) == Some(&true);
        is_ours.then(|| if self.standing.contains(&at) { Mark::Wrapped } else { Mark::Restored })
    }

    /// The snapshot's email that the `at`th is, with the keywords that it has there: one that stands for it keeps that it does.
    pub(in crate::restore) fn with_keyword(&self, at: usize, mut email: EmailRecord) -> EmailRecord {
        if self.standing.contains(&at) {
            wrapping::mark(&mut email.keywords);
        }
        email
    }

    /// The id of the `at`th.
    pub(in crate::restore) fn id(&self, at: usize) -> &str {
        self.ids.get(at)
    }

    /// Marks what is open and held here as present: all emails of the account. `same_account`: equal ids with equal digests
    /// are the same email.
    pub(in crate::restore) async fn mark_present(
        &mut self,
        target: Target<'_>,
        snapshot: &Snapshot,
        ledger: &mut Ledger,
        same_account: bool,
    ) -> Result<()> {
        if same_account {
            self.mark_by_id(snapshot, ledger).await?;
        }
        self.mark_by_content(target, snapshot, ledger, Mark::Present, None).await?;
        self.mark_wrapped(target, snapshot, ledger, Mark::Present, &|_| 0).await.map(drop)
    }

    /// Marks what was imported by this restore: all emails here were, so that where they are as many as ours of this length
    /// and date, nothing need be read. Of equal ones each is the one with its folders and keywords. Returns the copies of those
    /// that are here more often than in the snapshot.
    pub(in crate::restore) async fn mark_restored(
        mut self,
        target: Target<'_>,
        snapshot: &Snapshot,
        ledger: &mut Ledger,
        map: &Map,
    ) -> Result<Vec<jmap::Id>> {
        let label_of = |email: &EmailRecord| {
            let folders = map.of(email.folders.iter().map(|id| id.as_str()));
            label(folders.iter().map(ToString::to_string), email.keywords.iter().cloned())
        };
        let twins = self.mark_by_content(target, snapshot, ledger, Mark::Restored, Some(&label_of)).await?;
        let wrapped = self.mark_wrapped(target, snapshot, ledger, Mark::Wrapped, &label_of).await?;
        // One that is like an email of the snapshot's may stand for another one.
        let copies = twins.left_over().into_iter().filter(|at| !self.standing.contains(at)).chain(wrapped);
        Ok(copies.filter_map(|at| jmap::Id::new(self.ids.get(at)).ok()).collect())
    }

    async fn mark_by_content(
        &mut self,
        target: Target<'_>,
        snapshot: &Snapshot,
        ledger: &mut Ledger,
        mark: Mark,
        label_of: Option<&LabelOf<'_>>,
    ) -> Result<Twins> {
        self.digests = Vec::new();
        // Among these one may have the length and date of another email of the snapshot's.
        let odd: BTreeSet<Key> = self.wrapped.keys().filter_map(|at| self.keys[*at]).collect();
        let mut twins = Twins::of(std::mem::take(&mut self.keys));
        if mark == Mark::Restored {
            each(snapshot, |position, email| {
                if [Mark::Open, mark].contains(&ledger.get(position)) {
                    twins.count(email);
                }
            })
            .await?;
            each(snapshot, |position, email| {
                let is_odd = odd.contains(&key(email.size, email.received_at));
                if ledger.get(position) == Mark::Open && !is_odd && twins.are_as_many_as(email) {
                    ledger.set(position, mark);
                }
            })
            .await?;
            twins.doubt_the_surplus();
        }
        each(snapshot, |position, email| {
            if ledger.get(position) == Mark::Open {
                twins.count(email);
            }
        })
        .await?;
        if !self.read(target, snapshot, &mut twins).await? {
            return Ok(twins);
        }
        // Those that are marked already take what they are before others do, and those of any date come last.
        let turns: &[Mark] = if mark == Mark::Restored { &[mark, Mark::Open] } else { &[Mark::Open] };
        let is_labelled = label_of.is_some();
        let label_of = |email: &EmailRecord| label_of.map_or(0, |label_of| label_of(email));
        for way in Way::ALL {
            let is_needed = match way {
                Way::Labelled => is_labelled,
                Way::Any => true,
                Way::AnyDate => twins.has_undatable(),
            };
            let turns = if is_needed { turns } else { &[] };
            for turn in turns {
                each(snapshot, |position, email| {
                    if ledger.get(position) != *turn || ledger.pair_of(position).is_some() {
                        return;
                    }
                    let at = match way {
                        Way::Labelled => twins.take_labelled(email, label_of(email)),
                        Way::Any => twins.take(email),
                        Way::AnyDate => twins.take_of_any_date(email),
                    };
                    at.into_iter().for_each(|at| ledger.pair(position, at, mark));
                })
                .await?;
            }
        }
        Ok(twins)
    }

    /// Marks what is open and lies here as the attachment of an email that stands for it. Returns copies of what was marked.
    async fn mark_wrapped(
        &mut self,
        target: Target<'_>,
        snapshot: &Snapshot,
        ledger: &mut Ledger,
        mark: Mark,
        label_of: &LabelOf<'_>,
    ) -> Result<Vec<usize>> {
        let paired = ledger.paired(self.len());
        let free: Vec<usize> = self.wrapped.keys().copied().filter(|at| !paired[*at]).collect();
        let mut originals = self.originals(target, snapshot, &free).await?;
        let mut standing = BTreeSet::new();
        let turns: &[Mark] = if mark == Mark::Wrapped { &[mark, Mark::Open] } else { &[Mark::Open] };
        let ways: Vec<(bool, Mark)> =
            [true, false].iter().flat_map(|way| turns.iter().map(|turn| (*way, *turn))).collect();
        for (is_labelled, turn) in ways {
            if originals.is_empty() {
                break;
            }
            each(snapshot, |position, email| {
                if ledger.get(position) != turn || ledger.pair_of(position).is_some() {
                    return;
                }
                let Some(same) = originals.get_mut(&email.blob) else { return };
                let has_label = |at: usize| {
                    !is_labelled || self.labels.get(at).is_none_or(|label| *label == label_of(email))
                };
                if let Some(found) = same.iter().position(|at| self.has_date(*at, email) && has_label(*at)) {
                    let at = same.remove(found);
                    standing.insert(at);
                    ledger.pair(position, at, mark);
                }
            })
            .await?;
        }
        // What is left of those that were marked came twice.
        let mut copies = Vec::new();
        if mark == Mark::Wrapped && originals.values().any(|left| !left.is_empty()) {
            each(snapshot, |position, email| {
                if let Some(left) = originals.get_mut(&email.blob).filter(|_| ledger.get(position) == mark) {
                    copies.extend(left.extract_if(.., |at| self.has_date(*at, email)));
                }
            })
            .await?;
        }
        self.standing.append(&mut standing);
        Ok(copies)
    }

    /// Whether the `at`th, which may stand for another email, was received when that was.
    fn has_date(&self, at: usize, email: &EmailRecord) -> bool {
        !dates::is_writable(email.received_at) || self.wrapped.get(&at) == Some(&email.received_at)
    }

    /// What these emails stand for, as `snapshot` hashes.
    async fn originals(
        &self,
        target: Target<'_>,
        snapshot: &Snapshot,
        wrapped: &[usize],
    ) -> Result<BTreeMap<BlobId, Vec<usize>>> {
        let mut originals = Originals { ids: &self.ids, hasher: snapshot.hasher(), found: BTreeMap::new() };
        for some in wrapped.chunks(LOOKED_UP) {
            match &self.source {
                Source::Server => {
                    let ids: Vec<jmap::Id> =
                        some.iter().filter_map(|at| jmap::Id::new(self.ids.get(*at)).ok()).collect();
                    for ids in ids.chunks(target.client.session().limits.max_objects_in_get) {
                        for email in target.metadata(ids).await? {
                            if email.size <= wrapping::MOST_WRAPPED
                                && let Some(bytes) = bytes_of(target, &email, wrapping::MOST_WRAPPED).await?
                            {
                                originals.take(email.id.as_str(), &bytes);
                            }
                        }
                    }
                }
                Source::Backup(backup) | Source::SameMailbox(backup) => {
                    let ids: Vec<EmailId> = some.iter().map(|at| EmailId::from(self.ids.get(*at))).collect();
                    let emails = backup.find_emails(&ids).await?;
                    let places = locate(backup, emails.iter().map(|email| email.blob).collect()).await?;
                    for email in emails.iter().filter(|email| email.size <= wrapping::MOST_WRAPPED) {
                        let Some(place) = places.get(&email.blob).cloned() else { continue };
                        match uploads::read(backup, place).await {
                            Ok(bytes) => originals.take(email.id.as_str(), &bytes),
                            Err(error) if is_damage(&error) => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
            }
        }
        Ok(originals.found)
    }

    /// Finds out of each of the account's emails that may be one of ours what its bytes are, as `snapshot` hashes. False when
    /// there are none.
    async fn read(&self, target: Target<'_>, snapshot: &Snapshot, twins: &mut Twins) -> Result<bool> {
        let doubtful = twins.doubtful();
        let hasher = snapshot.hasher();
        match &self.source {
            Source::Server => {
                let places = (0..doubtful.len()).filter(|at| doubtful[*at]);
                let mut ids = places.filter_map(|at| jmap::Id::new(self.ids.get(at)).ok());
                loop {
                    let ids: Vec<jmap::Id> = ids.by_ref().take(LOOKED_UP).collect();
                    if ids.is_empty() {
                        break;
                    }
                    for (id, hash) in hash_all(target, &hasher, &ids).await? {
                        let at = self.ids.position(&id);
                        at.into_iter().for_each(|at| twins.set_bytes(at, &hash));
                    }
                }
            }
            Source::Backup(backup) => rehash(backup, &hasher, &doubtful, twins).await?,
            Source::SameMailbox(backup) => {
                each(backup, |at, email| {
                    if doubtful[at] {
                        twins.set_bytes(at, &email.blob);
                    }
                })
                .await?;
            }
        }
        twins.sort_by_bytes(self.labels.clone());
        Ok(doubtful.contains(&true))
    }

    async fn mark_by_id(&mut self, snapshot: &Snapshot, ledger: &mut Ledger) -> Result<()> {
        each(snapshot, |position, email| {
            let at = self.ids.position(email.id.as_str());
            let is_same = |at: &usize| self.keys[*at].is_some() && self.digests[*at] == email.source_hash;
            if let Some(at) = at.filter(is_same).filter(|_| ledger.get(position) == Mark::Open) {
                ledger.pair(position, at, Mark::Present);
                self.keys[at] = None;
            }
        })
        .await
    }
}

/// What emails of the account stand for.
struct Originals<'a> {
    ids: &'a IdList,
    hasher: BlobHasher,
    /// By what it is, the places of those that stand for it.
    found: BTreeMap<BlobId, Vec<usize>>,
}

impl Originals<'_> {
    fn take(&mut self, id: &str, bytes: &[u8]) {
        if let (Some(at), Some(original)) = (self.ids.position(id), wrapping::unwrapped(bytes)) {
            self.found.entry(self.hasher.id(&original)).or_default().push(at);
        }
    }
}

/// What tells an email from an equal one.
type LabelOf<'l> = dyn Fn(&EmailRecord) -> u64 + Sync + 'l;

/// How one of the account's is chosen for one of the snapshot's, the strictest first.
#[derive(Clone, Copy)]
enum Way {
    Labelled,
    Any,
    AnyDate,
}

impl Way {
    const ALL: [Way; 3] = [Way::Labelled, Way::Any, Way::AnyDate];
}

/// Of folders and keywords in any order, our own keyword aside.
fn label(folders: impl Iterator<Item = String>, keywords: impl Iterator<Item = String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    folders.collect::<BTreeSet<_>>().hash(&mut hasher);
    keywords.filter(|keyword| keyword != wrapping::KEYWORD).collect::<BTreeSet<_>>().hash(&mut hasher);
    hasher.finish()
}

/// The hashes of emails of another mailbox's backup, read in the order in which they lie there.
async fn rehash(backup: &Snapshot, hasher: &BlobHasher, doubtful: &[bool], twins: &mut Twins) -> Result<()> {
    let mut stored = StoredEmails::new(backup, |at, _| doubtful[at]).await?;
    while let Some(stored_email) = stored.next().await? {
        let Some(blob) = stored_email.blob else { continue };
        // What cannot be read is no email of the snapshot's: it stays, and what it may have been comes beside it.
        if let Some(hash) = hash_located(backup, hasher, blob).await? {
            twins.set_bytes(stored_email.position, &hash);
        }
    }
    Ok(())
}

/// `None`: the bytes are damaged.
async fn hash_located(backup: &Snapshot, hasher: &BlobHasher, blob: Located) -> Result<Option<BlobId>> {
    let read = async {
        let mut hash = hasher.stream();
        let mut pieces = backup.read_located(blob).await?;
        while let Some(piece) = pieces.next().await? {
            hash.update(&piece);
        }
        Ok(BlobId(*hash.finalize().as_bytes()))
    };
    match read.await {
        Err(error) if is_damage(&error) => Ok(None),
        hash => Ok(Some(hash?)),
    }
}

/// Every email of a snapshot in the order of ids.
pub(in crate::restore) async fn each(
    snapshot: &Snapshot,
    mut visit: impl FnMut(usize, &EmailRecord),
) -> Result<()> {
    let mut emails = snapshot.emails().await?;
    let mut position = 0;
    while let Some(email) = emails.next().await? {
        visit(position, &email);
        position += 1;
    }
    Ok(())
}
