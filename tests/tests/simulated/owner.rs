//! What each user has of their own is the owner's, also where somebody else signs in: subscriptions; names, colours and order of calendars and address
//! books.

use engine::{Mode, RestoreId, RestoredObjects};
use jmap::AccountRef;
use model::{BackupState, DataType};
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, AccountSpec, DataType as Kind, Effect, Fault, Simulator, Target};
use tests::truth::kind_of;
use tests::{Bed, assert_is_now};

use crate::{ALICE, Home, PASSWORD, alice};

const ADMIN: &str = "admin";
const BOB: &str = "bob@example.org";
/// Types of which users have something of their own, and a value that servers do not make by themselves.
const OWN: [(DataType, &str); 3] =
    [(DataType::Mailbox, "Plans"), (DataType::AddressBook, "Friends"), (DataType::Calendar, "Work")];

/// A mailbox that an administrator backs up.
async fn home() -> Home {
    let builder = Simulator::builder().seed(7).admin(ADMIN, PASSWORD);
    let mut home = Home::with(builder, alice(20).objects(5, 5, 1)).await;
    home.bed = home.bed.signed_in_as(ADMIN, PASSWORD).of_account(AccountRef::Named(ALICE.to_owned()));
    home.alice.create_folder("Plans", None);
    for (kind, name, more) in [
        (Kind::AddressBook, "Friends", json!({ "description": "those", "sortOrder": 4 })),
        (Kind::Calendar, "Work", json!({ "color": "#ff0000", "sortOrder": 7, "isVisible": false })),
    ] {
        let mut object = home.alice.content(kind).values().next().cloned().expect("one");
        object["name"] = name.into();
        object["isDefault"] = false.into();
        for (member, value) in more.as_object().expect("members") {
            object[member] = value.clone();
        }
        home.alice.insert(kind, object);
    }
    home
}

fn subscribe(account: &AccountHandle, data_type: DataType, name: &str, to: bool) {
    let kind = kind_of(data_type);
    let objects = account.content(kind);
    let (id, _) = objects.iter().find(|(_, object)| object["name"] == name).expect("it is there");
    account.edit(kind, id, |object| object["isSubscribed"] = to.into());
}

/// What its owner sees of the object of this name.
fn own(account: &AccountHandle, data_type: DataType, name: &str) -> Option<Value> {
    let objects = account.content(kind_of(data_type));
    let mut object = objects.values().find(|object| object["name"] == name).cloned()?;
    for member in ["id", "totalEmails", "unreadEmails", "totalThreads", "unreadThreads"] {
        object.as_object_mut()?.remove(member);
    }
    Some(object)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_holds_what_the_owner_sees() {
    let mut home = home().await;
    home.bed = home.bed.clone().acting_as_owner();
    for to in [true, false] {
        for (data_type, name) in OWN {
            subscribe(&home.alice, data_type, name, to);
        }
        home.good_backup().await;
        let info = home.bed.newest(&home.url).await.1.info().clone();
        for (data_type, _) in OWN {
            assert!(info.is_of_owner(data_type), "{data_type:?}");
        }
    }
}

/// A night in which nothing of that kind changed costs no second session, and no more requests than it did.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_signs_in_when_something_of_theirs_changed() {
    let mut home = home().await;
    let plain = home.bed.clone();
    home.bed = home.bed.clone().acting_as_owner();
    home.good_backup().await;
    let night_of = async |bed: &Bed| {
        let before = home.simulator.counters();
        bed.backup(&home.url).await.expect("backs up");
        home.simulator.counters().since(&before)
    };
    let usual = night_of(&plain).await;
    let night = async || night_of(&home.bed).await;
    let (unchanged, once) = (night().await, usual.sessions);
    assert_eq!((unchanged.sessions, unchanged.requests), (once, usual.requests));
    home.alice.deliver("Subject: new\r\n\r\n", &["a"], &[]);
    assert_eq!(night().await.sessions, once, "mail came, and no folder changed");
    assert_is_now(&home.bed.newest(&home.url).await.1, &home.alice).await;
    for (data_type, name) in OWN {
        subscribe(&home.alice, data_type, name, false);
        assert_eq!(night().await.sessions, 2 * once, "{data_type:?}");
        assert_is_now(&home.bed.newest(&home.url).await.1, &home.alice).await;
    }
    home.alice.create_folder("later", None);
    assert_eq!(night().await.sessions, 2 * once);
    assert_is_now(&home.bed.newest(&home.url).await.1, &home.alice).await;
}

