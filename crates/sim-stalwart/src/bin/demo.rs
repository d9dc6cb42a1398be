//! `make demo`: the real `malle` against a simulated server: backups and what each cost, an export, a restore into another
//! account and a comparison of the two.
//!
//! Costs are counted by the server and on the disk, not taken from what malle says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sim_stalwart::{AccountHandle, AccountSpec, DataType, Kinds, Simulator};
use tokio::process::Command;

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";
const PASSWORD: &str = "only for the demo";
const EMAILS: u32 = 5000;
const CHANGES: u32 = 100;
/// malle's exit code for it.
const SOMETHING_REFUSED: i32 = 3;
/// How a line begins that names what the server refused.
const REFUSAL: &str = "  did not come back";
const REFUSALS_SHOWN: u32 = 3;

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
        malle: beside_this_program()?,
        dir: tempfile::Builder::new().prefix("malle-demo-").tempdir()?,
        sim: Simulator::builder().seed(1).account(account).start().await?,
    };
    say(&format!("A simulated mail server at {} with {EMAILS} emails for {ALICE}.\n", demo.sim.url()))?;
    demo.run(&["key", "new", "--output", "ring.key"]).await?;
    demo.run(&["init", "--zone", "demo"]).await?;
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
    say(&table(&costs))?;
    demo.run(&["export", "--account", ALICE, "--format", "maildir", "--to", "mail"]).await?;
    let emails = files_in(&demo.dir.path().join("mail/Maildir"), "cur");
    say(&format!("… mail/Maildir is a Maildir for any mail program, of {emails} files …\n"))?;
    let bob = demo.sim.add_account(&AccountSpec::new(BOB, PASSWORD).alias(ALICE).bare());
    demo.give_to_bob().await?;
    say(&compared(&alice, &bob, &demo.dir.path().join("refused"))?)
}

/// One email as it matters to its owner: digest of its bytes, paths of its folders, keywords, `receivedAt`.
type Mail = ([u8; 32], BTreeSet<String>, BTreeSet<String>, String);

/// How many there are of each.
fn mails(account: &AccountHandle) -> Done<BTreeMap<Mail, u32>> {
    let folders = account.content(DataType::Mailbox);
    let path = |id: &String| {
        let above = |id: &str| folders.get(id)?["parentId"].as_str().map(str::to_owned);
        let ids: Vec<String> = std::iter::successors(Some(id.clone()), |id| above(id)).collect();
        // Stalwart takes spaces off both ends.
        let names = ids.iter().rev().filter_map(|id| Some(folders.get(id)?["name"].as_str()?.trim()));
        names.collect::<Vec<_>>().join(" / ")
    };
    let mut mails = BTreeMap::new();
    for email in account.emails() {
        let digest = account.digest(&email.id).ok_or("an email is gone")?;
        let folders = email.mailbox_ids.iter().map(path).collect();
        *mails.entry((digest, folders, email.keywords, email.received_at)).or_default() += 1;
    }
    Ok(mails)
}

/// The server is asked, not malle. What it refused must lie in `refused`, byte for byte.
fn compared(alice: &AccountHandle, bob: &AccountHandle, refused: &Path) -> Done<String> {
    let (before, after) = (mails(alice)?, mails(bob)?);
    let held = |mail| after.get(mail).copied().unwrap_or(0);
    let mut missing: Vec<[u8; 32]> = Vec::new();
    for (mail, count) in &before {
        let lacking = count.checked_sub(held(mail)).ok_or("an email came twice")?;
        missing.extend(std::iter::repeat_n(mail.0, usize::try_from(lacking)?));
    }
    if !after.keys().all(|mail| before.contains_key(mail)) {
        return Err(format!("{BOB} has emails that {ALICE} has not").into());
    }
    let mut kept = Vec::new();
    for entry in fs::read_dir(refused).into_iter().flatten() {
        kept.push(*blake3::hash(&fs::read(entry?.path())?).as_bytes());
    }
    missing.sort_unstable();
    kept.sort_unstable();
    if missing != kept {
        return Err(format!("{} of {ALICE}'s emails came back nowhere", missing.len()).into());
    }
    let folders: BTreeSet<&String> = after.keys().flat_map(|(_, folders, ..)| folders).collect();
    let same = bob.email_count();
    let mut text = format!(
        "Compared on the server: {same} emails are the same in both accounts, every byte, the {} folders they lie in, \
         keywords, dates of receipt.",
        folders.len(),
    );
    if !kept.is_empty() {
        text += &format!(
            "\n{} are no emails to the server; malle kept them as files, the same bytes.",
            kept.len()
        );
    }
    Ok(text)
}

/// Files in all directories of that name.
fn files_in(below: &Path, name: &str) -> usize {
    let Ok(entries) = fs::read_dir(below) else {
        return 0;
    };
    let of = |entry: fs::DirEntry| match (entry.path().is_dir(), below.ends_with(name)) {
        (true, _) => files_in(&entry.path(), name),
        (false, is_named) => usize::from(is_named),
    };
    entries.flatten().map(of).sum()
}

/// `target/…/demo` stands beside `target/…/malle`.
fn beside_this_program() -> Done<PathBuf> {
    let malle = std::env::current_exe()?.with_file_name("malle");
    if malle.exists() { Ok(malle) } else { Err("build the binary first: make demo".into()) }
}

impl Demo {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.malle);
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("MALLE_KEY_FILE", "ring.key")
            .env("MALLE_STATE_DIR", self.dir.path().join("state"))
            .env("MALLE_STORE", format!("file://{}", self.store().display()))
            .env("MALLE_SERVER", self.sim.url())
            .env("MALLE_PASSWORD", PASSWORD);
        command
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    async fn run(&self, args: &[&str]) -> Done {
        say(&format!("$ malle {}", args.join(" ")))?;
        let status = self.command(args).status().await?;
        say("")?;
        succeeded(status)
    }

    /// The demo's emails are as odd as real ones: some of them no server takes.
    async fn give_to_bob(&self) -> Done {
        let to = ["--to-account", BOB, "--user", BOB, "--mode", "exact", "--yes", "--refused", "refused"];
        let args = [&["restore", "--account", ALICE][..], &to].concat();
        say(&format!("$ malle {}", args.join(" ")))?;
        let output = self.command(&args).stderr(Stdio::inherit()).output().await?;
        let (mut named, text) = (0, String::from_utf8_lossy(&output.stdout));
        for line in text.lines() {
            named += u32::from(line.starts_with(REFUSAL));
            if named <= REFUSALS_SHOWN || !line.starts_with(REFUSAL) {
                say(line)?;
            }
        }
        say("")?;
        match output.status.code() {
            Some(SOMETHING_REFUSED) => Ok(()),
            _ => succeeded(output.status),
        }
    }

    async fn back_up(&self, what: String) -> Done<Cost> {
        let (counters, size, start) = (self.sim.counters(), size(&self.store()), Instant::now());
        self.run(&["backup", "--account", ALICE]).await?;
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
