//! Mistakes people make, and servers that are not there.

use sim_stalwart::{Effect, Fault, Simulator, Target};

use crate::home::{ALICE, Home, alice, end, file_url, files};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_before_the_store_is_touched() {
    let home = Home::without_store(Simulator::builder().account(alice())).await;
    let mut command = home.malle(&["backup", "--account", ALICE]);
    command.env("MALLE_PASSWORD", "wrong");
    let ended = end(command.spawn().expect("runs")).await;
    ended.refused(4, &["connect to 127.0.0.1", "MALLE_PASSWORD"]);
    assert!(!home.store().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_account_is_refused() {
    let home = Home::without_store(Simulator::builder().account(alice()).admin("admin", "secret")).await;
    let mut command = home.malle(&["backup", "--account", "nobody@example.org", "--user", "admin"]);
    command.env("MALLE_PASSWORD", "secret");
    let ended = end(command.spawn().expect("runs")).await;
    ended.refused(6, &["nobody@example.org", "--account", "impersonate"]);
    assert!(!home.store().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_account_is_refused() {
    let home = Home::with(
        Simulator::builder()
            .account(alice())
            .account(sim_stalwart::AccountSpec::new("bob@example.org", crate::home::PASSWORD)),
    )
    .await;
    let args = ["backup", "--account", ALICE, "--user", "bob@example.org"];
    home.run(&args).await.refused(6, &[ALICE, "impersonate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_said_so() {
    let home = Home::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let args = ["backup", "--account", ALICE, "--server", &url];
    home.run(&args).await.refused(5, &["reached", "check --server"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_no_jmap_is_said_so() {
    let home = Home::new().await;
    let status = Effect::Status { code: 404, retry_after: None };
    home.sim.faults().add(Fault::new(Target::Any, status));
    let args = ["backup", "--account", ALICE];
    home.run(&args).await.refused(5, &["JMAP"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_ring_neither_opens_nor_adds_to_a_store() {
    let home = Home::new().await;
    home.back_up().await;
    let before = files(&home.store());
    let other = home.path("other.key");
    let other = other.to_str().expect("UTF-8");
    home.run(&["key", "new", "--output", other]).await.good();
    for args in [
        vec!["backup", "--account", ALICE, "--key-file", other],
        vec!["list", "--account", ALICE, "--key-file", other],
        vec!["show", "--account", ALICE, "--key-file", other],
        vec!["verify", "--account", ALICE, "--key-file", other],
    ] {
        home.run(&args).await.refused(8, &["ring"]);
    }
    let check = home.run(&["check", "--key-file", other]).await;
    assert_eq!(check.code, 8, "{check:?}");
    assert!(files(&home.store()) == before, "the store was changed");
    home.run(&["backup", "--account", ALICE, "--key-file", other, "--new-ring"]).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_is_missing_or_none_is_refused() {
    let home = Home::new().await;
    std::fs::write(home.path("text"), "no ring\n").expect("writable");
    for (file, says) in [("missing", "No such file"), ("text", "malle key new")] {
        let path = home.path(file);
        let args = ["list", "--quiet", "--key-file", path.to_str().expect("UTF-8")];
        home.run(&args).await.refused(8, &[says]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_not_named_is_asked_for_with_an_example() {
    let home = Home::new().await;
    for (variable, says) in [
        ("MALLE_STORE", "file:///srv/backups"),
        ("MALLE_KEY_FILE", "malle key new"),
        ("MALLE_SERVER", "--server"),
        ("MALLE_PASSWORD", "MALLE_PASSWORD_FILE"),
    ] {
        let mut command = home.malle(&["backup", "--account", ALICE]);
        command.env_remove(variable);
        end(command.spawn().expect("runs")).await.refused(2, &[says]);
    }
    home.back_up().await;
    home.run(&["verify"]).await.refused(2, &["--account", "malle list"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_numbers_that_do_not_exist_are_refused() {
    let home = Home::new().await;
    home.back_up().await;
    home.run(&["list", "--account", "nobody"]).await.refused(6, &["nobody", "malle list"]);
    home.run(&["show", "--account", ALICE, "--snapshot", "77"]).await.refused(6, &["snapshot 77"]);
    home.run(&["verify", "--account", ALICE, "--snapshot", "77"]).await.refused(6, &["snapshot 77"]);
    home.run(&["list", "--mailbox", "00"]).await.refused(2, &["--mailbox"]);
    let unknown = "00112233445566778899aabbccddeeff";
    home.run(&["list", "--mailbox", unknown]).await.refused(6, &["never been backed up"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_are_none_are_refused() {
    let home = Home::new().await;
    let path = home.store();
    for url in [path.to_str().expect("UTF-8"), "s3://", "ftp://host/x", "file://relative/x"] {
        let args = ["list", "--store", url];
        home.run(&args).await.refused(2, &["file:///srv/backups"]);
    }
    let args = ["backup", "--account", ALICE, "--server", "mail.example.org"];
    home.run(&args).await.refused(2, &["https://mail.example.org"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_differs_from_the_stores_is_refused() {
    let home = Home::without_store(Simulator::builder().account(alice())).await;
    home.run(&["init", "--zone", "paris"]).await.good();
    home.run(&["backup", "--account", ALICE, "--zone", "paris"]).await.good();
    home.run(&["backup", "--account", ALICE, "--zone", "tokyo"])
        .await
        .refused(12, &["paris", "tokyo", "--zone"]);
    let rows = home.run(&["list", "--account", ALICE, "--json"]).await.good();
    assert_eq!(rows.objects()[0]["location"], "paris");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_without_a_store_is_refused() {
    let home = Home::new().await;
    std::fs::create_dir(home.path("empty")).expect("writable");
    for place in ["empty", "missing"] {
        let url = file_url(&home.path(place));
        let args = ["list", "--store", &url];
        home.run(&args).await.refused(12, &["malle init"]);
    }
    assert!(!home.path("missing").exists());
    home.run(&["list", "--store", "memory:"]).await.refused(12, &["malle init"]);
}
