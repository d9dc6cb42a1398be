//! One mailbox's repository: opening, creating, its snapshots.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use model::{BackupNumber, Clock, LogPosition, MailboxIdentity, SnapshotNumber};
use proto::repository::log_entry::Kind;
use proto::repository::{Init, LogEntry, Reset};

use crate::error::{Error, Result, unless_damaged};
use crate::info::SnapshotInfo;
use crate::log::journal::{Appended, Folded, Found, Journal};
use crate::sealing::keys::{self, OlderWraps};
use crate::sealing::ring_file::KeyRing;
use crate::sealing::seal::{BlobHasher, Secret};
use crate::sizes::Sizes;
use crate::snapshot::Snapshot;
use crate::storage::bucket::Store;
use crate::storage::layout::{MailboxDir, Object, ObjectName};
use crate::storage::objects::MailboxObjects;

/// One mailbox's backups.
#[derive(Debug, Clone)]
pub struct Repository {
    objects: MailboxObjects,
    journal: Journal,
    key: Secret,
    ring: KeyRing,
    zone: String,
    sizes: Sizes,
    /// Entry 1, should it be missing still; known only to who may create the mailbox.
    pub(crate) init: Option<Init>,
}

/// The snapshots of a mailbox, and what cannot be read of its log.
#[derive(Debug, Clone)]
pub struct Listing {
    /// All that are not forgotten and whose entries can be read, oldest first.
    pub snapshots: Vec<SnapshotInfo>,
    /// Those of them that refer to packs or segments which are known to be missing or damaged.
    pub damaged: BTreeSet<SnapshotNumber>,
    /// Numbers of log entries that are missing or damaged; each may have been a snapshot.
    pub unreadable: BTreeSet<u64>,
}

impl Listing {
    /// The newest snapshot can be read, lacks nothing that is known to be lost, and none that came after it is lost.
    pub fn is_newest_whole(&self) -> bool {
        self.snapshots.last().is_some_and(|newest| {
            !self.damaged.contains(&newest.number)
                && self.unreadable.range(newest.number.0..).next().is_none()
        })
    }

    /// Numbers of snapshots that cannot be given back whole, as far as the log knows. Some may never have been snapshots.
    pub fn not_whole(&self) -> BTreeSet<SnapshotNumber> {
        let unreadable = self.unreadable.iter().map(|number| SnapshotNumber(*number));
        self.damaged.iter().copied().chain(unreadable).collect()
    }
}

/// The newest snapshot.
#[derive(Debug, Clone)]
pub struct Newest {
    /// `None`: there is none.
    pub info: Option<SnapshotInfo>,
    /// The log notes damage, or has some: [`Repository::listing`] tells which snapshots that touches.
    pub notes_damage: bool,
}

impl Repository {
    pub(crate) async fn open(store: &Store, ring: &KeyRing, dir: MailboxDir) -> Result<Option<Repository>> {
        let objects = store.mailbox_objects(dir);
        let key = match keys::load(&objects, ring).await? {
            Some(key) => key,
            None if is_empty(&objects).await? => return Ok(None),
            // Another writer may have begun the mailbox since it was looked for.
            None => keys::load(&objects, ring).await?.ok_or_else(|| log_gone(&objects))?,
        };
        Ok(Some(Repository::with(store, ring, objects, key)))
    }

    pub(crate) async fn open_or_create(
        store: &Store,
        ring: &KeyRing,
        identity: &MailboxIdentity,
        account_name: &str,
    ) -> Result<Repository> {
        let objects = store.mailbox_objects(ring.directory(identity));
        let key = match keys::load(&objects, ring).await? {
            Some(key) => key,
            None if is_empty(&objects).await? => keys::create(&objects, ring).await?,
            // Another writer may have begun the mailbox since it was looked for.
            None => keys::load(&objects, ring).await?.ok_or_else(|| log_gone(&objects))?,
        };
        let mut repository = Repository::with(store, ring, objects, key);
        repository.init = Some(Init {
            server: identity.server.clone(),
            account_id: identity.account.as_str().to_owned(),
            incarnation: identity.incarnation,
            account_name: account_name.to_owned(),
        });
        Ok(repository)
    }

