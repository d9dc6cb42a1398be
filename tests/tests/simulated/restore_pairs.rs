//! Which container of the account one of the snapshot's comes back as.

use engine::{Mode, RestoreId, Restored};
use model::{BackupState, DataType};
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, DataType as Kind, Limits, Version};

use crate::restore::Two;
use crate::{Home, alice};

/// Containers, what lies in them, and by which member that says so.
const KINDS: [(Kind, Kind, &str); 2] = [
    (Kind::AddressBook, Kind::ContactCard, "addressBookIds"),
    (Kind::Calendar, Kind::CalendarEvent, "calendarIds"),
];

fn insert(account: &AccountHandle, kind: Kind, name: &str) -> String {
    account.insert(kind, json!({ "name": name }))
}

fn with_bob(account: &AccountHandle, kind: Kind, id: &str) {
    account
        .edit(kind, id, |it| it["shareWith"] = json!({ "bob": { "mayRead": true, "mayReadItems": true } }));
}

/// An account with a private container, the default one, and a shared one.
fn furnish(account: &AccountHandle) {
    for (container, contents, member) in KINDS {
        for kind in [contents, container] {
            account.content(kind).keys().for_each(|id| account.remove(kind, id));
        }
        let private = insert(account, container, "Private");
        let team = insert(account, container, "Team");
        account.edit(container, &private, |it| it["isDefault"] = true.into());
        with_bob(account, container, &team);
        for (title, place) in [("private", private), ("team", team)] {
            account.insert(contents, content(contents, title, member, &place));
        }
    }
}

fn content(kind: Kind, title: &str, member: &str, place: &str) -> Value {
    let mut object = json!({ "uid": format!("uid-{title}"), member: { place: true } });
    let more = match kind {
        Kind::ContactCard => json!({ "@type": "Card", "version": "1.0", "name": { "full": title } }),
        _ => json!({ "@type": "Event", "title": title, "start": "2026-05-01T10:00:00", "duration": "PT1H" }),
    };
    let members = more.as_object().expect("an object").clone();
    object.as_object_mut().expect("an object").extend(members);
    object
}

/// Names of the containers that each object lies in, by its uid.
fn places(account: &AccountHandle) -> Vec<(String, Vec<String>)> {
    let mut places = Vec::new();
    for (container, contents, member) in KINDS {
        let containers = account.content(container);
        for object in account.content(contents).values() {
            let ids = object[member].as_object().expect("a set").keys();
            let names = ids.map(|id| containers[id]["name"].to_string()).collect();
            places.push((format!("{container:?} {}", object["uid"]), names));
        }
    }
    places.sort();
    places
}

async fn restore(home: &Home, mode: Mode) -> Restored {
    let number = home.bed.newest(&home.url).await.1.info().number;
    let id = RestoreId::random();
    home.bed.restore(&home.url, Some(number), &home.bed, mode, &id).await.expect("restores")
}

/// Both have other ids than then, and the shared one is the default one now: nothing private comes into it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_called_alike_is_the_same_whichever_is_the_default_one() {
    for mode in [Mode::Missing, Mode::Exact] {
        let home = Home::of(alice(0)).await;
        furnish(&home.alice);
        let expected = places(&home.alice);
        assert_eq!(home.backup().await.state, BackupState::Good);
        furnish(&home.alice);
        for (container, contents, _) in KINDS {
            for (id, object) in home.alice.content(container) {
                let is_team = object["name"] == "Team";
                home.alice.edit(container, &id, |it| it["isDefault"] = is_team.into());
            }
            home.alice.content(contents).keys().for_each(|id| home.alice.remove(contents, id));
        }
        let restored = restore(&home, mode).await;
        assert_eq!(places(&home.alice), expected, "{mode:?}: {restored:#?}");
        assert!(restored.shares.iter().all(|share| !share.exposed), "{restored:#?}");
        assert!(restored.is_whole(), "{restored:#?}");
    }
}

/// The default one of another account is the only one that can be meant. Who may see it is named.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_into_something_shared_is_named() {
    let two = Two::unsaved(alice(0), Limits::default(), Version::V0_16).await;
    furnish(&two.home.alice);
    for (container, contents, _) in KINDS {
        let named =
            |kind, text: &str| two.home.alice.content(kind).into_iter().find(|(_, it)| it["name"] == text);
        let (team, _) = named(container, "Team").expect("it is there");
        two.home.alice.content(contents).iter().for_each(|(id, _)| two.home.alice.remove(contents, id));
        two.home.alice.remove(container, &team);
        for id in two.bob.content(container).keys() {
            two.bob.remove(container, id);
        }
        let shared = insert(&two.bob, container, "Ours");
        two.bob.edit(container, &shared, |it| it["shareWith"] = json!({ "carol": { "mayRead": true } }));
    }
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    for mode in [Mode::Missing, Mode::Exact] {
        let restored = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        let exposed = restored.shares.iter().filter(|share| share.exposed);
        let exposed: Vec<_> = exposed.map(|it| (it.r#type.as_str(), it.name.as_str(), it.people)).collect();
        let expected = [("AddressBook", "Private", 1), ("Calendar", "Private", 1)];
        assert_eq!(exposed, expected, "{mode:?}: {:#?} {:#?}", restored.objects, restored.shares);
        assert!(!restored.is_whole());
    }
}

/// What lay in two of them and is in one still stays there, and the other one stays empty: that is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_stays_out_of_a_container_that_was_made_again_is_named() {
    let home = Home::of(alice(0)).await;
    furnish(&home.alice);
    for (container, contents, member) in KINDS {
        let both: serde_json::Map<String, Value> =
            home.alice.content(container).into_keys().map(|id| (id, json!(true))).collect();
        for id in home.alice.content(contents).keys() {
            home.alice.edit(contents, id, |it| it[member] = json!(both));
        }
    }
    assert_eq!(home.backup().await.state, BackupState::Good);
    let number = home.bed.newest(&home.url).await.1.info().number;
    for (container, contents, member) in KINDS {
        let containers = home.alice.content(container);
        let (team, _) = containers.iter().find(|(_, it)| it["name"] == "Team").expect("it is there");
        for id in home.alice.content(contents).keys() {
            home.alice.edit(contents, id, |it| drop(it[member].as_object_mut().expect("a set").remove(team)));
        }
        home.alice.remove(container, team);
    }
    let (planned, _) = home.bed.rehearse(&home.url, number, &home.bed, Mode::Missing).await;
    let restored = restore(&home, Mode::Missing).await;
    for restored in [planned, restored] {
        let notes = restored.objects.iter().flat_map(|of| &of.notes);
        let named = notes.filter(|note| note.starts_with("Team comes back without 2 of its ")).count();
        assert_eq!(named, 2, "{:#?}", restored.objects);
    }
    let restored = restore(&home, Mode::Exact).await;
    assert!(restored.is_whole() && places(&home.alice).iter().all(|(_, names)| names.len() == 2));
}

