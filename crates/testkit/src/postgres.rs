//! A real Postgres of our own, from Debian's server package: only its binaries are used, never a cluster of the system.

use crate::service::{Service, ports, success};
use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

/// The only role, a superuser.
pub const USER: &str = "malle";
/// Its password; the server asks for it (SCRAM), so that a leak would be seen.
pub const PASSWORD: &str = "malle-test-password";

const START_LIMIT: Duration = Duration::from_secs(60);
const INITDB: [&str; 6] = ["-U", USER, "--auth=scram-sha-256", "--no-locale", "--encoding=UTF8", "--no-sync"];
const ATTEMPTS: usize = 3;
const DEBIAN: &str = "/usr/lib/postgresql";
/// `nobody`: Postgres refuses to run as root.
const UNPRIVILEGED: u32 = 65534;

/// Postgres does not end with its stdin: this shell sees to it, and to the directory when nobody is left to remove it.
const ENDS_WITH_STDIN: &str = r#"
    exec 3<&0
    "$0" "$@" 3<&- </dev/null &
    postgres=$!
    {
        trap '' HUP INT TERM
        word=$(cat <&3)
        kill -QUIT $postgres
        while kill -0 $postgres; do sleep 0.02; done
        [ "$word" = keep ] || rm -rf "$DIR"
    } 2>/dev/null &
    wait
"#;

/// A running server on a private loopback port, its data in a temporary directory, never flushed to disk; ends when dropped.
#[derive(Debug)]
pub struct Postgres {
    binaries: PathBuf,
    port: u16,
    // Fields drop in order: the process ends before its directory goes.
    service: Option<Service>,
    dir: TempDir,
}