    fn with(store: &Store, ring: &KeyRing, objects: MailboxObjects, key: Secret) -> Repository {
        let journal = Journal::new(objects.clone(), key.clone(), store.writer().to_owned());
        let (zone, sizes) = (store.zone().to_owned(), store.sizes());
        Repository { objects, journal, key, ring: ring.clone(), zone, sizes, init: None }
    }

    /// Where it lies in the store.
    pub fn dir(&self) -> MailboxDir {
        self.objects.dir()
    }

    /// Demands that the log is a continuation of one that had this entry; `None`: nothing is known. Everything that reads
    /// the log fails with `Error::History` if it is not.
    pub fn remember(&self, position: Option<LogPosition>) {
        self.journal.remember(position);
    }

    /// How far the log had come when this repository, or a clone of it, looked last.
    pub fn position(&self) -> Option<LogPosition> {
        self.journal.remembered()
    }

    /// Accepts the history that the store shows, whatever was remembered: appends an entry that names both.
    pub async fn accept_history(&self, clock: &dyn Clock) -> Result<LogPosition> {
        let remembered = self.journal.remembered();
        let tip = self.journal.last_listed().await?.ok_or(Error::NoMailbox)?;
        let head = self.head(&tip).await?;
        let kind = Kind::Reset(Reset {
            remembered: remembered.map_or(0, |position| position.number),
            remembered_digest: remembered.map_or(Vec::new(), |position| position.digest.to_vec()).into(),
            found: tip.position.number,
            found_digest: tip.position.digest.to_vec().into(),
        });
        match self.journal.append(Some((tip.position, &head)), kind, clock.now()).await? {
            (ours, Appended::Done) => Ok(ours.position),
            (_, Appended::Taken(found)) => Err(found.lost()),
        }
    }

    /// Whose backups these are, and the account's name when they began: from entry 1, or, should that and its copy be lost, from
    /// the newest snapshot that says it.
    pub async fn identity(&self) -> Result<(MailboxIdentity, String)> {
        let init = match unless_damaged(self.journal.read(1).await)? {
            Some(LogEntry { kind: Some(Kind::Init(init)), .. }) => Some(init),
            _ => self.snapshots().await?.into_iter().rev().find_map(|info| info.owner),
        };
        let Some(init) = init else {
            return Err(Error::corrupt(
                "log entry 1",
                "it and its copy are lost, and no snapshot says whose mailbox this is",
            ));
        };
        let account = init.account_id.into();
        let identity = MailboxIdentity { server: init.server, account, incarnation: init.incarnation };
        Ok((identity, init.account_name))
    }

