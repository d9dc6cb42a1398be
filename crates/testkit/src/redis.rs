//! A real Redis of our own (Debian's `redis-server`, `tests/setup.sh test`).

use crate::service::{Service, ends_with_stdin, ports, tail};
use std::{fs, io, path::Path, process::Command, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// It asks for it, so that a leak would be seen.
pub const PASSWORD: &str = "redis-test-password";

const ATTEMPTS: usize = 3;
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running Redis on a private loopback port; it keeps what it was told over a restart; ends when dropped.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    // Fields drop in order: the process ends before its directory goes.
    service: Option<Service>,
    dir: TempDir,
}

impl Redis {
    /// Returns once it answers.
    pub async fn start() -> io::Result<Self> {
        for _ in 1..ATTEMPTS {
            match Self::launch().await {
                // Another process may have taken one of our free ports in between; it ends then.
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {}
                done => return done,
            }
        }
        Self::launch().await
    }

    async fn launch() -> io::Result<Self> {
        let dir = TempDir::with_prefix("redis-")?;
        let [port] = ports()?;
        let mut redis = Self { port, service: None, dir };
        redis.restart().await?;
        Ok(redis)
    }

    /// `redis://:PASSWORD@127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@{}", self.address())
    }

    /// Ends it at once (SIGKILL); its port refuses connections from then on.
    pub fn stop(&mut self) {
        self.service = None;
    }

    /// Starts it again on the same port and data; stops it first if it runs.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop();
        let mut service = Service::spawn(&mut command(self.dir.path(), self.port)?)?;
        let ready = service.until(START_LIMIT, || async { Ok(self.command("PING").await? == "+PONG") }).await;
        ready.map_err(|error| {
            let log = tail(&self.dir.path().join("log"));
            io::Error::new(error.kind(), format!("redis did not start: {error}; {log}"))
        })?;
        self.service = Some(service);
        Ok(())
    }

    /// Forgets everything.
    pub async fn flush(&self) -> io::Result<()> {
        self.command("FLUSHALL").await.map(drop)
    }

    /// Stops answering for this long, connections stay open: a Redis that hangs.
    pub async fn hang(&self, time: Duration) -> io::Result<()> {
        self.command(&format!("CLIENT PAUSE {} ALL", time.as_millis())).await.map(drop)
    }

    /// One command in Redis' inline form; the first line of the answer, as it stands on the wire.
    pub async fn command(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address()).await?;
        stream.write_all(format!("AUTH {PASSWORD}\r\n{command}\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        while answer.iter().filter(|byte| **byte == b'\n').count() < 2 {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let text = String::from_utf8_lossy(&answer);
        Ok(text.lines().nth(1).unwrap_or_default().to_owned())
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn command(dir: &Path, port: u16) -> io::Result<Command> {
    let log = fs::File::options().create(true).append(true).open(dir.join("log"))?;
    let mut command = ends_with_stdin(Path::new("redis-server"));
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(dir);
    command.args(["--requirepass", PASSWORD]);
    // Written before it answers, so that a kill loses nothing; synced later, which only a power cut would notice.
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]);
    command.stdout(log.try_clone()?).stderr(log);
    Ok(command)
}