impl Postgres {
    /// Returns once it takes connections: one or two seconds.
    pub async fn start() -> io::Result<Self> {
        let binaries = binaries()?;
        let dir = new_cluster(&binaries)?;
        let mut postgres = Self { binaries, port: 0, service: None, dir };
        for _ in 1..ATTEMPTS {
            [postgres.port] = ports()?;
            match postgres.start_again().await {
                // Another process may have taken our free port in between; it ends then.
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {}
                done => return done.map(|()| postgres),
            }
        }
        [postgres.port] = ports()?;
        postgres.start_again().await.map(|()| postgres)
    }

    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/postgres`, the same after a restart.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends it at once, as a crash does: connections break, what was not committed is lost. The data stays.
    pub fn stop(&mut self) -> io::Result<()> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
        if let Some(stdin) = &mut service.child.stdin {
            stdin.write_all(b"keep")?;
        }
        service.stop()
    }

    /// Starts it on the same data and the same port after [`Self::stop`].
    pub async fn start_again(&mut self) -> io::Result<()> {
        let mut service = Service::spawn(&mut self.server()?)?;
        let (ready, port) = (self.binaries.join("pg_isready"), self.port.to_string());
        let awaited = service.until(START_LIMIT, || async {
            let mut probe = tokio::process::Command::new(&ready);
            let answer = probe.args(["--quiet", "--host=127.0.0.1", "--port", &port]).status().await?;
            Ok(answer.success())
        });
        if let Err(error) = awaited.await {
            self.service = Some(service);
            self.stop()?;
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(10).collect();
            return Err(io::Error::new(error.kind(), format!("postgres did not start: {error}; {tail:#?}")));
        }
        self.service = Some(service);
        Ok(())
    }

    /// Stops all of it where it is (SIGSTOP) until the answer is dropped: connections stay open, nothing answers.
    pub fn freeze(&self) -> io::Result<Frozen> {
        let of_server = fs::read_to_string(self.dir.path().join("data/postmaster.pid"))?;
        let server = of_server.lines().next().unwrap_or_default().to_owned();
        let workers = fs::read_to_string(format!("/proc/{server}/task/{server}/children"))?;
        let processes = workers.split_whitespace().map(str::to_owned).chain([server.clone()]).collect();
        let frozen = Frozen { processes };
        frozen.signal("-STOP")?;
        Ok(frozen)
    }

    /// Ends it as a crash does and starts it again.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        self.start_again().await
    }

    /// Starts it again, with TLS for those who want it; files in PEM.
    pub async fn restart_with_tls(&mut self, certificate: &Path, key: &Path) -> io::Result<()> {
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = self.dir.path().join("data").join(to);
            fs::copy(from, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600))?;
            if is_root()? {
                chown(&to, Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
            }
        }
        self.restart().await
    }

    fn server(&self) -> io::Result<Command> {
        let log = fs::File::options().create(true).append(true).open(self.dir.path().join("log"))?;
        let mut command = unprivileged("sh")?;
        command.args(["-c", ENDS_WITH_STDIN]).arg(self.binaries.join("postgres"));
        command.arg("-D").arg(self.dir.path().join("data")).args(["-p", &self.port.to_string(), "-k", ""]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "max_connections=200",
            "fsync=off",
            // What is committed is with the kernel: killing the server loses none of it.
            "synchronous_commit=on",
            "full_page_writes=off",
            "max_wal_size=4GB",
        ] {
            command.args(["-c", setting]);
        }
        if self.dir.path().join("data/server.key").exists() {
            command.args(["-c", "ssl=on"]);
        }
        command.current_dir(self.dir.path()).env("DIR", self.dir.path());
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }
}

/// A server that stands still.
#[derive(Debug)]
pub struct Frozen {
    processes: Vec<String>,
}

impl Frozen {
    fn signal(&self, signal: &str) -> io::Result<()> {
        success(Command::new("kill").arg(signal).args(&self.processes))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Who has ended meanwhile cannot go on.
        let _ = self.signal("-CONT");
    }
}

/// The newest server that Debian's packages have brought, or the one that `MALLE_TEST_POSTGRES` (a directory) names.
fn binaries() -> io::Result<PathBuf> {
    if let Some(path) = env::var_os("MALLE_TEST_POSTGRES") {
        return Ok(path.into());
    }
    let missing =
        || io::Error::new(io::ErrorKind::NotFound, format!("no {DEBIAN}/*/bin/postgres: make setup"));
    let versions = fs::read_dir(DEBIAN).map_err(|_| missing())?.flatten();
    let numbers = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let bin = |version: u32| Path::new(DEBIAN).join(version.to_string()).join("bin");
    numbers.filter(|version| bin(*version).join("postgres").exists()).max().map(bin).ok_or_else(missing)
}

/// A copy of a cluster that was made once: `initdb` takes ten times longer than copying what it makes.
fn new_cluster(binaries: &Path) -> io::Result<TempDir> {
    let dir = new_directory()?;
    let template = template(binaries)?;
    if !template.exists() {
        let made = make_cluster(binaries)?;
        fs::create_dir_all(template.parent().expect("it has one"))?;
        let beside = template.with_extension(std::process::id().to_string());
        copy(&made.path().join("data"), &beside)?;
        // Of several processes one is first, and all make the same.
        if fs::rename(&beside, &template).is_err() {
            fs::remove_dir_all(&beside)?;
        }
    }
    copy(&template, &dir.path().join("data"))?;
    Ok(dir)
}

/// The unprivileged user's own. What `TMPDIR` names may be closed to that user: then under `/tmp` itself.
fn new_directory() -> io::Result<TempDir> {
    let temporary = env::temp_dir();
    let may_enter = |path: &Path| fs::metadata(path).is_ok_and(|found| found.mode() & 0o001 != 0);
    let parent = if temporary.ancestors().all(may_enter) { temporary.as_path() } else { Path::new("/tmp") };
    let dir = TempDir::with_prefix_in("postgres-", parent)?;
    if is_root()? {
        chown(dir.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
    }
    Ok(dir)
}

/// Where the cluster lies that is copied. Another version, user or argument makes another one.
fn template(binaries: &Path) -> io::Result<PathBuf> {
    let version = Command::new(binaries.join("postgres")).arg("--version").output()?.stdout;
    let mut hasher = DefaultHasher::new();
    (version, USER, PASSWORD, INITDB, is_root()?).hash(&mut hasher);
    let cache = env::var_os("MALLE_CACHE_DIR").map(PathBuf::from);
    let cache = cache.or_else(|| Some(env::home_dir()?.join(".cache/malle"))).unwrap_or_else(env::temp_dir);
    Ok(cache.join("postgres").join(format!("{:016x}", hasher.finish())))
}

/// With owners and rights as they are.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    success(Command::new("cp").arg("--archive").arg(from).arg(to))
}

fn make_cluster(binaries: &Path) -> io::Result<TempDir> {
    let dir = new_directory()?;
    let password = dir.path().join("password");
    fs::write(&password, PASSWORD)?;
    if is_root()? {
        chown(&password, Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
    }
    let mut command = unprivileged(binaries.join("initdb"))?;
    command.arg("-D").arg(dir.path().join("data")).arg("--pwfile").arg(&password).args(INITDB);
    success(command.current_dir(dir.path()))?;
    Ok(dir)
}

fn unprivileged(program: impl AsRef<Path>) -> io::Result<Command> {
    if !is_root()? {
        return Ok(Command::new(program.as_ref()));
    }
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={UNPRIVILEGED}")).arg(format!("--regid={UNPRIVILEGED}"));
    command.arg("--clear-groups").arg(program.as_ref());
    Ok(command)
}

fn is_root() -> io::Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}