    /// All snapshots that are not forgotten, oldest first, and what is damaged.
    pub fn listing<'a>(&'a self) -> BoxFuture<'a, Result<Listing>> {
        self.listing_about(&|_| true)
    }

    /// The same, without asking whether other snapshots than these are damaged: while damage is noted, each costs requests.
    pub fn listing_about<'a>(
        &'a self,
        asked: &'a (dyn Fn(&SnapshotInfo) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Listing>> {
        Box::pin(async move {
            let Folded { state, unreadable } = self.fold().await?;
            let snapshots = state.snapshots.iter().map(|(number, s)| SnapshotInfo::from_disk(*number, s));
            let mut listing =
                Listing { snapshots: snapshots.collect(), damaged: BTreeSet::new(), unreadable };
            if !state.damaged.is_empty() {
                let snapshots: Vec<_> =
                    listing.snapshots.iter().filter(|info| asked(info)).cloned().collect();
                listing.damaged = self.touched_by(&snapshots, &state.damaged).await?;
            }
            Ok(listing)
        })
    }

    /// All snapshots that are not forgotten and whose entries can be read, oldest first.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        let state = self.fold().await?.state;
        Ok(state.snapshots.iter().map(|(number, s)| SnapshotInfo::from_disk(*number, s)).collect())
    }

    /// The highest fleet-wide number that the log ever carried, those of forgotten snapshots too; 0: none.
    pub async fn highest_backup_number(&self) -> Result<BackupNumber> {
        let tip = self.tip().await?;
        Ok(BackupNumber(self.head(&tip).await?.highest_backup_number))
    }

    /// What the newest snapshot says, from the newest log entry and at most two more.
    pub async fn newest(&self) -> Result<Newest> {
        let tip = self.tip().await?;
        let base = self.base(&tip).await?;
        let notes_damage = base.is_doubtful || self.head(&tip).await?.damaged > 0;
        Ok(Newest { info: base.info, notes_damage })
    }

    /// Hashes bytes as this mailbox's blobs are hashed.
    pub fn hasher(&self) -> BlobHasher {
        BlobHasher::new(&self.key)
    }

    /// Opens one snapshot, the newest if no number is given.
    pub fn snapshot<'a>(&'a self, number: Option<SnapshotNumber>) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move {
            let Folded { state, unreadable } = self.fold().await?;
            let newest = state.snapshots.keys().next_back().copied();
            let wanted = match number {
                Some(number) => number.0,
                None => newest.unwrap_or_default(),
            };
            // An entry that cannot be read may have been it.
            let lost = match number {
                Some(number) => unreadable.get(&number.0),
                None => unreadable.range(wanted..).next_back(),
            };
            if let Some(lost) = lost {
                let what = "it is missing or damaged and may have been the snapshot that is asked for; `malle list` shows \
                        those that can be read, name one of them";
                return Err(Error::corrupt(Object::Log(*lost).relative(), what));
            }
            match state.snapshots.get(&wanted) {
                Some(snapshot) => Ok(self.open_snapshot(SnapshotInfo::from_disk(wanted, snapshot))),
                None => {
                    let numbers: Vec<u64> = state.snapshots.keys().copied().collect();
                    Err(Error::NoSnapshot { number: wanted, has: list_numbers(&numbers) })
                }
            }
        })
    }

    /// Writes a checkpoint if the last one is long ago, so that readers start near the end. If another writer is faster, nothing is written.
    ///
    /// None is written over entries that cannot be read: what they said would be lost for good.
    pub fn checkpoint_if_due<'a>(&'a self, clock: &'a dyn Clock) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let tip = self.tip().await?;
            let Some(head) =
                tip.head().filter(|head| tip.position.number >= head.checkpoint + self.sizes.checkpoint)
            else {
                return Ok(());
            };
            let folded = self.journal.fold(&tip).await?;
            if folded.unreadable.is_empty() {
                let kind = Kind::Checkpoint(folded.state.checkpoint());
                self.journal.append(Some((tip.position, head)), kind, clock.now()).await?;
            }
            Ok(())
        })
    }

    /// Wraps the data key under the ring's current master key and removes wraps under its older ones; their ids.
    pub fn rewrap<'a>(&'a self, ring: &'a KeyRing, older: OlderWraps) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(async move {
            let is_new = keys::wrap_again(&self.objects, ring, &self.key).await?;
            match self.tip().await {
                // The erasure may have listed the wraps before this one was made.
                Err(error @ Error::Erased { .. }) if is_new => {
                    keys::take_back(&self.objects, ring).await?;
                    Err(error)
                }
                Err(error) => Err(error),
                Ok(_) => keys::remove_older(&self.objects, ring, &self.key, older).await,
            }
        })
    }

    /// Makes the second copies of the key and of entry 1 good again, if one of the two is missing or damaged. Returns what was
    /// written.
    pub async fn heal_copies(&self) -> Result<Vec<Object>> {
        let mut healed = keys::heal_copies(&self.objects, &self.ring, &self.key).await?;
        healed.extend(self.journal.copy_first().await?);
        Ok(healed)
    }

    pub(crate) async fn fold(&self) -> Result<Folded> {
        let tip = self.tip().await?;
        self.journal.fold(&tip).await
    }

    /// What stands at the end of the log, of a mailbox that was not erased.
    pub(crate) fn tip<'a>(&'a self) -> BoxFuture<'a, Result<Found>> {
        Box::pin(async move {
            let tip = match self.journal.tip().await? {
                Some(tip) => tip,
                None if is_empty(&self.objects).await? => return Err(Error::NoMailbox),
                // Another writer may have begun the log since it was looked for.
                None => self.journal.tip().await?.ok_or_else(|| log_gone(&self.objects))?,
            };
            if tip.head().is_some_and(|head| head.erased) {
                Err(Error::Erased { number: tip.position.number })
            } else {
                Ok(tip)
            }
        })
    }

    pub(crate) fn open_snapshot(&self, info: SnapshotInfo) -> Snapshot {
        Snapshot::new(info, self.objects.clone(), self.key.clone(), BTreeSet::<ObjectName>::new())
    }

    pub(crate) fn objects(&self) -> &MailboxObjects {
        &self.objects
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn key(&self) -> &Secret {
        &self.key
    }

    pub(crate) fn sizes(&self) -> Sizes {
        self.sizes
    }

    pub(crate) fn zone(&self) -> &str {
        &self.zone
    }
}

