//! Beginnings are explicit: of a store, and of a mailbox's history.

use std::fs;

use sim_stalwart::{Kinds, Simulator, Urls};

use crate::home::{ALICE, Ended, Home, alice, end, file_url};

const BACKUP: [&str; 4] = ["backup", "--account", ALICE, "--json"];

/// As another machine that has the same key and never saw the store.
async fn elsewhere(home: &Home, args: &[&str]) -> Ended {
    let mut command = home.malle(args);
    command.env("MALLE_STATE_DIR", home.path("another-machine"));
    end(command.spawn().expect("malle runs")).await
}

/// Its server names itself by no address.
async fn of_any_address() -> Home {
    Home::with(Simulator::builder().account(alice()).urls(Urls::Relative)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_init_makes_a_store_and_it_keeps_its_zone() {
    let home = Home::without_store(Simulator::builder().account(alice())).await;
    home.run(&BACKUP).await.refused(12, &["malle init"]);
    fs::create_dir(home.path("empty")).expect("writable");
    let url = file_url(&home.path("empty"));
    home.run(&[&BACKUP[..], &["--store", &url]].concat()).await.refused(12, &["malle init"]);
    assert!(!home.store().exists() && fs::read_dir(home.path("empty")).expect("lists").count() == 0);

    let made = home.run(&["init", "--zone", "paris", "--json"]).await.good().objects();
    assert_eq!((&made[0]["made"], &made[0]["zone"]), (&true.into(), &"paris".into()));
    let again = home.run(&["init"]).await.good().out;
    assert!(again.contains("already") && again.contains("paris"), "{again}");
    home.run(&["init", "--zone", "tokyo"]).await.refused(12, &["paris", "tokyo"]);
    home.back_up().await;
    // The trial in memory has no other way to begin.
    home.run(&[&BACKUP[..], &["--store", "memory:"]].concat()).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_vanished_is_not_made_again() {
    let home = Home::new().await;
    home.back_up().await;
    fs::rename(home.store(), home.path("away")).expect("ours");
    home.run(&BACKUP).await.refused(12, &["no directory", "mounted"]);
    fs::create_dir(home.store()).expect("writable");
    home.run(&BACKUP).await.refused(12, &["malle init"]);
    fs::remove_dir(home.store()).expect("it is empty still");
    fs::rename(home.path("away"), home.store()).expect("ours");
    home.back_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_descriptor_its_log_or_its_key_is_told_apart_and_begun_by_nobody() {
    let lost = [
        (&["malle-store", "malle-store-copy"][..], 9, "lost its descriptor"),
        (&["log", "copies/log"], 9, "its log is gone"),
        (&["keys", "copies/keys"], 17, "its key is gone"),
    ];
    for (names, code, says) in lost {
        let home = Home::new().await;
        let dir = home.back_up().await["mailbox"].as_str().expect("text").to_owned();
        for name in names {
            match name.starts_with("malle") {
                true => fs::remove_file(home.store().join(name)).expect("is there"),
                false => fs::remove_dir_all(home.store().join("mailboxes").join(&dir).join(name))
                    .expect("is there"),
            }
        }
        elsewhere(&home, &BACKUP).await.refused(code, &[says]);
        let here = home.run(&BACKUP).await;
        assert_eq!(here.code, code, "{here:?}");
        if names[0] == "malle-store" {
            home.run(&["init", "--zone", "anywhere"]).await.refused(9, &[says]);
            home.run(&["list"]).await.refused(9, &[says]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_backup_is_announced_and_no_other() {
    let home = Home::new().await;
    let first = home.run(&BACKUP[..3]).await.good().out;
    assert!(first.starts_with(&format!("first backup of {ALICE}")), "{first}");
    let second = home.run(&BACKUP[..3]).await.good().out;
    assert!(!second.contains("first backup"), "{second}");
    assert_eq!(home.back_up().await["first"], false);
    let home = Home::new().await;
    assert_eq!(home.back_up().await["first"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_changed_its_address_goes_on_when_told_so_once() {
    let home = of_any_address().await;
    home.back_up().await;
    let old = home.sim.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let moved = home.sim.url().replace("127.0.0.1", "localhost");
    let backup = [&BACKUP[..], &["--server", &moved]].concat();
    home.run(&backup).await.refused(2, &["second history", "--new-history", &format!("--server-name {old}")]);

    let named = [&backup[..], &["--server-name", &old]].concat();
    let told = home.run(&named).await.good().objects().remove(0);
    assert_eq!((&told["first"], &told["server"]), (&false.into(), &old.clone().into()));
    let after = home.run(&backup).await.good().objects().remove(0);
    assert_eq!((&after["first"], &after["server"]), (&false.into(), &old.clone().into()));
    elsewhere(&home, &backup).await.refused(2, &["second history"]);
    assert_eq!(home.run(&["list", "--json"]).await.good().objects().len(), 1);

    let begun = home.run(&[&backup[..], &["--server-name", "other", "--new-history"]].concat()).await.good();
    assert_eq!(begun.objects()[0]["first"], true);
    assert_eq!(home.run(&["list", "--json"]).await.good().objects().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_safety_backup_of_an_exact_restore_lies_in_the_mailbox_that_is_restored() {
    // Under a name that is not the host's, and at a host that changed: from a machine that was told nothing.
    for name in [Some("lasting.example"), None] {
        let home = of_any_address().await;
        let named: Vec<&str> = name.into_iter().flat_map(|name| ["--server-name", name]).collect();
        home.run(&[&BACKUP[..], &named].concat()).await.good();
        home.alice().mutate(10, 3, Kinds::Emails);
        let url = match name {
            Some(_) => home.sim.url(),
            None => home.sim.url().replace("127.0.0.1", "localhost"),
        };
        let exact = ["restore", "--account", ALICE, "--mode", "exact", "--yes", "--json", "--server", &url];
        let ended = elsewhere(&home, &exact).await;
        let safety = ended.objects()[0]["safety"].clone();
        assert!(safety.is_u64(), "{ended:?}");
        assert_eq!(home.run(&["list", "--json"]).await.good().objects().len(), 1, "no second history");
        let rows = home.run(&["list", "--account", ALICE, "--json"]).await.good().objects();
        assert!(rows.iter().any(|row| row["number"] == safety), "{safety}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_of_a_configuration_are_made_each() {
    let home = Home::without_store(Simulator::builder().account(alice())).await;
    let write = |production: &str| {
        let (one, two) = (file_url(&home.path("one")), file_url(&home.path("two")));
        let text = format!(
            "production_zone = {production:?}\ntime_zone = \"UTC\"\nkey_file = {:?}\n\
             [postgres]\nurl = \"postgres://malle@127.0.0.1:9/malle\"\n\
             [rabbitmq]\nurl = \"amqp://malle@127.0.0.1:9/malle\"\n[redis]\nurl = \"redis://127.0.0.1:9/0\"\n\
             [[servers]]\nname = \"mail\"\nurl = {:?}\nuser = \"a\"\npassword = {{ env = \"NOBODY\" }}\n\
             [[stores]]\nname = \"near\"\nzone = \"paris\"\nurl = {one:?}\n\
             [[stores]]\nname = \"far\"\nzone = \"tokyo\"\nurl = {two:?}\n",
            home.ring(),
            home.sim.url(),
        );
        fs::write(home.path("malle.toml"), text).expect("writable");
    };
    write("tokyo");
    home.run(&["init", "--config", "malle.toml"]).await.refused(2, &["far", "production"]);
    assert!(!home.path("one").exists(), "nothing is made before all are looked at");
    write("here");
    let made = home.run(&["init", "--config", "malle.toml", "--json"]).await.good().objects();
    let zones: Vec<_> = made.iter().map(|row| (&row["store"], &row["zone"], &row["made"])).collect();
    let (near, far) = (("near".into(), "paris".into()), ("far".into(), "tokyo".into()));
    assert_eq!(zones, [(&near.0, &near.1, &true.into()), (&far.0, &far.1, &true.into())]);
    let again = home.run(&["init", "--config", "malle.toml", "--json"]).await.good().objects();
    assert!(again.iter().all(|row| row["made"] == false), "{again:?}");
    assert!(!home.store().exists(), "MALLE_STORE was not asked for");
}
