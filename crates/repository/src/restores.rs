//! What is written down of restores, so that whoever goes on with one does the same.
//!
//! **Layout.** `restores/<restore>/<4 digits>`, numbered from 1, each sealed and created if absent. Each
//! holds all that is to be known at that time; the newest one counts. The text is the engine's: JSON.
//! **Order.** Record 1 stands before the restore writes anything to the account.
//! **Crash.** A record without its next one: a restore that was cut off, or is under way.
//! **Retry.** Of two processes that write the same number one wins, and the other is told what stands there.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::sealing::frame::{open_object, seal_object};
use crate::sealing::seal::{Cipher, Kind};
use crate::storage::layout::{Object, RestoreName};
use crate::storage::objects::Created;

/// Limits the search for the newest record; a restore needs a handful.
const MOST_RECORDS: u32 = 9_999;

/// The newest record of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRecord {
    /// Its number, from 1 on.
    pub number: u32,
    /// What its writer said; of the record before if this one is damaged.
    pub text: Vec<u8>,
}

/// How writing a record ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It stands under its number.
    Ours,
    /// Another process wrote this one under the number.
    Theirs(Vec<u8>),
}

impl Repository {
    /// The newest record of a restore; `None`: nothing is written down of it here.
    ///
    /// One that is damaged or lost is gone around, as an entry of the log is.
    pub async fn restore_record(&self, restore: RestoreName) -> Result<Option<RestoreRecord>> {
        match self.walk_records(restore, 0).await? {
            (number, Ok(Some(text))) => Ok(Some(RestoreRecord { number, text })),
            (_, Ok(None)) => Ok(None),
            (_, Err(damage)) => Err(damage),
        }
    }

    /// The newest record's number, and the text of the newest one behind `number` that can be read.
    pub async fn restore_record_behind(
        &self,
        restore: RestoreName,
        number: u32,
    ) -> Result<(u32, Option<Vec<u8>>)> {
        let (newest, text) = self.walk_records(restore, number).await?;
        Ok((newest, text.unwrap_or_default()))
    }

    /// The inner error: records stand there, and none of them can be read.
    async fn walk_records(
        &self,
        restore: RestoreName,
        mut number: u32,
    ) -> Result<(u32, Result<Option<Vec<u8>>>)> {
        let (mut text, mut damage) = (None, None);
        while let Some((next, bytes)) = self.record_behind(restore, number).await? {
            number = next;
            match self.open_record(restore, number, &bytes) {
                Ok(opened) => text = Some(opened),
                Err(error @ Error::Corrupt { .. }) => damage = Some(error),
                Err(error) => return Err(error),
            }
        }
        Ok((number, damage.filter(|_| text.is_none()).map_or(Ok(text), Err)))
    }

    /// What stands behind a number: one lost record is a hole, not the end.
    async fn record_behind(&self, restore: RestoreName, number: u32) -> Result<Option<(u32, Bytes)>> {
        for next in [number + 1, number + 2].into_iter().filter(|next| *next <= MOST_RECORDS) {
            if let Some(bytes) = self.objects().get(&Object::Restore(restore, next)).await? {
                return Ok(Some((next, bytes)));
            }
        }
        Ok(None)
    }

    /// Writes down a record under the number after the newest one.
    pub async fn record_restore(&self, restore: RestoreName, number: u32, text: &[u8]) -> Result<Recorded> {
        let object = Object::Restore(restore, number);
        let cipher = Cipher::fresh(self.key(), Kind::Restore, self.dir(), object.relative());
        let bytes = Bytes::from(seal_object(&cipher, text)?);
        self.open_record(restore, number, &bytes)?;
        match self.objects().create(&object, &bytes).await? {
            Created::Ours => Ok(Recorded::Ours),
            Created::Theirs(found) => Ok(Recorded::Theirs(self.open_record(restore, number, &found)?)),
        }
    }

    /// Returns the names of records that are damaged.
    pub(crate) async fn damaged_records(&self) -> Result<Vec<String>> {
        let mut damaged = Vec::new();
        for (object, _) in self.objects().list("restores").await? {
            let Object::Restore(restore, number) = object else { continue };
            let Some(bytes) = self.objects().get(&object).await? else { continue };
            match self.open_record(restore, number, &bytes) {
                Ok(_) => {}
                Err(Error::Corrupt { .. } | Error::NewerFormat { .. } | Error::NewerKind { .. }) => {
                    damaged.push(object.relative());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }

    fn open_record(&self, restore: RestoreName, number: u32, bytes: &[u8]) -> Result<Vec<u8>> {
        let name = Object::Restore(restore, number).relative();
        let cipher = Cipher::read(self.key(), bytes, Kind::Restore, self.dir(), name)?;
        open_object(&cipher, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{MailboxIdentity, SystemClock};
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;
    use crate::sealing::ring_file::KeyRing;
    use crate::storage::bucket::{Store, StoreOptions};

    async fn repository(inner: Arc<InMemory>) -> Repository {
        let store = Store::open_or_init(inner, StoreOptions::default(), &SystemClock).await.expect("opens");
        let who = MailboxIdentity { server: "s".into(), account: "a".into(), incarnation: 0 };
        store.create_mailbox(&KeyRing::generate(), &who, "a").await.expect("is made")
    }

    #[tokio::test]
    async fn the_newest_record_counts_and_the_first_writer_of_a_number_wins() {
        let repository = repository(Arc::new(InMemory::new())).await;
        let name: RestoreName = "abcd2345".parse().expect("a name");
        assert_eq!(repository.restore_record(name).await.expect("reads"), None);
        let write = |number, text: &'static [u8]| repository.record_restore(name, number, text);
        assert_eq!(write(1, b"begun").await.expect("writes"), Recorded::Ours);
        assert_eq!(write(1, b"other").await.expect("writes"), Recorded::Theirs(b"begun".to_vec()));
        assert_eq!(write(2, b"over").await.expect("writes"), Recorded::Ours);
        let newest = repository.restore_record(name).await.expect("reads");
        assert_eq!(newest, Some(RestoreRecord { number: 2, text: b"over".to_vec() }));
    }

    #[tokio::test]
    async fn a_damaged_record_is_read_around_and_a_lone_one_is_damage() {
        let inner = Arc::new(InMemory::new());
        let repository = repository(Arc::clone(&inner)).await;
        let name: RestoreName = "abcd2345".parse().expect("a name");
        let place = |number| repository.dir().path(&Object::Restore(name, number));
        repository.record_restore(name, 1, b"begun").await.expect("writes");
        repository.record_restore(name, 2, b"over").await.expect("writes");
        inner.put(&place(2), Bytes::from_static(b"rubbish").into()).await.expect("writes");
        let newest = repository.restore_record(name).await.expect("reads");
        assert_eq!(newest, Some(RestoreRecord { number: 2, text: b"begun".to_vec() }));
        let damaged = repository.damaged_records().await.expect("reads");
        assert_eq!(damaged, ["restores/abcd2345/0002"]);
        inner.delete(&place(1)).await.expect("deletes");
        assert!(matches!(repository.restore_record(name).await, Err(Error::Corrupt { .. })));
        repository.record_restore(name, 3, b"further").await.expect("writes");
        let newest = repository.restore_record(name).await.expect("reads");
        assert_eq!(newest, Some(RestoreRecord { number: 3, text: b"further".to_vec() }), "behind a gap");
        inner.put(&place(3), Bytes::from_static(b"rubbish").into()).await.expect("writes");
        assert!(matches!(repository.restore_record(name).await, Err(Error::Corrupt { .. })));
    }
}
