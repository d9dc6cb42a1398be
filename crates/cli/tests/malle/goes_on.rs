//! First backups that are cut off, and what the next run makes of it.

use std::time::{Duration, Instant};

use sim_stalwart::{AccountSpec, Effect, Fault, Simulator, Sizes, Target};
use tokio::process::{Child, Command};

use crate::home::{ALICE, Home, PASSWORD, end, files};

const EMAILS: u32 = 3_000;

async fn home() -> Home {
    let spec = AccountSpec::new(ALICE, PASSWORD).emails(EMAILS).sizes(Sizes::light());
    Home::with(Simulator::builder().account(spec).token(ALICE, "the first")).await
}

fn fetching(effect: Effect) -> Fault {
    Fault::new(Target::method("Blob/get"), effect)
}

/// Bytes that the server sends for a whole backup, and in how many batches it is asked for them.
async fn whole() -> (u64, u64) {
    let home = home().await;
    let batches = home.sim.faults().add(fetching(Effect::Delay(Duration::ZERO)));
    home.back_up().await;
    (home.sim.counters().bytes_out, home.sim.faults().struck(batches))
}

/// How many log entries there are.
fn entries(home: &Home) -> usize {
    match home.store().exists() {
        true => {
            files(&home.store()).iter().filter(|(path, _)| path.to_string_lossy().contains("/log/")).count()
        }
        false => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_backup_killed_at_three_quarters_asks_for_the_last_quarter() {
    let (whole, batches) = whole().await;
    let home = home().await;
    let hang = fetching(Effect::Delay(Duration::from_secs(3_600))).after(batches * 76 / 100);
    let hang = home.sim.faults().add(hang);
    let mut child = home.malle(&["backup", "--account", ALICE, "--keep-every", "1"]).spawn().expect("runs");
    while home.sim.faults().struck(hang) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What came is committed within a few seconds; nothing more comes.
    let mut seen = 0;
    for _ in 0..4 {
        seen = seen.max(entries(&home));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(seen > 1, "no slice was committed");
    child.kill().await.expect("it is killed");

    home.sim.faults().clear();
    let before = home.sim.counters();
    assert_eq!(home.back_up().await["emails"], EMAILS);
    let rest = home.sim.counters().since(&before).bytes_out;
    println!("killed at 76 %: the next run asked for {} %", rest * 100 / whole);
    assert!(rest * 100 / whole < 45, "{rest} of {whole} bytes");
    home.run(&["verify", "--account", ALICE, "--read-data"]).await.good();
}

/// A backup that signs in with the token in the file.
fn with_token(home: &Home) -> Command {
    let mut command = home.malle(&["backup", "--account", ALICE]);
    command.env_remove("MALLE_PASSWORD").env("MALLE_TOKEN_FILE", home.path("token"));
    command
}

/// Begins one on a slow server; it is fetching when this returns.
async fn fetching_with_token(home: &Home) -> Child {
    std::fs::write(home.path("token"), "the first\n").expect("written");
    let slow = home.sim.faults().add(fetching(Effect::Delay(Duration::from_millis(300))));
    let child = with_token(home).spawn().expect("malle runs");
    while home.sim.faults().struck(slow) < 9 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_on_the_way_is_read_again_from_its_file() {
    let home = home().await;
    let child = fetching_with_token(&home).await;
    std::fs::write(home.path("token"), "the second\n").expect("written");
    assert!(home.sim.replace_token("the first", "the second"));
    let ended = end(child).await.good();
    assert!(ended.out.contains("snapshot 2") && ended.out.contains("good"), "{ended:?}");
    let said = format!("{}{}", ended.out, ended.err);
    assert!(!said.contains("the first") && !said.contains("the second"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_for_good_keeps_what_came() {
    let (whole, _) = whole().await;
    let home = home().await;
    let child = fetching_with_token(&home).await;
    assert!(home.sim.replace_token("the first", "the second"));
    let ended = end(child).await;
    ended.refused(
        4,
        &["that came are kept and the next run goes on from there", "does not accept", "MALLE_TOKEN"],
    );
    assert!(!ended.err.contains("the first"), "{ended:?}");

    home.sim.faults().clear();
    std::fs::write(home.path("token"), "the second").expect("written");
    let before = home.sim.counters();
    end(with_token(&home).spawn().expect("malle runs")).await.good();
    let rest = home.sim.counters().since(&before).bytes_out;
    assert!(rest < whole * 9 / 10, "{rest} of {whole} bytes were asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_backups_at_once_one_ends_early_and_says_what_it_leaves() {
    let (_, batches) = whole().await;
    let home = home().await;
    // Time for commits and looks, and then for nothing else: a busy machine cannot end the winner first.
    home.sim.faults().add(fetching(Effect::Delay(Duration::from_secs(1))));
    home.sim.faults().add(fetching(Effect::Delay(Duration::from_secs(12))).after(batches));
    let run = async || {
        let args = ["backup", "--account", ALICE, "--keep-every", "1"];
        let ended = end(home.malle(&args).spawn().expect("malle runs")).await;
        home.sim.faults().clear();
        (ended, Instant::now())
    };
    let began = Instant::now();
    let (one, two) = tokio::join!(run(), run());
    let (first, last) = if one.1 < two.1 { (one, two) } else { (two, one) };
    println!("one ended after {:?}, the other after {:?}", first.1 - began, last.1 - began);
    first.0.refused(10, &["committed entry", "this one ended", "`malle check` counts"]);
    last.0.good();
    home.run(&["check", "--read-data"]).await.good();
    assert_eq!(home.back_up().await["emails"], EMAILS);
}
