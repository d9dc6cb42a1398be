//! Being told to stop.

use std::time::Duration;

use sim_stalwart::{AccountSpec, Effect, Fault, Simulator, Sizes, Target};

use crate::home::{ALICE, Home, PASSWORD, alice, end};

fn send(signal: &str, id: &str) {
    let sent = std::process::Command::new("kill").args([signal, id]).status();
    assert!(sent.expect("kill runs").success());
}

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
    send(signal, &id);
    let ended = end(child).await;
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(ended.err.contains("nothing that was backed up before is lost"), "{ended:?}");
    assert!(!ended.err.contains("goes on from there"), "there is nothing to go on from: {ended:?}");

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

/// Stopped in the middle of a first backup: what came is kept, it says so, and the next run fetches the rest.
async fn stopped_while_it_fetches(signal: &str, code: i32) {
    let spec = || AccountSpec::new(ALICE, PASSWORD).emails(2_000).sizes(Sizes::light());
    let whole = Home::with(Simulator::builder().account(spec())).await;
    whole.back_up().await;
    let whole = whole.sim.counters().bytes_out;

    let home = Home::with(Simulator::builder().account(spec())).await;
    let hang = Fault::new(Target::method("Blob/get"), Effect::Delay(Duration::from_secs(3_600)));
    let hang = home.sim.faults().add(hang.after(4));
    let child = home.malle(&["backup", "--account", ALICE]).spawn().expect("runs");
    let id = child.id().expect("runs still").to_string();
    while home.sim.faults().struck(hang) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    send(signal, &id);
    let ended = end(child).await;
    assert_eq!(ended.code, code, "{ended:?}");
    let said = ended.err.lines().last().expect("a line");
    assert!(said.contains("nothing that was backed up before is lost"), "{ended:?}");
    assert!(said.contains("that came are kept and the next run goes on from there"), "{ended:?}");

    home.sim.faults().clear();
    let before = home.sim.counters();
    assert_eq!(home.back_up().await["emails"], 2_000);
    let rest = home.sim.counters().since(&before).bytes_out;
    assert!(rest < whole * 9 / 10, "{rest} of {whole} bytes were asked for again");
    home.run(&["check", "--read-data"]).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_ctrl_c_is_kept() {
    stopped_while_it_fetches("-INT", 130).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_sigterm_is_kept() {
    stopped_while_it_fetches("-TERM", 143).await;
}
