//! The fleet's roles and commands as processes, on services of their own.

use std::path::PathBuf;

use serde_json::Value;
use tests::fleet::{Fleet, Plan, chaos, drain, night};

fn malle() -> PathBuf {
    env!("CARGO_BIN_EXE_malle").into()
}

fn small() -> Plan {
    Plan { mailboxes: 12, emails: 10, workers: 1, slots: 2 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_makes_one_good_backup_for_each_slot_that_is_due() {
    let table = night(malle(), Plan { workers: 2, ..Plan::night(60) }).await.expect("a night");
    println!("{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_drain_lose_no_attempt_and_no_work() {
    let table = drain(malle()).await.expect("a drain");
    println!("{table}");
}

/// A test for each seed: they may run apart, and one that failed is named.
macro_rules! chaos_of_seeds {
    ($($name:ident $seed:literal)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            match chaos::chaos(malle(), $seed).await {
                Ok(outcome) => println!("{outcome}"),
                Err(error) => panic!("{error:?}"),
            }
        }
    )*};
}

chaos_of_seeds! { chaos_of_seed_0 0 chaos_of_seed_1 1 chaos_of_seed_2 2 chaos_of_seed_3 3 chaos_of_seed_4 4 }

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_ask_is_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let fleet = Fleet::start(malle(), dir.path().to_owned(), &small()).await.expect("starts");
    let checked = fleet.run(&["config", "check", "--json"]).await.expect("nothing is wrong");
    assert!(checked.lines().count() >= 8, "{checked}");
    assert!(checked.lines().all(|line| line.contains("\"ok\":true")), "{checked}");

    // Every third mailbox is on a personal plan: no backups by hand.
    let refused = fleet.run(&["enqueue", "user0@example.org"]).await.expect_err("it is refused");
    assert!(refused.to_string().contains("personal plan"), "{refused}");
    let unknown = fleet.run(&["enqueue", "nobody@example.org"]).await.expect_err("there is none");
    assert!(unknown.to_string().contains("no such mailbox"), "{unknown}");
    let first = fleet.run(&["enqueue", "user1@example.org", "--key", "k", "--json"]).await.expect("a job");
    let again = fleet.run(&["enqueue", "user1@example.org", "--key", "k", "--json"]).await.expect("the same");
    let job = |answer: &str| serde_json::from_str::<Value>(answer).expect("JSON")["job"].clone();
    assert_eq!(job(&first), job(&again));

    let top: Value = serde_json::from_str(&fleet.run(&["top", "--json"]).await.expect("top")).expect("JSON");
    assert_eq!(top["jobs"]["manual"]["waiting"], 1, "{top}");
    assert!(fleet.run(&["top"]).await.expect("top").contains("manual"));
    assert_eq!(fleet.run(&["dlq", "list"]).await.expect("no dead letters"), "");
    assert_eq!(fleet.run(&["dlq", "redrive", "--all"]).await.expect("none to redrive"), "0 redriven\n");
    // Again: nothing to do.
    assert!(fleet.run(&["migrate"]).await.expect("migrates").starts_with("0 migrations"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_is_told_line_by_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let fleet = Fleet::start(malle(), dir.path().to_owned(), &small()).await.expect("starts");
    let mut command = fleet.malle(&["config", "check"]);
    command.env("MALLE__PRODUCTION_ZONE", "there").env("MALLE__REDIS__URL", "redis://127.0.0.1:9");
    command.env("MALLE__PRODUCER__SILENT_SECONDS", "44");
    let ended = command.output().await.expect("it runs");
    let said = String::from_utf8(ended.stdout).expect("UTF-8");
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAILED")).collect();
    assert_eq!(failed.len(), 3, "{said}");
    assert!(failed[0].contains("silent_seconds") && failed[1].contains("production's own zone"), "{said}");
    assert!(failed[2].contains("redis"), "{said}");
}
