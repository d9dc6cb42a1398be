//! A real Stalwart (0.15's engine) of our own: `tests/stalwart`.

use crate::service::{self, Service};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    env, fs, io,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The administrator; reads every account by naming its id.
pub const ADMIN: &str = "admin";
/// The administrator's password.
pub const ADMIN_PASSWORD: &str = "administrator's password";

/// `Email/query` sorts and filters by this index; the field has it.
const SORTED_QUERIES: &str = "storage.search-index.email.enabled=true";
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct Stalwart {
    dir: PathBuf,
    settings: Vec<(String, String)>,
    address: Address,
    service: Service,
}

#[derive(Debug, Deserialize)]
struct Address {
    http: String,
    imap: String,
}

impl Stalwart {
    /// Starts on the data in `dir`, made if missing, without rate limits.
    pub async fn start(dir: &Path) -> io::Result<Self> {
        Self::start_with(dir, &[]).await
    }

    /// As [`Self::start`], with Stalwart's own settings on top, such as `("http.rate-limit.account", "10/1m")`.
    pub async fn start_with(dir: &Path, settings: &[(&str, &str)]) -> io::Result<Self> {
        let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        launch(dir.into(), settings, None).await
    }

    /// Stops it and starts it again on the same data and the same ports.
    pub async fn restart(self) -> io::Result<Self> {
        self.restart_after(|_| Ok(())).await
    }

    /// As [`Self::restart`]; while it stands still, `meanwhile` may do anything to its directory.
    pub async fn restart_after(
        mut self,
        meanwhile: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Self> {
        self.service.stop()?;
        meanwhile(&self.dir)?;
        launch(self.dir, self.settings, Some(&self.address)).await
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.address.http
    }

    /// `127.0.0.1:PORT`
    pub fn imap(&self) -> &str {
        &self.address.imap
    }

    /// Highest resident memory so far, in bytes.
    pub fn memory_peak(&self) -> io::Result<u64> {
        self.service.memory_peak()
    }

    /// Creates `name@domain`, its domain first, and returns the JMAP account id.
    pub async fn create_account(&self, name: &str, password: &str) -> io::Result<String> {
        self.create(name, password, &[]).await
    }

    /// Creates an account that may also name every other account's id.
    pub async fn create_impersonator(&self, name: &str, password: &str) -> io::Result<String> {
        self.create(name, password, &["impersonate"]).await
    }

    /// Deletes an account and all that is in it.
    pub async fn delete_account(&self, name: &str) -> io::Result<()> {
        self.manage("DELETE", &format!("principal/{name}"), &Value::Null).await.map(drop)
    }

    /// Cuts the account's change history down to the newest `changes.max-history` changes (a setting).
    pub async fn truncate_history(&self, name: &str) -> io::Result<()> {
        self.manage("GET", &format!("store/purge/account/{name}"), &Value::Null).await.map(drop)
    }

    /// Calls `/jmap` as any user and returns the answer's status and JSON.
    pub async fn jmap(&self, user: &str, password: &str, request: &Value) -> io::Result<(u16, Value)> {
        self.request(user, password, "POST", "/jmap/", request).await
    }

    async fn create(&self, name: &str, password: &str, permissions: &[&str]) -> io::Result<String> {
        let (_, domain) =
            name.split_once('@').ok_or_else(|| io::Error::other("an account is name@domain"))?;
        let domain = self.manage("POST", "principal", &json!({"type": "domain", "name": domain})).await?;
        if domain.get("error").is_some_and(|error| error != "fieldAlreadyExists") {
            return Err(io::Error::other(domain.to_string()));
        }
        let account = json!({"type": "individual", "name": name, "emails": [name], "secrets": [password],
            "roles": ["user"], "enabledPermissions": permissions});
        let created = self.manage("POST", "principal", &account).await?;
        if created.get("data").is_none() {
            return Err(io::Error::other(created.to_string()));
        }
        let (_, session) = self.request(name, password, "GET", "/jmap/session", &Value::Null).await?;
        let id = session["primaryAccounts"]["urn:ietf:params:jmap:mail"].as_str();
        id.map(str::to_owned).ok_or_else(|| io::Error::other(session.to_string()))
    }

    async fn manage(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let (status, answer) =
            self.request(ADMIN, ADMIN_PASSWORD, method, &format!("/api/{path}"), body).await?;
        if status == 200 { Ok(answer) } else { Err(io::Error::other(format!("{path}: {status} {answer}"))) }
    }

    async fn request(
        &self,
        user: &str,
        password: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> io::Result<(u16, Value)> {
        let address = self.address.http.trim_start_matches("http://");
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        let head = format!("{method} {path} HTTP/1.1\r\nAuthorization: Basic {credentials}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = service::http(address, &head, body.as_bytes()).await?;
        Ok((status, serde_json::from_slice(&answer)?))
    }
}

async fn launch(
    dir: PathBuf,
    settings: Vec<(String, String)>,
    ports: Option<&Address>,
) -> io::Result<Stalwart> {
    let mut command = Command::new(binary()?);
    command.arg("--dir").arg(&dir).env("TEST_STALWART_ADMIN_SECRET", ADMIN_PASSWORD);
    command.args(["--set", SORTED_QUERIES]);
    for (key, value) in &settings {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    if let Some(Address { http, imap }) = ports {
        command.args(["--http-port", port(http), "--imap-port", port(imap)]);
    }
    fs::create_dir_all(&dir)?;
    command.stdout(Stdio::piped()).stderr(fs::File::create(dir.join("stderr"))?);
    let mut service = Service::spawn(&mut command)?;
    let address = ready(&mut service).await.map_err(|error| {
        let said = fs::read_to_string(dir.join("stderr")).unwrap_or_default();
        io::Error::other(format!("stalwart did not start: {error}; {said}"))
    })?;
    Ok(Stalwart { dir, settings, address, service })
}

fn binary() -> io::Result<PathBuf> {
    match env::var_os("MALLE_TEST_STALWART") {
        Some(path) => Ok(path.into()),
        None => service::installed("stalwart/build.sh"),
    }
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().expect("rsplit yields at least one part")
}

/// Reads the ready line. The blocking reader ends with the process, at the latest when `service` is dropped.
async fn ready(service: &mut Service) -> io::Result<Address> {
    let stdout = service.child.stdout.take().ok_or_else(|| io::Error::other("stdout is not piped"))?;
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map(|_| line)
    });
    let line = tokio::time::timeout(START_LIMIT, line).await.map_err(io::Error::from)???;
    Ok(serde_json::from_str(&line)?)
}
