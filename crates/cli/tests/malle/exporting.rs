//! A snapshot as files that others read: everything in it, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use model::DataType;
use sim_stalwart::Simulator;

use crate::exported::Contents;
use crate::home::{ALICE, Home, alice, files};
use crate::store::Tmpfs;

const FORMATS: [&str; 4] = ["account-directory", "vandelay", "maildir", "mbox"];
const PLACES: [&str; 3] = ["alice", "alice.tar.zst", "alice.zip"];

/// Folders called what no file may be called, emails that break naive writers.
async fn hostile_home() -> Home {
    let home = Home::with(Simulator::builder().seed(3).account(alice())).await;
    let alice = home.alice();
    let mut above: Option<String> = None;
    for name in ["../../etc", "..", "a/b\\c", "CON", "\u{202e}kcatta\u{1b}[2J", "x.mbox", "INBOX"] {
        above = Some(alice.create_folder(name, above.as_deref()));
        alice.deliver(
            format!("Subject: in {name:?}\n\nFrom here\r\n"),
            &[above.as_deref().expect("made")],
            &[],
        );
    }
    let both = [above.expect("made"), alice.create_folder("twin", None), alice.create_folder("Twin", None)];
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    alice.deliver("From nobody\0\n\n>From\n\r\rno end", &both, &["$seen", "$flagged", "mine", "$forwarded"]);
    alice.deliver("", &both[1..], &[]);
    alice.deliver_large(3_000_000);
    home.back_up().await;
    home
}

