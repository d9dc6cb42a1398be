//! `malle reindex`: rows of an earlier version are renewed without a mail server, and what is not is said.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use repository::{KeyRing, Repository, Store, StoreOptions};
use tests::{envelopes, outdate};

use crate::home::{ALICE, Ended, Home, PASSWORD, end, files};

const BOB: &str = "bob@example.org";

/// The only mailbox of the store.
pub(crate) async fn only_mailbox(home: &Home) -> Repository {
    let objects = LocalFileSystem::new_with_prefix(home.store()).expect("opens");
    let store = Store::open(Arc::new(objects), StoreOptions::default()).await.expect("opens");
    let ring: KeyRing = fs::read_to_string(home.ring()).expect("reads").parse().expect("parses");
    let dirs = store.mailboxes().await.expect("lists");
    assert_eq!(dirs.len(), 1);
    store.mailbox(&ring, dirs[0]).await.expect("opens")
}

/// Nobody to ask.
async fn reindex(home: &Home, more: &[&str]) -> Ended {
    let mut command = home.malle(&[&["reindex"], more].concat());
    command.env_remove("MALLE_SERVER").env_remove("MALLE_PASSWORD");
    end(command.spawn().expect("malle runs")).await
}

fn subjects(envelopes: &std::collections::BTreeMap<String, model::Envelope>) -> usize {
    envelopes.values().filter(|envelope| envelope.subject == "outdated").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn outdated_rows_are_renewed_and_counted() {
    let home = Home::new().await;
    home.back_up().await;
    let repository = only_mailbox(&home).await;
    let right = envelopes(&repository.snapshot(None).await.expect("opens")).await;
    for is_one in [true, false] {
        assert_eq!(outdate(&repository, |position| position < 12).await, 12);
        let found = home.run(&["find", "--account", ALICE, "--json", "subject:outdated"]).await.good();
        assert_eq!(found.objects().len(), 12);
        let requests = home.sim.counters().requests;
        let which: &[&str] = if is_one { &["--account", ALICE] } else { &[] };
        let done = reindex(&home, &[which, &["--json"]].concat()).await.good().objects().remove(0);
        assert_eq!(home.sim.counters().requests, requests);
        let counts = [&done["emails"], &done["renewed"], &done["skipped"]].map(|count| count.as_u64());
        assert_eq!(counts, [Some(40), Some(12), Some(0)], "{done}");
        assert_eq!(done["snapshots"].as_array().map(Vec::len), Some(1), "{done}");
        let newest = repository.snapshot(None).await.expect("opens");
        assert_eq!(done["snapshots"][0], newest.info().number.0);
        assert_eq!(
            (envelopes(&newest).await == right, &*newest.info().summary.origin.kind),
            (true, "reindex")
        );
        let told = reindex(&home, which).await.good();
        assert!(told.out.contains("40 emails looked at, 0 of them indexed again"), "{told:?}");
    }
    outdate(&repository, |position| position < 7).await;
    let full = home.run(&["backup", "--account", ALICE, "--full", "--json"]).await.good();
    assert_eq!(full.objects()[0]["renewed"], 7, "{full:?}");
    home.run(&["check", "--read-data"]).await.good();
    let unchanged = home.back_up().await;
    assert_eq!((&unchanged["stored"], &unchanged["state"]), (&0.into(), &"good".into()), "{unchanged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_skipped_named_and_noted() {
    let home = Home::new().await;
    home.back_up().await;
    home.sim.add_account(&sim_stalwart::AccountSpec::new(BOB, PASSWORD).emails(5));
    let repository = only_mailbox(&home).await;
    outdate(&repository, |_| true).await;
    let is_pack = |path: &Path| path.parent().is_some_and(|dir| dir.ends_with("packs"));
    let packs = files(&home.store()).into_iter().filter(|(path, _)| is_pack(path));
    let (pack, mut content) = packs.max_by_key(|(_, content)| content.len()).expect("there is one");
    let middle = content.len() / 2;
    content[middle] ^= 4;
    fs::write(&pack, content).expect("ours");
    home.run(&["backup", "--account", BOB]).await.good();
    for attempt in 0..2 {
        let ended = reindex(&home, &["--account", ALICE]).await;
        assert_eq!(ended.code, 9, "attempt {attempt}: {ended:?}");
        assert!(ended.out.contains("skipped, whose bytes are damaged or lost"), "{ended:?}");
        let all = reindex(&home, &["--json"]).await;
        assert_eq!((all.code, all.objects().len()), (9, 2), "{all:?}");
    }
    home.run(&["backup", "--account", ALICE]).await.good();
    reindex(&home, &[]).await.good();
    assert_eq!(subjects(&envelopes(&repository.snapshot(None).await.expect("opens")).await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_backed_up_that_is_said() {
    let home = Home::new().await;
    assert_eq!(reindex(&home, &[]).await.code, 6);
    reindex(&home, &["--account", ALICE]).await.refused(6, &["none of the store's mailboxes"]);
}
