//! Being told to stop.

use std::time::Duration;

use sim_stalwart::{Effect, Fault, Simulator, Target};

use crate::home::{ALICE, Home, alice, end};

/// A backup is stopped while it waits for the server; the next one completes.
async fn stopped_by(signal: &str, code: i32) {
    let home = Home::with(Simulator::builder().account(alice())).await;
    home.back_up().await;
    home.alice().deliver("Subject: new\r\n\r\nnew\r\n", &[], &[]);
    let before = home.sim.counters().requests;
    let slow = home.sim.faults().add(Fault::new(Target::Api, Effect::Delay(Duration::from_secs(60))));
    let child = home.malle(&["backup", "--account", ALICE]).spawn().expect("runs");
    let id = child.id().expect("runs still").to_string();
    while home.sim.counters().requests < before + 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let sent = std::process::Command::new("kill").args([signal, &id]).status();
    assert!(sent.expect("kill runs").success());
    let ended = end(child).await;
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(ended.err.contains("nothing that was backed up before is lost"), "{ended:?}");

    home.sim.faults().remove(slow);
    home.run(&["check", "--read-data"]).await.good();
    assert_eq!(home.back_up().await["emails"], 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_backup_cleanly() {
    stopped_by("-INT", 130).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_a_backup_cleanly() {
    stopped_by("-TERM", 143).await;
}
