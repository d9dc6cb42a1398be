//! What an export asks of the store.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ::export::{Email, Format, Limits, Object, Options, Receiver, Target};
use engine::{Export, Exported, Silent, Source, export};
use model::{BackupState, DataType};
use repository::{Snapshot, TypeStatus};
use serde_json::{Value, json};
use sim_stalwart::Kinds;
use testkit::recording::Recording;
use testkit::{CallKind, Decorated};

use crate::restore_objects::furnished;
use crate::{ALICE, Home, alice};

/// Dates of emails as they lie in the files of each folder.
#[derive(Default)]
struct Dates(BTreeMap<String, Vec<i64>>);

impl Receiver for Dates {
    fn object(&mut self, _: Object<'_>) -> ::export::Result<()> {
        Ok(())
    }

    fn email(&mut self, email: &Email<'_>, _: &mut dyn Read) -> ::export::Result<()> {
        let folder = email.folders[0].to_string();
        self.0.entry(folder).or_default().push(email.received_at);
        Ok(())
    }
}

fn source() -> Source {
    Source { url: "https://mail.example.org".to_owned(), account_id: "c".to_owned() }
}

async fn exported(snapshot: &Snapshot, format: Format, below: &Path) -> Exported {
    let how = Export {
        format,
        target: Target::Folder(below.join(format.name())),
        options: Options::default(),
        spool: below,
        selection: None,
        source: (format == Format::Vandelay).then(source),
        about: Vec::new(),
        progress: &Silent,
    };
    export(snapshot, how).await.expect("exports")
}

/// An export reads packs front to back, whatever order its format wants: what has to be sorted is sorted in the spool.
#[tokio::test(flavor = "multi_thread")]
async fn an_mbox_is_sorted_by_date_and_reads_no_more_of_the_store_than_a_maildir() {
    let home = Home::of(alice(1_500)).await;
    home.backup().await;
    for night in 0..3 {
        home.alice.mutate(100, night, Kinds::Emails);
        home.backup().await;
    }
    let recording = Arc::new(Recording::default());
    let bed = home.bed.moved_to(Decorated::new(home.bed.objects.clone(), recording.clone()));
    let dir = tempfile::tempdir().expect("a directory");
    let mut costs = Vec::new();
    for format in [Format::Maildir, Format::Mbox] {
        let (_, snapshot) = bed.newest(&home.url).await;
        recording.take();
        let exported = exported(&snapshot, format, dir.path()).await;
        let packs = recording.take().on("/packs/");
        assert_eq!((exported.report.emails, exported.lost.count), (home.alice.email_count() as u64, 0));
        costs.push((packs.count(CallKind::Range) + packs.count(CallKind::Get), packs.received()));
    }
    println!("Maildir and mbox (requests, bytes): {costs:?}");
    assert!(costs[0].0 > 0 && costs[0] == costs[1], "{costs:?}");

    let mbox = dir.path().join(Format::Mbox.name());
    // Without these the files are read front to back.
    std::fs::remove_dir_all(mbox.join("malle")).expect("removed");
    let mut dates = Dates::default();
    ::export::read(&mbox, dir.path(), Limits::GENEROUS, &mut dates).expect("reads");
    let most = dates.0.values().map(Vec::len).max();
    assert!(most > Some(100), "{most:?}");
    for (folder, dates) in dates.0 {
        assert!(dates.is_sorted(), "{folder}: {dates:?}");
    }
}

/// What `vandelay import` asks an archive before it goes on.
fn asked(archive: &Path) -> Value {
    let script = "import json, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); ask = lambda sql: db.execute(sql).fetchall(); \
        print(json.dumps([ask('SELECT kind, session_url, account_id, account_name FROM sources'), \
        dict(ask('SELECT type_name, count(*) FROM sync_id_jmap GROUP BY 1')), dict(ask('SELECT type_name, state FROM sync_state_jmap'))]))";
    let out = Command::new("python3").args(["-c", script]).arg(archive).output().expect("python runs");
    serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vandelay_archive_says_where_it_comes_from_and_up_to_which_state_but_not_of_what_has_losses() {
    let home = Home::of(furnished(3)).await;
    let folder = home.alice.create_folder("mail", None);
    home.alice.deliver("Subject: kept\r\n\r\n", &[&folder], &[]);
    home.good_backup().await;
    let (_, good) = home.bed.newest(&home.url).await;
    let lost = home.alice.deliver("Subject: lost\r\n\r\n", &[&folder], &[]);
    home.alice.vanish_blob(&home.alice.email(&lost).expect("it came").blob_id);
    assert_eq!(home.backup().await.state, BackupState::Partial);
    let (_, partial) = home.bed.newest(&home.url).await;
    let dir = tempfile::tempdir().expect("a directory");
    for (snapshot, has_losses) in [(good, false), (partial, true)] {
        let below = tempfile::tempdir_in(dir.path()).expect("a directory");
        let exported = exported(&snapshot, Format::Vandelay, below.path()).await;
        let archive = below.path().join(Format::Vandelay.name()).join("archive.sqlite");
        let found = asked(&archive);
        assert_eq!(found[0], json!([["jmap", "https://mail.example.org", "c", ALICE]]));
        for data_type in [DataType::Email, DataType::Mailbox, DataType::ContactCard, DataType::FileNode] {
            assert_eq!(
                found[1][data_type.name()],
                exported.report.objects.get(&data_type).copied().unwrap_or(exported.report.emails),
                "{data_type}: {found}"
            );
        }
        for known in &snapshot.info().summary.types {
            // The server has no states of participant identities.
            let is_servers =
                known.status == TypeStatus::Complete && known.data_type != DataType::ParticipantIdentity;
            let is_known = is_servers && !(has_losses && known.data_type == DataType::Email);
            let expected = if is_known { json!(known.state) } else { Value::Null };
            assert_eq!(
                found[2].get(known.data_type.name()).cloned().unwrap_or_default(),
                expected,
                "{known:?}"
            );
        }
    }
}
