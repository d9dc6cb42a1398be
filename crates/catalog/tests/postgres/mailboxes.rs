use std::collections::BTreeSet;

use catalog::{Address, Error, Listed, Ruled};
use model::{AccountId, MailboxId, Plan};

use crate::room::{Room, SERVER, at, listed};

impl Room {
    async fn list(&self, listed: &[Listed], seconds: i64) -> u64 {
        self.catalog.list_mailboxes(SERVER, listed, at(seconds)).await.unwrap()
    }

    async fn account(&self, account: &str) -> catalog::Mailbox {
        self.catalog.mailbox_of(SERVER, &account.into()).await.unwrap().unwrap()
    }

    async fn active_at(&self, address: &str) -> Vec<MailboxId> {
        let found = self.catalog.mailboxes_at(&address.into()).await.unwrap();
        found.iter().filter(|mailbox| mailbox.gone_at.is_none()).map(|mailbox| mailbox.id).collect()
    }
}

fn named(account: &str, address: &str) -> Listed {
    Listed { address: address.into(), ..listed(account, None) }
}

fn address_only(address: &str) -> Listed {
    Listed { account: None, plan: Some(Plan::Professional), ..named("", address) }
}

#[tokio::test]
async fn an_account_is_the_identity_and_an_address_only_its_name() {
    let room = Room::new().await;
    let plan = Some(Plan::Personal);
    assert_eq!(
        room.list(&[named("a", "A@x"), Listed { plan, ..named("b", "b@x") }, named("a", "a@x")], 0).await,
        2
    );
    assert_eq!(room.list(&[named("a", "a@x"), named("b", "b@x")], 1).await, 0);
    let (a, b) = (room.account("a").await, room.account("b").await);
    assert_eq!(
        (a.address.as_str(), b.plan),
        ("a@x", plan),
        "lower case; a listing without plans leaves them"
    );
    assert_eq!(room.catalog.unplanned().await.unwrap(), 1, "nobody planned a");

    room.list(&[named("a", "b@x"), named("b", "a@x")], 2).await;
    assert_eq!(
        (room.account("a").await.id, room.active_at("a@x").await),
        (a.id, vec![b.id]),
        "they swapped names"
    );

    room.list(&[named("c", "a@x")], 3).await;
    let c = room.account("c").await;
    assert_ne!(c.id, b.id, "a new account at an old address is a new mailbox");
    assert_eq!(room.catalog.mark_unlisted_gone(SERVER, None, at(3), at(4)).await.unwrap(), 2, "a and b");
    assert_eq!(room.active_at("a@x").await, [c.id]);
    assert_eq!(room.catalog.mailbox(b.id).await.unwrap().unwrap().gone_at, Some(at(4)));

    assert_eq!(room.list(&[named("b", "a@x")], 5).await, 1);
    let again = room.account("b").await;
    assert_ne!(again.id, b.id, "what was gone begins anew");
    assert_eq!((again.incarnation, again.identity().unwrap().incarnation), (1, 1));
    assert_eq!(again.first_backup_at, None);

    assert_eq!(room.catalog.list_mailboxes("other", &[named("b", "b@y")], at(6)).await.unwrap(), 1);
    assert_ne!(room.account("b").await.server, "other", "an account id belongs to its server");
    room.catalog.mark_gone(c.id, at(7)).await.unwrap();
    assert!(room.catalog.mailbox_of(SERVER, &"c".into()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_mailbox_known_by_its_address_alone_becomes_its_account() {
    let room = Room::new().await;
    assert_eq!(room.list(&[address_only("a@x"), address_only("B@x"), address_only("b@x")], 0).await, 2);
    assert_eq!(room.list(&[address_only("a@x"), address_only("b@x")], 1).await, 0);
    let [a] = room.active_at("a@x").await[..] else { panic!("one mailbox") };
    assert_eq!(room.list(&[named("1", "a@x")], 2).await, 0, "adopted");
    let adopted = room.account("1").await;
    assert_eq!((adopted.id, adopted.plan), (a, Some(Plan::Professional)), "with its plan");

    let names = [(None, "B@x".into()), (Some("1".into()), "z@x".into()), (Some("9".into()), "b@x".into())];
    let known = room.catalog.mailboxes_named(SERVER, &names).await.unwrap();
    let known: BTreeSet<_> = known.iter().map(|one| one.address.as_str()).collect();
    assert_eq!(known, BTreeSet::from(["a@x", "b@x"]));

    room.list(&[named("1", "b@x")], 3).await;
    assert_eq!(room.active_at("b@x").await, [a], "renamed onto a name that was waiting for its account");
    assert_eq!(room.list(&[address_only("b@x")], 4).await, 0, "and the name is known");

    room.list(&[address_only("c@x"), address_only("d@x")], 5).await;
    let [c] = room.active_at("c@x").await[..] else { panic!("one mailbox") };
    let [d] = room.active_at("d@x").await[..] else { panic!("one mailbox") };
    let account = AccountId::from("3");
    for _ in 0..2 {
        let identity = room.catalog.learn_account(c, &account).await.unwrap();
        assert_eq!((identity.account, identity.incarnation), (account.clone(), 0));
    }
    let learn = async |id, account: &str| room.catalog.learn_account(id, &account.into()).await;
    assert!(matches!(learn(c, "4").await, Err(Error::AccountTaken(id)) if id == c));
    assert!(matches!(learn(d, "3").await, Err(Error::AccountTaken(id)) if id == c));
    assert!(matches!(learn(MailboxId(999), "5").await, Err(Error::UnknownMailbox(_))));
    room.catalog.mark_gone(d, at(6)).await.unwrap();
    assert!(matches!(learn(d, "5").await, Err(Error::MailboxGone(_))));
}

#[tokio::test]
async fn a_rule_changes_a_plan_that_a_rule_gave_and_no_other() {
    use Plan::{Personal, Professional};
    let room = Room::new().await;
    let seconds = std::cell::Cell::new(0);
    let check = async |plan: Option<Plan>, rule: Option<Plan>, expected: (Option<Plan>, bool)| {
        seconds.set(seconds.get() + 1);
        for listed in [named("a", "a@x"), Listed { account: None, ..named("", "b@x") }] {
            let ruled = Ruled { listed: Listed { plan, ..listed.clone() }, rule, is_certain: true };
            room.catalog.list_ruled(SERVER, &[ruled], at(seconds.get())).await.unwrap();
            let found = room.catalog.mailboxes_at(&listed.address).await.unwrap();
            let found = (found[0].plan, found[0].plan_by_rule);
            assert_eq!(found, expected, "{plan:?} {rule:?} of {:?}", listed.account);
        }
    };
    check(None, None, (None, false)).await;
    check(None, Some(Personal), (Some(Personal), true)).await;
    check(None, Some(Professional), (Some(Professional), true)).await;
    check(None, None, (Some(Professional), true)).await;
    let since = "SELECT count(*) FROM mailboxes WHERE plan_since = to_timestamp(4000000003)";
    assert_eq!(room.number(since).await, 2, "since the rule changed");
    check(Some(Professional), Some(Personal), (Some(Professional), false)).await;
    assert_eq!(room.number(since).await, 2, "the same plan, now by name");
    check(None, Some(Personal), (Some(Professional), false)).await;
    check(Some(Personal), Some(Professional), (Some(Personal), false)).await;
    check(None, Some(Professional), (Some(Personal), false)).await;

    room.list(&[named("1", "b@x")], 99).await;
    assert!(!room.account("1").await.plan_by_rule, "who is adopted keeps what was said");
    let both = [Ruled { listed: named("c", "c@x"), rule: Some(Personal), is_certain: true }];
    room.catalog.list_ruled(SERVER, &both, at(100)).await.unwrap();
    room.list(&[named("c", "c@x")], 101).await;
    let c = room.account("c").await;
    assert_eq!((c.plan, c.plan_by_rule), (Some(Personal), true), "a listing without rules leaves it");
}

#[tokio::test]
async fn a_rule_that_is_in_doubt_plans_nobody_who_has_a_plan() {
    use Plan::{Personal, Professional};
    let room = Room::new().await;
    let check = async |listed: &Listed, rule: Plan, is_certain: bool, expected: Plan| {
        let ruled = Ruled { listed: listed.clone(), rule: Some(rule), is_certain };
        room.catalog.list_ruled(SERVER, &[ruled], at(1)).await.unwrap();
        let found = room.catalog.mailboxes_at(&listed.address).await.unwrap();
        assert_eq!(found[0].plan, Some(expected), "{listed:?} {rule:?} {is_certain}");
    };
    let by_address = |address: &str| Listed { account: None, ..named("", address) };
    for (account, address) in [(named("a", "a@x"), "a@x"), (by_address("b@x"), "b@x")] {
        check(&account, Personal, false, Personal).await;
        check(&account, Professional, false, Personal).await;
        check(&by_address(address), Professional, false, Personal).await;
        check(&account, Professional, true, Professional).await;
    }
    check(&named("b", "b@x"), Personal, false, Professional).await;
    check(&named("b", "renamed@x"), Personal, false, Professional).await;
}

#[test]
fn an_address_is_not_shown() {
    let mailbox = named("a", "alice@example.org");
    assert!(!format!("{mailbox:?}").contains("alice"));
    assert_eq!(Address::from("Alice@Example.ORG"), Address::from("alice@example.org"));
}
