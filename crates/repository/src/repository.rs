//! One mailbox's repository: opening, creating, its snapshots.

use std::sync::Arc;

use model::{BackupNumber, Clock, MailboxIdentity, SnapshotNumber};
use proto::repository::log_entry::Kind;
use proto::repository::{Head, Init, LogEntry, Progress};

use crate::bucket::Store;
use crate::error::{Error, Result};
use crate::info::{SnapshotInfo, millis};
use crate::keys;
use crate::layout::{MailboxDir, Object};
use crate::log::fold::{LogState, newest_segments};
use crate::log::journal::{Appended, Journal};
use crate::ring_file::KeyRing;
use crate::seal::Secret;
use crate::sizes::Sizes;
use crate::snapshot::Snapshot;
use crate::store::MailboxObjects;
use crate::writer::{Slices, SnapshotWriter};

/// One mailbox's backups.
#[derive(Debug, Clone)]
pub struct Repository {
    objects: MailboxObjects,
    journal: Journal,
    key: Secret,
    zone: String,
    sizes: Sizes,
    /// Entry 1, should it be missing still; known only to who may create the mailbox.
    init: Option<Init>,
}

impl Repository {
    pub(crate) async fn open(store: &Store, ring: &KeyRing, dir: MailboxDir) -> Result<Option<Repository>> {
        let objects = store.mailbox_objects(dir);
        let key = keys::load(&objects, ring).await?;
        Ok(key.map(|key| Repository::with(store, objects, key)))
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
            None => keys::create(&objects, ring).await?,
        };
        let mut repository = Repository::with(store, objects, key);
        repository.init = Some(Init {
            server: identity.server.clone(),
            account_id: identity.account.as_str().to_owned(),
            incarnation: identity.incarnation,
            account_name: account_name.to_owned(),
        });
        Ok(repository)
    }

    fn with(store: &Store, objects: MailboxObjects, key: Secret) -> Repository {
        let journal = Journal::new(objects.clone(), key.clone(), store.writer().to_owned());
        Repository { objects, journal, key, zone: store.zone().to_owned(), sizes: store.sizes(), init: None }
    }

    /// Entry 1 settles which data key is the mailbox's: it opens with that key only.
    async fn begin_log(&self, init: Init, clock: &dyn Clock) -> Result<LogEntry> {
        let begun = self.journal.append((0, &Head::default()), Kind::Init(init), clock.now()).await?;
        Ok(match begun {
            (entry, Appended::Done) => entry,
            // It opened with our key: another writer began the same log a moment earlier.
            (_, Appended::Taken(theirs)) => *theirs,
        })
    }

    /// Where it lies in the store.
    pub fn dir(&self) -> MailboxDir {
        self.objects.dir()
    }

    /// Whose backups these are, and the account's name when they began.
    pub async fn identity(&self) -> Result<(MailboxIdentity, String)> {
        match self.journal.read(1).await?.kind {
            Some(Kind::Init(init)) => {
                let account = init.account_id.into();
                let identity =
                    MailboxIdentity { server: init.server, account, incarnation: init.incarnation };
                Ok((identity, init.account_name))
            }
            _ => Err(Error::corrupt("log entry 1", "it does not say whose mailbox this is")),
        }
    }

    /// All snapshots that are not forgotten, oldest first.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        let state = self.state().await?;
        Ok(state.snapshots.iter().map(|(number, s)| SnapshotInfo::from_disk(*number, s)).collect())
    }

    /// The highest fleet-wide number that the log ever carried, those of forgotten snapshots too; 0: none.
    pub async fn highest_backup_number(&self) -> Result<BackupNumber> {
        let newest = self.journal.newest().await?.ok_or(Error::NoMailbox)?;
        Ok(BackupNumber(newest.head.map_or(0, |head| head.highest_backup_number)))
    }

    /// What the newest snapshot says, from the newest log entry and at most two more; `None`: there is none.
    pub async fn newest_snapshot(&self) -> Result<Option<SnapshotInfo>> {
        self.base_of(&self.newest().await?).await
    }

    /// Opens one snapshot, the newest if no number is given.
    pub async fn snapshot(&self, number: Option<SnapshotNumber>) -> Result<Snapshot> {
        let mut snapshots = self.snapshots().await?;
        let position = match number {
            Some(number) => snapshots.iter().position(|s| s.number == number),
            None => snapshots.len().checked_sub(1),
        };
        match position {
            Some(position) => Ok(self.open_snapshot(snapshots.swap_remove(position))),
            None => {
                Err(Error::NoSnapshot { number: number.map_or(0, |n| n.0), has: list_numbers(&snapshots) })
            }
        }
    }

    /// Begins a snapshot that grows from the newest one and the slices behind it; the first one begins the log.
    pub async fn begin_snapshot(&self, clock: &dyn Clock) -> Result<SnapshotWriter> {
        let newest = match (self.newest().await, &self.init) {
            (Err(Error::NoMailbox), Some(init)) => self.begin_log(init.clone(), clock).await?,
            (newest, _) => newest?,
        };
        let (mut base, slices) = (self.base_of(&newest).await?, self.slices_of(&newest).await?);
        if !slices.is_empty() {
            let base = base.get_or_insert_with(SnapshotInfo::empty);
            base.segments.extend(slices.iter().flat_map(|slice| slice.segments.clone()));
        }
        let so_far = slices.first().zip(slices.last()).map(|(first, last)| Slices {
            started: millis(first.started_ms),
            cursor: last.cursor.clone(),
            stored_bytes: last.stored_bytes,
        });
        let base = base.map(|info| Arc::new(self.open_snapshot(info)));
        Ok(SnapshotWriter::new(self, &newest, base, so_far))
    }

    /// The live slices, oldest first.
    async fn slices_of(&self, newest: &LogEntry) -> Result<Vec<Progress>> {
        let head = newest.head.clone().unwrap_or_default();
        let (mut slices, mut number) = (Vec::new(), head.progress);
        while number > 0 {
            let entry = self.entry(number, newest).await?;
            match entry.kind {
                Some(Kind::Progress(slice)) if slice.base == head.snapshot && slice.previous < number => {
                    number = slice.previous;
                    slices.push(slice);
                }
                _ => {
                    let what = "a later entry names it as a slice of the next snapshot, and it is none";
                    return Err(Error::corrupt(Object::Log(number).relative(), what));
                }
            }
        }
        slices.reverse();
        Ok(slices)
    }

    /// The newest snapshot, from the newest entry and at most two that its head names.
    async fn base_of(&self, newest: &LogEntry) -> Result<Option<SnapshotInfo>> {
        let head = newest.head.clone().unwrap_or_default();
        let number = head.snapshot;
        if number == 0 {
            return Ok(None);
        }
        if let Some(Kind::Checkpoint(checkpoint)) = &newest.kind {
            let kept = checkpoint.snapshots.iter().find(|s| s.number == number);
            if let Some(snapshot) = kept.and_then(|s| s.snapshot.as_ref()) {
                return Ok(Some(SnapshotInfo::from_disk(number, snapshot)));
            }
        }
        let made = self.entry(number, newest).await?;
        let rewritten = match head.rewritten {
            0 => None,
            rewritten => Some(self.entry(rewritten, newest).await?),
        };
        match (&made.kind, newest_segments(&made, rewritten.as_ref())) {
            (Some(Kind::Snapshot(snapshot)), Some(segments)) => {
                let mut info = SnapshotInfo::from_disk(number, snapshot);
                info.segments = segments.to_vec();
                Ok(Some(info))
            }
            _ => Err(Error::corrupt(
                Object::Log(newest.number).relative(),
                format!(
                    "it names entry {number} as the newest snapshot and {} as what replaced its segments, and they are not",
                    head.rewritten
                ),
            )),
        }
    }

    async fn entry(&self, number: u64, newest: &LogEntry) -> Result<LogEntry> {
        match number == newest.number {
            true => Ok(newest.clone()),
            false => self.journal.read(number).await,
        }
    }

    /// Writes a checkpoint if the last one is long ago, so that readers start near the end. Losing a race here is fine.
    pub async fn checkpoint_if_due(&self, clock: &dyn Clock) -> Result<()> {
        let newest = self.newest().await?;
        let head = newest.head.clone().unwrap_or_default();
        if newest.number < head.checkpoint + self.sizes.checkpoint {
            return Ok(());
        }
        let state = self.journal.state(&newest).await?;
        let kind = Kind::Checkpoint(state.checkpoint());
        let (entry, appended) = self.journal.append((newest.number, &head), kind, clock.now()).await?;
        if matches!(appended, Appended::Done) {
            self.journal.write_hint(entry.number).await;
        }
        Ok(())
    }

    /// Wraps the data key under the ring's current master key and removes the copies under its older ones; their ids.
    pub async fn rewrap(&self, ring: &KeyRing) -> Result<Vec<String>> {
        let is_new = keys::wrap_anew(&self.objects, ring, &self.key).await?;
        match self.newest().await {
            // The erasure may have listed the copies before this one was made.
            Err(error @ Error::Erased { .. }) if is_new => {
                keys::take_back(&self.objects, ring).await?;
                Err(error)
            }
            Err(error) => Err(error),
            Ok(_) => keys::remove_older(&self.objects, ring, &self.key).await,
        }
    }

    pub(crate) async fn state(&self) -> Result<LogState> {
        let newest = self.newest().await?;
        self.journal.state(&newest).await
    }

    async fn newest(&self) -> Result<LogEntry> {
        let newest = self.journal.newest().await?.ok_or(Error::NoMailbox)?;
        if newest.head.as_ref().is_some_and(|head| head.erased) {
            return Err(Error::Erased { number: newest.number });
        }
        Ok(newest)
    }

    pub(crate) fn open_snapshot(&self, info: SnapshotInfo) -> Snapshot {
        Snapshot::new(info, self.objects.clone(), self.key.clone())
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

fn list_numbers(snapshots: &[SnapshotInfo]) -> String {
    match snapshots {
        [] => "none yet".to_owned(),
        [only] => format!("only snapshot {}", only.number),
        [first, .., last] => {
            format!("{} snapshots from {} to {}", snapshots.len(), first.number, last.number)
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use model::SystemClock;
    use object_store::ObjectStore;
    use object_store::memory::InMemory;
    use proto::repository::Erased;

    use super::*;
    use crate::bucket::StoreOptions;

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
        let newest = repository.newest().await.expect("reads");
        let before = (newest.number, &newest.head.clone().expect("has a head"));
        let erased = Kind::Erased(Erased::default());
        repository.journal.append(before, erased, SystemClock.now()).await.expect("commits");

        let error = repository.rewrap(&ring.rotated()).await.expect_err("is refused");
        assert!(matches!(error, Error::Erased { number: 2 }), "{error}");
        assert_eq!(keys_in(&inner).await, 1, "only the copy that the erasure will delete");
    }
}
