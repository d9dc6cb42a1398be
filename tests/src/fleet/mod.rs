//! The whole fleet on this machine: private Postgres, RabbitMQ, Redis and SeaweedFS, a simulated mail server, `malle` processes.

mod collector;
mod night;
mod rebuilt;
mod silence;

pub use collector::{Collector, Span};
pub use night::night;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use model::Timestamp;
use sim_stalwart::{AccountSpec, Simulator, Sizes};
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::redis::Redis;
use testkit::seaweedfs::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SeaweedFs};
use tokio::process::{Child, Command};
use url::Url;

const AGENT: &str = "malle@example.org";
const AGENT_PASSWORD: &str = "the agent's password";
/// Of the HTTP API.
pub const TOKEN: &str = "a-token-for-nothing-but-this-machine-0123456789";

/// How large the fleet is.
pub struct Plan {
    /// Every third of them on a personal plan.
    pub mailboxes: u32,
    /// Of each mailbox, on average.
    pub emails: u32,
    /// Processes.
    pub workers: usize,
    /// Jobs of the night that a worker runs at once.
    pub slots: u16,
}

impl Plan {
    /// For looking at.
    pub fn up() -> Plan {
        Plan { mailboxes: 200, emails: 300, workers: 3, slots: 4 }
    }

    /// A night of so many.
    pub fn night(mailboxes: u32) -> Plan {
        Plan { mailboxes, emails: 20, workers: 3, slots: 6 }
    }

    /// Every third mailbox is on a personal plan.
    pub fn is_personal(number: u32) -> bool {
        number.is_multiple_of(3)
    }
}

/// Of a mailbox.
pub fn address(number: u32) -> String {
    format!("user{number}@example.org")
}

/// Services, the simulated mail server, and what a `malle` needs to know of them. All of it ends when this is dropped.
pub struct Fleet {
    /// The catalogue's.
    pub postgres: Postgres,
    /// Port of the HTTP API.
    pub api: u16,
    /// Ports of the producer's metrics, and of each worker's.
    pub metrics: Vec<u16>,
    /// The mail server.
    pub simulator: Simulator,
    /// Where every role sends its traces.
    pub traces: Collector,
    /// The broker.
    pub rabbitmq: RabbitMq,
    /// Leases, budgets and progress.
    pub redis: Redis,
    malle: PathBuf,
    dir: PathBuf,
    seaweedfs: SeaweedFs,
}

impl Fleet {
    /// Starts everything but producers and workers; mailboxes are listed.
    pub async fn start(malle: PathBuf, dir: PathBuf, plan: &Plan) -> Result<Fleet> {
        let (postgres, rabbitmq, redis, seaweedfs, simulator) = tokio::join!(
            Postgres::start(),
            RabbitMq::start(),
            Redis::start(),
            SeaweedFs::start(),
            simulator(plan)
        );
        let (postgres, rabbitmq, redis, simulator) = (postgres?, rabbitmq?, redis?, simulator?);
        let broker = rabbitmq.vhost("malle").await?;
        let ports = free_ports(plan.workers + 2)?;
        let (api, metrics) = (ports[0], ports[1..].to_vec());
        let (seaweedfs, traces) = (seaweedfs?, Collector::start().await?);
        let urls = [&postgres.url(), &broker, &redis.url(), &simulator.url(), seaweedfs.endpoint()];
        let config = config(&dir, plan, urls, api, traces.endpoint())?;
        fs::write(dir.join("malle.toml"), config)?;
        let fleet =
            Fleet { postgres, api, metrics, simulator, malle, dir, seaweedfs, traces, rabbitmq, redis };
        let key = fleet.malle(&["key", "new"]).output().await?;
        fs::write(fleet.dir.join("ring.key"), key.stdout)?;
        fs::write(fleet.dir.join("mailboxes.csv"), fleet.list(plan)?)?;
        fleet.run(&["migrate"]).await?;
        let list = fleet.dir.join("mailboxes.csv");
        let list = list.to_str().context("a path in UTF-8")?;
        fleet.run(&["mailbox", "import", list, "--server", "simulated"]).await?;
        Ok(fleet)
    }

    fn list(&self, plan: &Plan) -> Result<String> {
        let mut list = "address,account,plan\n".to_owned();
        for number in 0..plan.mailboxes {
            let address = address(number);
            let id = self.simulator.account(&address).context("it was made")?.id();
            let bought = if Plan::is_personal(number) { "personal" } else { "professional" };
            writeln!(list, "{address},{id},{bought}")?;
        }
        Ok(list)
    }

