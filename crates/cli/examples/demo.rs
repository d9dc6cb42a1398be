//! `make demo`: the real `malle` against a simulated server, and what each step cost.
//!
//! Costs are counted by the server and on the disk, not taken from what malle says of itself.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sim_stalwart::{AccountSpec, Kinds, Simulator};
use tokio::process::Command;

const ALICE: &str = "alice@example.org";
const PASSWORD: &str = "only for the demo";
const EMAILS: u32 = 5000;
const CHANGES: u32 = 100;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

struct Demo {
    malle: PathBuf,
    dir: tempfile::TempDir,
    sim: Simulator,
}

/// What one backup cost.
struct Cost {
    what: String,
    took: Duration,
    requests: u64,
    sent: u64,
    stored: u64,
}

#[tokio::main]
async fn main() -> Done {
    let account = AccountSpec::new(ALICE, PASSWORD).emails(EMAILS);
    let demo = Demo {
        malle: beside_this_example()?,
        dir: tempfile::Builder::new().prefix("malle-demo-").tempdir()?,
        sim: Simulator::builder().seed(1).account(account).start().await?,
    };
    say(&format!("A simulated mail server at {} with {EMAILS} emails for {ALICE}.\n", demo.sim.url()))?;
    demo.make_key().await?;
    let mut costs = vec![demo.back_up("full".into()).await?];
    costs.push(demo.back_up("nothing changed".into()).await?);
    let alice = demo.sim.account(ALICE).ok_or("alice is gone")?;
    alice.mutate(CHANGES, 42, Kinds::All);
    say(&format!("… mail arrives, moves, is read and deleted: {CHANGES} changes …\n"))?;
    costs.push(demo.back_up(format!("{CHANGES} changes")).await?);
    for command in [
        &["list", "--account", ALICE][..],
        &["show", "--account", ALICE],
        &["verify", "--account", ALICE, "--read-data"],
        &["check"],
    ] {
        demo.run(command).await?;
    }
    say(&table(&costs))
}

/// `target/…/examples/demo` stands beside `target/…/malle`.
fn beside_this_example() -> Done<PathBuf> {
    let example = std::env::current_exe()?;
    let malle = example.ancestors().nth(2).ok_or("no directory above")?.join("malle");
    if malle.exists() {
        Ok(malle)
    } else {
        Err("build the binary first: cargo build -p cli --bin malle".into())
    }
}

impl Demo {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.malle);
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("MALLE_KEY_FILE", "ring.key")
            .env("MALLE_STORE", format!("file://{}", self.store().display()))
            .env("MALLE_SERVER", self.sim.url())
            .env("MALLE_PASSWORD", PASSWORD);
        command
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    async fn make_key(&self) -> Done {
        say("$ malle key new > ring.key\n")?;
        let ring = fs::File::create(self.dir.path().join("ring.key"))?;
        let status = self.command(&["key", "new"]).stdout(ring).status().await?;
        succeeded(status)
    }

    async fn run(&self, args: &[&str]) -> Done {
        say(&format!("$ malle {}", args.join(" ")))?;
        let status = self.command(args).status().await?;
        say("")?;
        succeeded(status)
    }

    async fn back_up(&self, what: String) -> Done<Cost> {
        let (counters, size, start) = (self.sim.counters(), size(&self.store()), Instant::now());
        self.run(&["backup", "--account", ALICE, "--zone", "demo"]).await?;
        let spent = self.sim.counters().since(&counters);
        Ok(Cost {
            what,
            took: start.elapsed(),
            requests: spent.requests,
            sent: spent.bytes_out,
            stored: size_after(&self.store(), size),
        })
    }
}

fn succeeded(status: std::process::ExitStatus) -> Done {
    if status.success() { Ok(()) } else { Err(format!("malle ended with {status}").into()) }
}

fn size_after(store: &Path, before: u64) -> u64 {
    size(store).saturating_sub(before)
}

/// Bytes of all files below.
fn size(below: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(below) else {
        return 0;
    };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

fn table(costs: &[Cost]) -> String {
    let mut text = format!(
        "{:<16} {:>9} {:>14} {:>12} {:>12}\n",
        "backup", "seconds", "JMAP requests", "server sent", "store grew"
    );
    for cost in costs {
        text += &format!(
            "{:<16} {:>9.2} {:>14} {:>12} {:>12}\n",
            cost.what,
            cost.took.as_secs_f64(),
            cost.requests,
            kilobytes(cost.sent),
            kilobytes(cost.stored),
        );
    }
    text
}

fn kilobytes(bytes: u64) -> String {
    format!("{}.{} kB", bytes / 1000, bytes % 1000 / 100)
}

fn say(text: &str) -> Done {
    Ok(writeln!(io::stdout(), "{text}")?)
}
