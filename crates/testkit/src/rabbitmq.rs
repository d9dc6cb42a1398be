//! A real RabbitMQ of our own (Debian's `rabbitmq-server`, `tests/setup.sh test`), with its management interface.

use crate::service::{self, Service, ends_with_stdin, http, ports, success, tail};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, path::Path, process, process::Command, time::Duration};
use tempfile::TempDir;

/// The user who may do everything.
pub const USER: &str = "malle";
/// Its password; long enough that a leak would be seen.
pub const PASSWORD: &str = "rabbitmq-test-password";

/// Names the ports of a broker that runs for many tests: `examples/with_broker.rs` sets it.
pub const SHARED: &str = "MALLE_TEST_RABBITMQ";

const ATTEMPTS: usize = 3;
const START_LIMIT: Duration = Duration::from_secs(120);
/// Debian's own scripts; those in `/usr/sbin` want to be root or `rabbitmq`, and change the user.
const BIN: &str = "/usr/lib/rabbitmq/bin";
const NODE: &str = "malle@localhost";

#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    management: u16,
    distribution: u16,
    names: u16,
}

/// A running broker on private loopback ports. One of our own has its data in a temporary directory, and ends when dropped.
#[derive(Debug)]
pub struct RabbitMq {
    ports: Ports,
    /// Before the names of virtual hosts on a broker that others use too; empty for one of our own.
    prefix: String,
    // Fields drop in order: the processes end before their directory goes.
    running: Option<Running>,
    dir: TempDir,
}

#[derive(Debug)]
struct Running {
    server: Service,
    /// Erlang's name service; one of our own, because the usual one would stay behind.
    _names: Service,
}

impl RabbitMq {
    /// The broker that runs for many tests, under names that no other test has; one of our own where none runs. For tests that
    /// leave it as it is: a start costs nine seconds of a core.
    ///
    /// # Panics
    /// If [`SHARED`] does not hold two ports. Stopping or freezing a shared broker, and changing its settings, panics too.
    pub async fn shared() -> io::Result<Self> {
        static OTHERS: AtomicU32 = AtomicU32::new(0);
        let Ok(named) = env::var(SHARED) else { return Self::start().await };
        let ports = named.split_once(' ').and_then(|(amqp, management)| {
            Some(Ports {
                amqp: amqp.parse().ok()?,
                management: management.parse().ok()?,
                distribution: 0,
                names: 0,
            })
        });
        let ports = ports.expect("ports of AMQP and of management");
        let other = OTHERS.fetch_add(1, Ordering::Relaxed);
        // A process's id may come again during a run.
        let prefix = format!("{}-{:x}-", process::id(), RandomState::new().hash_one(other));
        Ok(Self { ports, prefix, running: None, dir: TempDir::new()? })
    }

    /// What [`SHARED`] says of it.
    pub fn name(&self) -> String {
        format!("{} {}", self.ports.amqp, self.ports.management)
    }

    fn assert_own(&self) {
        assert!(self.prefix.is_empty(), "other tests use this broker: start one of your own");
    }

