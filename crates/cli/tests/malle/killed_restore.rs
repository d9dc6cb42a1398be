//! `malle restore` killed with SIGKILL at random moments and gone on with: no email is lost, and none is there twice.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use sim_stalwart::{AccountHandle, AccountSpec, Folders, Kinds, Simulator, Sizes, Version};
use testkit::seeds;
use tests::Belongings;
use tests::truth::held_belongings;

use crate::home::{ALICE, Home, PASSWORD};

const BOB: &str = "bob@example.org";
const CAROL: &str = "carol@example.org";
const EMAILS: u32 = 300;
/// Of one restore, then it may come to its end.
const MOST_KILLS: u64 = 5;
/// In the usual run; with `MALLE_SEEDS` or `MALLE_SOAK` as many as they say.
const USUAL_SEEDS: usize = 6;

/// One restore that is killed.
struct Victim {
    home: Home,
    seed: u64,
    mode: &'static str,
    /// The account that is given something.
    to: &'static str,
    /// The snapshot.
    number: String,
    /// As the first one that lived long enough printed it.
    id: Option<String>,
    usual: Duration,
    attempts: u64,
    struck: u64,
}

impl Victim {
    /// Alice is backed up, bob has nothing; in mode *exact* she becomes again what she was, before her mail was edited.
    async fn new(seed: u64, mode: &'static str) -> Victim {
        let alice = AccountSpec::new(ALICE, PASSWORD).emails(EMAILS).sizes(Sizes::light());
        // 0.16 refuses what is no email.
        let builder =
            Simulator::builder().seed(seed).version(Version::V0_15).account(alice.folders(Folders::Many(12)));
        let builder = builder.account(AccountSpec::new(BOB, PASSWORD).alias(ALICE).bare());
        let home = Home::with(builder.account(AccountSpec::new(CAROL, PASSWORD).alias(ALICE).bare())).await;
        let number = home.back_up().await["number"].to_string();
        let to = if mode == "exact" { ALICE } else { BOB };
        let usual = Duration::ZERO;
        let mut victim = Victim { home, seed, mode, to, number, id: None, usual, attempts: 0, struck: 0 };
        victim.usual = victim.measure().await;
        victim
    }

    fn args(&self, to: &'static str) -> Vec<String> {
        if let Some(id) = &self.id {
            return ["restore", "--resume", id, "--user", to, "--json"].map(str::to_owned).to_vec();
        }
        let mut args = vec!["restore", "--account", ALICE, "--snapshot", &self.number, "--json", "--yes"];
        args.extend(["--mode", self.mode, "--user", to]);
        args.extend(if to == ALICE { None } else { Some(["--to-account", to]) }.into_iter().flatten());
        args.into_iter().map(str::to_owned).collect()
    }

    /// How long it takes that nobody kills, into an account of its own.
    async fn measure(&self) -> Duration {
        let (args, started) = (self.args(CAROL), Instant::now());
        self.home.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await.good();
        started.elapsed()
    }

    /// One attempt, killed somewhere in the usual time; what it printed if it came to its end.
    async fn attempt(&mut self) -> Option<Value> {
        let args = self.args(self.to);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = self.home.malle(&args).spawn().expect("malle runs");
        if self.struck < MOST_KILLS {
            let draw = blake3::hash(&[self.seed.to_be_bytes(), self.attempts.to_be_bytes()].concat());
            let part = f64::from(u16::from_be_bytes([draw.as_bytes()[0], draw.as_bytes()[1]])) / 65_536.0;
            let moment = tokio::time::sleep(self.usual.mul_f64(part));
            tokio::select! {
                _ = child.wait() => {}
                () = moment => drop(child.start_kill()),
            }
        }
        let Output { status, stdout, stderr } = child.wait_with_output().await.expect("it ends");
        let said = String::from_utf8(stderr).expect("UTF-8");
        let is_killed = status.signal() == Some(9);
        assert!(is_killed || status.success(), "{} {status} {said}", self.mode);
        self.attempts += 1;
        self.struck += u64::from(is_killed);
        let printed = said.lines().find_map(|line| line.strip_prefix("malle: restore ")?.split(':').next());
        self.id = printed.map(str::to_owned).or(self.id.take());
        let done = String::from_utf8(stdout).expect("UTF-8");
        // A line that was cut off announces nothing.
        done.lines().find_map(|line| serde_json::from_str(line).ok())
    }

