//! `find`, `diff` and `cat`: what people see, and what scripts get.

use std::process::Stdio;

use serde_json::Value;

use crate::home::{ALICE, Home, end};

/// A subject that would turn text around, clear the screen and change the window's title.
const HOSTILE: &str = "Subject: pay\u{202e}fdp.exe \u{1b}[2J\u{7}\u{9b}31m\r\nFrom: \"Bob\u{2066}\" <bob@evil.example>\r\n\
    Message-ID: <hostile@evil.example>\r\n\r\nbody\r\n";

async fn find(home: &Home, args: &[&str]) -> Vec<Value> {
    let args = [&["find", "--account", ALICE, "--json"], args].concat();
    home.run(&args).await.good().objects()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_is_found_by_what_is_remembered_of_it_and_printed_byte_for_byte() {
    let home = Home::new().await;
    let plans = home.alice().create_folder("Plans", None);
    let raw = "From: Zoé Léger <zoe@exemple.fr>\r\nTo: alice@example.org\r\nSubject: Réunion d'équipe\r\n\
        Message-ID: <meeting@exemple.fr>\r\n\r\nSee you there\0\r\n";
    let id = home.alice().deliver(raw, &[&plans], &["$seen"]);
    let first = home.back_up().await["number"].as_u64().expect("a number");
    let second = home.back_up().await["number"].as_u64().expect("a number");
    home.alice().destroy(&id);
    home.back_up().await;
    for query in [
        &["reunion", "from:ZOE"][..],
        &["subject:\"réunion d'équipe\" folder:plans"],
        &["message-id:<meeting@exemple.fr>"],
        &["in:Plans", "-has:attachment", "after:2020"],
        &["--snapshot", &first.to_string(), "folder:plans"],
    ] {
        let found = find(&home, query).await;
        assert_eq!(found.len(), 1, "{query:?}: {found:?}");
        assert_eq!(found[0]["id"], id.as_str());
        assert_eq!((&found[0]["folders"][0], &found[0]["total"]), (&"Plans".into(), &1.into()));
        assert_eq!(found[0]["keywords"][0], "$seen");
        let last = if query[0] == "--snapshot" { first } else { second };
        assert_eq!(found[0]["snapshots"], serde_json::json!([[first, last]]));
    }
    let table = home.run(&["find", "--account", ALICE, "from:zoe folder:Plans"]).await.good().out;
    assert!(table.contains("Réunion d'équipe") && table.contains(&format!("{first}–{second}")), "{table}");
    assert!(table.contains("Plans") && table.contains("1 email in 3 snapshots"), "{table}");

    let number = first.to_string();
    for args in [
        &["cat", "--account", ALICE, "--snapshot", &number, id.as_str()][..],
        &["cat", "--account", ALICE, "--snapshot", &number, "--message-id", "<meeting@exemple.fr>"],
    ] {
        assert_eq!(home.run(args).await.good().out, raw);
    }
    home.run(&["cat", "--account", ALICE, &id]).await.refused(6, &[&id, "malle find"]);
    let gone = ["cat", "--account", ALICE, "--message-id", "meeting@exemple.fr"];
    home.run(&gone).await.refused(6, &["meeting@exemple.fr", "has none"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_come_first_up_to_the_limit_and_nothing_found_is_an_answer() {
    let home = Home::new().await;
    home.back_up().await;
    let all = find(&home, &[]).await;
    assert_eq!((all.len(), &all[0]["total"]), (40, &40.into()));
    let dates: Vec<_> = all.iter().map(|hit| hit["received"].as_str().expect("a date")).collect();
    assert!(dates.is_sorted_by(|a, b| a >= b), "{dates:?}");
    assert_eq!(find(&home, &["--limit", "3", "after:2000"]).await[..], {
        let mut few = all[..3].to_vec();
        few.iter_mut().for_each(|hit| hit["total"] = 40.into());
        few
    });
    let table = home.run(&["find", "--account", ALICE, "--limit", "3"]).await.good().out;
    assert!(table.contains("the 3 newest of 40 emails in 1 snapshot; --limit"), "{table}");
    assert!(find(&home, &["before:1990"]).await.is_empty());
    let none = home.run(&["find", "--account", ALICE, "before:1990"]).await.good().out;
    assert_eq!(none, "no such email in 1 snapshot\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_or_is_not_there_is_said_in_one_line() {
    let home = Home::new().await;
    home.back_up().await;
    for (query, says) in [
        ("re: hello", "\"re:\" in quotes"),
        ("subject: x", "subject:invoice"),
        ("before:soon", "is no date"),
        ("has:wings", "has:attachment"),
        ("\"open", "not closed"),
    ] {
        home.run(&["find", "--account", ALICE, query]).await.refused(2, &["read the query", says]);
    }
    home.run(&["find", "--account", ALICE, "folder:Nowhere"]).await.refused(6, &["Nowhere", "Inbox"]);
    home.run(&["find", "--account", ALICE, "--snapshot", "99", "x"]).await.refused(6, &["99"]);
    home.run(&["diff", "--account", ALICE, "2", "99"]).await.refused(6, &["99"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_email_does_nothing_to_the_terminal() {
    let home = Home::new().await;
    let first = home.back_up().await["number"].to_string();
    home.alice().deliver(HOSTILE, &[], &[]);
    let folder = home.alice().create_folder("\u{202e}kcatta\u{1b}[2J", None);
    home.alice()
        .insert(sim_stalwart::DataType::Calendar, serde_json::json!({ "name": "\u{1b}]0;title\u{7}" }));
    let second = home.back_up().await["number"].to_string();
    let found = find(&home, &["evil.example"]).await;
    home.alice().move_to(found[0]["id"].as_str().expect("an id"), &[&folder]);
    let third = home.back_up().await["number"].to_string();
    for args in [
        &["find", "--account", ALICE, "evil.example"][..],
        &["diff", "--account", ALICE, &first, &second, "--verbose"],
        &["diff", "--account", ALICE, &second, &third, "--verbose"],
        &["find", "--account", ALICE, "folder:\u{1b}[31m"],
    ] {
        let ended = home.run(args).await;
        let said = format!("{}{}", ended.out, ended.err);
        assert!(ended.code == 0 || ended.code == 6, "{ended:?}");
        assert!(said.len() > 10 && !said.contains(|c: char| c != '\n' && c.is_control()), "{said:?}");
        assert!(!said.contains(['\u{202e}', '\u{2066}']), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_snapshots_are_compared_in_counts_and_one_by_one() {
    let home = Home::new().await;
    let emails = home.alice().emails();
    let first = home.back_up().await["number"].to_string();
    let folder = home.alice().create_folder("New", None);
    home.alice().destroy(&emails[0].id);
    home.alice().move_to(&emails[1].id, &[&folder]);
    home.alice().set_keywords(&emails[2].id, &["$flagged", "mine"]);
    let came = home.alice().deliver("Subject: hello\r\n\r\n.", &[], &[]);
    let second = home.back_up().await["number"].to_string();

    let args = ["diff", "--account", ALICE, &first, &second];
    let counts = home.run(&[&args[..], &["--json"]].concat()).await.good().objects();
    assert_eq!(counts.len(), 1);
    for (what, number) in [("came", 1), ("went", 1), ("moved", 1), ("flagged", 1), ("replaced", 0)] {
        assert_eq!(counts[0][what], number, "{what}: {counts:?}");
    }
    assert_eq!(counts[0]["objects"]["Folder"]["created"], 1);
    let mut rows = home.run(&[&args[..], &["--json", "-v"]].concat()).await.good().objects();
    assert_eq!(rows.pop(), counts.first().cloned());
    let row = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("{id}: {rows:?}"));
    assert_eq!(row(&emails[0].id)["what"][0], "went");
    assert_eq!(row(&emails[1].id)["folders"]["now"][0], "New");
    assert_eq!(row(&emails[2].id)["keywords"]["now"][0], "$flagged");
    assert_eq!(row(&came)["email"]["subject"], "hello");
    assert_eq!(row(&folder)["path"]["now"], "New");
    assert_eq!(rows.len(), 5);

    let text = home.run(&[&args[..], &["--verbose"]].concat()).await.good().out;
    for line in ["created: Folder", "+$flagged +mine", "→ New", "1 email came", "Folder: 1 created"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let same = home.run(&["diff", "--account", ALICE, &first, &first]).await.good().out;
    assert!(same.contains("nothing differs"), "{same}");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_message_are_one_and_others_of_its_id_are_not() {
    let home = Home::new().await;
    let message = |body: &str| format!("Message-ID: <same@x>\r\n\r\n{body}");
    for body in ["one", "one"] {
        home.alice().deliver(message(body), &[], &[]);
    }
    home.back_up().await;
    let args = ["cat", "--account", ALICE, "--message-id", "same@x"];
    assert_eq!(home.run(&args).await.good().out, message("one"));
    home.alice().deliver(message("two"), &[], &[]);
    home.back_up().await;
    home.run(&args).await.refused(6, &["3 have it and are not alike", "instead of --message-id"]);
    assert_eq!(home.run(&["cat", "--account", ALICE]).await.code, 2, "which email?");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_email_comes_whole_and_who_stops_reading_ends_it() {
    let home = Home::new().await;
    let id = home.alice().deliver_large(5_000_000);
    home.back_up().await;
    let printed = home.run(&["cat", "--account", ALICE, &id]).await.good().out;
    assert!(printed.as_bytes() == home.alice().raw(&id).expect("is there"), "{} bytes", printed.len());
    let mut child = home.malle(&["cat", "--account", ALICE, &id]);
    let mut child = child.stdout(Stdio::piped()).spawn().expect("runs");
    drop(child.stdout.take());
    let ended = end(child).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn help_explains_the_language_to_a_newcomer() {
    let home = Home::new().await;
    let help = home.run(&["find", "--help"]).await.good().out;
    for said in ["from:bob", "has:attachment", "minus before any term", "--limit", "Example:"] {
        assert!(help.contains(said), "{said}: {help}");
    }
    for command in ["diff", "cat"] {
        assert!(home.run(&[command, "--help"]).await.good().out.contains("Example:"), "{command}");
    }
}