/// Whether there is nothing that a log must have named: over such objects no log is begun.
async fn is_empty(objects: &MailboxObjects) -> Result<bool> {
    Ok(objects.list("packs").await?.is_empty() && objects.list("segments").await?.is_empty())
}

fn log_gone(objects: &MailboxObjects) -> Error {
    Error::LogGone { log: objects.dir().prefix("log").to_string() }
}

fn list_numbers(numbers: &[u64]) -> String {
    match numbers {
        [] => "none yet".to_owned(),
        [only] => format!("only snapshot {only}"),
        [first, .., last] => format!("{} snapshots from {first} to {last}", numbers.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::TryStreamExt;
    use model::SystemClock;
    use object_store::ObjectStore;
    use object_store::memory::InMemory;
    use proto::repository::Erased;

    use super::*;
    use crate::storage::bucket::StoreOptions;

    async fn keys_in(inner: &InMemory) -> usize {
        let all: Vec<_> = inner.list(None).try_collect().await.expect("lists");
        all.iter().filter(|object| object.location.as_ref().contains("/keys/")).count()
    }

    #[tokio::test]
    async fn a_copy_made_while_the_mailbox_is_erased_is_taken_back() {
        let (inner, ring) = (Arc::new(InMemory::new()), KeyRing::generate());
        let store = Store::open_or_init(inner.clone(), StoreOptions::default(), &SystemClock).await;
        let store = store.expect("opens");
        let who = MailboxIdentity { server: "s".into(), account: "a".into(), incarnation: 0 };
        let repository = store.create_mailbox(&ring, &who, "a").await.expect("is made");
        drop(repository.begin_snapshot(&SystemClock).await.expect("begins"));
        let tip = repository.tip().await.expect("reads");
        let head = tip.head().expect("has a head").clone();
        let erased = Kind::Erased(Erased::default());
        repository
            .journal
            .append(Some((tip.position, &head)), erased, SystemClock.now())
            .await
            .expect("commits");

        let error = repository.rewrap(&ring.rotated(), OlderWraps::Remove).await.expect_err("is refused");
        assert!(matches!(error, Error::Erased { number: 2 }), "{error}");
        assert_eq!(keys_in(&inner).await, 2, "only the wrap that the erasure will delete, and its copy");
    }
}
