//! One number for one backup: the fleet's, where a fleet made it.

use std::fs;
use std::sync::Arc;

use engine::{Backup, Silent};
use jmap::{AccountRef, Client, Config, Credentials};
use model::{BackupNumber, SystemClock};
use object_store::local::LocalFileSystem;
use repository::{KeyRing, Origin, Store, StoreOptions};

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
    let how = Backup { origin, full_listing: false, progress: &Silent, clock: &SystemClock };
    Box::pin(engine::backup(&client, &account, &repository, &how)).await.expect("a backup");
}

/// Every command that takes a number × every way to name each snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_means_the_fleets_number() {
    let home = Home::new().await;
    home.back_up().await;
    let folder = home.alice().create_folder("Plans", None);
    for number in [40, 2, 2] {
        home.alice().deliver(format!("Subject: before {number}\r\n\r\nbody\r\n"), &[&folder], &[]);
        of_a_fleet(&home, number).await;
    }
    let listed = home.run(&["list", "--account", ALICE, "--json"]).await.good().objects();
    let numbers: Vec<_> =
        listed.iter().map(|row| (row["number"].as_u64(), row["snapshot"].as_u64())).collect();
    // The last one came too late for a number of its own.
    let expected =
        [(None, 1), (Some(40), 2), (Some(2), 3), (None, 4)].map(|(number, own)| (number, Some(own)));
    assert_eq!(numbers, expected);
    let table = home.run(&["list", "--account", ALICE]).await.good().out;
    let shown: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(shown, ["s1", "40", "2", "s4"]);

    let names = [("s1", Some(1)), ("40", Some(2)), ("2", Some(3)), ("s2", Some(2)), ("s4", Some(4))];
    for (name, own) in names.into_iter().chain(["1", "3", "4", "s5"].map(|name| (name, None))) {
        let to = home.path(&format!("mail-{name}"));
        let to = to.to_str().expect("UTF-8");
        let commands = [
            &["show", "--snapshot", name][..],
            &["verify", "--snapshot", name],
            &["export", "--snapshot", name, "--format", "maildir", "--to", to],
            &["find", "--snapshot", name, "subject:before"],
            &["restore", "--snapshot", name, "--mode", "missing", "--dry-run"],
            &["diff", name, "s1"],
        ];
        for command in commands {
            let ended = home.run(&[command, &["--account", ALICE, "--json"]].concat()).await;
            let Some(own) = own else {
                ended.refused(6, &["malle list"]);
                continue;
            };
            let object = ended.good().objects().into_iter().next();
            let says = object.map(|object| match command[0] {
                "find" => object["snapshots"][0][0].clone(),
                "diff" => object["from"].clone(),
                // It names no snapshot.
                "verify" => own.into(),
                _ => object["snapshot"].clone(),
            });
            // Nothing was delivered before the first.
            assert_eq!(says, (command[0] != "find" || own > 1).then(|| own.into()), "{command:?}");
        }
    }
    let refused = home.run(&["show", "--snapshot", "seven", "--account", ALICE]).await;
    assert!(refused.code == 2 && refused.err.contains("seven"), "{refused:?}");
}
