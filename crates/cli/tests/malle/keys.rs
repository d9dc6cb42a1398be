//! Key rings.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::home::{ALICE, Home, end};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_written_by_the_shell_is_private_and_opens_what_it_sealed() {
    let home = Home::new().await;
    let path = home.path("shell.key");
    let file = File::create(&path).expect("writable");
    file.set_permissions(Permissions::from_mode(0o644)).expect("ours");
    let status = home.malle(&["key", "new"]).stdout(file).status().await.expect("malle runs");
    assert!(status.success());
    assert_eq!(mode(&path), 0o600);
    let mut backup = home.malle(&["backup", "--account", ALICE]);
    backup.env("MALLE_KEY_FILE", &path);
    let ended = end(backup.spawn().expect("runs")).await.good();
    assert_eq!(ended.err, "", "no warning about a private ring");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_everyone_can_read_is_warned_about() {
    let home = Home::new().await;
    fs::set_permissions(home.ring(), Permissions::from_mode(0o644)).expect("ours");
    let ended = home.run(&["backup", "--account", ALICE]).await.good();
    assert!(ended.err.contains("chmod 600"), "{ended:?}");
    let quiet = home.run(&["backup", "--account", ALICE, "--quiet"]).await.good();
    assert_eq!(quiet.err, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ring_is_ever_overwritten_by_a_new_one() {
    let home = Home::new().await;
    let before = fs::read(home.ring()).expect("is there");
    let path = home.ring();
    let args = ["key", "new", "--output", path.to_str().expect("UTF-8")];
    home.run(&args).await.refused(8, &["File exists"]);
    assert_eq!(fs::read(home.ring()).expect("is there"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_neither_shown_nor_written_behind_something() {
    let home = Home::new().await;
    let before = fs::read(home.ring()).expect("is there");
    let appending = fs::OpenOptions::new().append(true).open(home.ring()).expect("ours");
    let ended = end(home.malle(&["key", "new"]).stdout(appending).spawn().expect("runs")).await;
    ended.refused(8, &["--output"]);
    assert_eq!(fs::read(home.ring()).expect("is there"), before);

    // `script` makes a terminal.
    let command = format!("{} key new", env!("CARGO_BIN_EXE_malle"));
    let output = std::process::Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(shown.contains("malle key new --output") && !shown.contains("master "), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rotating_and_rewrapping_retire_the_old_ring() {
    let home = Home::new().await;
    home.back_up().await;
    let old = home.path("old.key");
    fs::copy(home.ring(), &old).expect("copies");
    fs::set_permissions(home.ring(), Permissions::from_mode(0o640)).expect("ours");
    let before = home.run(&["key", "list", "--json"]).await.good().objects();
    let after = home.run(&["key", "rotate", "--json"]).await.good().objects();
    assert_eq!(after[0]["masters"][1], before[0]["current"]);
    assert_eq!(mode(&home.ring()), 0o640, "whoever could read the ring still can");
    let with_old = ["list", "--account", ALICE, "--key-file", old.to_str().expect("UTF-8")];
    home.run(&with_old).await.good();

    let kept = home.run(&["key", "rewrap", "--json"]).await.good().objects();
    assert_eq!(kept[0]["removed"], serde_json::json!([]));
    home.run(&with_old).await.good();
    let said = home.run(&["key", "rewrap"]).await.good().out;
    assert!(said.contains("--safe-copy-exists"), "{said}");
    let moved = home.run(&["key", "rewrap", "--safe-copy-exists", "--json"]).await.good().objects();
    assert_eq!(moved[0]["removed"][0], before[0]["current"]);
    let said = home.run(&["key", "rewrap", "--safe-copy-exists"]).await.good().out;
    assert!(!said.contains("--safe-copy-exists"), "there is nothing more to do: {said}");
    home.run(&with_old).await.refused(8, &["ring"]);
    home.run(&["verify", "--account", ALICE, "--read-data"]).await.good();
    home.back_up().await;
}
