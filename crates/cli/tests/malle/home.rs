//! A server, a store and a ring of one test's own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use sim_stalwart::{AccountHandle, AccountSpec, Builder, Simulator, Sizes};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub(crate) const ALICE: &str = "alice@example.org";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Exit code, and one line on standard error that says all of this.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        let lines: Vec<&str> = self.err.lines().collect();
        assert_eq!(lines.len(), 1, "not one line: {self:#?}");
        assert!(lines[0].starts_with("malle: failed to "), "{self:#?}");
        for text in says {
            assert!(lines[0].contains(text), "does not say {text:?}: {self:#?}");
        }
    }

    /// Exit code 0.
    #[track_caller]
    pub(crate) fn good(self) -> Ended {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// The JSON objects on standard output, one a line.
    #[track_caller]
    pub(crate) fn objects(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("each line is JSON");
        self.out.lines().map(parse).collect()
    }
}

/// Everything a command needs, in a temporary directory.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
    pub(crate) sim: Simulator,
}

impl Home {
    pub(crate) async fn new() -> Home {
        Home::with(Simulator::builder().account(alice())).await
    }

    pub(crate) async fn with(builder: Builder) -> Home {
        let home = Home::without_store(builder).await;
        home.run(&["init", "--quiet"]).await.good();
        home
    }

    /// With a ring, and no store yet.
    pub(crate) async fn without_store(builder: Builder) -> Home {
        let sim = builder.start().await.expect("the simulator starts");
        let home = Home { dir: TempDir::new().expect("a temporary directory"), sim };
        home.malle(&["key", "new", "--output"]).arg(home.ring()).output().await.expect("malle runs");
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn ring(&self) -> PathBuf {
        self.path("ring.key")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// What this home's machine remembers.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn alice(&self) -> AccountHandle {
        self.sim.account(ALICE).expect("alice is there")
    }

    /// `malle` with nothing in its environment but this home, in which it also runs: what it writes where it stands goes with it.
    pub(crate) fn malle(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_malle"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("MALLE_KEY_FILE", self.ring())
            .env("MALLE_STORE", file_url(&self.store()))
            .env("MALLE_STATE_DIR", self.state())
            .env("MALLE_SERVER", self.sim.url())
            .env("MALLE_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Ended {
        end(self.malle(args).spawn().expect("malle runs")).await
    }

    /// A backup of alice that must be good.
    pub(crate) async fn back_up(&self) -> Value {
        let ended = self.run(&["backup", "--account", ALICE, "--json"]).await.good();
        ended.objects().remove(0)
    }
}

pub(crate) fn alice() -> AccountSpec {
    AccountSpec::new(ALICE, PASSWORD).emails(40).sizes(Sizes::tiny())
}

pub(crate) fn file_url(path: &Path) -> String {
    format!("file://{}", path.display())
}

pub(crate) async fn end(child: Child) -> Ended {
    let output = child.wait_with_output().await.expect("malle ends");
    Ended {
        code: output.status.code().expect("no signal killed it"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Every file below a directory, with its content.
pub(crate) fn files(below: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut dirs = vec![below.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("listable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let content = std::fs::read(&path).expect("readable");
                found.push((path, content));
            }
        }
    }
    found.sort();
    found
}
