//! What was backed up comes back.

use sim_stalwart::{AccountSpec, DataType, Effect, Fault, Kinds, Simulator, Target, Version};

use crate::home::{ALICE, Home, PASSWORD, alice};

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
async fn what_is_no_email_comes_as_an_attachment_if_that_is_asked_for() {
    let builder = Simulator::builder().seed(3).version(Version::V0_16).account(alice());
    let home = Home::with(builder).await;
    home.sim.add_account(&AccountSpec::new(BOB, PASSWORD).alias(ALICE).bare());
    home.alice().deliver("no header at all", &[&home.alice().create_folder("odd", None)], &["$seen"]);
    home.back_up().await;
    let refused = home.dir.path().join("refused").display().to_string();
    let missing = to_bob(&["--mode", "missing", "--refused", &refused]);
    let ended = home.run(&missing).await;
    // The simulator has some of its own.
    let count = ended.objects()[0]["refused"].clone();
    assert!(ended.code == 3 && count.as_u64() > Some(0), "{ended:?}");
    let wrapping = [&missing[..], &["--wrap-refused"]].concat();
    let done = home.run(&wrapping).await.good().objects().remove(0);
    assert_eq!((&done["wrapped"], &done["refused"]), (&count, &0.into()), "{done}");
    let reason = done["wrapped_emails"][0]["reason"].as_str().expect("a text");
    assert!(reason.starts_with("invalidEmail"), "{done}");
    let words: Vec<&str> = wrapping.iter().copied().filter(|word| *word != "--json").collect();
    let again = home.run(&words).await.good();
    assert!(again.out.contains("restored 0 emails") && !again.out.contains("original.eml"), "{again:?}");
    let beside: Vec<&str> =
        words.iter().map(|word| if *word == "missing" { "beside" } else { word }).collect();
    let said = home.run(&beside).await.good().out;
    assert!(said.contains("refused by the mail server came back as attachments (original.eml)"), "{said}");
    let id = done["id"].as_str().expect("an id");
    let told =
        home.run(&["restore", "--resume", id, "--user", BOB, "--json"]).await.good().objects().remove(0);
    assert_eq!(told["wrapped_emails"], done["wrapped_emails"]);
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
    let args = to_bob(&["--mode", "missing", "--select", "folder:inbox"]);
    let first = home.run(&args).await;
    let again = home.run(&args).await;
    assert_eq!(again.objects()[0]["present"], first.objects()[0]["restored"], "{again:?}");
    let beside = home.run(&to_bob(&["--mode", "beside", "--select", "folder:inbox"])).await;
    assert_eq!(
        beside.objects()[0]["folders"],
        2,
        "the one beside everything else, and Inbox in it: {beside:?}"
    );
}

/// A finished restore says so, and prints its report; nothing but the id is needed, or allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_gone_on_with_by_its_id_alone() {
    let home = with_bob().await;
    let first = home.run(&to_bob(&["--only", "emails", "--mode", "missing"])).await;
    let id = first.objects()[0]["id"].as_str().expect("an id").to_owned();
    assert!(first.err.contains(&format!("`malle restore --resume {id}`")), "{first:?}");
    let bob = home.sim.account(BOB).expect("he is there");
    let there = bob.email_count();
    // In the whole store, and in the mailbox that is named.
    for which in [&["--user", BOB][..], &["--account", ALICE, "--user", BOB], &[]] {
        let again = home.run(&[&["restore", "--resume", &id, "--json"], which].concat()).await;
        assert_eq!(again.code, first.code, "{again:?}");
        assert!(again.err.contains("it is finished"), "{again:?}");
        let (mut said, mut expected) = (again.objects().remove(0), first.objects().remove(0));
        for own in ["duration", "requests", "retries", "refused_dir"] {
            (said[own], expected[own]) = (serde_json::Value::Null, serde_json::Value::Null);
        }
        assert_eq!(said, expected);
    }
    assert_eq!(bob.email_count(), there);
    for more in [
        &["--mode", "missing"][..],
        &["--mode", "beside"],
        &["--snapshot", "2"],
        &["--only", "contacts"],
        &["--select", "x"],
        &["--to-account", BOB],
        &["--to-account-id", "b"],
    ] {
        let ended = home.run(&[&["restore", "--resume", &id, "--user", BOB], more].concat()).await;
        ended.refused(2, &[more[0], "written down", "alone"]);
    }
    let ended = home.run(&["restore", "--resume", "zzzzzzzz", "--user", BOB]).await;
    ended.refused(6, &["zzzzzzzz", "without --resume"]);
    assert_eq!(bob.email_count(), there);
}

/// What could not be read is named and has no file; the report is printed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_past_a_damaged_email_keeps_its_report() {
    let home = with_bob().await;
    for (path, content) in crate::home::files(&home.store()) {
        if path.display().to_string().contains("/packs/") {
            let mut damaged = content;
            let middle = damaged.len() / 2;
            damaged[middle] ^= 1;
            std::fs::write(path, damaged).expect("it is written");
        }
    }
    let ended = home.run(&to_bob(&["--mode", "missing"])).await;
    let done = &ended.objects()[0];
    assert_eq!(ended.code, 3, "{ended:?}");
    let [wanted, restored, refused] = ["wanted", "restored", "refused"].map(|key| done[key].as_u64());
    let (wanted, refused) = (wanted.expect("a number"), refused.expect("a number"));
    assert_eq!(restored, Some(wanted - refused), "{done}");
    let lost = done["refusals"].as_array().expect("a list").iter();
    let lost =
        lost.filter(|it| it["reason"].as_str().is_some_and(|it| it.contains("cannot be read"))).count();
    assert!(lost > 0, "{done}");
}

