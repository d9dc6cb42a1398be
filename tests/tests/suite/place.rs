//! What a scenario needs of a server.

use model::DataType;
use serde_json::Value;
use tests::{Bed, Letter, Plain};

/// The mailbox's owner.
pub(crate) const ALICE: User = User { name: "alice@example.org", password: "a real secret" };
/// May name every account's id.
pub(crate) const IMPERSONATOR: User = User { name: "carol@example.org", password: "carol's password" };
/// The same, and may ask the directory.
pub(crate) const ADMIN: User =
    User { name: testkit::stalwart::ADMIN, password: testkit::stalwart::ADMIN_PASSWORD };
/// Has an account of his own and no right to any other.
pub(crate) const NEIGHBOUR: User = User { name: "dave@example.org", password: "dave's password" };

/// Somebody who signs in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
}

/// What happens to an email.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// It has exactly these keywords.
    Keywords(String, Vec<String>),
    /// It lies in this folder alone.
    Move(String, String),
    Destroy(String),
}

/// A server with Alice's mailbox, and everything that can happen to it. Whatever fails, panics.
pub(crate) trait Place {
    /// A moment of the past that the server can go back to.
    type Moment;
    /// Types that it offers, in the order of [`DataType::ALL`].
    const TYPES: &'static [DataType];
    /// It refuses a folder whose name differs from a sibling's in case alone.
    const REFUSES_CASE_TWINS: bool;
    /// It imports whatever it is given, be it an email or not.
    const TAKES_ANY_BYTES: bool;
    /// Emails of the part and of the whole whose date cannot be told to a server, see `faithful.rs`: what is in them makes the real
    /// servers take another one.
    const UNDATABLE: [usize; 2];

    fn url(&self) -> String;
    /// Address of its IMAP, if it has one.
    fn imap(&self) -> Option<String>;
    /// Alice's account id.
    fn account(&self) -> String;

    /// Who may ask the directory and name every account's id.
    fn admin(&self) -> User {
        ADMIN
    }

    /// A new folder's id, or why it is refused.
    async fn create_folder(&self, name: &str, parent: Option<&str>) -> Result<String, String>;
    /// The emails' ids.
    async fn deliver(&self, letters: &[Letter]) -> Vec<String>;
    async fn change(&self, changes: &[Change]);

    /// Makes bytes readable as a blob.
    async fn upload(&self, bytes: &[u8]) -> String;
    /// A new object's id; of types other than Mailbox and Email.
    async fn insert(&self, data_type: DataType, object: Value) -> String;
    /// Sets these members of an object; a folder's too.
    async fn edit(&self, data_type: DataType, id: &str, members: Value);
    async fn remove(&self, data_type: DataType, id: &str);
    /// This Sieve script is the active one.
    async fn activate(&self, script: &str);

    async fn restart(&mut self);
    /// Forgets the history of changes, perhaps not at once.
    async fn truncate_history(&self);
    async fn moment(&mut self) -> Self::Moment;
    async fn roll_back(&mut self, to: &Self::Moment);
    /// Deletes Alice's account and makes one of the same name.
    async fn make_again(&mut self);

    /// Calls on Alice's account by anybody.
    async fn plain(&self, user: User) -> Plain {
        let own = Plain::sign_in(&self.url(), user.name, user.password).await.expect("signs in");
        own.of(&self.account())
    }
}

/// A repository in memory for Alice's account.
pub(crate) fn bed() -> Bed {
    Bed::new(ALICE.name, ALICE.password)
}