    /// Returns once the management interface answers, after about six seconds.
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
        let dir = TempDir::with_prefix("rabbitmq-")?;
        let [amqp, management, distribution, names] = ports()?;
        let ports = Ports { amqp, management, distribution, names };
        fs::write(dir.path().join("plugins"), "[rabbitmq_management].")?;
        fs::write(dir.path().join("conf"), configuration(ports))?;
        let mut broker = Self { ports, prefix: String::new(), running: None, dir };
        broker.restart().await?;
        Ok(broker)
    }

    /// Ends it at once (SIGKILL); its ports refuse connections from then on.
    pub fn stop(&mut self) {
        self.assert_own();
        self.running = None;
    }

    /// Starts it again on the same ports and data; stops it first if it runs.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop();
        let names = Service::spawn(&mut self.name_service()?)?;
        let server = Service::spawn(&mut self.server()?)?;
        let mut running = Running { server, _names: names };
        let ready = running
            .server
            .until(START_LIMIT, || async { Ok(self.get("/api/overview").await?.0 == 200) })
            .await;
        ready.map_err(|error| {
            let log = tail(&self.dir.path().join("output"));
            io::Error::new(error.kind(), format!("rabbitmq did not start: {error}; {log}"))
        })?;
        self.running = Some(running);
        Ok(())
    }

    fn host(&self, vhost: &str) -> String {
        format!("{}{vhost}", self.prefix)
    }

    /// The URI of a virtual host, credentials included.
    pub fn uri(&self, vhost: &str) -> String {
        format!("amqp://{USER}:{PASSWORD}@127.0.0.1:{}/{}", self.ports.amqp, self.host(vhost))
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.amqp)
    }

    /// Makes an empty virtual host; its URI.
    pub async fn vhost(&self, name: &str) -> io::Result<String> {
        let host = self.host(name);
        self.expect("PUT", &format!("/api/vhosts/{host}"), &json!({})).await?;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.expect("PUT", &format!("/api/permissions/{host}/{USER}"), &all).await?;
        Ok(self.uri(name))
    }

    /// Deletes a queue with all that is in it.
    pub async fn delete_queue(&self, vhost: &str, queue: &str) -> io::Result<()> {
        self.expect("DELETE", &format!("/api/queues/{}/{queue}", self.host(vhost)), &Value::Null).await
    }

    /// Sets a policy for queues whose names match `pattern`.
    pub async fn set_policy(&self, vhost: &str, pattern: &str, definition: Value) -> io::Result<()> {
        let policy = json!({"pattern": pattern, "apply-to": "queues", "definition": definition});
        self.expect("PUT", &format!("/api/policies/{}/test", self.host(vhost)), &policy).await
    }

    /// Closes every connection of the virtual host whose client-given name begins so, as an operator would; how many.
    ///
    /// The management interface learns of a connection with a delay of seconds: a caller tries until the count is right.
    pub async fn close_connections(&self, vhost: &str, clients: &str) -> io::Result<usize> {
        let list = self.get(&format!("/api/vhosts/{}/connections", self.host(vhost))).await?.1;
        let list: Value = serde_json::from_slice(&list)?;
        let mut closed = 0;
        for connection in list.as_array().into_iter().flatten() {
            let client = connection["client_properties"]["connection_name"].as_str();
            if client.is_some_and(|client| client.starts_with(clients)) {
                let name =
                    connection["name"].as_str().unwrap_or_default().replace(' ', "%20").replace('>', "%3E");
                self.expect("DELETE", &format!("/api/connections/{name}"), &Value::Null).await?;
                closed += 1;
            }
        }
        Ok(closed)
    }

    /// The memory alarm: the broker stops reading from connections that publish.
    pub fn raise_memory_alarm(&self) -> io::Result<()> {
        self.control(&["set_vm_memory_high_watermark", "absolute", "1"])
    }

    /// Ends the memory alarm.
    pub fn clear_memory_alarm(&self) -> io::Result<()> {
        self.control(&["set_vm_memory_high_watermark", "0.6"])
    }

    /// How long a consumer may hold a delivery on channels that are opened from now on; looked at each second.
    pub fn set_consumer_timeout(&self, milliseconds: u32) -> io::Result<()> {
        self.control(&["eval", "application:set_env(rabbit, channel_tick_interval, 1000)."])?;
        self.control(&["eval", &format!("application:set_env(rabbit, consumer_timeout, {milliseconds}).")])
    }

    /// Stops it where it is (SIGSTOP): connections stay open, nothing answers.
    pub fn freeze(&self) -> io::Result<()> {
        self.assert_own();
        service::signal(&self.dir.path().join("pid"), "-STOP")
    }

    /// Lets it go on after [`RabbitMq::freeze`].
    pub fn thaw(&self) -> io::Result<()> {
        service::signal(&self.dir.path().join("pid"), "-CONT")
    }

    fn control(&self, arguments: &[&str]) -> io::Result<()> {
        self.assert_own();
        let mut command = Command::new(format!("{BIN}/rabbitmqctl"));
        self.environment(&mut command);
        success(command.args(["-n", NODE]).args(arguments))
    }

    /// One request to the management interface; status and body.
    pub async fn get(&self, path: &str) -> io::Result<(u16, Vec<u8>)> {
        self.request("GET", path, &[]).await
    }

    async fn expect(&self, method: &str, path: &str, body: &Value) -> io::Result<()> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        match self.request(method, path, &body).await? {
            (200..300, _) => Ok(()),
            (status, answer) => {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                Err(io::Error::other(format!("{method} {path}: {status} {answer}")))
            }
        }
    }

    async fn request(&self, method: &str, path: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let credentials = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let head = format!("{method} {path} HTTP/1.0\r\nAuthorization: Basic {credentials}");
        http(&format!("127.0.0.1:{}", self.ports.management), &head, body).await
    }

    fn name_service(&self) -> io::Result<Command> {
        let mut command = ends_with_stdin(Path::new("epmd"));
        command.args(["-address", "127.0.0.1", "-port", &self.ports.names.to_string()]);
        let output = self.output()?;
        command.stdout(output.try_clone()?).stderr(output);
        Ok(command)
    }

    fn server(&self) -> io::Result<Command> {
        let mut command = ends_with_stdin(Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server"));
        self.environment(&mut command);
        let output = self.output()?;
        command.stdout(output.try_clone()?).stderr(output);
        Ok(command)
    }

    fn output(&self) -> io::Result<fs::File> {
        fs::File::options().create(true).append(true).open(self.dir.path().join("output"))
    }

    fn environment(&self, command: &mut Command) {
        let dir = self.dir.path();
        command.env("HOME", dir).env("ERL_EPMD_ADDRESS", "127.0.0.1").env("RABBITMQ_NODENAME", NODE);
        for (name, file) in [
            ("RABBITMQ_MNESIA_BASE", "data"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_CONFIG_FILE", "conf"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
            ("RABBITMQ_PID_FILE", "pid"),
        ] {
            command.env(name, dir.join(file));
        }
        let Ports { distribution, names, .. } = self.ports;
        command.env("RABBITMQ_DIST_PORT", distribution.to_string());
        command.env("ERL_EPMD_PORT", names.to_string());
    }
}

fn configuration(ports: Ports) -> String {
    let Ports { amqp, management, .. } = ports;
    format!(
        "default_user = {USER}
default_pass = {PASSWORD}
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
collect_statistics_interval = 500
disk_free_limit.absolute = 10MB
vm_memory_high_watermark.relative = 0.6
"
    )
}
