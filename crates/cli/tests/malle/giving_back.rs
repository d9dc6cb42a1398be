//! What was backed up comes back.

use sim_stalwart::{AccountSpec, DataType, Effect, Fault, Kinds, Target};

use crate::home::{ALICE, Home, PASSWORD};

const BOB: &str = "bob@example.org";

async fn with_bob() -> Home {
    let home = Home::new().await;
    home.sim.add_account(&AccountSpec::new(BOB, PASSWORD).alias(ALICE));
    home.back_up().await;
    home
}

fn to_bob<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["restore", "--account", ALICE, "--to-account", BOB, "--user", BOB, "--json"], more].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_what_is_there_and_what_is_refused_is_kept_as_files() {
    let home = with_bob().await;
    let refused = home.dir.path().join("refused");
    let ended = home.run(&to_bob(&["--refused", &refused.display().to_string()])).await;
    let done = &ended.objects()[0];
    let (restored, count) = (done["restored"].as_u64(), done["refused"].as_u64());
    let (restored, count) = (restored.expect("a number"), count.expect("a number"));
    assert_eq!((restored + count, ended.code), (40, if count > 0 { 3 } else { 0 }), "{ended:?}");
    let bob = home.sim.account(BOB).expect("he is there");
    assert_eq!(bob.email_count() as u64, restored);
    let folders = bob.content(DataType::Mailbox);
    assert!(folders.values().any(|folder| folder["name"] == done["folder"]), "{done}");
    let files = std::fs::read_dir(&refused).map_or(0, Iterator::count);
    assert_eq!(files as u64, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exact_restore_needs_a_yes_and_can_be_undone() {
    let home = with_bob().await;
    let before = home.alice().email_count();
    home.alice().mutate(30, 3, Kinds::Emails);
    let edited = home.alice().email_count();
    let exact = ["restore", "--account", ALICE, "--mode", "exact", "--json"];
    let ended = home.run(&exact).await;
    assert!(ended.code == 2 && ended.err.contains("--yes"), "{ended:?}");
    let looked = home.run(&[&exact[..], &["--dry-run"]].concat()).await.good();
    assert_eq!(looked.objects()[0]["dry_run"], true);
    let named = home.run(&[&exact[..], &["--dry-run", "--verbose"]].concat()).await.good().objects();
    let (sum, items) = named.split_last().expect("the result comes last");
    let is = |what: &str| items.iter().filter(|item| item["what"] == what && item["type"] == "Email").count();
    let counts = ["open", "relabelled", "removed"].map(|key| sum[key].as_u64());
    assert_eq!(["create", "change", "remove"].map(|what| Some(is(what) as u64)), counts, "{named:#?}");
    assert!(counts.iter().any(|count| *count > Some(0)), "{sum}");
    let said = home.run(&[&exact[..5], &["--dry-run", "--verbose"]].concat()).await.good().out;
    assert!(said.contains("Email ") && said.contains(" to be removed"), "{said}");
    assert_eq!(home.alice().email_count(), edited);
    let ended = home.run(&[&exact[..], &["--yes"]].concat()).await;
    let done = &ended.objects()[0];
    let refused = done["refused"].as_u64().expect("a number");
    assert_eq!(home.alice().email_count() as u64 + refused, before as u64, "{ended:?}");
    let safety = done["safety"].to_string();
    let undone = home.run(&[&exact[..], &["--yes", "--snapshot", &safety]].concat()).await;
    let refused = undone.objects()[0]["refused"].as_u64().expect("a number");
    assert_eq!(home.alice().email_count() as u64 + refused, edited as u64, "{undone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_chosen_and_only_once() {
    let home = with_bob().await;
    let all = home.run(&to_bob(&["--dry-run"])).await.good();
    assert_eq!(all.objects()[0]["open"], 40);
    let inbox = home.run(&to_bob(&["--dry-run", "--select", "folder:inbox"])).await.good();
    let open = inbox.objects()[0]["open"].as_u64().expect("a number");
    assert!(0 < open && open < 40, "{inbox:?}");
    let args = to_bob(&["--mode", "missing", "--select", "folder:inbox", "--resume", "abcdefgh"]);
    let first = home.run(&args).await;
    let again = home.run(&args).await;
    assert_eq!(again.objects()[0]["present"], first.objects()[0]["restored"], "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_of_restore() {
    let home = with_bob().await;
    for (more, code, said) in [
        (&["--resume", "NO"][..], 2, "--resume"),
        (&["--mode", "exact", "--yes", "--select", "folder:inbox"], 2, "--select"),
        (&["--select", "folder:nowhere"], 6, "nowhere"),
        (&["--select", "cc:bob"], 2, "query"),
        (&["--snapshot", "99"], 6, "99"),
        (&["--mode", "halfway"], 2, "halfway"),
    ] {
        let ended = home.run(&to_bob(more)).await;
        assert!(ended.code == code && ended.err.contains(said), "{more:?}: {ended:?}");
    }
    assert_eq!(home.sim.account(BOB).expect("he is there").email_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_alone_come_back_and_what_is_refused_is_kept() {
    let home = with_bob().await;
    let first = |_: &str, card: &serde_json::Value| card["emails"]["e1"]["address"] == "person0@example.com";
    let refuse = Fault::new(Target::method("ContactCard/set"), Effect::refuse("tooLarge", first));
    home.sim.faults().add(refuse);
    let refused = home.dir.path().join("refused");
    let refused_dir = refused.display().to_string();
    let asked = ["--only", "contacts", "--mode", "missing", "--refused", &refused_dir];
    let looked = home.run(&to_bob(&[&asked[..], &["--dry-run"]].concat())).await.good();
    let of = |ended: &crate::home::Ended| ended.objects()[0]["objects"].clone();
    let bob = home.sim.account(BOB).expect("he is there");
    assert_eq!((of(&looked)[1]["restored"].as_u64(), bob.content(DataType::ContactCard).len()), (Some(5), 5));
    let ended = home.run(&to_bob(&asked)).await;
    let cards = &of(&ended)[1];
    assert_eq!(
        (cards["type"].as_str(), cards["restored"].as_u64()),
        (Some("ContactCard"), Some(4)),
        "{ended:?}"
    );
    assert_eq!((ended.code, bob.email_count(), bob.content(DataType::ContactCard).len()), (3, 0, 9));
    let files: Vec<_> = std::fs::read_dir(&refused).expect("it is there").collect();
    let kept = files[0].as_ref().expect("a file").path();
    assert!(kept.display().to_string().ends_with("00001.ContactCard.json"), "{files:?}");
    assert!(std::fs::read_to_string(kept).expect("JSON").contains("person0@example.com"));
    let ended = home.run(&to_bob(&["--only", "contacts", "--select", "from:bob"])).await;
    ended.refused(2, &["--select"]);
}
