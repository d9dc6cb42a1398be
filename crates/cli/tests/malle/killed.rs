//! `malle backup` killed with SIGKILL at random moments: what was announced stays, what is left is sound.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use serde_json::Value;
use sim_stalwart::{AccountSpec, Kinds, Simulator, Sizes};
use testkit::seeds;

use crate::home::{ALICE, Home, PASSWORD, file_url};

const EMAILS: u32 = 400;
const BACKUP: [&str; 4] = ["backup", "--account", ALICE, "--json"];
/// Kills of the first backup, and of those that follow it.
const KILLS: [u64; 2] = [3, 4];

/// How long a backup takes that nobody kills.
struct Usual {
    first: Duration,
    changed: Duration,
}

/// One mailbox whose backups are killed.
struct Victim {
    home: Home,
    seed: u64,
    announced: BTreeSet<u64>,
    attempts: u64,
    struck: u64,
}

fn mutate(home: &Home, seed: u64) {
    home.alice().mutate(60, seed, Kinds::All);
}

impl Victim {
    async fn new(seed: u64) -> Victim {
        let alice = AccountSpec::new(ALICE, PASSWORD).emails(EMAILS).sizes(Sizes::light());
        let home = Home::with(Simulator::builder().seed(seed).account(alice)).await;
        Victim { home, seed, announced: BTreeSet::new(), attempts: 0, struck: 0 }
    }

    /// Measures on a store of its own.
    async fn usual(&self) -> Usual {
        let url = file_url(&self.home.path("measured"));
        self.home.run(&["init", "--store", &url]).await.good();
        let args = [&BACKUP[..], &["--store", &url]].concat();
        let mut times = Vec::new();
        for _ in 0..2 {
            let started = Instant::now();
            self.home.run(&args).await.good();
            times.push(started.elapsed());
            mutate(&self.home, self.seed);
        }
        Usual { first: times[0], changed: times[1] }
    }

    /// Kills one backup somewhere in its usual time; it may be over by then.
    async fn kill_within(&mut self, usual: Duration) {
        let mut child = self.home.malle(&BACKUP).spawn().expect("malle runs");
        let draw = blake3::hash(&[self.seed.to_be_bytes(), self.attempts.to_be_bytes()].concat());
        let part = f64::from(u16::from_be_bytes([draw.as_bytes()[0], draw.as_bytes()[1]])) / 65_536.0;
        tokio::time::sleep(usual.mul_f64(part)).await;
        let _ = child.start_kill();
        let output = child.wait_with_output().await.expect("it ends");
        let killed = output.status.signal() == Some(9);
        assert!(killed || output.status.success(), "{output:?}");
        self.attempts += 1;
        self.struck += u64::from(killed);
        // A line that was cut off announces nothing.
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        self.announced.extend(lines.filter_map(|line| line["number"].as_u64()));
        self.examine().await;
    }

    /// Everything announced is there, and everything that is there can be read.
    async fn examine(&self) {
        let checked = self.home.run(&["check", "--read-data"]).await;
        assert!(checked.code == 0 || checked.code == 6 && self.announced.is_empty(), "{checked:#?}");
        let list = self.home.run(&["list", "--account", ALICE, "--json"]).await;
        assert!(list.code == 0 || list.code == 6 && self.announced.is_empty(), "{list:#?}");
        let listed: BTreeSet<u64> = list.objects().iter().filter_map(|row| row["number"].as_u64()).collect();
        assert!(listed.is_superset(&self.announced), "{:?} were announced: {list:#?}", self.announced);
    }

    /// A run that nobody kills.
    async fn complete(&mut self) {
        let done = self.home.back_up().await;
        assert_eq!(done["emails"], self.home.alice().email_count());
        self.announced.extend(done["number"].as_u64());
        self.home.run(&["verify", "--account", ALICE, "--read-data"]).await.good();
        self.examine().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backup_loses_nothing_that_was_announced_and_leaves_the_store_sound() {
    let (mut attempts, mut struck) = (0, 0);
    for seed in seeds() {
        println!("MALLE_SEED={seed}");
        let mut victim = Victim::new(seed).await;
        let usual = victim.usual().await;
        for (kills, usual) in KILLS.into_iter().zip([usual.first, usual.changed]) {
            for _ in 0..kills {
                victim.kill_within(usual).await;
                mutate(&victim.home, seed + victim.attempts);
            }
            victim.complete().await;
        }
        attempts += victim.attempts;
        struck += victim.struck;
    }
    println!("{struck} of {attempts} backups were killed before they ended");
    assert!(struck * 2 > attempts, "only {struck} of {attempts}: too little was tested");
}
