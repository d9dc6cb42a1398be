//! The directories of a real Stalwart 0.15 and of a simulated 0.16.

use std::sync::Arc;
use std::time::Duration;

use model::{Plan, SignedDuration};
use producer::{
    Directory, Disappeared, Imported, Listing, ListingError, Rules, Secret, Sight, StalwartCredentials,
    StalwartJmap, StalwartRest, discover,
};
use sim_stalwart::{AccountSpec, Effect, Fault, Simulator, Target, Version};
use testkit::stalwart::{ADMIN, ADMIN_PASSWORD, Stalwart};
use url::Url;

use crate::room::{Room, SERVER};

const PASSWORD: &str = "a password that nobody guesses";
const NAMES: [&str; 3] = ["alice@customers.example", "bob@customers.example", "carol@other.example"];

fn credentials(password: &str) -> StalwartCredentials {
    StalwartCredentials::Basic { user: ADMIN.to_owned(), password: Secret::new(password) }
}

const BY_DOMAIN: &str = r#"[{"domain": "customers.example", "plan": "professional"}]"#;

impl Room {
    async fn discover(&self, listing: impl Listing + 'static) -> Result<Imported, producer::DirectoryError> {
        self.discover_by(BY_DOMAIN, listing).await
    }

    async fn discover_by(
        &self,
        rules: &str,
        listing: impl Listing + 'static,
    ) -> Result<Imported, producer::DirectoryError> {
        let directory = Directory {
            server: SERVER.to_owned(),
            listing: Arc::new(listing),
            rules: serde_json::from_str(rules).unwrap(),
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

#[tokio::test]
async fn tenants_and_groups_come_from_the_management_objects_of_0_16() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let account = |name: &str| AccountSpec::new(name, PASSWORD);
    let builder = Simulator::builder().version(Version::V0_16).admin(ADMIN, ADMIN_PASSWORD);
    let (staff, others) = ("staff@customers.example", "others@customers.example");
    let mut builder = builder
        .account(account(NAMES[0]).tenant("acme").group(staff))
        .account(account(NAMES[1]).tenant("acme").group(others))
        .account(account(NAMES[2]));
    // More than a page, and groups among them.
    for number in 0..600 {
        let group = format!("group{}@other.example", number % 100);
        builder = builder.account(account(&format!("user{number}@other.example")).group(group));
    }
    let (room, server) = (Room::new().await, builder.start().await.unwrap());
    let url: Url = server.url().parse().unwrap();
    let rules = r#"[
        {"tenant": "acme", "group": "staff", "kind": "individual", "plan": "professional"},
        {"tenant": "acme", "kind": "individual", "plan": "personal"},
        {"group": "group7@other.example", "plan": "professional"},
        {"group": "group8", "plan": "professional"},
        {"kind": "group", "domain": "customers.example", "plan": "personal"}
    ]"#;
    assert!(serde_json::from_str::<Rules>(rules).unwrap().name_memberships());
    assert!(!serde_json::from_str::<Rules>(BY_DOMAIN).unwrap().name_memberships());
    let listing = || StalwartJmap::new(&url, credentials(ADMIN_PASSWORD), b"").unwrap();
    let found = room.discover_by(rules, listing().with_memberships()).await.unwrap();
    // The administrator is one of them, and 102 groups.
    assert_eq!((found.listed, found.new, found.unplanned, found.bad.len()), (706, 706, 696, 0));
    for (address, plan) in [
        (NAMES[0], Some(Plan::Professional)),
        (NAMES[1], Some(Plan::Personal)),
        (NAMES[2], None),
        ("user107@other.example", Some(Plan::Professional)),
        ("user108@other.example", None),
        (staff, Some(Plan::Personal)),
        ("group7@other.example", None),
    ] {
        let mailboxes = room.catalog.mailboxes_at(&address.into()).await.unwrap();
        assert_eq!(mailboxes[0].plan, plan, "{address}");
    }

    // Who may not see them is told so, and no mailbox gets a plan by a rule that could not be applied.
    server.faults().add(Fault::new(Target::method("x:Tenant/get"), Effect::MethodError("forbidden".into())));
    let refused = listing().with_memberships().page(None).await.unwrap_err();
    assert!(refused.to_string().contains("grant sysAccountGet and sysTenantGet"), "{refused}");
    assert!(listing().page(None).await.is_ok(), "rules about domains need neither");
}

/// A user inside a tenant sees that tenant alone: nobody else is gone because of that.
#[tokio::test]
async fn a_user_who_sees_one_tenant_marks_nobody_else_as_gone() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let account = |name: &str, tenant: &str| AccountSpec::new(name, PASSWORD).tenant(tenant);
    let builder = Simulator::builder()
        .version(Version::V0_16)
        .admin(ADMIN, ADMIN_PASSWORD)
        .admin_of_tenant("acme", "backup@customers.example", ADMIN_PASSWORD)
        .account(account(NAMES[0], "acme"))
        .account(account(NAMES[1], "acme"))
        .account(account(NAMES[2], "other"));
    let (room, server) = (Room::new().await, builder.start().await.unwrap());
    let url: Url = server.url().parse().unwrap();
    let all = StalwartJmap::new(&url, credentials(ADMIN_PASSWORD), b"").unwrap().with_memberships();
    assert_eq!(room.discover(all).await.unwrap().sight, Sight::All);
    assert!(server.remove_account(NAMES[0]));
    let user = "backup@customers.example".to_owned();
    let of_tenant = StalwartCredentials::Basic { user, password: Secret::new(ADMIN_PASSWORD) };
    let directory = Directory {
        server: SERVER.to_owned(),
        listing: Arc::new(StalwartJmap::new(&url, of_tenant, b"").unwrap().with_memberships()),
        rules: Rules::default(),
        disappeared: Disappeared::Gone { missing_for: SignedDuration::ZERO, at_most_percent: 100 },
        every: Duration::from_secs(3600),
    };
    let found = discover(&room.catalog, &directory, room.now() + SignedDuration::from_secs(1)).await.unwrap();
    assert_eq!((found.sight, found.gone), (Sight::Tenant("acme".to_owned()), 1));
    assert_eq!(room.catalog.mailboxes_at(&NAMES[2].into()).await.unwrap().len(), 1, "of another tenant");
}
