//! What an account is to be like.

use crate::sizes::Sizes;

/// The folders an account begins with.
#[derive(Clone, Debug, Default)]
pub enum Folders {
    /// The five usual ones.
    Plain,
    /// The usual ones and names that hurt: unicode, `/`, `.`, 200 characters, case twins, nesting.
    #[default]
    Odd,
    /// Inbox and this many numbered ones.
    Many(u32),
}

/// What the id of an email's blob depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BlobIds {
    /// The email: the same bytes delivered twice have two ids, as in Stalwart.
    #[default]
    OfEmail,
    /// The bytes alone: copies share an id, as the RFC allows.
    OfBytes,
}

/// An account to be made: who it is and how much it holds. A plain one has all types, a few objects of each.
#[derive(Clone, Debug)]
pub struct AccountSpec {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) id: Option<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) emails: u32,
    pub(crate) sizes: Sizes,
    pub(crate) folders: Folders,
    pub(crate) contacts: u32,
    pub(crate) events: u32,
    pub(crate) files: u32,
    pub(crate) scripts: u32,
    pub(crate) vacation: bool,
    pub(crate) vacation_script: bool,
    pub(crate) first_state: u64,
    pub(crate) keep_history: Option<usize>,
    pub(crate) blob_ids: BlobIds,
    pub(crate) purges: bool,
    pub(crate) forgets: bool,
    pub(crate) quota: Option<u64>,
    pub(crate) aliases: Vec<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) is_group: bool,
}

impl AccountSpec {
    /// An account without emails that signs in with this name and password.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: password.into(),
            id: None,
            seed: None,
            emails: 0,
            sizes: Sizes::default(),
            folders: Folders::default(),
            contacts: 5,
            events: 5,
            files: 4,
            scripts: 2,
            vacation: true,
            vacation_script: true,
            first_state: 64,
            keep_history: None,
            blob_ids: BlobIds::default(),
            purges: false,
            forgets: false,
            quota: None,
            aliases: Vec::new(),
            tenant: None,
            groups: Vec::new(),
            is_group: false,
        }
    }

    /// The tenant it belongs to, which is made if there is none of this name.
    #[must_use]
    pub fn tenant(mut self, name: impl Into<String>) -> Self {
        self.tenant = Some(name.into());
        self
    }

    /// It is a group's: nobody signs in as it.
    #[must_use]
    pub const fn of_group(mut self) -> Self {
        self.is_group = true;
        self
    }

    /// A group it is a member of, by the group's address; made, with an empty mailbox, if it does not exist.
    #[must_use]
    pub fn group(mut self, address: impl Into<String>) -> Self {
        self.groups.push(address.into());
        self
    }

    /// The usual folders, one address book and calendar, nothing in them.
    #[must_use]
    pub const fn bare(self) -> Self {
        self.folders(Folders::Plain).objects(0, 0, 0).scripts(0).without_vacation()
    }

    /// Number of generated emails; a million is cheap.
    #[must_use]
    pub const fn emails(mut self, count: u32) -> Self {
        self.emails = count;
        self
    }

    /// How large they are.
    #[must_use]
    pub fn sizes(mut self, sizes: Sizes) -> Self {
        self.sizes = sizes;
        self
    }

    /// The folders at the beginning.
    #[must_use]
    pub const fn folders(mut self, folders: Folders) -> Self {
        self.folders = folders;
        self
    }

    /// Its account id, instead of one given by the simulator.
    #[must_use]
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Its own seed, instead of one derived from the simulator's and the name: equal seeds, equal mailboxes.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Numbers of contacts, events and files.
    #[must_use]
    pub const fn objects(mut self, contacts: u32, events: u32, files: u32) -> Self {
        (self.contacts, self.events, self.files) = (contacts, events, files);
        self
    }

    /// Number of Sieve scripts; the first one is active.
    #[must_use]
    pub const fn scripts(mut self, scripts: u32) -> Self {
        self.scripts = scripts;
        self
    }

    /// Without a vacation response: its `get` answers `notFound: ["singleton"]`.
    #[must_use]
    pub const fn without_vacation(mut self) -> Self {
        self.vacation = false;
        self
    }

    /// The vacation response does not show up as a Sieve script called `vacation`.
    #[must_use]
    pub const fn without_vacation_script(mut self) -> Self {
        self.vacation_script = false;
        self
    }

    /// The number its states begin with, so that a re-created account can repeat, or not, its predecessor's.
    #[must_use]
    pub const fn first_state(mut self, state: u64) -> Self {
        self.first_state = state;
        self
    }

    /// What the ids of its emails' blobs depend on.
    #[must_use]
    pub const fn blob_ids(mut self, blob_ids: BlobIds) -> Self {
        self.blob_ids = blob_ids;
        self
    }

    /// The blob of a destroyed email is gone at once. Stalwart keeps it until the account is purged
    /// ([`crate::AccountHandle::purge`]).
    #[must_use]
    pub const fn purging_at_once(mut self) -> Self {
        self.purges = true;
        self
    }

    /// Imported bytes that no account of the simulator generates are kept as length and digest
    /// ([`crate::AccountHandle::digest`]): a restore of a million emails fits into memory. Generated ones are
    /// recognised and stay readable.
    #[must_use]
    pub const fn forget_bytes(mut self) -> Self {
        self.forgets = true;
        self
    }

    /// Bytes that its emails, scripts, files, contacts and events may have; what is there from the beginning
    /// counts, and may be more.
    #[must_use]
    pub const fn quota(mut self, bytes: u64) -> Self {
        self.quota = Some(bytes);
        self
    }

    /// Another address of the account: its identities may have this or the name, and no other.
    #[must_use]
    pub fn alias(mut self, address: impl Into<String>) -> Self {
        self.aliases.push(address.into());
        self
    }

    /// Only the newest `entries` of each type's log serve `/changes` (Stalwart 0.16 keeps 10,000).
    #[must_use]
    pub const fn keep_history(mut self, entries: usize) -> Self {
        self.keep_history = Some(entries);
        self
    }
}
