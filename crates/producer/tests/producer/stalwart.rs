//! The directories of a real Stalwart 0.15 and of a simulated 0.16.

use std::sync::Arc;
use std::time::Duration;

use producer::{
    Directory, Disappeared, Imported, Listing, ListingError, Secret, StalwartCredentials, StalwartJmap,
    StalwartRest, discover,
};
use sim_stalwart::{AccountSpec, Simulator};
use testkit::stalwart::{ADMIN, ADMIN_PASSWORD, Stalwart};
use url::Url;

use crate::room::{Room, SERVER};

const PASSWORD: &str = "a password that nobody guesses";
const NAMES: [&str; 3] = ["alice@customers.example", "bob@customers.example", "carol@other.example"];

fn credentials(password: &str) -> StalwartCredentials {
    StalwartCredentials::Basic { user: ADMIN.to_owned(), password: Secret::new(password) }
}

impl Room {
    async fn discover(&self, listing: impl Listing + 'static) -> Result<Imported, producer::DirectoryError> {
        let directory = Directory {
            server: SERVER.to_owned(),
            listing: Arc::new(listing),
            rules: serde_json::from_str(r#"[{"domain": "customers.example", "plan": "professional"}]"#)
                .unwrap(),
            disappeared: Disappeared::Stay,
            every: Duration::from_secs(3600),
        };
        discover(&self.catalog, &directory, self.now()).await
    }

    async fn address_of(&self, account: &str) -> String {
        let mailbox = self.catalog.mailbox_of(SERVER, &account.into()).await.unwrap();
        mailbox.expect("is known by its id").address.as_str().to_owned()
    }
}

#[tokio::test]
async fn accounts_of_a_real_server_are_known_by_their_jmap_ids() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let (room, server) = (Room::new().await, Stalwart::start(dir.path()).await.unwrap());
    let mut created = Vec::new();
    for name in NAMES {
        created.push((name, server.create_account(name, PASSWORD).await.unwrap()));
    }
    let url: Url = server.url().parse().unwrap();
    let listing = StalwartRest::new(&url, credentials(ADMIN_PASSWORD), b"").unwrap();
    assert!(!format!("{listing:?}").contains(ADMIN_PASSWORD));
    let found = room.discover(listing).await.unwrap();
    assert_eq!((found.listed, found.unplanned, found.bad.len()), (3, 1, 0));
    for (name, id) in &created {
        assert_eq!(room.address_of(id).await, *name);
    }
    // The way of 0.16 leads to the same accounts.
    let again =
        room.discover(StalwartJmap::new(&url, credentials(ADMIN_PASSWORD), b"").unwrap()).await.unwrap();
    assert_eq!((again.listed, again.new, again.bad.len()), (3, 0, 0));

    let wrong = StalwartRest::new(&url, credentials("not the password"), b"").unwrap();
    assert!(matches!(wrong.page(None).await, Err(ListingError::Refused { status: 401 })));
    let nobody = StalwartRest::new(&"http://127.0.0.1:9".parse().unwrap(), credentials("x"), b"").unwrap();
    assert!(matches!(nobody.page(None).await, Err(ListingError::Unreachable(_))));
}

#[tokio::test]
async fn accounts_of_a_simulated_server_come_by_the_standard_directory() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Simulator::builder().admin(ADMIN, ADMIN_PASSWORD);
    for name in NAMES {
        builder = builder.account(AccountSpec::new(name, PASSWORD));
    }
    let (room, server) = (Room::new().await, builder.start().await.unwrap());
    let url: Url = server.url().parse().unwrap();
    let found =
        room.discover(StalwartJmap::new(&url, credentials(ADMIN_PASSWORD), b"").unwrap()).await.unwrap();
    assert!(found.bad.is_empty() && found.new == found.listed, "{found:?}");
    for name in NAMES {
        assert_eq!(room.catalog.mailboxes_at(&name.into()).await.unwrap().len(), 1, "{name}");
    }
    let owner = StalwartCredentials::Basic { user: NAMES[0].to_owned(), password: Secret::new(PASSWORD) };
    let forbidden = StalwartJmap::new(&url, owner, b"").unwrap();
    assert!(matches!(forbidden.page(None).await, Err(ListingError::Unusable { .. })));
}
