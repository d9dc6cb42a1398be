//! An export that is told to stop.

use std::fs;
use std::time::Duration;

use sim_stalwart::Sizes;

use crate::home::{ALICE, Home, end};
use crate::memory::home_of;

/// Names in the directory that exports go to.
fn names(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.path("out")).expect("listable").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

async fn stopped_by(home: &Home, signal: &str, code: i32, format: &str, to: &str) {
    let to = home.path("out").join(to).display().to_string();
    let args = ["export", "--account", ALICE, "--format", format, "--to", &to];
    let child = home.malle(&args).spawn().expect("runs");
    let id = child.id().expect("runs still").to_string();
    while !names(home).iter().any(|name| name.contains(".partial-")) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let sent = std::process::Command::new("kill").args([signal, &id]).status();
    assert!(sent.expect("kill runs").success());
    let ended = end(child).await;
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(ended.err.contains("nothing of this export is left"), "{ended:?}");
    assert!(names(home).is_empty(), "{format} {to}: {:?}", names(home));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_leaves_nothing_of_an_export() {
    let home = home_of(30_000, Sizes::tiny()).await;
    home.back_up().await;
    fs::create_dir(home.path("out")).expect("writable");
    for (format, to) in
        [("maildir", "mail"), ("vandelay", "mail"), ("mbox", "mail.zip"), ("maildir", "m.tar.zst")]
    {
        stopped_by(&home, "-INT", 130, format, to).await;
    }
    stopped_by(&home, "-TERM", 143, "account-directory", "mail").await;
}