fn entries(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).expect("listable").map(|entry| entry.expect("an entry").file_name());
    entries.map(|name| name.into_string().expect("UTF-8")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_in_every_place_holds_what_the_server_held() {
    let home = hostile_home().await;
    let truth = Contents::of(&home.alice());
    let around = entries(home.dir.path().parent().expect("there is one above"));
    for format in FORMATS {
        for to in PLACES {
            let before = entries(home.dir.path());
            let (place, ended) = home.export(format, to, &["--json"]).await;
            let done = ended.good().objects().remove(0);
            let mode = fs::metadata(&place).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "others may read it");
            let (found, contents) = Contents::read(&place);
            assert_eq!(found.name(), format);
            contents.assert_same(&truth);
            let bytes: usize = truth.mails.values().map(|mail| mail.3.len()).sum();
            assert_eq!(
                (&done["emails"], &done["bytes"]),
                (&truth.mails.len().into(), &bytes.into()),
                "{done}"
            );
            let all = done["folders"].as_u64().zip(done["objects"].as_u64()).map(|(a, b)| a + b);
            assert_eq!(all, Some(truth.things.len() as u64), "{done}");
            if place.is_dir() {
                fs::remove_dir_all(&place).expect("removable");
            } else {
                fs::remove_file(&place).expect("removable");
            }
            assert_eq!(entries(home.dir.path()), before);
        }
    }
    let now = entries(home.dir.path().parent().expect("there is one above"));
    assert!(now.difference(&around).all(|name| !name.contains("etc")), "{now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_what_was_written_and_what_the_format_cannot_carry() {
    let home = hostile_home().await;
    let (place, ended) = home.export("maildir", "mail", &[]).await;
    let said = ended.good().out;
    for part in ["exported 50 emails", "as maildir", "mail/REPORT.txt", "Renamed"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(['\u{202e}', '\u{1b}']), "{said:?}");
    let report = fs::read_to_string(place.join("REPORT.txt")).expect("it is there");
    assert!(report.contains("50 emails") && report.contains("Renamed"), "{report}");
    let (_, ended) = home.export("mbox", "mail.zip", &["--quiet"]).await;
    assert!(ended.good().out.contains("REPORT.txt, in the archive"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_is_its_emails_and_their_folders_and_an_older_snapshot_is_as_it_was() {
    let home = Home::new().await;
    let alice = home.alice();
    let above = alice.create_folder("Plans", None);
    let inside = alice.create_folder("2026", Some(&above));
    let empty = alice.create_folder("Empty", Some(&above));
    let wanted = alice.deliver("Subject: budget\r\n\r\n1\r\n", &[&inside], &["$seen"]);
    let other = alice.deliver("Subject: party\r\n\r\n2\r\n", &[&inside], &[]);
    home.back_up().await;
    let truth = Contents::of(&alice);
    alice.destroy(&wanted);
    home.back_up().await;
    for format in FORMATS {
        let to = format!("{format}.zip");
        let select = ["--snapshot", "2", "--select", "in:plans/2026 -party"];
        let (place, ended) = home.export(format, &to, &select).await;
        let said = ended.good().out;
        assert!(said.contains("exported 1 email ") && said.contains("because of --select"), "{said}");
        let (_, contents) = Contents::read(&place);
        assert_eq!(contents.mails[&wanted], truth.mails[&wanted]);
        let ids: BTreeSet<&str> = contents.things.keys().map(|(_, id)| id.as_str()).collect();
        assert!(contents.things.keys().all(|(data_type, _)| *data_type == DataType::Mailbox));
        assert_eq!(ids, BTreeSet::from([above.as_str(), &inside]), "not {empty}");
        assert!(!contents.mails.contains_key(&other));
    }
    let (place, ended) = home.export("mbox", "none", &["--select", "from:nobody-at-all", "--json"]).await;
    assert_eq!(ended.good().objects()[0]["emails"], 0);
    assert!(Contents::read(&place).1.things.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_refused_and_untouched() {
    let home = Home::new().await;
    home.back_up().await;
    fs::create_dir(home.path("mine")).expect("writable");
    fs::create_dir(home.path("empty")).expect("writable");
    for name in ["mine/file", "mine.zip", "mine.tar.zst", "plain"] {
        fs::write(home.path(name), "mine").expect("writable");
    }
    std::os::unix::fs::symlink("nowhere", home.path("link")).expect("writable");
    let before = files(&home.path("mine"));
    for to in ["mine", "mine.zip", "mine.tar.zst", "plain", "link"] {
        let (_, ended) = home.export("mbox", to, &[]).await;
        ended.refused(2, &["it exists already", to]);
    }
    assert_eq!(files(&home.path("mine")), before);
    assert_eq!(fs::read(home.path("mine.zip")).expect("readable"), b"mine");
    assert!(
        entries(home.dir.path()).iter().all(|name| !name.contains("partial") && !name.starts_with("malle-"))
    );
    home.export("mbox", "empty", &[]).await.1.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_of_export_is_said_in_one_line() {
    let home = Home::new().await;
    home.back_up().await;
    for (to, more, code, says) in [
        ("nowhere/at/all", &[][..], 2, &["there is no directory", "make it first"][..]),
        ("mail.tar.gz", &[], 2, &[".gz", ".tar.zst or .zip"]),
        ("mail.MBOX", &[], 2, &[".mbox", "slash"]),
        ("mail", &["--select", "cc:bob"], 2, &["read the query"]),
        ("mail", &["--select", "folder:Nowhere"], 6, &["Nowhere", "Inbox"]),
        ("mail", &["--snapshot", "99"], 6, &["99"]),
        ("mail", &["--account", "bob@example.org"], 2, &["--account"]),
    ] {
        let (place, ended) = home.export("mbox", to, more).await;
        assert!(says.iter().all(|text| ended.err.contains(text)), "{says:?}: {ended:?}");
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(!place.exists());
    }
    assert_eq!(home.export("mbx", "mail", &[]).await.1.code, 2);
    let (place, ended) = home.export("mbox", "mail.mbox/", &[]).await;
    ended.good();
    assert!(place.join("REPORT.txt").exists());
    let help = home.run(&["export", "--help"]).await.good().out;
    for said in ["--select", "NOT encrypted", "Example:", "stalwart-cli import account", ".tar.zst or .zip"] {
        assert!(help.contains(said), "{said}: {help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_or_read_only_is_said_so_and_cleared() {
    let home = hostile_home().await;
    let Some(disk) = Tmpfs::mount(home.path("disk"), "size=2m") else { return };
    for format in FORMATS {
        for to in PLACES {
            let (_, ended) = home.export(format, &format!("disk/{to}"), &[]).await;
            ended.refused(15, &["make room", "nothing of this export is left"]);
            assert_eq!(entries(&home.path("disk")), BTreeSet::new(), "{format} {to}");
        }
    }
    disk.remount("ro");
    let (_, ended) = home.export("mbox", "disk/mail", &[]).await;
    ended.refused(15, &["may write there"]);
}

/// The packs that the store has now.
fn packs(home: &Home) -> BTreeSet<std::path::PathBuf> {
    let is_pack = |path: &Path| path.parent().is_some_and(|dir| dir.ends_with("packs"));
    files(&home.store()).into_iter().map(|(path, _)| path).filter(|path| is_pack(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_backup_has_lost_is_named_and_the_rest_is_written() {
    let home = Home::new().await;
    home.back_up().await;
    let lost_packs = packs(&home);
    let mut truth = Contents::of(&home.alice());
    let kept = home.alice().deliver("Subject: later\r\n\r\n.", &[], &[]);
    home.back_up().await;
    let whole_packs = packs(&home);
    let damaged = home.alice().deliver_large(6_000_000);
    home.back_up().await;
    // Their head and their end can be read.
    for pack in packs(&home).difference(&whole_packs) {
        let mut content = fs::read(pack).expect("readable");
        let middle = content.len() / 2;
        content[middle] ^= 1;
        fs::write(pack, content).expect("writable");
    }
    lost_packs.iter().for_each(|pack| fs::remove_file(pack).expect("removable"));
    let contents: usize = truth.things.values().filter(|(_, content)| content.is_some()).count();
    truth.things.values_mut().for_each(|(_, content)| *content = None);
    let lost = truth.mails.len() + 1 + contents;
    truth.mails = Contents::of(&home.alice()).mails;
    truth.mails.retain(|id, _| *id == kept);
    for format in FORMATS {
        let (place, ended) = home.export(format, &format!("{format}.tar.zst"), &["--json"]).await;
        assert_eq!(ended.code, 3, "{ended:?}");
        let done = &ended.objects()[0];
        assert_eq!((&done["emails"], &done["lost"]), (&1.into(), &lost.into()), "{done}");
        let losses = done["losses"].as_array().expect("a list");
        assert!(losses.len() == lost && losses.iter().any(|loss| loss["id"] == damaged.as_str()), "{done}");
        let reasons = losses.iter().map(|loss| loss["reason"].as_str().expect("a text"));
        assert!(reasons.clone().all(|reason| reason.contains("packs/")), "{done}");
        Contents::read(&place).1.assert_same(&truth);
    }
    let (place, ended) = home.export("maildir", "mail", &[]).await;
    assert_eq!(ended.code, 3);
    assert!(ended.out.contains("  lost: Email ") && ended.out.contains("the backup has lost"), "{ended:?}");
    let report = fs::read_to_string(place.join("REPORT.txt")).expect("it is there");
    assert!(report.contains("Lost: damaged or missing in the backup"), "{report}");
}

/// The store keeps the server's name alone: its host, unless somebody says otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_vandelay_archive_names_the_server_that_it_can_be_continued_from() {
    let home = Home::new().await;
    home.back_up().await;
    let host = home.sim.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    for (to, more, url) in [
        ("default", &[][..], format!("https://{host}")),
        (
            "given",
            &["--source-url", "http://mail.example.org:8080"],
            "http://mail.example.org:8080".to_owned(),
        ),
    ] {
        let (place, ended) = home.export("vandelay", to, more).await;
        ended.good();
        let bytes = fs::read(place.join("archive.sqlite")).expect("it is there");
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has(&url) && has("sync_state_jmap"), "{url}");
    }
    let (_, ended) = home.export("mbox", "mail", &["--source-url", "https://mail.example.org"]).await;
    assert!(ended.code == 2 && ended.err.contains("--source-url is about vandelay"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_snapshot_is_exported_and_called_so() {
    let home = Home::new().await;
    let email = home.alice().emails().remove(7);
    home.alice().vanish_blob(&email.blob_id);
    assert_eq!(home.run(&["backup", "--account", ALICE]).await.code, 3);
    let (place, ended) = home.export("maildir", "mail.zip", &[]).await;
    assert!(ended.code == 3 && ended.err.contains("is partial"), "{ended:?}");
    assert_eq!(Contents::read(&place).1.mails.len(), 39);
    let (place, _) = home.export("maildir", "mail", &["--select", "before:2030"]).await;
    let report = fs::read_to_string(place.join("REPORT.txt")).expect("it is there");
    for part in
        [ALICE, "(partial)", "selects: before:2030", "the mail server did not give it: 1", email.id.as_str()]
    {
        assert!(report.contains(part), "{part:?} in {report}");
    }
}