/// What a killed restore left is taken away when that is said, and cannot be gone on with then.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_restore_left_is_taken_away() {
    let home = with_bob().await;
    let held = Effect::Delay(std::time::Duration::from_secs(3600));
    let fault = home.sim.faults().add(Fault::new(Target::method("Email/import"), held));
    let mut child = home.malle(&to_bob(&["--mode", "missing"])).spawn().expect("malle runs");
    while home.sim.faults().struck(fault) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    child.start_kill().expect("it is killed");
    child.wait().await.expect("it ends");
    home.sim.faults().remove(fault);
    let bob = home.sim.account(BOB).expect("he is there");
    let is_traced = || {
        let folders = bob.content(DataType::Mailbox);
        folders.values().any(|it| it["name"].as_str().is_some_and(|name| name.starts_with("Malle restore")))
    };
    let clean = ["restore", "--to-account", BOB, "--user", BOB, "--json", "--clean"];
    let listed = home.run(&clean).await;
    assert!(listed.code == 3 && is_traced(), "{listed:?}");
    let row = &listed.objects()[0];
    assert_eq!((row["state"].as_str(), row["removed"].as_bool()), (Some("not finished"), Some(false)));
    let id = row["id"].as_str().expect("an id").to_owned();
    home.run(&[&clean[..], &["zzzzzzzz"]].concat()).await.refused(6, &["zzzzzzzz"]);
    home.run(&[&clean[..], &[&id]].concat()).await.good();
    assert!(!is_traced());
    assert_eq!(home.run(&clean).await.good().out, "");
    let ended = home.run(&["restore", "--resume", &id, "--user", BOB]).await;
    assert!(ended.code == 6 && ended.err.contains("taken away"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_of_restore() {
    let home = with_bob().await;
    for (more, code, said) in [
        (&["--resume", "NO"][..], 2, "--resume"),
        (&["--mode", "exact", "--yes", "--select", "folder:inbox"], 2, "--select"),
        (&["--select", "folder:nowhere"], 6, "nowhere"),
        (&["--select", "cc:bob"], 2, "query"),
        (&["--select", " "], 2, "empty"),
        (&["--select", "from:nobody-at-all"], 6, "matches --select"),
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

/// Support signs in as an administrator: what it gives back is subscribed by its owner, as his programs want it.
#[tokio::test(flavor = "multi_thread")]
async fn folders_that_support_gives_back_are_subscribed_by_their_owner() {
    const AGENT: &str = "agent@example.org";
    let builder = Simulator::builder().account(alice()).admin(AGENT, PASSWORD);
    let home = Home::with(builder).await;
    home.sim.add_account(&AccountSpec::new(BOB, PASSWORD).bare());
    let unwanted = home.alice().create_folder("not subscribed", None);
    let put = |value: bool| {
        home.alice().edit(DataType::Mailbox, &unwanted, |folder| folder["isSubscribed"] = value.into());
    };
    put(false);
    home.back_up().await;
    let as_agent = |more: &[&'static str]| {
        [&["restore", "--account", ALICE, "--user", AGENT, "--only", "emails", "--json", "--yes"], more]
            .concat()
    };
    let bob = home.sim.account(BOB).expect("he is there");
    let subscribed = |owner: &sim_stalwart::AccountHandle, name: &str| {
        let folders = owner.content(DataType::Mailbox);
        let found = folders.values().find(|folder| folder["name"] == name);
        found.map(|folder| folder["isSubscribed"].clone()).expect("it is there")
    };
    // Beside everything else all is seen; in its place each is as its owner had it.
    let beside = home.run(&as_agent(&["--to-account", BOB])).await;
    let top = beside.objects()[0]["folder"].as_str().expect("a folder").to_owned();
    assert_eq!((subscribed(&bob, &top), subscribed(&bob, "not subscribed")), (true.into(), true.into()));
    put(true);
    home.run(&as_agent(&["--mode", "exact"])).await;
    assert_eq!(subscribed(&home.alice(), "not subscribed"), false);
    // A backup that the agent made holds it too, unless he is told to be himself.
    for (more, comes_back) in [(&[][..], false), (&["--not-as-owner"][..], true)] {
        put(false);
        let asked = ["backup", "--account", ALICE, "--user", AGENT, "--full"];
        home.run(&[&asked[..], more].concat()).await.good();
        put(true);
        home.run(&as_agent(&["--mode", "exact"])).await;
        assert_eq!(subscribed(&home.alice(), "not subscribed"), comes_back, "{more:?}");
    }
    put(false);
    home.back_up().await;

    // Where the server lets nobody sign in as another one, that is said.
    let refuse = Effect::Status { code: 403, retry_after: None };
    // A redirect and the session are what signing in takes.
    home.sim.faults().add(Fault::new(Target::Session, refuse).after(2));
    let left = home.run(&as_agent(&["--to-account", BOB])).await;
    assert_eq!(left.code, beside.code, "{left:?}");
    assert!(left.err.contains("not subscribed by their owner"), "{left:?}");
    assert!(!beside.err.contains("not subscribed"), "{beside:?}");
}
