use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{
    Act, Backup, Ended, KnownRestore, Mode, Owner, Planned, Progress, Report, Restore, RestoreId, Restored,
    SignIn, Silent, Slice, Tell,
};
use futures::future::BoxFuture;
use jmap::{Account, AccountRef, Client, Config, Credentials};
use model::{DataType, MailboxIdentity, SnapshotNumber, SystemClock};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use repository::{Depth, Error, KeyRing, Origin, Repository, Sizes, Snapshot, Store, StoreOptions};
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
    sizes: Sizes,
    is_impatient: bool,
    grant_shares: bool,
    wrap_refused: bool,
    acts_as_owner: bool,
}

/// Signs in as the account's owner, if the bed is told to.
struct AsOwner<'a> {
    bed: &'a Bed,
    url: &'a str,
    account: &'a Account,
}

impl SignIn for AsOwner<'_> {
    fn sign_in(&self) -> BoxFuture<'_, Result<Option<Client>, jmap::Error>> {
        Box::pin(async move {
            if !self.bed.acts_as_owner {
                return Ok(None);
            }
            let user = format!("{}%{}", self.account.name, self.bed.user);
            let owner = self.bed.clone().signed_in_as(&user, &self.bed.password);
            match owner.client(self.url).await {
                Ok(client) => Ok(Some(client)),
                Err(error) if matches!(error.class(), jmap::Class::Transient { .. }) => Err(error),
                Err(_) => Ok(None),
            }
        })
    }
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
        Bed {
            objects,
            ring: KeyRing::generate(),
            user: user.to_owned(),
            password: password.to_owned(),
            account: AccountRef::Own,
            sizes: Sizes::default(),
            is_impatient: false,
            grant_shares: false,
            wrap_refused: false,
            acts_as_owner: false,
        }
    }

    /// The same keys and account, the repository on another store.
    pub fn moved_to(&self, objects: Arc<dyn ObjectStore>) -> Bed {
        Bed { objects, ..self.clone() }
    }

    /// Another account than the user's own.
    #[must_use]
    pub fn of_account(mut self, account: AccountRef) -> Bed {
        self.account = account;
        self
    }

    /// Somebody else signs in.
    #[must_use]
    pub fn signed_in_as(mut self, user: &str, password: &str) -> Bed {
        (self.user, self.password) = (user.to_owned(), password.to_owned());
        self
    }

    /// What users have of their own is read and written as the account's owner.
    #[must_use]
    pub fn acting_as_owner(mut self) -> Bed {
        self.acts_as_owner = true;
        self
    }

    /// What is given to it is shared again.
    #[must_use]
    pub fn sharing(mut self) -> Bed {
        self.grant_shares = true;
        self
    }

    /// What is no email comes to it as the attachment of one.
    #[must_use]
    pub fn wrapping(mut self) -> Bed {
        self.wrap_refused = true;
        self
    }

    /// Packs and segments of other lengths.
    #[must_use]
    pub fn with_sizes(mut self, sizes: Sizes) -> Bed {
        self.sizes = sizes;
        self
    }

    /// Gives up after fractions of a second, and tries everything twice only.
    #[must_use]
    pub fn impatient(mut self) -> Bed {
        self.is_impatient = true;
        self
    }

    /// A client of this server.
    pub async fn client(&self, url: &str) -> Result<Client, jmap::Error> {
        let url = Url::parse(url).expect("tests know their URLs");
        let mut config = Config::new(url, Credentials::basic(self.user.clone(), self.password.clone()));
        config.retry.first_wait = Duration::from_millis(5);
        config.retry.longest_wait = Duration::from_millis(50);
        if self.is_impatient {
            config.retry.attempts = 2;
            config.retry.longest_retry_after = Duration::from_millis(100);
            config.timeouts.connect = Duration::from_secs(2);
            config.timeouts.request = Duration::from_millis(1_500);
            config.timeouts.stall = Duration::from_millis(400);
            config.timeouts.slowest_rate = 20_000;
        }
        Client::connect(config).await
    }

    /// The account that is backed up.
    pub async fn account(&self, client: &Client) -> Result<Account, jmap::Error> {
        client.resolve_account(&self.account).await
    }

    /// The mailbox's repository; `writer` is who others hear has won.
    pub async fn repository(&self, account: &Account, writer: &str) -> Result<Repository, Error> {
        let options =
            StoreOptions { writer: writer.to_owned(), sizes: self.sizes, ..StoreOptions::default() };
        let store = Store::open_or_init(self.objects.clone(), options, &SystemClock).await?;
        let identity = MailboxIdentity {
            server: "test".to_owned(),
            account: account.id.as_str().into(),
            incarnation: 0,
        };
        match store.mailbox(&self.ring, self.ring.directory(&identity)).await {
            Err(Error::NoMailbox) => store.create_mailbox(&self.ring, &identity, &account.name).await,
            opened => opened,
        }
    }

    /// One backup from start to end, connecting included.
    pub async fn backup(&self, url: &str) -> Result<Report, engine::Error> {
        self.backup_as(url, "test", false).await
    }

    /// The same by a named writer, with a full listing if wanted.
    pub async fn backup_as(
        &self,
        url: &str,
        writer: &str,
        full_listing: bool,
    ) -> Result<Report, engine::Error> {
        let server = |source| engine::Error::Server { what: "the session", source };
        let client = self.client(url).await.map_err(server)?;
        let account = self.account(&client).await.map_err(server)?;
        let repository = self.repository(&account, writer).await?;
        let as_owner = AsOwner { bed: self, url, account: &account };
        let owner = Owner::when_needed(&as_owner);
        let how = Backup {
            origin: Origin::default(),
            owner: Some(&owner),
            full_listing,
            compares_store: false,
            progress: &Silent,
            clock: &SystemClock,
        };
        match Box::pin(engine::backup(&client, &account, &repository, &how)).await {
            // Only the key is there: a first backup was cut off before its log began. As `malle backup` does it.
            Err(engine::Error::Repository(Error::NoMailbox)) => {}
            ended => return ended,
        }
        let repository = self.recreated(&account, writer).await?;
        Box::pin(engine::backup(&client, &account, &repository, &how)).await
    }

    /// One slice of a backup.
    pub async fn slice(&self, url: &str, slice: &Slice) -> Result<Ended, engine::Error> {
        self.slice_as(url, "test", slice, &Silent).await
    }

    /// The same by a named writer, which tells how it goes.
    pub async fn slice_as(
        &self,
        url: &str,
        writer: &str,
        slice: &Slice,
        progress: &dyn Progress,
    ) -> Result<Ended, engine::Error> {
        let server = |source| engine::Error::Server { what: "the session", source };
        let client = self.client(url).await.map_err(server)?;
        let account = self.account(&client).await.map_err(server)?;
        let repository = self.recreated(&account, writer).await?;
        let as_owner = AsOwner { bed: self, url, account: &account };
        let owner = Owner::when_needed(&as_owner);
        let how = Backup {
            origin: Origin::default(),
            owner: Some(&owner),
            full_listing: false,
            compares_store: false,
            progress,
            clock: &SystemClock,
        };
        Box::pin(engine::backup_slice(&client, &account, &repository, &how, slice)).await
    }

    async fn recreated(&self, account: &Account, writer: &str) -> Result<Repository, Error> {
        let options =
            StoreOptions { writer: writer.to_owned(), sizes: self.sizes, ..StoreOptions::default() };
        let store = Store::open_or_init(self.objects.clone(), options, &SystemClock).await?;
        let identity = MailboxIdentity {
            server: "test".to_owned(),
            account: account.id.as_str().into(),
            incarnation: 0,
        };
        store.create_mailbox(&self.ring, &identity, &account.name).await
    }

    /// Gives a snapshot of this bed's account (the newest if no number is given) to `to`'s account.
    pub async fn restore(
        &self,
        url: &str,
        number: Option<SnapshotNumber>,
        to: &Bed,
        mode: Mode,
        id: &RestoreId,
    ) -> Result<Restored, engine::Error> {
        self.restore_types(url, number, to, mode, id, &DataType::ALL).await
    }

    /// The same for some types.
    pub async fn restore_types(
        &self,
        url: &str,
        number: Option<SnapshotNumber>,
        to: &Bed,
        mode: Mode,
        id: &RestoreId,
        types: &[DataType],
    ) -> Result<Restored, engine::Error> {
        self.restore_or_rehearse(url, number, to, (mode, id, types), None).await
    }

    /// Goes on with a restore by nothing but its id, as `malle restore --resume` does; `None`: there is none of this id.
    pub async fn resume(
        &self,
        url: &str,
        to: &Bed,
        id: &RestoreId,
    ) -> Option<Result<Restored, engine::Error>> {
        let client = self.client(url).await.expect("the server answers");
        let account = self.account(&client).await.expect("the account exists");
        let repository = self.repository(&account, "test").await.expect("the repository opens");
        let known = KnownRestore::find(&repository, id).await.expect("it can be read")?;
        let parameters = known.parameters();
        let number = Some(SnapshotNumber(parameters.snapshot));
        let types = parameters.data_types();
        Some(self.restore_types(url, number, to, parameters.mode, id, &types).await)
    }

    /// What giving it back would do, item by item; nothing is done.
    pub async fn rehearse(
        &self,
        url: &str,
        number: SnapshotNumber,
        to: &Bed,
        mode: Mode,
    ) -> (Restored, Vec<(Act, DataType, String)>) {
        let told = Mutex::new(Vec::new());
        let tell = |planned: &Planned<'_>| {
            let item = (planned.act, planned.data_type, planned.name.to_owned());
            told.lock().expect("nobody panics").push(item);
        };
        let what = (mode, &RestoreId::random(), &DataType::ALL[..]);
        let restored = self.restore_or_rehearse(url, Some(number), to, what, Some(&tell)).await;
        (restored.expect("a dry run"), told.into_inner().expect("nobody panics"))
    }

    async fn restore_or_rehearse(
        &self,
        url: &str,
        number: Option<SnapshotNumber>,
        to: &Bed,
        (mode, id, types): (Mode, &RestoreId, &[DataType]),
        dry_run: Option<&Tell<'_>>,
    ) -> Result<Restored, engine::Error> {
        let server = |source| engine::Error::Server { what: "the session", source };
        let client = self.client(url).await.map_err(server)?;
        let account = self.account(&client).await.map_err(server)?;
        let repository = self.repository(&account, "test").await?;
        let snapshot = Arc::new(repository.snapshot(number).await?);
        let target_client = to.client(url).await.map_err(server)?;
        let target = to.account(&target_client).await.map_err(server)?;
        let safety = match mode {
            Mode::Exact => Some(to.recreated(&target, "test").await?),
            Mode::Beside | Mode::Missing => None,
        };
        let owner = AsOwner { bed: to, url, account: &target }.sign_in().await.map_err(server)?;
        let how = Restore {
            mode,
            id: id.clone(),
            owner: owner.as_ref(),
            under_way: Duration::from_millis(50),
            same_account: account.id == target.id && Arc::ptr_eq(&self.objects, &to.objects),
            records: &repository,
            server: "test",
            select: None,
            safety: safety.as_ref(),
            register: None,
            grant_shares: to.grant_shares,
            wrap_refused: to.wrap_refused,
            types,
            wanted: &|_| true,
            dry_run,
            progress: &Silent,
            clock: &SystemClock,
        };
        Box::pin(engine::restore(&target_client, &target, &snapshot, &how)).await
    }

    /// The newest snapshot, and its repository.
    pub async fn newest(&self, url: &str) -> (Repository, Snapshot) {
        let client = self.client(url).await.expect("the server answers");
        let account = self.account(&client).await.expect("the account exists");
        let repository = self.repository(&account, "reader").await.expect("the repository opens");
        let snapshot = repository.snapshot(None).await.expect("there is a snapshot");
        (repository, snapshot)
    }

    /// How many snapshots there are, the repository read and hashed to its last byte without finding a problem.
    pub async fn checked(&self, url: &str) -> u64 {
        let client = self.client(url).await.expect("the server answers");
        let account = self.account(&client).await.expect("the account exists");
        let repository = match self.repository(&account, "checker").await {
            Ok(repository) => repository,
            Err(Error::NoMailbox) => return 0,
            Err(error) => panic!("the repository opens: {error}"),
        };
        match repository.check(None, Depth::Data).await {
            Ok(report) => {
                assert_eq!(report.problems, vec![]);
                report.snapshots
            }
            Err(Error::NoMailbox) => 0,
            Err(error) => panic!("the repository can be checked: {error}"),
        }
    }
}
