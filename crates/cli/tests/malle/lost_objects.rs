//! What the store has lost is told by the first command that could tell, before anybody notes it: nothing is called good that cannot
//! come back.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sim_stalwart::{AccountSpec, Simulator};

use crate::home::{ALICE, Home, PASSWORD, files};

const BOB: &str = "bob@example.org";

/// A mailbox with files, of which one backup exists.
async fn backed_up() -> Home {
    let alice = AccountSpec::new(ALICE, PASSWORD).emails(60).objects(4, 4, 6).scripts(2);
    let home = Home::with(Simulator::builder().seed(3).account(alice)).await;
    home.back_up().await;
    home
}

fn objects(home: &Home, kind: &str) -> Vec<PathBuf> {
    let is_of = |path: &Path| path.parent().is_some_and(|dir| dir.ends_with(kind));
    files(&home.store()).into_iter().map(|(path, _)| path).filter(|path| is_of(path)).collect()
}

/// Ways to lose what snapshots need.
const LOSSES: [(&str, &str); 4] =
    [("packs", "all"), ("packs", "one"), ("packs", "half of each"), ("segments", "all")];

fn lose(home: &Home, (kind, how): (&str, &str)) {
    let mut objects = objects(home, kind);
    assert!(!objects.is_empty());
    if how == "one" {
        objects.sort_by_key(|path| fs::metadata(path).expect("is there").len());
        objects.drain(..objects.len() - 1);
    }
    for path in objects {
        match how {
            "half of each" => {
                let bytes = fs::read(&path).expect("readable");
                fs::write(&path, &bytes[..bytes.len() / 2]).expect("ours");
            }
            _ => fs::remove_file(&path).expect("ours"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_backup_notices_it_and_fetches_it_again() {
    for loss in LOSSES {
        let home = backed_up().await;
        lose(&home, loss);
        let ended = home.run(&["backup", "--account", ALICE]).await;
        assert_eq!(ended.code, 0, "{loss:?}: {ended:?}");
        assert!(
            ended.out.contains("older snapshots may need what the store has lost"),
            "{loss:?}: {ended:?}"
        );
        let newest = home.run(&["list", "--account", ALICE, "--json"]).await.objects().pop().expect("two");
        assert_eq!(newest["state"], "good", "{loss:?}");
        let newest = newest["number"].to_string();
        home.run(&["verify", "--account", ALICE, "--snapshot", &newest, "--read-data"]).await.good();
        // Said once: nothing more is lost.
        assert_eq!(home.back_up().await["found_damage"], false, "{loss:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn show_dry_runs_and_exports_tell_what_will_not_come_back() {
    for loss in LOSSES {
        let home = backed_up().await;
        let whole = home.run(&["show", "--account", ALICE, "--json"]).await.good().objects().remove(0);
        assert_eq!((&whole["damaged_emails"], &whole["damaged_objects"]), (&0.into(), &0.into()), "{whole}");
        for mode in ["missing", "exact"] {
            home.run(&["restore", "--account", ALICE, "--mode", mode, "--dry-run"]).await.good();
        }
        lose(&home, loss);
        for mode in ["missing", "exact", "beside"] {
            let dry = home.run(&["restore", "--account", ALICE, "--mode", mode, "--dry-run"]).await;
            // Without its rows nobody knows what the snapshot holds.
            let code = if loss.0 == "segments" { 9 } else { 3 };
            assert_eq!(dry.code, code, "{loss:?} {mode}: {dry:?}");
            assert!(dry.code == 9 || dry.err.contains("will not come back"), "{loss:?} {mode}: {dry:?}");
        }
        let shown = home.run(&["show", "--account", ALICE, "--json"]).await.good().objects().remove(0);
        assert_eq!(shown["state"], "damaged", "{loss:?}: {shown}");
        let lost = |member: &str| shown[member].as_u64().expect("a number");
        assert!(lost("damaged_emails") + lost("damaged_objects") > 0, "{loss:?}: {shown}");
        if loss.1 == "all" {
            assert_eq!(shown["damaged_emails"], whole["emails"], "{loss:?}");
        }
        assert!(home.run(&["show", "--account", ALICE]).await.good().out.contains("DAMAGED"), "{loss:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_counts_what_it_holds_and_says_that_its_snapshot_is_damaged() {
    for format in ["maildir", "mbox", "vandelay", "account-directory"] {
        let home = backed_up().await;
        let args = ["export", "--account", ALICE, "--format", format, "--json", "--to"];
        let export = async |to: &str| {
            let ended = home.run(&[&args[..], &[to]].concat()).await;
            let report = fs::read_to_string(home.path(to).join("REPORT.txt")).expect("it is there");
            (ended.code, ended.objects().remove(0), report)
        };
        let (code, whole, report) = export(&format!("{format}-whole")).await;
        assert!(code == 0 && report.contains("(good)"), "{report}");
        lose(&home, ("packs", "all"));
        let (code, lost, report) = export(&format!("{format}-lost")).await;
        assert!(code == 3 && report.contains("(damaged)"), "{report}");
        let number = |of: &Value, member: &str| of[member].as_u64().expect("a number");
        assert_eq!(number(&lost, "emails"), 0, "{lost}");
        // Emails are all lost, and of the other objects those with content: each is counted once.
        let objects = number(&whole, "objects") - number(&lost, "objects");
        assert_eq!(number(&lost, "lost"), number(&whole, "emails") + objects, "{format}: {lost}");
        assert!(objects > 0 && lost["state"] == "damaged", "{format}: {lost}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_well_where_nothing_is_backed_up() {
    let [alice, bob] = [ALICE, BOB].map(|name| AccountSpec::new(name, PASSWORD).emails(3));
    let home = Home::with(Simulator::builder().account(alice).account(bob)).await;
    let empty = home.run(&["check"]).await;
    assert!(empty.code == 6 && empty.out.contains("nothing is backed up yet"), "{empty:?}");
    // Alice signs in, and may not read it.
    let mut command = home.malle(&["backup", "--account-id", &home.sim.account(BOB).expect("is there").id()]);
    command.env("MALLE_USER", ALICE);
    let refused = crate::home::end(command.spawn().expect("malle runs")).await;
    assert!([4, 6].contains(&refused.code) && refused.out.is_empty(), "{refused:?}");
    assert!(objects(&home, "keys").is_empty(), "nothing was begun for it");
    assert_eq!(home.run(&["check"]).await.code, 6);
    home.back_up().await;
    assert_eq!(home.run(&["check"]).await.code, 0);
}

/// On Stalwart 0.16 the UID of an event is unique in an account, whatever calendar it lies in.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_no_loss_of_a_restore_beside() {
    let alice = AccountSpec::new(ALICE, PASSWORD).objects(4, 4, 6).scripts(2);
    let home = Home::with(Simulator::builder().account(alice)).await;
    home.back_up().await;
    let ended = home.run(&["restore", "--account", ALICE]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("CalendarEvent: 0 of 4 restored, 4 there already"), "{ended:?}");
}

/// Rows that are lost name no email that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_was_wiped_is_shrunk_whatever_the_store_has_lost() {
    for (loss, left) in LOSSES.into_iter().flat_map(|loss| [(loss, 0), (loss, 4)]) {
        let home = backed_up().await;
        let emails = home.alice().emails();
        assert!(emails[left..].iter().all(|email| home.alice().destroy(&email.id)));
        lose(&home, loss);
        let ended = home.run(&["backup", "--account", ALICE, "--json"]).await;
        let made = ended.objects().remove(0);
        assert_eq!((ended.code, &made["state"]), (3, &"shrunk".into()), "{loss:?} {left}: {made}");
        let gone = made["removed_emails"].as_u64().expect("a number");
        assert_eq!(gone, (emails.len() - left) as u64, "{loss:?} {left}: {made}");
    }
}
