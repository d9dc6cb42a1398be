//! `GET /api/principal` of a real Stalwart 0.15.

use producer::{
    Directory, Disappeared, Listing, ListingError, Secret, StalwartCredentials, StalwartRest, discover,
};
use std::sync::Arc;
use std::time::Duration;
use testkit::stalwart::{ADMIN, ADMIN_PASSWORD, Stalwart};

use crate::room::{Room, SERVER};

fn credentials(password: &str) -> StalwartCredentials {
    StalwartCredentials::Basic { user: ADMIN.to_owned(), password: Secret::new(password) }
}

#[tokio::test]
async fn accounts_of_a_real_server_are_known_by_their_jmap_ids() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let (room, server) = (Room::new().await, Stalwart::start(dir.path()).await.unwrap());
    let mut created = Vec::new();
    for name in ["alice@customers.example", "bob@customers.example", "carol@other.example"] {
        created.push((name, server.create_account(name, "a password that nobody guesses").await.unwrap()));
    }
    let url = server.url().parse().unwrap();
    let listing = StalwartRest::new(&url, credentials(ADMIN_PASSWORD), b"").unwrap();
    assert!(!format!("{listing:?}").contains(ADMIN_PASSWORD));
    let directory = Directory {
        server: SERVER.to_owned(),
        listing: Arc::new(listing),
        rules: serde_json::from_str(r#"[{"domain": "customers.example", "plan": "professional"}]"#).unwrap(),
        disappeared: Disappeared::Stay,
        every: Duration::from_secs(3600),
    };
    let found = discover(&room.catalog, &directory, room.now()).await.unwrap();
    assert_eq!((found.listed, found.unplanned, found.bad.len()), (3, 1, 0));
    for (name, id) in &created {
        let mailbox = room.catalog.mailbox_of(SERVER, &id.as_str().into()).await.unwrap();
        assert_eq!(mailbox.expect("is known by its id").address.as_str(), *name);
    }

    let wrong = StalwartRest::new(&url, credentials("not the password"), b"").unwrap();
    assert!(matches!(wrong.page(None).await, Err(ListingError::Refused { status: 401 })));
    let nobody = StalwartRest::new(&"http://127.0.0.1:9".parse().unwrap(), credentials("x"), b"").unwrap();
    assert!(matches!(nobody.page(None).await, Err(ListingError::Unreachable(_))));
}
