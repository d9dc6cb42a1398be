//! The owner of an account, where somebody else signs in: what each user has of their own is read and written as the owner.

use futures::future::BoxFuture;
use jmap::Client;
use model::DataType;
use tokio::sync::OnceCell;

/// Signs in as an account's owner.
pub trait SignIn: Send + Sync {
    /// Returns `None` where the credentials, the settings or the server do not allow it. After an answer it is not called again.
    fn sign_in(&self) -> BoxFuture<'_, Result<Option<Client>, jmap::Error>>;
}

/// An account's owner, as whom something is read or written.
pub struct Owner<'a>(Kind<'a>);

enum Kind<'a> {
    SignedIn(&'a Client),
    WhenNeeded { how: &'a dyn SignIn, client: OnceCell<Option<Client>> },
}

impl<'a> Owner<'a> {
    /// One who is signed in.
    pub fn signed_in(client: &'a Client) -> Owner<'a> {
        Owner(Kind::SignedIn(client))
    }

    /// One who signs in when something has to be read as the owner sees it: not where nothing changed.
    pub fn when_needed(how: &'a dyn SignIn) -> Owner<'a> {
        Owner(Kind::WhenNeeded { how, client: OnceCell::new() })
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        match &self.0 {
            Kind::SignedIn(_) => true,
            Kind::WhenNeeded { client, .. } => client.get().is_some_and(Option::is_some),
        }
    }

    pub(crate) async fn client(&self) -> Result<Option<&Client>, jmap::Error> {
        match &self.0 {
            Kind::SignedIn(client) => Ok(Some(client)),
            Kind::WhenNeeded { how, client } => {
                client.get_or_try_init(|| how.sign_in()).await.map(Option::as_ref)
            }
        }
    }
}

/// Whether a server may let somebody act as the owner of an account. Stalwart does from 0.16 on, which also offers calendars; 0.15 takes a
/// name like `owner%user` for a wrong one, and blocks an address that shows too many of these.
pub fn may_act_as_owners(client: &Client) -> bool {
    client.session().offers(jmap::DataType::Calendar.capability())
}

/// Types of which each user has something of their own: subscriptions; of address books and calendars names, too, colours, order and
/// alerts. Stalwart 0.16 shows calendars that somebody else makes to their owner without a name.
pub fn is_each_users(data_type: DataType) -> bool {
    matches!(data_type, DataType::Mailbox | DataType::AddressBook | DataType::Calendar)
}
