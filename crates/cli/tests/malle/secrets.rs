//! Nothing secret is ever printed.

use crate::home::{ALICE, Home, end};

/// Lines of the ring that are keys.
fn keys(home: &Home) -> Vec<String> {
    let text = std::fs::read_to_string(home.ring()).expect("is there");
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(word, _)| matches!(*word, "naming" | "master"))
        .map(|(_, key)| key.to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_output_holds_a_password_a_token_or_a_key() {
    let home = Home::new().await;
    home.back_up().await;
    let keys = keys(&home);
    assert_eq!(keys.len(), 2);
    let commands: [&[&str]; 14] = [
        &["--help"],
        &["backup", "--help"],
        &["key", "--help"],
        &["backup"],
        &["backup", "--json"],
        &["backup", "--account", "nobody"],
        &["backup", "--server", "https://alice:hunter2@127.0.0.1"],
        &["backup", "--password", "hunter2"],
        &["backup", "--password=hunter2"],
        &["list", "--store", "s3://key:hunter2@bucket/x"],
        &["list", "--store", "hunter2"],
        &["list", "--json"],
        &["check", "--read-data"],
        &["key", "list"],
    ];
    for args in commands {
        for variables in [&["MALLE_PASSWORD"][..], &["MALLE_TOKEN"], &["MALLE_TOKEN", "MALLE_PASSWORD"]] {
            let mut command = home.malle(args);
            command
                .env_remove("MALLE_PASSWORD")
                .env("MALLE_USER", ALICE)
                .env("AWS_SECRET_ACCESS_KEY", "hunter2");
            for variable in variables {
                command.env(variable, "hunter2");
            }
            let ended = end(command.spawn().expect("runs")).await;
            let said = format!("{}{}", ended.out, ended.err);
            assert!(!said.contains("hunter2"), "{args:?}: {ended:#?}");
            assert!(keys.iter().all(|key| !said.contains(&key[..12])), "{args:?}: {ended:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_a_password_together_are_refused() {
    let home = Home::new().await;
    let mut command = home.malle(&["backup", "--account", ALICE]);
    command.env("MALLE_TOKEN", "t0ken");
    let ended = end(command.spawn().expect("runs")).await;
    ended.refused(2, &["MALLE_TOKEN", "MALLE_PASSWORD"]);
}
