//! What people and scripts do every day.

use sim_stalwart::{Kinds, Simulator};

use crate::home::{ALICE, Home, PASSWORD, alice, end};

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_backed_up_listed_shown_and_verified() {
    let home = Home::new().await;
    let first = home.back_up().await;
    assert_eq!(first["emails"], 40);
    home.alice().mutate(10, 7, Kinds::Emails);
    let second = home.back_up().await;
    let unchanged = home.back_up().await;
    assert_eq!(unchanged["fetched"], 0);

    let rows = home.run(&["list", "--account", ALICE, "--json"]).await.good().objects();
    let numbers: Vec<_> = rows.iter().map(|row| &row["number"]).collect();
    assert_eq!(numbers, [&first["number"], &second["number"], &unchanged["number"]]);
    for key in ["time", "location"] {
        assert!(rows[0][key].is_string(), "{key}: {}", rows[0]);
    }
    for key in ["size", "stored", "emails", "duration"] {
        assert!(rows[0][key].is_number(), "{key}: {}", rows[0]);
    }
    assert_eq!(rows[0]["state"], "good");

    let shown = home.run(&["show", "--account", ALICE, "--json"]).await.good();
    let emails = home.alice().email_count();
    assert_eq!(shown.objects()[0]["emails"], emails);
    let email_type = shown.objects()[0]["types"].as_array().map(|types| types[1].clone());
    assert_eq!(email_type.expect("types")["count"], emails);

    for args in [
        vec!["verify", "--account", ALICE],
        vec!["verify", "--account", ALICE, "--read-data"],
        vec!["verify", "--account", ALICE, "--snapshot", "2"],
        vec!["check", "--read-data"],
    ] {
        let ended = home.run(&args).await.good();
        assert!(ended.out.contains("all well"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_say_the_same_as_json() {
    let home = Home::new().await;
    home.back_up().await;
    let list = home.run(&["list", "--account", ALICE]).await.good().out;
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].contains("NUMBER") && lines[0].contains("LOCATION"), "{list}");
    assert!(lines[1].contains("40") && lines[1].ends_with("good"), "{list}");
    let mailboxes = home.run(&["list"]).await.good().out;
    assert!(mailboxes.contains(ALICE), "{mailboxes}");
    let show = home.run(&["show", "--account", ALICE]).await.good().out;
    assert!(show.contains("40 emails") && show.contains("CalendarEvent"), "{show}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_that_cannot_be_fetched_makes_the_backup_partial_and_is_named() {
    let home = Home::new().await;
    let victim = home.alice().emails().remove(3);
    home.alice().vanish_blob(&victim.blob_id);
    let ended = home.run(&["backup", "--account", ALICE]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.out.contains("partial") && ended.out.contains(&victim.id), "{ended:?}");
    let shown = home.run(&["show", "--account", ALICE]).await.good().out;
    assert!(shown.contains(&victim.id), "{shown}");

    home.alice().unvanish_blob(&victim.blob_id);
    assert_eq!(home.back_up().await["emails"], 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_backs_up_any_account_and_a_token_signs_in() {
    let home = Home::with(
        Simulator::builder().account(alice()).admin("admin", "administrator's").token(ALICE, "t0ken"),
    )
    .await;
    let mut by_admin = home.malle(&["backup", "--account", ALICE, "--user", "admin"]);
    by_admin.env("MALLE_PASSWORD", "administrator's");
    end(by_admin.spawn().expect("runs")).await.good();
    let mut by_token = home.malle(&["backup"]);
    by_token.env_remove("MALLE_PASSWORD").env("MALLE_TOKEN", "t0ken");
    end(by_token.spawn().expect("runs")).await.good();
    let rows = home.run(&["list", "--account", ALICE, "--json"]).await.good();
    assert_eq!(rows.objects().len(), 2, "both went into one mailbox");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_account_keeps_its_mailbox_and_is_found_by_both_names() {
    let home = Home::new().await;
    home.back_up().await;
    assert!(home.sim.rename_account(ALICE, "alice@new.example"));
    home.run(&["backup", "--account", "alice@new.example"]).await.good();
    for name in ["Alice@new.example", ALICE] {
        let rows = home.run(&["list", "--account", name, "--json"]).await.good();
        assert_eq!(rows.objects().len(), 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_on_two_servers_is_told_apart() {
    let home = Home::new().await;
    home.back_up().await;
    let other = ["backup", "--account", ALICE, "--server-name", "other.example", "--new-history"];
    home.run(&other).await.good();
    home.run(&["list", "--account", ALICE])
        .await
        .refused(6, &["2 mailboxes are called so", "other.example", "--server-name"]);
    let named = ["verify", "--account", ALICE, "--server-name", "other.example"];
    home.run(&named).await.good();
    let dir = home.run(&["list", "--json"]).await.good().objects()[0]["mailbox"].clone();
    let by_dir = ["verify", "--mailbox", dir.as_str().expect("text")];
    home.run(&by_dir).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_four_backups_at_once_only_winners_stand() {
    let home =
        Home::with(Simulator::builder().account(alice()).latency(std::time::Duration::from_millis(100)))
            .await;
    home.back_up().await;
    home.alice().mutate(5, 1, Kinds::Emails);
    let runs = (0..4).map(|_| home.malle(&["backup", "--account", ALICE]).spawn().expect("runs"));
    let children: Vec<_> = runs.collect();
    let mut winners = 0;
    for child in children {
        let ended = end(child).await;
        match ended.code {
            0 => winners += 1,
            _ => ended.refused(10, &["committed entry", "first"]),
        }
    }
    assert!(winners >= 1);
    let rows = home.run(&["list", "--account", ALICE, "--json"]).await.good();
    assert_eq!(rows.objects().len(), 1 + winners);
    home.run(&["check", "--read-data"]).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_come_from_files_too() {
    let home = Home::new().await;
    std::fs::write(home.path("password"), format!("{PASSWORD}\n")).expect("writable");
    let mut command = home.malle(&["backup", "--account", ALICE]);
    command.env_remove("MALLE_PASSWORD").env("MALLE_PASSWORD_FILE", home.path("password"));
    end(command.spawn().expect("runs")).await.good();
}