    /// Attempts until one comes to its end.
    async fn ended(&mut self) -> Value {
        loop {
            if let Some(done) = self.attempt().await {
                return done;
            }
        }
    }

    fn account(&self) -> AccountHandle {
        self.home.sim.account(self.to).expect("it is there")
    }

    /// The account has just what is expected, and nothing of the restore's own.
    fn assert_given(&self, done: &Value, expected: &Belongings, when: &str) {
        let mut found = held_belongings(&self.account());
        let traces = found.folders.keys().find(|folder| folder.path[0].starts_with("Malle restore"));
        assert_eq!(traces, None, "{} {when}", self.mode);
        match done["folder"].as_str() {
            Some(top) => found = found.below(top),
            // Folders that bob has by nature stay.
            None if self.to == BOB => {
                found.folders.retain(|folder, _| expected.paths().contains_key(&folder.path));
            }
            None => {}
        }
        found.assert_same(expected, &format!("{} of seed {} {when}: {done}", self.mode, self.seed));
    }

    async fn story(&mut self) {
        let expected = held_belongings(&self.home.alice());
        self.home.alice().mutate(80, self.seed, Kinds::Emails);
        let edited = held_belongings(&self.home.alice());
        let done = self.ended().await;
        self.assert_given(&done, &expected, "restored");
        // Whoever does not know that it is over, and goes on, changes nothing.
        let again = self.args(self.to);
        let again = self.home.run(&again.iter().map(String::as_str).collect::<Vec<_>>()).await.good();
        self.assert_given(&again.objects()[0], &expected, "gone on with for no reason");
        if self.mode == "exact" {
            let safety = done["safety"].to_string();
            let undo = ["restore", "--account", ALICE, "--mode", "exact", "--yes", "--json"];
            self.home.run(&[&undo[..], &["--snapshot", &safety]].concat()).await.good();
            held_belongings(&self.home.alice()).assert_same(&edited, "undone");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_is_gone_on_with_and_loses_and_doubles_nothing() {
    let is_long = ["MALLE_SEEDS", "MALLE_SOAK"].iter().any(|name| std::env::var_os(name).is_some());
    let (mut attempts, mut struck) = (0, 0);
    for seed in seeds().into_iter().take(if is_long { usize::MAX } else { USUAL_SEEDS }) {
        let mode = ["beside", "missing", "exact"][(seed % 3) as usize];
        println!("MALLE_SEED={seed} {mode}");
        let mut victim = Victim::new(seed, mode).await;
        victim.story().await;
        attempts += victim.attempts;
        struck += victim.struck;
    }
    println!("{struck} of {attempts} restores were killed before they ended");
    assert!(struck * 3 > attempts, "only {struck} of {attempts}: too little was tested");
}

/// The one that the other took it over from ends; the other does not end because of what that one committed last.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_go_on_at_the_same_time_one_comes_to_the_end() {
    let mut met = 0;
    for seed in 0..3 {
        let mut victim = Victim::new(seed, "exact").await;
        let expected = held_belongings(&victim.home.alice());
        victim.home.alice().mutate(80, seed, Kinds::Emails);
        while victim.id.is_none() {
            victim.attempt().await;
        }
        let args = victim.args(ALICE);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (one, other) = tokio::join!(victim.home.run(&args), victim.home.run(&args));
        let ended = if one.code == 0 { &one } else { &other };
        let are_told = [&one, &other].iter().all(|of| [0, 10].contains(&of.code));
        assert!(ended.code == 0 && are_told, "{one:?} {other:?}");
        met += u32::from(one.code + other.code > 0);
        victim.assert_given(&ended.objects()[0], &expected, "by one of two");
    }
    println!("{met} of 3 met");
}