/// Where the server lets nobody sign in as the owner, backups go on, and say whose view they hold.
#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_may_act_as_the_owner_it_is_said() {
    let home = home().await;
    let with_owner = home.bed.clone().acting_as_owner();
    let report = home.backup().await;
    assert_eq!(report.state, BackupState::Good, "{report:?}");
    let is_of_owner = async |bed: &Bed| {
        let info = bed.newest(&home.url).await.1.info().clone();
        OWN.map(|(data_type, _)| info.is_of_owner(data_type))
    };
    assert_eq!(is_of_owner(&home.bed).await, [false; 3]);
    // Allowed from now on: what changes is read as the owner sees it, and the rest with the next full listing.
    subscribe(&home.alice, DataType::Calendar, "Work", false);
    with_owner.backup(&home.url).await.expect("backs up");
    assert_eq!(is_of_owner(&with_owner).await, [false, false, true]);
    with_owner.backup_as(&home.url, "test", true).await.expect("backs up");
    assert_eq!(is_of_owner(&with_owner).await, [true; 3]);
    assert_is_now(&with_owner.newest(&home.url).await.1, &home.alice).await;
    // Not allowed any more.
    subscribe(&home.alice, DataType::Calendar, "Work", true);
    assert_eq!(home.backup().await.state, BackupState::Good);
    assert_eq!(is_of_owner(&home.bed).await, [true, true, false]);
}

/// A server that is busy while the owner signs in costs no backup its quality for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_again_for_the_owner() {
    let mut home = home().await;
    home.bed = home.bed.clone().acting_as_owner().impatient();
    home.good_backup().await;
    home.alice.create_folder("later", None);
    let busy = Effect::Status { code: 503, retry_after: None };
    home.simulator.faults().add(Fault::new(Target::Session, busy).after(2));
    let report = home.backup().await;
    assert_eq!(report.state, BackupState::Partial, "{report:?}");
    home.simulator.faults().clear();
    home.good_backup().await;
}

/// An owner who may not read one type leaves the others theirs.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_may_not_read_is_ours_alone() {
    for (denied, (data_type, _)) in OWN.into_iter().enumerate() {
        let mut views = Vec::new();
        for spared in 0..4 {
            let mut home = home().await;
            home.bed = home.bed.clone().acting_as_owner();
            let get = Target::method(format!("{}/get", data_type.name()));
            let fault = Fault::new(get, Effect::method_error("forbidden")).after(spared).times(1);
            home.simulator.faults().add(fault);
            home.backup().await;
            let info = home.bed.newest(&home.url).await.1.info().clone();
            views.push(OWN.map(|(data_type, _)| info.is_of_owner(data_type)));
        }
        let mut expected = [true; 3];
        expected[denied] = false;
        assert!(views.contains(&expected), "{data_type:?}: {views:?}");
    }
}

/// kind × mode × whether somebody may act as the owner, into the same and into another account.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_as_its_owner_had_it() {
    for (mode, is_same, acts) in [
        (Mode::Missing, false, true),
        (Mode::Missing, true, true),
        (Mode::Exact, false, true),
        (Mode::Exact, true, true),
        (Mode::Missing, false, false),
        (Mode::Exact, true, false),
    ] {
        let home = home().await;
        let backed_up = home.bed.clone().acting_as_owner();
        for (at, (data_type, name)) in OWN.into_iter().enumerate() {
            subscribe(&home.alice, data_type, name, at > 0);
        }
        backed_up.backup(&home.url).await.expect("backs up");
        let expected = OWN.map(|(data_type, name)| own(&home.alice, data_type, name));
        let bob = home.simulator.add_account(&AccountSpec::new(BOB, PASSWORD).bare());
        let (target, to) = match is_same {
            true => (home.alice.clone(), home.bed.clone()),
            false => {
                let of_bob = AccountRef::Named(BOB.to_owned());
                (bob, Bed::new(ADMIN, PASSWORD).of_account(of_bob))
            }
        };
        if is_same {
            for (data_type, name) in OWN {
                subscribe(&target, data_type, name, name == "Plans");
                let kind = kind_of(data_type);
                let objects = target.content(kind);
                let (id, _) = objects.iter().find(|(_, object)| object["name"] == name).expect("there");
                match mode {
                    Mode::Exact => target.edit(kind, id, |object| object["sortOrder"] = 99.into()),
                    Mode::Beside | Mode::Missing => target.remove(kind, id),
                }
            }
        }
        let when = format!("{mode:?}, same: {is_same}, acts: {acts}");
        let to = if acts { to.acting_as_owner() } else { to };
        let restored =
            backed_up.restore(&home.url, None, &to, mode, &RestoreId::random()).await.expect(&when);
        let found = OWN.map(|(data_type, name)| own(&target, data_type, name));
        let is_as_it_was = found == expected;
        assert_eq!(is_as_it_was, acts, "{when}: {found:#?} {expected:#?} {restored:#?}");
        let of_own = |objects: &&RestoredObjects| engine::is_each_users(objects.data_type);
        let is_whole = restored.objects.iter().filter(of_own).all(RestoredObjects::is_whole);
        assert!(is_whole && restored.odd_folders.is_empty(), "{when}: {restored:#?}");
    }
}
