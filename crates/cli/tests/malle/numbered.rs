//! One number for one backup: the fleet's, where a fleet made it.

use std::fs;
use std::sync::Arc;

use engine::{Backup, Silent};
use jmap::{AccountRef, Client, Config, Credentials};
use model::{BackupNumber, SystemClock};
use object_store::local::LocalFileSystem;
use repository::{KeyRing, Origin, Store, StoreOptions};
use serde_json::Value;

use crate::home::{ALICE, Home, PASSWORD};

/// A backup as a worker makes it, in a mailbox that is there; several snapshots may carry one number.
async fn of_a_fleet(home: &Home, number: u64) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = home.sim.url().parse().expect("a URL");
    let client = Client::connect(Config::new(url, Credentials::basic(ALICE, PASSWORD.to_owned()))).await;
    let client = client.expect("connects");
    let account = client.resolve_account(&AccountRef::Named(ALICE.to_owned())).await.expect("alice is there");
    let objects = LocalFileSystem::new_with_prefix(home.store()).expect("a store");
    let store = Store::open(Arc::new(objects), StoreOptions::default()).await.expect("opens");
    let ring: KeyRing = fs::read_to_string(home.ring()).expect("a ring").parse().expect("parses");
    let dir = store.mailboxes().await.expect("lists").remove(0);
    let repository = store.mailbox(&ring, dir).await.expect("opens");
    let backup_number = Some(BackupNumber(number));
    let origin =
        Origin { kind: "nightly".to_owned(), job: "1".to_owned(), backup_number, ..Origin::default() };
    let how = Backup {
        origin,
        owner: None,
        full_listing: false,
        compares_store: false,
        progress: &Silent,
        clock: &SystemClock,
    };
    Box::pin(engine::backup(&client, &account, &repository, &how)).await.expect("a backup");
}

/// Every command that takes a number × every way to name each snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_means_the_fleets_number() {
    let home = Home::new().await;
    let first = home.back_up().await;
    assert_eq!((&first["number"], &first["snapshot"]), (&2.into(), &2.into()), "no fleet yet");
    let folder = home.alice().create_folder("Plans", None);
    for number in [40, 2, 2] {
        home.alice().deliver(format!("Subject: before {number}\r\n\r\nbody\r\n"), &[&folder], &[]);
        of_a_fleet(&home, number).await;
    }
    let last = home.back_up().await;
    assert_eq!((&last["number"], &last["snapshot"]), (&Value::Null, &6.into()), "made by hand");
    let listed = home.run(&["list", "--account", ALICE, "--json"]).await.good().objects();
    let numbers: Vec<_> =
        listed.iter().map(|row| (row["number"].as_u64(), row["snapshot"].as_u64())).collect();
    // The last but one came too late for a number of its own.
    let expected = [(None, 2), (Some(40), 3), (Some(2), 4), (None, 5), (None, 6)];
    assert_eq!(numbers, expected.map(|(number, own)| (number, Some(own))));
    let table = home.run(&["list", "--account", ALICE]).await.good().out;
    let shown: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(shown, ["s2", "40", "2", "s5", "s6"]);
    let found = home.run(&["find", "--account", ALICE, "subject:40"]).await.good().out;
    let email = found.lines().nth(1).and_then(|line| line.split_whitespace().last()).expect("its id");
    assert!(found.contains("40…s6 (4)"), "{found}");

    let names = [("s2", Some(2)), ("40", Some(3)), ("2", Some(4)), ("s3", Some(3)), ("s6", Some(6))];
    for (name, own) in names.into_iter().chain(["1", "3", "5", "s7"].map(|name| (name, None))) {
        let to = home.path(&format!("mail-{name}"));
        let to = to.to_str().expect("UTF-8");
        let commands = [
            &["show", "--snapshot", name][..],
            &["verify", "--snapshot", name],
            &["export", "--snapshot", name, "--format", "maildir", "--to", to],
            &["find", "--snapshot", name, "subject:before"],
            &["restore", "--snapshot", name, "--mode", "missing", "--dry-run"],
            &["diff", name, "s2"],
            &["cat", "--snapshot", name, email],
        ];
        for command in commands {
            let json: &[&str] = if command[0] == "cat" { &[] } else { &["--json"] };
            let ended = home.run(&[&command[..1], &["--account", ALICE], json, &command[1..]].concat()).await;
            let Some(own) = own else {
                ended.refused(6, &["s2", "40"]);
                continue;
            };
            match command[0] {
                // The email came after the first.
                "cat" => assert_eq!(ended.code, if own > 2 { 0 } else { 6 }, "{command:?}: {ended:?}"),
                "verify" => assert_eq!(ended.good().objects()[0]["snapshots"], 1),
                "find" => {
                    let first = ended.good().objects().first().map(|hit| hit["snapshots"][0][0].clone());
                    assert_eq!(first, (own > 2).then(|| own.into()), "{command:?}");
                }
                "diff" => assert_eq!(ended.good().objects()[0]["from"], own, "{command:?}"),
                _ => assert_eq!(ended.good().objects()[0]["snapshot"], own, "{command:?}"),
            }
        }
    }
    let refused = home.run(&["show", "--snapshot", "seven", "--account", ALICE]).await;
    assert!(refused.code == 2 && refused.err.contains("like 41 or s7"), "{refused:?}");
}
