//! The whole fleet on this machine: private Postgres, RabbitMQ, Redis and SeaweedFS, a simulated mail server, `malle` processes.

pub mod chaos;
mod collector;
mod drain;
mod fairness;
mod launcher;
mod night;
mod rebuilt;
mod silence;

pub use collector::{Collector, Span};
pub use drain::drain;
pub use fairness::fairness;
pub use launcher::Launcher;
pub use night::night;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use sim_stalwart::{AccountSpec, Simulator, Sizes};
use testkit::free_ports;
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::redis::Redis;
use testkit::seaweedfs::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SeaweedFs};
use tokio::process::{Child, Command};
use url::Url;

const AGENT: &str = "malle@example.org";
/// The virtual host of its broker.
pub const VHOST: &str = "malle";
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
    /// A broker that may be stopped.
    pub has_own_broker: bool,
}

impl Plan {
    /// For looking at.
    pub fn up() -> Plan {
        Plan { mailboxes: 200, emails: 300, workers: 3, slots: 4, has_own_broker: true }
    }

    /// A night of so many.
    pub fn night(mailboxes: u32) -> Plan {
        Plan { mailboxes, emails: 20, workers: 3, slots: 6, has_own_broker: false }
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
    /// Starts a `malle`.
    pub launcher: Launcher,
    seaweedfs: SeaweedFs,
}

impl Fleet {
    /// Starts everything but producers and workers; mailboxes are listed.
    pub async fn start(malle: PathBuf, dir: PathBuf, plan: &Plan) -> Result<Fleet> {
        let fleet = Fleet::empty(malle, dir, plan, simulator(plan).await?, &[]).await?;
        fleet.import(&fleet.list(plan)?).await?;
        Ok(fleet)
    }

    /// The same with another mail server, of which nothing is listed yet, and with values of the configuration overridden by
    /// these variables.
    pub async fn empty(
        malle: PathBuf,
        dir: PathBuf,
        plan: &Plan,
        simulator: Simulator,
        overrides: &[(&'static str, &str)],
    ) -> Result<Fleet> {
        let broker = async {
            match plan.has_own_broker {
                true => RabbitMq::start().await,
                false => RabbitMq::shared().await,
            }
        };
        let services = tokio::join!(Postgres::start(), broker, Redis::start(), SeaweedFs::start());
        let (postgres, rabbitmq, redis, seaweedfs) = (services.0?, services.1?, services.2?, services.3?);
        let broker = rabbitmq.vhost(VHOST).await?;
        let ports = free_ports(plan.workers + 2)?;
        let (api, metrics) = (ports[0], ports[1..].to_vec());
        let traces = Collector::start().await?;
        let urls = [&postgres.url(), &broker, &redis.url(), &simulator.url(), seaweedfs.endpoint()];
        let config = config(&dir, plan, urls, api, traces.endpoint())?;
        fs::write(dir.join("malle.toml"), config)?;
        let launcher = Launcher::new(malle, dir, &seaweedfs, metrics.clone()).with(overrides);
        let key = launcher.command(&["key", "new"]).output().await?;
        fs::write(launcher.dir().join("ring.key"), key.stdout)?;
        launcher.run(&["init"]).await?;
        launcher.run(&["migrate"]).await?;
        Ok(Fleet { postgres, api, metrics, simulator, launcher, rabbitmq, redis, seaweedfs, traces })
    }

    /// Lists mailboxes, in CSV.
    pub async fn import(&self, list: &str) -> Result<()> {
        self.launcher.import(list).await
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
        self.launcher.command(arguments)
    }

    /// What a `malle` on this fleet needs. The fleet's store has keys of its own; the bucket's are for commands without the
    /// configuration.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        self.launcher.environment()
    }

    /// A command that ends by itself; what it printed.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.launcher.run(arguments).await
    }

    /// A producer or worker; its log lies beside the configuration.
    pub fn role(&self, role: &str, number: usize) -> Result<Child> {
        self.launcher.role(role, number, &[])
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

/// A list, in CSV, of mailboxes that are all on a professional plan.
fn professional(server: &Simulator, addresses: impl Iterator<Item = String>) -> Result<String> {
    let mut list = "address,account,plan\n".to_owned();
    for address in addresses {
        let id = server.account(&address).context("it was made")?.id();
        writeln!(list, "{address},{id},professional")?;
    }
    Ok(list)
}

fn config(dir: &Path, plan: &Plan, urls: [&str; 5], api: u16, otlp: &str) -> Result<String> {
    let [postgres, broker, redis, server, bucket] = urls;
    let mut text = format!("production_zone = \"here\"\ntime_zone = \"{}\"\n", where_it_is_noon());
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
         [plan]\nnightly = \"00:00-24:00\"\nweekend = \"Sat 00:00-Sat 01:00\"\ntail_percent = 90\nfirst_backups_per_hour = 1000000\n\
         [producer]\nlisten = \"127.0.0.1:{api}\"\ntokens = [{{ name = \"you\", scopes = [\"read\", \"backup\", \"restore\", \"directory\", \"operate\"], secret = {{ file = {token:?} }} }}]\n\
         plan_every_seconds = 2\nwatch_every_seconds = 2\nmanual_per_hour = 60\n\
         [worker]\nnightly = {}\n",
        plan.slots
    )?;
    Ok(text)
}

/// A zone in which this day's only window is open for hours to come and no weekend's is, whenever the test runs.
fn where_it_is_noon() -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ahead = 12 - i64::try_from(since_1970.as_secs() / 3_600 % 24).unwrap_or(0);
    // POSIX counts westwards.
    format!("Etc/GMT{:+}", -ahead)
}
