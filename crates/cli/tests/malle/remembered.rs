//! What a machine remembers of a mailbox's log, and stores that are not a continuation of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sim_stalwart::{AccountSpec, Kinds};

use crate::home::{ALICE, Ended, Home, PASSWORD, end, files};

const BOB: &str = "bob@example.org";

/// The store as it is now, put aside.
fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.expect("cp runs").success());
}

fn put_back(home: &Home, copied: &Path) {
    fs::remove_dir_all(home.store()).expect("ours");
    copy(copied, &home.store());
}

/// As another machine that has the same key and never saw the store.
async fn elsewhere(home: &Home, args: &[&str]) -> Ended {
    let mut command = home.malle(args);
    command.env("MALLE_STATE_DIR", home.path("another-machine"));
    end(command.spawn().expect("malle runs")).await
}

fn state_file(home: &Home) -> PathBuf {
    let mut all = files(&home.state()).into_iter().map(|(path, _)| path);
    all.find(|path| !path.ends_with("servers.json") && !path.ends_with("places.json"))
        .expect("something is remembered")
}

/// Two backups; the store is then put back to what it was after the first.
async fn rolled_back() -> Home {
    let home = Home::new().await;
    home.sim.add_account(&AccountSpec::new(BOB, PASSWORD).alias(ALICE));
    home.back_up().await;
    let old = home.path("old");
    copy(&home.store(), &old);
    home.alice().mutate(10, 1, Kinds::Emails);
    home.back_up().await;
    put_back(&home, &old);
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_notices_a_store_that_was_rolled_back() {
    let home = rolled_back().await;
    let before = files(&home.store());
    let to = home.path("exported").display().to_string();
    let email = home.alice().emails().remove(0).id;
    for args in [
        &["backup", "--account", ALICE][..],
        &["restore", "--account", ALICE, "--to-account", BOB, "--user", BOB],
        &["verify", "--account", ALICE],
        &["list", "--account", ALICE],
        &["show", "--account", ALICE],
        &["export", "--account", ALICE, "--format", "mbox", "--to", &to],
        &["find", "--account", ALICE, "from:bob"],
        &["diff", "--account", ALICE, "2", "2"],
        &["cat", "--account", ALICE, &email],
    ] {
        let ended = home.run(args).await;
        ended.refused(9, &["log entry 3", "log entry 2", "rolled back"]);
        assert!(ended.err.contains("--accept-history"), "{args:?}: {ended:?}");
    }
    let check = home.run(&["check"]).await;
    assert!(check.code == 9 && check.out.contains("rolled back"), "{check:?}");
    assert!(files(&home.store()) == before, "the store was changed");
    // Who never saw it has nothing to compare it with.
    elsewhere(&home, &["verify", "--account", ALICE]).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_was_accepted_goes_on() {
    for args in [
        &["backup", "--account", ALICE, "--accept-history"][..],
        &["restore", "--account", ALICE, "--dry-run", "--accept-history"],
        &["verify", "--account", ALICE, "--accept-history"],
        &["check", "--accept-history"],
    ] {
        let home = rolled_back().await;
        home.run(args).await.good();
        home.run(&["verify", "--account", ALICE, "--read-data"]).await.good();
        assert_eq!(home.back_up().await["emails"], home.alice().email_count(), "{args:?}");
        home.run(&["check", "--read-data"]).await.good();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_is_as_long_is_noticed() {
    let home = Home::new().await;
    home.back_up().await;
    let old = home.path("old");
    copy(&home.store(), &old);
    home.back_up().await;
    put_back(&home, &old);
    elsewhere(&home, &["backup", "--account", ALICE]).await.good();
    home.run(&["verify", "--account", ALICE]).await.refused(9, &["stands there instead"]);
    home.run(&["verify", "--account", ALICE, "--accept-history"]).await.good();
    home.back_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_vanished_is_not_begun_again() {
    let home = Home::new().await;
    home.back_up().await;
    fs::remove_dir_all(home.store().join("mailboxes")).expect("ours");
    let backup = ["backup", "--account", ALICE, "--json"];
    home.run(&backup).await.refused(9, &["its log is empty"]);
    let accepted = home.run(&[&backup[..], &["--accept-history"]].concat()).await.good();
    assert_eq!(accepted.objects()[0]["first"], true);
    home.back_up().await;
}

/// Commands that look at the whole store miss it, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_of_which_nothing_is_left_is_missed_by_every_command_until_that_is_accepted() {
    let home = Home::new().await;
    home.back_up().await;
    fs::remove_dir_all(home.store().join("mailboxes")).expect("ours");
    for args in [
        &["list"][..],
        &["list", "--account", ALICE],
        &["check"],
        &["repair"],
        &["verify", "--account", ALICE],
        &["find", "--account", ALICE, "from:bob"],
        &["backup", "--account", ALICE],
    ] {
        let ended = home.run(args).await;
        let said = format!("{}{}", ended.out, ended.err);
        assert!(ended.code == 9 && said.contains("was remembered"), "{args:?}: {ended:?}");
    }
    assert_eq!(elsewhere(&home, &["list"]).await.code, 0, "nobody else knows of it");
    let empty = home.run(&["check", "--accept-history"]).await;
    assert!(empty.code == 6 && empty.out.contains("nothing is backed up yet"), "{empty:?}");
    home.run(&["list"]).await.good();
    home.back_up().await;
}

/// A disk that is not mounted is no place for a new store.
#[tokio::test(flavor = "multi_thread")]
async fn where_a_store_was_and_is_gone_another_one_is_made_only_when_that_is_said() {
    let home = Home::new().await;
    home.back_up().await;
    home.run(&["init"]).await.good();
    fs::remove_dir_all(home.store()).expect("ours");
    for _ in 0..2 {
        home.run(&["init"]).await.refused(9, &["this machine has used one there", "--again"]);
    }
    assert_eq!(elsewhere(&home, &["init"]).await.code, 0, "nobody else knows of it");
    fs::remove_dir_all(home.store()).expect("ours");
    home.run(&["init", "--again"]).await.good();
    home.back_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_private_small_and_grows() {
    let home = Home::new().await;
    home.back_up().await;
    let file = state_file(&home);
    assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    let number = || {
        let text = fs::read(&file).expect("readable");
        serde_json::from_slice::<serde_json::Value>(&text).expect("JSON")["number"].as_u64()
    };
    let first = number();
    elsewhere(&home, &["backup", "--account", ALICE]).await.good();
    home.run(&["list"]).await.good();
    assert!(number() > first, "a command that only looks remembers what it saw");
    assert_eq!(files(&home.state()).len(), 2, "that and the place, and no temporary file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_with_what_to_do_and_one_that_cannot_be_written_is_a_warning() {
    let home = Home::new().await;
    home.back_up().await;
    let file = state_file(&home);
    for text in ["", "{}", "{\"number\":0,\"digest\":\"00\"}", "no JSON"] {
        fs::write(&file, text).expect("writable");
        for args in [&["backup", "--account", ALICE][..], &["list"], &["verify", "--account", ALICE]] {
            home.run(args).await.refused(2, &["remove this file", &file.display().to_string()]);
        }
    }
    fs::remove_file(&file).expect("ours");
    home.back_up().await;

    for (more, said) in [(&[][..], true), (&["--quiet"][..], false)] {
        let mut command = home.malle(&["backup", "--account", ALICE]);
        command.args(more).env("MALLE_STATE_DIR", "/dev/null/nowhere");
        let ended = end(command.spawn().expect("malle runs")).await.good();
        assert_eq!(ended.err.contains("cannot be remembered"), said, "{ended:?}");
    }
    let mut homeless = home.malle(&["list"]);
    homeless.env_remove("MALLE_STATE_DIR");
    let ended = end(homeless.spawn().expect("malle runs")).await.good();
    assert!(ended.err.contains("MALLE_STATE_DIR"), "{ended:?}");
}