/// Paths of folders and the subjects in them.
fn mail(account: &AccountHandle) -> Vec<(String, String)> {
    let folders = account.content(Kind::Mailbox);
    let path = |id: &str| {
        let folder = &folders[id];
        let parent = folder["parentId"].as_str().map(|id| format!("{}/", folders[id]["name"]));
        format!("{}{}", parent.unwrap_or_default(), folder["name"])
    };
    let subject = |id: &str| {
        String::from_utf8_lossy(&account.raw(id).expect("is there")).lines().next().map(str::to_owned)
    };
    let mut mail: Vec<(String, String)> = account
        .emails()
        .iter()
        .flat_map(|email| {
            email.mailbox_ids.iter().map(|id| (path(id), subject(&email.id).unwrap_or_default()))
        })
        .collect();
    mail.sort();
    mail
}

/// The folder with the role is another one of the snapshot, and shared.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_gives_no_private_mail_to_a_shared_folder() {
    for mode in [Mode::Missing, Mode::Exact] {
        for is_renamed in [false, true] {
            let home = Home::of(alice(3)).await;
            let archive = |account: &AccountHandle| {
                let folders = account.content(Kind::Mailbox);
                folders.into_iter().find(|(_, it)| it["role"] == "archive").map(|(id, _)| id)
            };
            let mine = archive(&home.alice).unwrap_or_else(|| home.alice.create_folder("Mine", None));
            home.alice.edit(Kind::Mailbox, &mine, |it| it["name"] = "Mine".into());
            home.alice.edit(Kind::Mailbox, &mine, |it| it["role"] = "archive".into());
            let team = home.alice.create_folder("Team", None);
            with_bob(&home.alice, Kind::Mailbox, &team);
            home.alice.deliver("Subject: private\r\n\r\nx", &[&mine], &[]);
            home.alice.deliver("Subject: ours\r\n\r\ny", &[&team], &[]);
            assert_eq!(home.backup().await.state, BackupState::Good);
            let expected = mail(&home.alice);
            home.alice.destroy_folder(&mine);
            home.alice.edit(Kind::Mailbox, &team, |it| it["role"] = "archive".into());
            if is_renamed {
                home.alice.rename_folder(&team, "Shared");
            }
            let restored = restore(&home, mode).await;
            let found = mail(&home.alice);
            let private = found.iter().find(|(_, subject)| subject == "Subject: private").expect("it came");
            assert_eq!(private.0, "\"Mine\"", "{mode:?}: {restored:#?}");
            let team = home.alice.content(Kind::Mailbox)[&team].clone();
            if mode == Mode::Exact {
                assert_eq!(found, expected);
                assert_eq!((&team["name"], &team["role"]), (&json!("Team"), &Value::Null));
                let mine = archive(&home.alice).expect("there is one");
                assert_eq!(home.alice.content(Kind::Mailbox)[&mine]["name"], "Mine");
            }
            assert!(restored.shares.iter().all(|share| !share.exposed), "{restored:#?}");
        }
    }
}

/// Folders of the user's that begin like a restore's own, or are nearly called so.
#[tokio::test(flavor = "multi_thread")]
async fn folders_that_are_called_nearly_like_a_restores_own_are_the_users() {
    let two = Two::unsaved(alice(3), Limits::default(), Version::V0_16).await;
    let home = &two.home;
    for name in ["Malle restored mails", "Malle restore abcd2345 0001-x1 importing", "Malle restore"] {
        let folder = home.alice.create_folder(name, None);
        let inner = home.alice.create_folder("inner", Some(&folder));
        home.alice.deliver(format!("Subject: {name}\r\n\r\nx"), &[&folder], &[]);
        home.alice.deliver(format!("Subject: in {name}\r\n\r\nx"), &[&inner], &[]);
    }
    home.good_backup().await;
    let (expected, before) = (mail(&home.alice), home.alice.content(Kind::Mailbox));
    let restored = restore(home, Mode::Exact).await;
    assert_eq!((restored.folders, restored.relabelled, restored.removed_folders), (0, 0, 0), "{restored:#?}");
    assert_eq!((mail(&home.alice), home.alice.content(Kind::Mailbox)), (expected.clone(), before));
    for mode in [Mode::Missing, Mode::Exact] {
        two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        assert_eq!(mail(&two.bob), expected, "{mode:?}");
    }
    assert!(restored.objects.iter().all(|of| of.data_type != DataType::Mailbox));
}
