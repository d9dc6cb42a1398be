//! How a mail server names its mailboxes, signed in with the secret as it stands in its file when a listing begins.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use async_trait::async_trait;
use producer::{Listing, ListingError, Page, Secret, StalwartCredentials, StalwartJmap, StalwartRest};

use super::agent::{Agent, agent};
use crate::fleet::settings::mail_server::{Directory, Server};
use crate::server;

/// Opens a server's listing, with tenants and groups of its mailboxes if `memberships`. Asks the server nothing yet.
pub(crate) fn open(server: &Server, by: Directory, memberships: bool) -> Result<Arc<dyn Listing>> {
    let url = server::server_url(Some(&server.url))?;
    let credentials = match agent(server)? {
        Agent::Token(token) => StalwartCredentials::Bearer(Secret::new(token.as_str())),
        Agent::User { name, password } => {
            StalwartCredentials::Basic { user: name.to_owned(), password: Secret::new(password.as_str()) }
        }
    };
    let authorities = server::authorities(server.ca_file.as_deref())?;
    Ok(match by {
        Directory::Rest => Arc::new(StalwartRest::new(&url, credentials, &authorities)?),
        Directory::Jmap => {
            let listing = StalwartJmap::new(&url, credentials, &authorities)?;
            Arc::new(if memberships { listing.with_memberships() } else { listing })
        }
    })
}

/// A listing that is opened again for each first page, so that a secret that was replaced needs no restart.
pub(crate) struct Relisted {
    server: Server,
    by: Directory,
    memberships: bool,
    opened: Mutex<Arc<dyn Listing>>,
}

impl Relisted {
    /// # Errors
    /// What [`open`] says.
    pub(crate) fn open(server: &Server, by: Directory, memberships: bool) -> Result<Arc<dyn Listing>> {
        let opened = Mutex::new(open(server, by, memberships)?);
        Ok(Arc::new(Relisted { server: server.clone(), by, memberships, opened }))
    }

    /// A file that is being replaced may be unreadable: then the secret stays what it was, and the server judges it.
    fn open_again(&self) {
        if let Ok(opened) = open(&self.server, self.by, self.memberships) {
            *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = opened;
        }
    }
}

#[async_trait]
impl Listing for Relisted {
    async fn page(&self, after: Option<&str>) -> Result<Page, ListingError> {
        if after.is_none() {
            self.open_again();
        }
        let opened = Arc::clone(&self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        opened.page(after).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sim_stalwart::{AccountSpec, Simulator};

    use super::*;
    use crate::fleet::settings::source::Source;

    #[tokio::test]
    async fn a_replaced_secret_is_used_from_the_next_listing_on() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let admin = "admin@example.org";
        let accounts =
            Simulator::builder().admin(admin, "old").account(AccountSpec::new("a@example.org", "x"));
        let mails = accounts.start().await.expect("starts");
        let file = tempfile::NamedTempFile::new().expect("a file");
        let write = |password: &str| fs::write(file.path(), password).expect("written");
        write("old");
        let password = Some(Source::File(file.path().to_owned()));
        let server = Server { url: mails.url(), user: Some(admin.to_owned()), password, ..Server::default() };
        let listing = Relisted::open(&server, Directory::Jmap, false).expect("opens");
        let page = async || listing.page(None).await;
        assert!(page().await.is_ok());
        assert!(mails.set_password(admin, "new"));
        assert!(matches!(page().await, Err(ListingError::Refused { status: 401 })));
        write("");
        assert!(
            matches!(page().await, Err(ListingError::Refused { status: 401 })),
            "the old one is not forgotten"
        );
        write("new\n");
        assert!(page().await.is_ok());
    }
}
