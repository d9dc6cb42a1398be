use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use testkit::seaweedfs::{ACCESS_KEY, REGION, SECRET_KEY, SeaweedFs};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Starts a `malle` on a fleet: knows the program, the configuration and the stores' credentials. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Launcher {
    malle: PathBuf,
    dir: PathBuf,
    environment: Vec<(&'static str, String)>,
    metrics: Vec<u16>,
}

impl Launcher {
    pub(super) fn new(malle: PathBuf, dir: PathBuf, store: &SeaweedFs, metrics: Vec<u16>) -> Launcher {
        let environment = vec![
            ("MALLE_CONFIG", dir.join("malle.toml").display().to_string()),
            ("MALLE_STATE_DIR", dir.join("state").display().to_string()),
            ("AWS_ENDPOINT_URL", store.endpoint().to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
        ];
        Launcher { malle, dir, environment, metrics }
    }

    /// With these variables besides.
    #[must_use]
    pub fn with(mut self, variables: &[(&'static str, &str)]) -> Launcher {
        self.environment.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self
    }

    /// Where configuration, secrets and logs lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What every `malle` gets.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        self.environment.clone()
    }

    /// A command, not yet begun.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.malle);
        command.args(arguments).envs(self.environment()).kill_on_drop(true);
        command
    }

    /// A command that ends by itself; what it printed.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let ended = self.command(arguments).stdin(Stdio::null()).output().await?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(ended.status.success(), "malle {}: {said}", arguments.join(" "));
        Ok(String::from_utf8(ended.stdout)?)
    }

    /// Lists mailboxes, in CSV.
    pub async fn import(&self, list: &str) -> Result<()> {
        let file = self.dir.join("mailboxes.csv");
        fs::write(&file, list)?;
        let file = file.to_str().context("a path in UTF-8")?;
        self.run(&["mailbox", "import", file, "--server", "simulated"]).await.map(drop)
    }

    /// A producer or worker, with these variables besides; it writes on in its log beside the configuration.
    pub fn role(&self, role: &str, number: usize, variables: &[(&str, String)]) -> Result<Child> {
        let log = self.dir.join(format!("{role}-{number}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = self.command(&[role]);
        command
            .env("MALLE__TELEMETRY__LISTEN", format!("127.0.0.1:{}", self.metrics[number]))
            .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Ok(command.spawn()?)
    }

    /// The logs of all roles, by name.
    pub fn logs(&self) -> Result<Vec<(String, String)>> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "log") {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                logs.push((name, String::from_utf8_lossy(&fs::read(&path)?).into_owned()));
            }
        }
        logs.sort();
        Ok(logs)
    }
}

/// Sends a signal, such as `-TERM`, to a process that runs.
pub(super) async fn signal(role: &Child, signal: &str) -> Result<()> {
    let id = role.id().context("it runs")?.to_string();
    ensure!(Command::new("kill").args([signal, &id]).status().await?.success(), "kill {signal} {id}");
    Ok(())
}

/// Waits for the end of a process; after so long it is killed, and that is an error.
pub(super) async fn ended_within(role: &mut Child, limit: Duration) -> Result<ExitStatus> {
    match timeout(limit, role.wait()).await {
        Ok(status) => Ok(status?),
        Err(_) => {
            role.kill().await?;
            bail!("a role did not end within {limit:?} and was killed");
        }
    }
}
