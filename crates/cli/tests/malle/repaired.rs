//! Damage: noted by whoever meets it, shown by `list`, and made whole by `malle repair` as far as the mail server has it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sim_stalwart::{AccountSpec, Kinds};

use crate::home::{ALICE, Ended, Home, PASSWORD, end, files};

const BOB: &str = "bob@example.org";

/// The largest object of a kind: of packs, the one with the emails.
fn largest(home: &Home, kind: &str) -> PathBuf {
    let is_of = |path: &Path| path.parent().is_some_and(|dir| dir.ends_with(kind));
    let of_kind = files(&home.store()).into_iter().filter(|(path, _)| is_of(path));
    of_kind.max_by_key(|(_, content)| content.len()).expect("there is one").0
}

async fn states(home: &Home) -> Vec<Value> {
    let rows = home.run(&["list", "--account", ALICE, "--json"]).await.objects();
    rows.iter().map(|row| row["state"].clone()).collect()
}

/// Nobody to ask.
async fn repair_alone(home: &Home) -> Ended {
    let mut command = home.malle(&["repair", "--account", ALICE, "--json"]);
    command.env_remove("MALLE_SERVER");
    end(command.spawn().expect("malle runs")).await
}

async fn repair(home: &Home) -> Ended {
    home.run(&["repair", "--account", ALICE, "--json"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_noted_and_fetched_again_as_soon_as_there_is_a_server() {
    let home = Home::new().await;
    home.back_up().await;
    fs::remove_file(largest(&home, "packs")).expect("ours");
    for _ in 0..2 {
        let alone = repair_alone(&home).await;
        assert_eq!((alone.code, &alone.objects()[0]["open"]), (9, &true.into()), "{alone:?}");
        assert_eq!(states(&home).await, ["damaged"]);
    }
    let all = home.run(&["repair"]).await;
    assert!(all.code == 9 && all.out.contains("the next `malle backup`"), "{all:?}");

    let repaired = repair(&home).await;
    assert_eq!(repaired.code, 3, "the older snapshot stays damaged: {repaired:?}");
    let mended = repaired.objects().remove(0);
    assert_eq!((&mended["state"], &mended["open"]), (&"good".into(), &false.into()), "{mended}");
    assert_eq!(states(&home).await, ["damaged", "good"]);
    let newest = mended["snapshot"].to_string();
    home.run(&["verify", "--account", ALICE, "--snapshot", &newest, "--read-data"]).await.good();
    let again = repair(&home).await;
    let done = again.objects().remove(0);
    assert!(again.code == 3 && done["snapshot"].is_null(), "there is nothing to fetch any more: {done}");
    for args in [&["repair"][..], &["verify", "--account", ALICE], &["check"]] {
        let told = home.run(args).await;
        assert_eq!(told.code, if args[0] == "repair" { 3 } else { 9 }, "{told:?}");
        assert!(
            told.out.contains("the newest snapshot is whole") && !told.out.contains("malle repair"),
            "{told:?}"
        );
    }

    fs::remove_file(largest(&home, "packs")).expect("ours");
    assert_eq!(home.run(&["verify", "--account", ALICE]).await.code, 9);
    let made = home.run(&["backup", "--account", ALICE, "--json"]).await.good().objects().remove(0);
    assert!(made["healed"].as_u64() > Some(0), "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_not_any_more_is_named() {
    let home = Home::new().await;
    home.back_up().await;
    let victim = home.alice().emails().remove(3);
    home.alice().vanish_blob(&victim.blob_id);
    fs::remove_file(largest(&home, "packs")).expect("ours");
    let ended = repair(&home).await;
    let told = ended.objects().remove(0);
    assert_eq!((ended.code, &told["state"]), (3, &"partial".into()), "{ended:?}");
    let named: Vec<&Value> = told["failures"].as_array().expect("a list").iter().map(|f| &f["id"]).collect();
    assert_eq!(named, [victim.id.as_str()]);
    let newest = told["snapshot"].to_string();
    home.run(&["verify", "--account", ALICE, "--snapshot", &newest, "--read-data"]).await.good();
    assert_eq!(repair(&home).await.code, 3, "it is not whole as long as that email is lost");
    assert_eq!(home.run(&["backup", "--account", ALICE]).await.code, 3, "it stays partial");
    home.alice().unvanish_blob(&victim.blob_id);
    home.back_up().await;
    assert_eq!(states(&home).await.last(), Some(&"good".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_are_written_again_from_their_second_copy() {
    let home = Home::new().await;
    home.back_up().await;
    let good = files(&home.store());
    let is_double = |path: &Path| {
        let path = path.display().to_string();
        ["/keys/", "/log/00000000000000000001", "malle-store"].iter().any(|part| path.contains(part))
    };
    let doubled: Vec<_> = good.iter().filter(|(path, _)| is_double(path)).collect();
    assert_eq!(doubled.len(), 6);
    for (path, content) in doubled {
        for damage in [None, Some(&content[..content.len() / 2])] {
            match damage {
                None => fs::remove_file(path).expect("ours"),
                Some(cut) => fs::write(path, cut).expect("ours"),
            }
            home.run(&["show", "--account", ALICE]).await.good();
            let ended = home.run(&["repair"]).await.good();
            let said = format!("{}{}", ended.out, ended.err);
            assert!(said.contains("written again from its"), "{path:?}: {ended:?}");
            assert!(files(&home.store()) == good, "{path:?} is not as it was, or something else changed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_meets_damage_notes_it_and_what_is_whole_again_is_good_again() {
    let home = Home::new().await;
    home.sim.add_account(&AccountSpec::new(BOB, PASSWORD).alias(ALICE));
    home.back_up().await;
    let (to, email) = (home.path("exported"), home.alice().emails().remove(0).id);
    let target = to.display().to_string();
    for (kind, args) in [
        ("packs", &["verify", "--account", ALICE][..]),
        ("packs", &["check"]),
        ("segments", &["check", "--read-data"]),
        ("packs", &["export", "--account", ALICE, "--format", "mbox", "--to", &target]),
        ("packs", &["cat", "--account", ALICE, &email]),
        ("segments", &["find", "--account", ALICE, "from:bob"]),
        ("segments", &["restore", "--account", ALICE, "--to-account", BOB, "--user", BOB]),
        ("packs", &["restore", "--account", ALICE, "--to-account", BOB, "--user", BOB]),
    ] {
        let lost = largest(&home, kind);
        let content = fs::read(&lost).expect("readable");
        fs::remove_file(&lost).expect("ours");
        let ended = home.run(args).await;
        assert!(matches!(ended.code, 3 | 9), "{args:?}: {ended:?}");
        assert_eq!(states(&home).await, ["damaged"], "{args:?}");
        fs::write(&lost, &content).expect("ours");
        let whole = repair_alone(&home).await.good().objects().remove(0);
        assert_eq!(whole["sound"].as_array().expect("a list").len(), 1, "{whole}");
        assert_eq!(states(&home).await, ["good"], "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_snapshots_beside_a_damaged_entry_are_listed_shown_exported_and_given_back() {
    let home = Home::new().await;
    home.sim.add_account(&AccountSpec::new(BOB, PASSWORD).alias(ALICE));
    let mut numbers = Vec::new();
    for night in 0..3 {
        numbers.push(home.back_up().await["number"].as_u64().expect("a number"));
        home.alice().mutate(5, night, Kinds::Emails);
    }
    let entry = format!("{:020}", numbers[1]);
    let is_it = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy() == entry);
    let (path, content) = files(&home.store()).into_iter().find(|(path, _)| is_it(path)).expect("is there");
    for cut in [content.len() / 2, 0] {
        fs::write(&path, &content[..cut]).expect("ours");
        let list = home.run(&["list", "--account", ALICE, "--json"]).await;
        assert!(list.code == 9 && list.err.contains(&format!("log entry {}", numbers[1])), "{list:?}");
        let listed: Vec<_> = list.objects().iter().filter_map(|row| row["number"].as_u64()).collect();
        assert_eq!(listed, [numbers[0], numbers[2]]);
        let mailboxes = home.run(&["list", "--json"]).await;
        assert_eq!((mailboxes.code, mailboxes.objects().len()), (9, 1), "{mailboxes:?}");
        for (at, number) in [(0, numbers[0]), (2, numbers[2])] {
            let number = number.to_string();
            home.run(&["show", "--account", ALICE, "--snapshot", &number]).await.good();
            let to = home.path(&format!("exported-{cut}-{at}")).display().to_string();
            let export = ["export", "--account", ALICE, "--format", "mbox", "--to", &to];
            home.run(&[&export[..], &["--snapshot", &number]].concat()).await.good();
            let restore =
                ["restore", "--account", ALICE, "--to-account", BOB, "--user", BOB, "--only", "contacts"];
            home.run(&[&restore[..], &["--snapshot", &number]].concat()).await.good();
        }
        let lost = numbers[1].to_string();
        home.run(&["show", "--account", ALICE, "--snapshot", &lost]).await.refused(9, &["malle list"]);
    }
}

/// Whose mailbox it is stands in each snapshot as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_without_its_first_entry_is_listed_backed_up_and_given_back() {
    let home = Home::new().await;
    home.sim.add_account(&AccountSpec::new(BOB, PASSWORD).alias(ALICE));
    let number = home.back_up().await["number"].to_string();
    let is_first = |path: &Path| path.to_string_lossy().ends_with("/log/00000000000000000001");
    let first: Vec<PathBuf> =
        files(&home.store()).into_iter().map(|(path, _)| path).filter(|path| is_first(path)).collect();
    assert_eq!(first.len(), 2);
    for is_gone in [false, true] {
        for path in &first {
            if is_gone {
                fs::remove_file(path).expect("ours")
            } else {
                fs::write(path, b"rubbish").expect("ours")
            }
        }
        let list = home.run(&["list", "--account", ALICE, "--json"]).await;
        assert!(list.code == 9 && list.err.contains("log entry 1") && !list.objects().is_empty(), "{list:?}");
        home.run(&["show", "--account", ALICE, "--snapshot", &number]).await.good();
        let restore =
            ["restore", "--account", ALICE, "--to-account", BOB, "--user", BOB, "--mode", "missing"];
        home.run(&restore).await.good();
        home.back_up().await;
        for command in ["verify", "repair"] {
            let told = home.run(&[command, "--account", ALICE]).await;
            assert_eq!(told.code, if command == "verify" { 9 } else { 3 }, "{told:?}");
            assert!(
                told.out.contains("log entry 1 and its copy") && !told.out.contains("malle repair"),
                "{told:?}"
            );
        }
    }
}

/// What cannot be mended is not sent round in circles.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_whose_key_is_lost_is_said_to_be_beyond_repair() {
    let home = Home::new().await;
    home.back_up().await;
    let keys =
        || files(&home.store()).into_iter().filter(|(path, _)| path.to_string_lossy().contains("/keys/"));
    for is_gone in [false, true] {
        for (path, _) in keys() {
            if is_gone {
                fs::remove_file(path).expect("ours")
            } else {
                fs::write(path, b"rubbish").expect("ours")
            }
        }
        for which in [&["--account", ALICE][..], &[]] {
            let told = home.run(&[&["repair"][..], which].concat()).await;
            assert!(matches!(told.code, 9 | 17), "{told:?}");
            let said = format!("{}{}", told.out, told.err);
            assert!(said.contains("from a mirror") && !said.contains("`malle repair`"), "{told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_refers_to_is_counted_with_its_bytes() {
    let home = Home::new().await;
    let dir = home.back_up().await["mailbox"].as_str().expect("text").to_owned();
    let packs = home.store().join("mailboxes").join(dir).join("packs");
    fs::write(packs.join("00112233445566778899aabbccddeeff"), [7; 1234]).expect("writable");
    fs::write(packs.join("ffeeddccbbaa99887766554433221100#3"), [7; 500]).expect("writable");
    fs::write(home.store().join("malle-store#1"), [7; 60]).expect("writable");
    for args in [&["check", "--json"][..], &["verify", "--account", ALICE, "--json"]] {
        let checked = home.run(args).await.good().objects().remove(0);
        assert_eq!((&checked["unreferenced"], &checked["unreferenced_bytes"]), (&1.into(), &1234.into()));
        assert_eq!((&checked["temporaries"], &checked["temporary_bytes"]), (&1.into(), &500.into()));
    }
    let said = home.run(&["check"]).await.good().out;
    assert!(said.contains("1 object (1.23 kB)") && said.contains("1 temporary file (500 B)"), "{said}");
    assert!(said.contains("2 temporary files (560 B) in the whole store"), "{said}");
}

/// Packs and segments without key and log are the rest of a mailbox, not the beginning of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_of_which_only_packs_are_left_is_named() {
    let home = Home::new().await;
    let dir = home.back_up().await["mailbox"].as_str().expect("text").to_owned();
    for lost in ["keys", "copies", "log"] {
        fs::remove_dir_all(home.store().join("mailboxes").join(&dir).join(lost)).expect("ours");
    }
    for state in ["state", "another-machine"] {
        for args in [&["check"][..], &["list"], &["repair"]] {
            let mut command = home.malle(args);
            command.env("MALLE_STATE_DIR", home.path(state));
            let ended = end(command.spawn().expect("malle runs")).await;
            let said = format!("{}{}", ended.out, ended.err);
            assert!(ended.code == 9 && said.contains(&dir), "{args:?}: {ended:?}");
        }
    }
}
