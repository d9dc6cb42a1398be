//! What the services of our own have in common: a process that cannot outlive us, and waiting for a condition.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    io,
    net::TcpListener,
    ops::Range,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const POLL: Duration = Duration::from_millis(20);

/// For programs that do not end with their stdin: this shell kills them then, with all that they started.
const ENDS_WITH_STDIN: &str = r#"
    exec 3<&0
    setsid "$0" "$@" </dev/null 3<&- &
    leader=$!
    { trap '' HUP INT TERM; cat <&3 >/dev/null; kill -KILL -$leader || kill -KILL $leader; } &
    wait $leader
"#;

/// A command for a program that shall end when our side of its stdin closes, as if the power went.
pub(crate) fn ends_with_stdin(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", ENDS_WITH_STDIN]).arg(program);
    command
}

/// Sends a signal to the process whose id lies in a file.
pub(crate) fn signal(pid_file: &Path, signal: &str) -> io::Result<()> {
    let pid = fs::read_to_string(pid_file)?;
    success(Command::new("kill").args([signal, pid.trim()]))
}

/// Runs a command; an error with what it said unless it went well.
pub(crate) fn success(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{command:?}: {error}")))
}

/// Where ports for services are looked for: below those that systems give to outgoing connections, any of which might stand in
/// the way of a service that starts again.
const PORTS: Range<u16> = 10_000..32_000;

/// Loopback ports that are free now; another process that looks may take one before it is used.
pub fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let seed = RandomState::new().hash_one(process::id());
    let first = u16::try_from(seed % PORTS.len() as u64).unwrap_or_default();
    let order = (PORTS.start + first..PORTS.end).chain(PORTS.start..PORTS.start + first);
    // Held together, so that they differ, and let go together.
    let held = order.filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).take(count);
    let held: Vec<TcpListener> = held.collect();
    held.iter().map(|held| held.local_addr().map(|address| address.port())).collect()
}

/// The same for a number of ports that the caller's pattern says.
pub(crate) fn ports<const N: usize>() -> io::Result<[u16; N]> {
    let found = free_ports(N)?.try_into();
    found.map_err(|_| io::Error::new(io::ErrorKind::AddrInUse, "no loopback port is free"))
}

/// The end of a log, for the message of a service that did not start.
pub(crate) fn tail(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// A child process that ends when this value is dropped, or when we die: its stdin closes then.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) child: Child,
}

impl Service {
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::piped()).spawn()?;
        Ok(Self { child })
    }

    /// Closes its stdin and waits for its end.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop)
    }

    /// Tries until the answer is `true`, as long as the process lives; an error of the trial means "not yet".
    pub(crate) async fn until<T>(&mut self, limit: Duration, mut trial: impl FnMut() -> T) -> io::Result<()>
    where
        T: Future<Output = io::Result<bool>>,
    {
        let start = Instant::now();
        while !matches!(trial().await, Ok(true)) {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the process ended: {status}")));
            }
            if start.elapsed() > limit {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not ready within {limit:?}")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Highest resident memory so far, in bytes.
    pub(crate) fn memory_peak(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .map(|kilobytes| kilobytes * 1024)
            .ok_or_else(|| io::Error::other("/proc names no VmHWM"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// The only line that an installing script under `tests/` prints: the path of a binary.
pub(crate) fn installed(script: &str) -> io::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(script);
    let output = Command::new("sh").arg(&script).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{} failed: {}", script.display(), output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}

/// One HTTP request on a connection of its own; enough for the services' own interfaces.
/// `head` is the request line and headers without `Host` and `Content-Length`.
pub async fn http(address: &str, head: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let head = format!("{head}\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    split(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn split(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let status = std::str::from_utf8(&answer[..end]).ok()?.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer[end + 4..].to_vec()))
}