    /// A command, not yet begun.
    pub fn malle(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.malle);
        command.args(arguments).envs(self.environment()).kill_on_drop(true);
        command
    }

    /// What a `malle` on this fleet needs. The fleet's store has keys of its own; the bucket's are for commands without the
    /// configuration.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MALLE_CONFIG", self.dir.join("malle.toml").display().to_string()),
            ("AWS_ENDPOINT_URL", self.seaweedfs.endpoint().to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
        ]
    }

    /// A command that ends by itself; what it printed.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let ended = self.malle(arguments).stdin(Stdio::null()).output().await?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(ended.status.success(), "malle {}: {said}", arguments.join(" "));
        Ok(String::from_utf8(ended.stdout)?)
    }

    /// A producer or worker; its log lies beside the configuration.
    pub fn role(&self, role: &str, number: usize) -> Result<Child> {
        let log = File::create(self.dir.join(format!("{role}-{number}.log")))?;
        let listen = format!("127.0.0.1:{}", self.metrics[number]);
        let mut command = self.malle(&[role]);
        command
            .env("MALLE__TELEMETRY__LISTEN", listen)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Ok(command.spawn()?)
    }
}

async fn simulator(plan: &Plan) -> Result<Simulator> {
    let mut builder = Simulator::builder().seed(1).impersonator(AGENT, AGENT_PASSWORD);
    for number in 0..plan.mailboxes {
        // From a half to one and a half times the average.
        let emails = plan.emails / 2 + number * 7919 % plan.emails.max(1);
        let sizes = if plan.emails > 100 { Sizes::realistic() } else { Sizes::light() };
        builder = builder.account(AccountSpec::new(address(number), "unused").emails(emails).sizes(sizes));
    }
    Ok(builder.start().await?)
}

fn config(dir: &Path, plan: &Plan, urls: [&str; 5], api: u16, otlp: &str) -> Result<String> {
    let [postgres, broker, redis, server, bucket] = urls;
    let mut text = "production_zone = \"here\"\ntime_zone = \"UTC\"\n".to_owned();
    writeln!(text, "key_file = {:?}", dir.join("ring.key"))?;
    for (section, url) in [("postgres", postgres), ("rabbitmq", broker), ("redis", redis)] {
        let mut url = Url::parse(url)?;
        writeln!(text, "[{section}]")?;
        if let Some(password) = url.password().map(str::to_owned) {
            let file = dir.join(section);
            fs::write(&file, password)?;
            writeln!(text, "password = {{ file = {file:?} }}")?;
            ensure!(url.set_password(None).is_ok(), "{section} has a password");
        }
        writeln!(text, "url = {:?}", url.as_str())?;
    }
    let [password, token, key_id, secret] = ["agent", "token", "key-id", "secret"].map(|name| dir.join(name));
    fs::write(&password, AGENT_PASSWORD)?;
    fs::write(&token, TOKEN)?;
    fs::write(&key_id, ACCESS_KEY)?;
    fs::write(&secret, SECRET_KEY)?;
    write!(
        text,
        "[[servers]]\nname = \"simulated\"\nurl = {server:?}\nuser = {AGENT:?}\npassword = {{ file = {password:?} }}\n\
         requests_in_flight = 64\nrequests_per_minute = 1000000\n\
         [[stores]]\nname = \"far\"\nzone = \"there\"\nurl = \"s3://{BUCKET}/fleet\"\nendpoint = {bucket:?}\n\
         region = {REGION:?}\nkey_id = {{ file = {key_id:?} }}\nsecret = {{ file = {secret:?} }}\n\
         [telemetry]\notlp = {otlp:?}\n\
         [plan]\nnightly = \"00:00-24:00\"\nweekend = {:?}\ntail_percent = 90\nfirst_backups_per_hour = 1000000\n\
         [producer]\nlisten = \"127.0.0.1:{api}\"\ntokens = [{{ name = \"you\", secret = {{ file = {token:?} }} }}]\n\
         plan_every_seconds = 2\nwatch_every_seconds = 2\n\
         [worker]\nnightly = {}\n",
        weekend(Timestamp::now()),
        plan.slots
    )?;
    Ok(text)
}

/// A window that is not open now, whatever day the tests run on: personal mailboxes are not due.
fn weekend(now: Timestamp) -> &'static str {
    const HOUR: i64 = 3600;
    // 1970 began on a Thursday.
    let saturday = now.as_second().rem_euclid(7 * 24 * HOUR) - 2 * 24 * HOUR;
    if (0..12 * HOUR).contains(&saturday) { "Sat 23:00-Sun 24:00" } else { "Sat 00:00-Sat 01:00" }
}

/// Taken by others only in the moment between.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    Ok(held.iter().map(|held| held.local_addr().map(|at| at.port())).collect::<Result<_, _>>()?)
}
