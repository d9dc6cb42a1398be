//! From a store to the repositories of its mailboxes.

use futures::future::BoxFuture;
use model::MailboxIdentity;

use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::sealing::ring_file::KeyRing;
use crate::storage::bucket::Store;
use crate::storage::layout::MailboxDir;

impl Store {
    /// The repository of a mailbox; its key is made if it is new, its log by the first snapshot.
    pub fn create_mailbox<'a>(
        &'a self,
        ring: &'a KeyRing,
        identity: &'a MailboxIdentity,
        account_name: &'a str,
    ) -> BoxFuture<'a, Result<Repository>> {
        Box::pin(async move {
            self.prepare_to_write().await?;
            Repository::open_or_create(self, ring, identity, account_name).await
        })
    }

    /// The repository in a directory; `Error::NoMailbox` if there is none.
    pub fn mailbox<'a>(&'a self, ring: &'a KeyRing, dir: MailboxDir) -> BoxFuture<'a, Result<Repository>> {
        Box::pin(async move { Repository::open(self, ring, dir).await?.ok_or(Error::NoMailbox) })
    }
}
