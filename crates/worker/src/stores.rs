//! The stores of the configuration and the repositories in them: one prefix a mailbox, keys from one ring.

use std::sync::Arc;

use catalog::{Backup, Catalog, Mailbox};
use model::{BackupState, MailboxId, MailboxIdentity};
use repository::{KeyRing, Repository, Store, StoreOptions};
use tokio::sync::OnceCell;

use crate::error::{Error, Result};
use crate::settings::{BackupStore, Rings, Settings};

/// All stores; each is opened when it is first needed, so that a worker starts without them.
pub(crate) struct Stores {
    places: Vec<Place>,
    ring: Arc<dyn Rings>,
    writer: String,
}

/// One store.
pub(crate) struct Place {
    pub(crate) settings: BackupStore,
    store: OnceCell<Store>,
}

impl Stores {
    pub(crate) fn new(settings: &Settings) -> Stores {
        let place = |store: &BackupStore| Place { settings: store.clone(), store: OnceCell::new() };
        let (ring, writer) = (Arc::clone(&settings.ring), settings.name.clone());
        Stores { places: settings.stores.iter().map(place).collect(), ring, writer }
    }

    /// Where the mailbox's backups go.
    pub(crate) fn of(&self, mailbox: &Mailbox) -> Result<&Place> {
        let fits = |place: &&Place| mailbox.zone.as_ref().is_none_or(|zone| *zone == place.settings.zone);
        self.places.iter().find(fits).ok_or(Error::UnknownStore)
    }

    fn named(&self, name: &str) -> Result<&Place> {
        self.places.iter().find(|place| place.settings.name == name).ok_or(Error::UnknownStore)
    }

    /// The repository of a mailbox in its place, made if it is new. One that should be there is never made anew: with another
    /// ring every mailbox would look as if it had never been backed up.
    pub(crate) async fn to_write(
        &self,
        catalog: &Catalog,
        mailbox: &Mailbox,
        identity: &MailboxIdentity,
        account_name: &str,
    ) -> Result<Repository> {
        let place = self.of(mailbox)?;
        let store = self.open(place).await?;
        let ring = self.ring.current();
        let name = &place.settings.name;
        let position = catalog.log_position(mailbox.id, name).await?;
        let newest = match mailbox.first_backup_at.filter(|_| position.is_none()) {
            Some(_) => catalog.backups_of(mailbox.id, None, 1).await?.pop(),
            None => None,
        };
        // Of what an operator accepted as lost no position is remembered, and all of it is called damaged.
        let is_here =
            |newest: Backup| newest.facts.store == *name && newest.facts.state != BackupState::Damaged;
        let repository = if position.is_some() || newest.is_some_and(is_here) {
            existing(store, &ring, identity).await?
        } else {
            store.create_mailbox(&ring, identity, account_name).await?
        };
        repository.remember(position);
        Ok(repository)
    }

    /// The repository in the store of this name, which must be there.
    pub(crate) async fn to_read(
        &self,
        catalog: &Catalog,
        mailbox: MailboxId,
        store: &str,
        identity: &MailboxIdentity,
    ) -> Result<Repository> {
        let repository =
            existing(self.open(self.named(store)?).await?, &self.ring.current(), identity).await?;
        repository.remember(catalog.log_position(mailbox, store).await?);
        Ok(repository)
    }

    /// The same, whatever is remembered of its log.
    pub(crate) async fn as_it_is(&self, store: &str, identity: &MailboxIdentity) -> Result<Repository> {
        existing(self.open(self.named(store)?).await?, &self.ring.current(), identity).await
    }

    async fn open<'a>(&self, place: &'a Place) -> Result<&'a Store> {
        let BackupStore { zone, objects, .. } = &place.settings;
        let options =
            StoreOptions { zone: Some(zone.clone()), writer: self.writer.clone(), ..StoreOptions::default() };
        // `malle init` makes stores. One that is not there has vanished.
        let opening = || Store::open(Arc::clone(objects), options);
        Ok(place.store.get_or_try_init(opening).await?)
    }
}

async fn existing(store: &Store, ring: &KeyRing, identity: &MailboxIdentity) -> Result<Repository> {
    match store.mailbox(ring, ring.directory(identity)).await {
        Err(repository::Error::NoMailbox) => Err(Error::RepositoryMissing),
        opened => Ok(opened?),
    }
}
