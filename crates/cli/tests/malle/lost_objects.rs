//! What the store has lost is told by the first command that could tell, before anybody notes it: nothing is called good that cannot
//! come back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sim_stalwart::{AccountSpec, DataType, Kinds, Simulator, Version};

use crate::exported::Contents;
use crate::home::{ALICE, Home, PASSWORD, files};

const BOB: &str = "bob@example.org";

/// A mailbox with files, of which one backup exists.
async fn backed_up() -> Home {
    let alice = AccountSpec::new(ALICE, PASSWORD).emails(60).objects(4, 4, 6).scripts(2);
    let home = Home::with(Simulator::builder().seed(3).account(alice)).await;
    home.back_up().await;
    home
}

/// The same, and another backup, so that there are several objects of a kind.
async fn backed_up_twice() -> Home {
    let home = backed_up().await;
    home.alice().mutate(8, 1, Kinds::All);
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

/// Ways to change what snapshots need so that its length alone tells.
const CHANGES: [(&str, &str); 5] = [
    ("packs", "swapped"),
    ("packs", "a byte longer"),
    ("packs", "a byte shorter"),
    ("segments", "a byte longer"),
    ("segments", "a byte shorter"),
];

fn lose(home: &Home, (kind, how): (&str, &str)) {
    let mut objects = objects(home, kind);
    assert!(!objects.is_empty());
    if how == "one" {
        objects.sort_by_key(|path| fs::metadata(path).expect("is there").len());
        objects.drain(..objects.len() - 1);
    }
    if how == "swapped" {
        assert!(objects.len() > 1);
        let first = fs::read(&objects[0]).expect("readable");
        fs::copy(&objects[1], &objects[0]).expect("ours");
        return fs::write(&objects[1], first).expect("ours");
    }
    for path in objects {
        match how {
            "a byte longer" => {
                fs::write(&path, [fs::read(&path).expect("readable"), vec![0]].concat()).expect("ours")
            }
            "a byte shorter" => {
                let bytes = fs::read(&path).expect("readable");
                fs::write(&path, &bytes[..bytes.len() - 1]).expect("ours");
            }
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
    for loss in LOSSES.into_iter().chain(CHANGES) {
        let home = backed_up_twice().await;
        lose(&home, loss);
        let ended = home.run(&["backup", "--account", ALICE]).await;
        assert_eq!(ended.code, 0, "{loss:?}: {ended:?}");
        assert!(
            ended.out.contains("older snapshots may need what the store has lost"),
            "{loss:?}: {ended:?}"
        );
        let newest =
            home.run(&["list", "--account", ALICE, "--json"]).await.objects().pop().expect("several");
        assert_eq!(newest["state"], "good", "{loss:?}");
        let newest = newest["number"].to_string();
        home.run(&["verify", "--account", ALICE, "--snapshot", &newest, "--read-data"]).await.good();
        // Said once: nothing more is lost.
        assert_eq!(home.back_up().await["found_damage"], false, "{loss:?}");
    }
}

/// Each segment intact, with a bit flipped (which only reading its rows shows), or missing, in all combinations.
#[tokio::test(flavor = "multi_thread")]
async fn one_backup_gets_over_several_damaged_segments() {
    let alice = AccountSpec::new(ALICE, PASSWORD).emails(150).objects(4, 4, 6).scripts(2);
    let home = Home::with(Simulator::builder().seed(3).account(alice)).await;
    home.back_up().await;
    for seed in 0..2 {
        home.alice().mutate(8, seed, Kinds::All);
        home.back_up().await;
    }
    let whole = files(&home.store());
    let segments = objects(&home, "segments");
    assert!(segments.len() >= 3, "{segments:?}");
    for damages in 1..3_usize.pow(3) {
        put_back(&home, &whole);
        for (path, i) in segments.iter().take(3).zip(0..) {
            match damages / 3_usize.pow(i) % 3 {
                1 => {
                    let mut bytes = fs::read(path).expect("readable");
                    bytes[40] ^= 1;
                    fs::write(path, bytes).expect("ours");
                }
                2 => fs::remove_file(path).expect("ours"),
                _ => {}
            }
        }
        home.alice().mutate(2, damages as u64, Kinds::All);
        let made = home.back_up().await;
        assert_eq!(made["state"], "good", "{damages}: {made}");
        let newest = made["number"].to_string();
        home.run(&["verify", "--account", ALICE, "--snapshot", &newest, "--read-data"]).await.good();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_notices_it_without_reading_data() {
    for loss in LOSSES.into_iter().chain(CHANGES) {
        for command in [&["check"][..], &["verify", "--account", ALICE]] {
            let home = backed_up_twice().await;
            lose(&home, loss);
            assert_eq!(home.run(command).await.code, 9, "{loss:?} {command:?}");
        }
    }
}

/// Each part of the index missing, or with a bit flipped: what the other parts name comes back, and the result is called incomplete.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_rest_of_an_index_names_comes_back() {
    let mut came_back = BTreeSet::new();
    for damage in ["missing", "a bit flipped"] {
        let alice = AccountSpec::new(ALICE, PASSWORD).emails(100);
        let home = Home::with(Simulator::builder().version(Version::V0_15).seed(3).account(alice)).await;
        home.back_up().await;
        for night in 0..2 {
            for mail in 0..5 {
                let raw =
                    format!("Message-ID: <{night}.{mail}@example.org>\r\nSubject: {mail}\r\n\r\nlate\r\n");
                home.alice().deliver(raw, &[], &["$seen"]);
            }
            home.back_up().await;
        }
        let all = Contents::of(&home.alice()).mails;
        let whole = files(&home.store());
        let segments = objects(&home, "segments");
        assert!(segments.len() >= 3, "{segments:?}");
        for (at, path) in segments.iter().enumerate() {
            for (path, bytes) in &whole {
                fs::write(path, bytes).expect("ours");
            }
            let mut bytes = fs::read(path).expect("readable");
            bytes[40] ^= 1;
            match damage {
                "missing" => fs::remove_file(path).expect("ours"),
                _ => fs::write(path, bytes).expect("ours"),
            }
            let what = format!("{damage} {at}");
            let to = home.path(&what);
            let export = [
                "export",
                "--account",
                ALICE,
                "--format",
                "account-directory",
                "--to",
                to.to_str().expect("text"),
            ];
            let ended = home.run(&export).await;
            assert!(ended.code == 3 && ended.err.contains("index of snapshot"), "{what}: {ended:?}");
            assert!(fs::read_to_string(to.join("REPORT.txt")).expect("is there").contains("index"), "{what}");
            let exported = Contents::read(&to).1.mails;
            for (id, mail) in &exported {
                assert!(all[id].3 == mail.3, "{what}: {id}");
            }
            let shown = home.run(&["show", "--account", ALICE, "--json"]).await.good().objects().remove(0);
            assert_eq!(shown["damaged_emails"], all.len() - exported.len(), "{what}: {shown}");
            assert_eq!(shown["state"], "damaged", "{what}");

            let bob = format!("bob{at}@example.org");
            home.sim.add_account(&AccountSpec::new(&bob, PASSWORD).alias(ALICE).bare());
            let restore =
                ["restore", "--account", ALICE, "--to-account", &bob, "--user", &bob, "--json", "--mode"];
            let restored = home.run(&[&restore[..], &["missing"]].concat()).await;
            let report = restored.objects().remove(0);
            assert_eq!((restored.code, &report["lacks_rows"]), (3, &true.into()), "{what}: {restored:?}");
            assert_eq!(report["restored"], exported.len(), "{what}: {report}");
            let exact = home.run(&[&restore[..], &["exact", "--yes"]].concat()).await;
            assert!(exact.code == 9 && exact.err.contains("would be removed"), "{what}: {exact:?}");
            if damage == "missing" {
                came_back.insert(exported.len());
            } else {
                // The blocks of other tables are whole.
                let types = |json: &Value| json["objects"].as_array().map_or(0, Vec::len);
                assert!(types(&report) > 0, "{what}: {report}");
            }
        }
    }
    assert_eq!(came_back, [10, 105].into());
}

/// What later rows took away stands in earlier ones: it is no proof that nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_without_a_part_of_its_index_is_never_called_good() {
    let home = backed_up().await;
    for seed in 0..3 {
        home.alice().mutate(30, seed, Kinds::All);
        home.back_up().await;
    }
    let whole = files(&home.store());
    let mut damaged = 0;
    for segment in objects(&home, "segments") {
        for number in ["2", "3", "4", "5"] {
            put_back(&home, &whole);
            fs::remove_file(&segment).expect("ours");
            let shown = home.run(&["show", "--account", ALICE, "--snapshot", number, "--json"]).await;
            let shown = shown.good().objects().remove(0);
            let verified = home.run(&["verify", "--account", ALICE, "--snapshot", number]).await;
            let is_damaged = verified.code == 9;
            assert_eq!(shown["state"] == "damaged", is_damaged, "{number}: {shown} {verified:?}");
            assert_eq!(shown["lacks_rows"], is_damaged, "{number}: {shown}");
            damaged += usize::from(is_damaged);
        }
    }
    assert!(damaged > 4, "{damaged}");
}

/// Makes the store what it was, and lets the machine forget what it saw since.
fn put_back(home: &Home, whole: &[(PathBuf, Vec<u8>)]) {
    let _ = fs::remove_dir_all(home.store());
    let _ = fs::remove_dir_all(home.state());
    for (path, bytes) in whole {
        fs::create_dir_all(path.parent().expect("has one")).expect("ours");
        fs::write(path, bytes).expect("ours");
    }
}

/// A part of the index is lost, and a pack that another part names is damaged.
#[tokio::test(flavor = "multi_thread")]
async fn packs_are_read_that_only_lost_rows_need() {
    let home = backed_up_twice().await;
    let (packs, segments) = (objects(&home, "packs"), objects(&home, "segments"));
    assert!(packs.len() >= 2 && segments.len() >= 2, "{packs:?} {segments:?}");
    let whole = files(&home.store());
    for (segment, pack) in segments.iter().flat_map(|segment| packs.iter().map(move |pack| (segment, pack))) {
        put_back(&home, &whole);
        fs::remove_file(segment).expect("ours");
        let mut bytes = fs::read(pack).expect("readable");
        bytes[100] ^= 1;
        fs::write(pack, bytes).expect("ours");
        let ended = home.run(&["repair", "--account", ALICE]).await;
        assert_eq!(ended.code, 3, "{ended:?}");
        let newest =
            home.run(&["list", "--account", ALICE, "--json"]).await.objects().pop().expect("several");
        assert_eq!(newest["state"], "good", "{ended:?}");
        let number = newest["number"].to_string();
        home.run(&["verify", "--account", ALICE, "--snapshot", &number, "--read-data"]).await.good();
    }
}

/// JSON that is a blob is read from its pack, where each damage shows only when it is met.
#[tokio::test(flavor = "multi_thread")]
async fn one_backup_gets_over_several_packs_with_a_bit_flipped() {
    let home = Home::with(Simulator::builder().account(AccountSpec::new(ALICE, PASSWORD).emails(3))).await;
    for card in 0..5 {
        let notes = format!("{card}").repeat(100_000);
        home.alice().insert(DataType::ContactCard, json!({ "name": { "full": "Bob" }, "notes": notes }));
        home.back_up().await;
    }
    for path in objects(&home, "packs") {
        let mut bytes = fs::read(&path).expect("readable");
        bytes[100] ^= 1;
        fs::write(&path, bytes).expect("ours");
    }
    home.alice().insert(DataType::ContactCard, json!({ "name": { "full": "Ann" } }));
    let made = home.back_up().await;
    assert_eq!((&made["state"], &made["found_damage"]), (&"good".into(), &true.into()), "{made}");
    let newest = made["number"].to_string();
    home.run(&["verify", "--account", ALICE, "--snapshot", &newest, "--read-data"]).await.good();
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
        let held = whole["emails"].as_u64().expect("a number") - lost("damaged_emails");
        assert_eq!(exported(&home).await, held, "{loss:?}");
        assert!(home.run(&["show", "--account", ALICE]).await.good().out.contains("DAMAGED"), "{loss:?}");
    }
}

/// A pack that is longer, or whose end is lost, may hold all of its emails.
#[tokio::test(flavor = "multi_thread")]
async fn show_counts_what_can_be_read_of_a_changed_pack() {
    for change in CHANGES.into_iter().filter(|(kind, _)| *kind == "packs") {
        let home = backed_up_twice().await;
        let whole = home.run(&["show", "--account", ALICE, "--json"]).await.good().objects().remove(0);
        lose(&home, change);
        assert_eq!(home.run(&["check"]).await.code, 9, "{change:?}");
        let shown = home.run(&["show", "--account", ALICE, "--json"]).await.good().objects().remove(0);
        let [all, lost] =
            [&whole["emails"], &shown["damaged_emails"]].map(|number| number.as_u64().expect("a number"));
        assert_eq!(lost > 0, change.1 == "swapped", "{change:?}: {shown}");
        assert_eq!(exported(&home).await, all - lost, "{change:?}");
    }
}

/// How many emails an export holds.
async fn exported(home: &Home) -> u64 {
    let to = tempfile::tempdir().expect("a temporary directory");
    let to = to.path().join("export");
    let to = to.to_str().expect("text");
    let ended = home.run(&["export", "--account", ALICE, "--format", "mbox", "--to", to, "--json"]).await;
    assert!([0, 3, 9].contains(&ended.code), "{ended:?}");
    ended.objects().first().map_or(0, |report| report["emails"].as_u64().expect("a number"))
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
