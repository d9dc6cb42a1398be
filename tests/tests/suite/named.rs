//! A real Stalwart 0.16 that the environment names: it is on no registry, and is built by hand.
//!
//! `MALLE_TEST_STALWART_016` is its address (`http://127.0.0.1:28080`), `MALLE_TEST_STALWART_016_ADMIN` is `user:password` of its
//! administrator. Its accounts alice, carol and dave at example.org are deleted and made again.

use std::fs::File;

use model::DataType;
use serde_json::{Value, json};
use tests::Plain;

use crate::place::{ALICE, IMPERSONATOR, NEIGHBOUR, Place, User};
use crate::written::{Written, written};

const ADDRESS: &str = "MALLE_TEST_STALWART_016";
const ADMINISTRATOR: &str = "MALLE_TEST_STALWART_016_ADMIN";
const DOMAIN: &str = "example.org";

/// The server, and Alice's account that was just made there.
pub(crate) struct Named {
    url: String,
    admin: User,
    alice: Plain,
    /// One test at a time has the accounts.
    _alone: File,
}

impl Named {
    /// `None`: no server is named, and it is said that the scenario was skipped.
    pub(crate) async fn open() -> Option<Named> {
        let Ok(url) = std::env::var(ADDRESS) else {
            println!("skipped: {ADDRESS} names no server");
            return None;
        };
        let admin = std::env::var(ADMINISTRATOR).unwrap_or_else(|_| "admin:secret".to_owned());
        let admin: &'static str = Box::leak(admin.into_boxed_str());
        let (name, password) = admin.split_once(':').expect("user:password");
        let admin = User { name, password };
        let alone = File::create(std::env::temp_dir().join("malle-test-stalwart-016")).expect("a file");
        alone.lock().expect("others end");
        let directory = Directory::open(&url, admin).await;
        for user in [ALICE, IMPERSONATOR, NEIGHBOUR] {
            directory.delete(user).await;
            directory.make(user).await;
        }
        let alice = Plain::sign_in(&url, ALICE.name, ALICE.password).await.expect("signs in");
        Some(Named { url, admin, alice, _alone: alone })
    }

    /// By Alice herself: what each user has of their own is hers.
    fn written(&self) -> Written {
        Written(self.alice.clone())
    }
}

impl Place for Named {
    type Moment = ();
    const TYPES: &'static [DataType] = &DataType::ALL;
    const REFUSES_CASE_TWINS: bool = true;
    const TAKES_ANY_BYTES: bool = false;
    const UNDATABLE: [usize; 2] = [2, 2];

    fn url(&self) -> String {
        self.url.clone()
    }

    fn imap(&self) -> Option<String> {
        None
    }

    fn account(&self) -> String {
        self.alice.account.clone()
    }

    fn admin(&self) -> User {
        self.admin
    }

    written!();

    async fn restart(&mut self) {
        unreachable!("it is not ours to restart");
    }

    async fn truncate_history(&self) {
        unreachable!("it is not ours to restart");
    }

    async fn moment(&mut self) {
        unreachable!("it is not ours to restart");
    }

    async fn roll_back(&mut self, (): &()) {
        unreachable!("it is not ours to restart");
    }

    async fn make_again(&mut self) {
        let directory = Directory::open(&self.url, self.admin).await;
        directory.delete(ALICE).await;
        directory.make(ALICE).await;
        self.alice = Plain::sign_in(&self.url, ALICE.name, ALICE.password).await.expect("signs in");
    }
}

/// The server's accounts.
struct Directory {
    calls: Plain,
    domain: String,
}

impl Directory {
    async fn open(url: &str, admin: User) -> Directory {
        let calls =
            Plain::sign_in(url, admin.name, admin.password).await.expect("the administrator signs in");
        let domains = calls.ask("x:Domain/get", json!({ "ids": null })).await.expect("tells its domains");
        let domains = domains["list"].as_array().cloned().unwrap_or_default();
        let domain = domains.iter().find(|domain| domain["name"] == DOMAIN);
        let domain = domain.and_then(|domain| domain["id"].as_str()).expect("it has the domain example.org");
        Directory { domain: domain.to_owned(), calls }
    }

    async fn set(&self, arguments: Value) {
        let answer = self.calls.ask("x:Account/set", arguments).await.expect("the server answers");
        for part in ["notCreated", "notDestroyed"] {
            assert!(answer[part].as_object().is_none_or(serde_json::Map::is_empty), "{answer}");
        }
    }

    async fn delete(&self, user: User) {
        let accounts =
            self.calls.ask("x:Account/get", json!({ "ids": null })).await.expect("tells its accounts");
        let accounts = accounts["list"].as_array().cloned().unwrap_or_default();
        let is_it = |account: &&Value| account["emailAddress"] == user.name;
        if let Some(id) = accounts.iter().find(is_it).map(|account| account["id"].clone()) {
            self.set(json!({ "destroy": [id] })).await;
        }
    }

    async fn make(&self, user: User) {
        let more = if user.name == IMPERSONATOR.name { json!({ "impersonate": true }) } else { json!({}) };
        let account = json!({
            "@type": "User", "name": user.name.split('@').next(), "domainId": self.domain,
            "credentials": { "0": { "@type": "Password", "secret": user.password } }, "roles": { "@type": "User" },
            "permissions": { "@type": "Merge", "enabledPermissions": more, "disabledPermissions": {} },
        });
        self.set(json!({ "create": { "a": account } })).await;
    }
}
