use std::sync::Arc;

use engine::{Backup, Report, Silent};
use jmap::{Account, AccountRef, Client, Config, Credentials};
use model::{MailboxIdentity, SystemClock};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use repository::{KeyRing, Origin, Repository, Snapshot, Store, StoreOptions};
use url::Url;

/// One mailbox's repository and everything needed to back it up.
#[derive(Debug, Clone)]
pub struct Bed {
    /// Where the repository lies.
    pub objects: Arc<dyn ObjectStore>,
    ring: KeyRing,
    user: String,
    password: String,
    account: AccountRef,
}

impl Bed {
    /// A repository in memory for the user's own account.
    pub fn new(user: &str, password: &str) -> Bed {
        Bed::on(Arc::new(InMemory::new()), user, password)
    }

    /// The same on another store.
    pub fn on(objects: Arc<dyn ObjectStore>, user: &str, password: &str) -> Bed {
        // TLS panics without a provider; a second installation fails and does no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (user, password) = (user.to_owned(), password.to_owned());
        Bed { objects, ring: KeyRing::generate(), user, password, account: AccountRef::Own }
    }

    /// A client of this server.
    pub async fn client(&self, url: &str) -> Result<Client, jmap::Error> {
        let url = Url::parse(url).expect("tests know their URLs");
        let mut config = Config::new(url, Credentials::basic(self.user.clone(), self.password.clone()));
        config.retry.first_wait = std::time::Duration::from_millis(5);
        config.retry.longest_wait = std::time::Duration::from_millis(50);
        Client::connect(config).await
    }

    /// The account that is backed up.
    pub async fn account(&self, client: &Client) -> Account {
        client.resolve_account(&self.account).await.expect("the account exists")
    }

    /// The mailbox's repository; `writer` is who others hear has won.
    pub async fn repository(&self, account: &Account, writer: &str) -> Repository {
        let options = StoreOptions { writer: writer.to_owned(), ..StoreOptions::default() };
        let store = Store::open_or_init(self.objects.clone(), options, &SystemClock).await.expect("the store opens");
        let identity = MailboxIdentity {
            server: "test".to_owned(),
            account: account.id.as_str().into(),
            incarnation: 0,
        };
        store.create_mailbox(&self.ring, &identity, &account.name).await.expect("the mailbox opens")
    }

    /// One backup from start to end, connecting included.
    pub async fn backup(&self, url: &str) -> Result<Report, engine::Error> {
        self.backup_as(url, "test", false).await
    }

    /// The same by a named writer, with a full listing if wanted.
    pub async fn backup_as(&self, url: &str, writer: &str, full_listing: bool) -> Result<Report, engine::Error> {
        let client = self.client(url).await.expect("the server answers");
        let account = self.account(&client).await;
        let repository = self.repository(&account, writer).await;
        let how = Backup { origin: Origin::default(), full_listing, progress: &Silent, clock: &SystemClock };
        engine::backup(&client, &account, &repository, &how).await
    }

    /// The newest snapshot, and its repository.
    pub async fn newest(&self, url: &str) -> (Repository, Snapshot) {
        let client = self.client(url).await.expect("the server answers");
        let account = self.account(&client).await;
        let repository = self.repository(&account, "reader").await;
        let snapshot = repository.snapshot(None).await.expect("there is a snapshot");
        (repository, snapshot)
    }
}
