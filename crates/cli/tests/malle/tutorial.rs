//! `docs/tutorial.md` and the README's sample, executed.
//!
//! Each command runs in `sh`, in order, in one directory, against a simulated server. What it prints on both streams has to be what
//! the document shows below it. What differs from run to run is replaced by a pattern in both texts before they are compared:
//! see [`stable`]. Counts, ids of emails, names and states are compared as they stand.
//!
//! With `MALLE_WRITE_DOCS=1` the outputs are written into the documents instead.

use std::fs;
use std::path::{Path, PathBuf};

use sim_stalwart::{AccountSpec, Simulator, Sizes};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::documents::root;
use crate::home::ALICE;

/// What the documents call the simulated server, and the directory in which commands run.
const SERVER: &str = "127.0.0.1:8080";
const PLACE: &str = "/home/alice/tutorial";

/// A place in which the commands of one document run.
struct Session {
    dir: TempDir,
    sim: Simulator,
    /// `export` lines, which hold for the commands behind them.
    exports: String,
}

impl Session {
    /// A server as `sim-stalwart --emails N` starts it.
    async fn new(emails: u32) -> Session {
        let account = AccountSpec::new(ALICE, "secret").emails(emails).sizes(Sizes::realistic());
        let sim = Simulator::builder().seed(1).account(account).with_control().start().await;
        let sim = sim.expect("the simulator starts");
        Session { dir: TempDir::new().expect("a temporary directory"), sim, exports: String::new() }
    }

    fn address(&self) -> String {
        self.sim.url().trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    /// What a command prints, in the document's names.
    async fn run(&mut self, command: &str) -> String {
        let address = self.address();
        let command = command.replace(SERVER, &address);
        if command.starts_with("export ") {
            self.exports += &format!("{command}\n");
        }
        let printed = match command.strip_prefix("curl -s \"$MALLE_SERVER") {
            Some(rest) => get(&address, rest.split('"').next().unwrap_or_default()).await,
            None => self.shell(&command).await,
        };
        let place = self.dir.path().to_str().expect("UTF-8");
        printed.replace(&address, SERVER).replace(place, PLACE).replace('\r', "")
    }

    async fn shell(&self, command: &str) -> String {
        let malle = Path::new(env!("CARGO_BIN_EXE_malle")).parent().expect("a directory");
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("exec 2>&1\n{}{command}", self.exports))
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", malle.display()))
            .env("LC_ALL", "C.UTF-8")
            .output();
        String::from_utf8(output.await.expect("sh runs").stdout).expect("UTF-8")
    }

    /// Every command of the document's `console` blocks; the document with what they printed.
    async fn play(&mut self, document: &str) -> String {
        let (mut played, mut is_console) = (String::new(), false);
        for line in document.lines() {
            if line.starts_with("```") {
                is_console = line == "```console";
            } else if is_console {
                let Some(command) = line.strip_prefix("$ ") else { continue };
                let printed = self.run(command).await;
                played += &format!("{line}\n{printed}");
                continue;
            }
            played += &format!("{line}\n");
        }
        played
    }
}

/// `GET`, without a program for it.
async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the simulator listens");
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains(" 200 "), "{answer}");
    format!("{body}\n")
}

/// A text without what differs from run to run: dates and times, seconds, sizes, counts of requests, ids of keys, mailboxes and
/// restores, and the widths of columns.
fn stable(text: &str) -> String {
    text.lines().map(|line| stable_line(line) + "\n").collect()
}

fn stable_line(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let bare = |at: usize| words.get(at).map_or("", |word| word.trim_matches([',', ';', ':', '(', ')', '`']));
    let pattern = |at: usize| {
        let (word, next) = (bare(at), bare(at + 1));
        let before = if at == 0 { "" } else { bare(at - 1) };
        if before == "restore" || before == "--resume" {
            return is_id(word, 8, 8).then_some("<restore>");
        }
        if is_number(word) && (["B", "kB", "MB", "s", "requests"].contains(&next)) {
            return Some("<number>");
        }
        if is_number(before) && ["B", "kB", "MB"].contains(&word) {
            return Some("<unit>");
        }
        let is_key = is_id(word, 16, 32) && word.chars().all(|sign| sign.is_ascii_hexdigit());
        let is_time = word.starts_with(|sign: char| sign.is_ascii_digit())
            && word.contains(['-', ':'])
            && word.chars().all(|sign| sign.is_ascii_digit() || sign == '-' || sign == ':');
        if is_key { Some("<id>") } else { is_time.then_some("<time>") }
    };
    let words = words.iter().enumerate().map(|(at, word)| match pattern(at) {
        Some(pattern) => word.replace(bare(at), pattern),
        None => (*word).to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_number(word: &str) -> bool {
    word.starts_with(|sign: char| sign.is_ascii_digit())
        && word.chars().all(|sign| sign.is_ascii_digit() || sign == '.')
}

/// Lower-case letters and digits, so many of them.
fn is_id(word: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&word.len())
        && word.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit())
}

/// Compares what a document shows with what its commands print, or writes it there.
async fn is_as_it_shows(document: &str, session: &mut Session) {
    let path: PathBuf = root().join(document);
    let shown = fs::read_to_string(&path).expect("the document is there");
    let played = session.play(&shown).await;
    if std::env::var_os("MALLE_WRITE_DOCS").is_some() {
        fs::write(&path, played).expect("writable");
        return;
    }
    let (shown, played) = (stable(&shown), stable(&played));
    for (at, (shown, played)) in shown.lines().zip(played.lines()).enumerate() {
        assert_eq!(shown, played, "{document}, line {}: MALLE_WRITE_DOCS=1 writes it again", at + 1);
    }
    assert_eq!(
        shown.lines().count(),
        played.lines().count(),
        "{document} shows more or less than is printed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_prints_what_it_shows() {
    let mut session = Session::new(500).await;
    is_as_it_shows("docs/tutorial.md", &mut session).await;
}

/// The README's sample begins where a key and a store are there.
#[tokio::test(flavor = "multi_thread")]
async fn the_readme_prints_what_it_shows() {
    let mut session = Session::new(5000).await;
    for command in [
        "malle key new --output ring.key",
        "export MALLE_KEY_FILE=$PWD/ring.key MALLE_STORE=file://$PWD/store MALLE_STATE_DIR=$PWD/state",
        "export MALLE_SERVER=http://127.0.0.1:8080 MALLE_PASSWORD=secret",
        "malle init --zone home",
    ] {
        session.run(command).await;
    }
    is_as_it_shows("README.md", &mut session).await;
}

#[test]
fn what_differs_from_run_to_run_is_replaced() {
    for (line, expected) in [
        (
            "6.92 MB fetched in 35 requests, 0.22 s",
            "<number> <unit> fetched in <number> requests, <number> s",
        ),
        ("good, 500 emails (6.78 MB), 2 gone", "good, 500 emails (<number> <unit>), 2 gone"),
        ("63065ba701798f9b  current", "<id> current"),
        ("     2  2026-12-01 01:22  good", "2 <time> <time> good"),
        ("`malle restore --resume u55crpqc` goes", "`malle restore --resume <restore>` goes"),
        ("2–3   elohywkqf", "2–3 elohywkqf"),
    ] {
        assert_eq!(stable_line(line), expected);
    }
}
