//! The fleet's configuration: one TOML file, single values overridden by `MALLE__SECTION__KEY` in the environment.
//!
//! Secrets are never in it: it says in which file or variable each one is.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use ::config::{Environment, File, FileFormat};
use anyhow::Result;
use serde::Deserialize;

use super::mail_server::Server;
use super::source::Source;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::secrets::read_file;

/// Everything a role is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The zone in which the mail servers are: no store may lie there.
    pub(crate) production_zone: String,
    /// IANA name; for mailboxes without a time zone of their own.
    pub(crate) time_zone: String,
    pub(crate) postgres: Postgres,
    pub(crate) rabbitmq: RabbitMq,
    pub(crate) redis: Redis,
    pub(crate) key_file: PathBuf,
    /// Mail servers and stores beyond this machine may be talked to without TLS.
    #[serde(default)]
    pub(crate) allow_plain_http: bool,
    #[serde(default)]
    pub(crate) servers: Vec<Server>,
    #[serde(default)]
    pub(crate) stores: Vec<Store>,
    #[serde(default)]
    pub(crate) plan: Plan,
    #[serde(default)]
    pub(crate) producer: Producer,
    #[serde(default)]
    pub(crate) worker: Worker,
    #[serde(default)]
    pub(crate) telemetry: Telemetry,
}

/// The URL is without a password, here and with the other services.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RabbitMq {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) password: Option<Source>,
    /// A consumer that got nothing for so long is opened anew.
    #[serde(default = "minute")]
    pub(crate) renew_idle_seconds: u64,
    /// PEM: whom to trust with TLS.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) password: Option<Source>,
    /// PEM: whom to trust with TLS.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default = "malle")]
    pub(crate) schema: String,
    #[serde(default = "eight")]
    pub(crate) connections: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redis {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) password: Option<Source>,
    /// PEM: whom to trust with TLS.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Before every key, so that several fleets may share one Redis.
    #[serde(default = "malle")]
    pub(crate) prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    pub(crate) name: String,
    pub(crate) zone: String,
    /// As `--store`.
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) region: Option<String>,
    #[serde(default)]
    pub(crate) endpoint: Option<String>,
    /// Keys of its own; without any those of the environment.
    #[serde(default)]
    pub(crate) key_id: Option<Source>,
    #[serde(default)]
    pub(crate) secret: Option<Source>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plan {
    pub(crate) nightly: String,
    pub(crate) weekend: String,
    /// What late work does between the windows.
    pub(crate) outside: Outside,
    /// Share of a window's end that is left free of planned starts.
    pub(crate) tail_percent: u8,
    pub(crate) first_backups_per_hour: u32,
    pub(crate) attempts: u32,
    /// The wait after a job's first failure; doubled with each further one.
    pub(crate) retry_seconds: u64,
    pub(crate) longest_retry_seconds: u64,
    /// Each mailbox's newest backup is read again every so many days; 0: only when somebody asks for it.
    pub(crate) verify_days: u16,
    /// Backups of mailboxes that are gone are kept for so long; 0: for ever.
    pub(crate) keep_gone_days: u16,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outside {
    Wait,
    Reduced,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Producer {
    /// Where the HTTP API listens; none without it.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) tokens: Vec<Token>,
    /// To the API, at once.
    pub(crate) connections: usize,
    /// Of these from one address; where a proxy stands before it that is everybody's.
    pub(crate) connections_per_address: usize,
    /// Which plan mailboxes have that are listed without one.
    pub(crate) rules: Vec<producer::Rule>,
    pub(crate) manual_per_hour: NonZeroU32,
    pub(crate) plan_every_seconds: u64,
    pub(crate) reap_every_seconds: u64,
    /// A running job without a heartbeat for so long is given to another worker.
    pub(crate) silent_seconds: u64,
    /// A ticket of that age may be published again if the broker has lost some.
    pub(crate) lost_after_seconds: u64,
    /// How long tickets that a producer is publishing are kept from the others.
    pub(crate) hold_seconds: u64,
    /// Between two looks at every mailbox, for metrics.
    pub(crate) watch_every_seconds: u64,
    /// How long dead jobs and the audit log are kept.
    pub(crate) keep_audit_days: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) secret: Source,
    /// What it may be used for.
    pub(crate) scopes: BTreeSet<producer::Scope>,
    /// Whose mailboxes it may be used for; everybody's without it.
    #[serde(default)]
    pub(crate) tenants: Option<BTreeSet<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Worker {
    pub(crate) manual: u16,
    pub(crate) restore: u16,
    pub(crate) nightly: u16,
    pub(crate) weekend: u16,
    pub(crate) verify: u16,
    pub(crate) slice_seconds: u64,
    pub(crate) grace_seconds: u64,
    pub(crate) heartbeat_seconds: u64,
    /// How long a mailbox's lease lives; renewals and the waits for a busy mailbox are parts of it.
    pub(crate) lease_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// Where `/metrics` and `/health` are.
    pub(crate) listen: SocketAddr,
    pub(crate) log: String,
    /// An OTLP collector, such as `http://collector:4318`.
    pub(crate) otlp: Option<String>,
    pub(crate) sampled: f64,
}

impl Default for Plan {
    fn default() -> Plan {
        let (usual, retry) = (planning::Settings::default(), planning::RetryPolicy::default());
        Plan {
            nightly: usual.nightly.to_string(),
            weekend: usual.weekend.to_string(),
            outside: Outside::Wait,
            tail_percent: usual.tail_percent,
            first_backups_per_hour: 500,
            attempts: retry.attempts,
            retry_seconds: retry.first_wait.as_secs(),
            longest_retry_seconds: retry.longest_wait.as_secs(),
            verify_days: 30,
            keep_gone_days: 0,
        }
    }
}

impl Default for Producer {
    fn default() -> Producer {
        let (outbox, reaper) = (producer::OutboxSettings::default(), producer::ReaperSettings::default());
        Producer {
            listen: None,
            tokens: Vec::new(),
            connections: 512,
            connections_per_address: 64,
            rules: Vec::new(),
            manual_per_hour: NonZeroU32::new(6).expect("not zero"),
            plan_every_seconds: 60,
            reap_every_seconds: reaper.every.as_secs(),
            silent_seconds: reaper.silent.as_secs(),
            lost_after_seconds: reaper.lost_after.as_secs(),
            hold_seconds: outbox.hold.as_secs(),
            watch_every_seconds: 120,
            keep_audit_days: 400,
        }
    }
}

impl Default for Worker {
    fn default() -> Worker {
        let (slots, times) = (worker::Slots::default(), worker::Times::default());
        Worker {
            manual: slots.manual,
            restore: slots.restore,
            nightly: slots.nightly,
            weekend: slots.weekend,
            verify: slots.verify,
            slice_seconds: times.slice.as_secs(),
            grace_seconds: times.grace.as_secs(),
            heartbeat_seconds: times.heartbeat.as_secs(),
            lease_seconds: minute(),
        }
    }
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry { listen: ([127, 0, 0, 1], 9464).into(), log: "info".to_owned(), otlp: None, sampled: 1.0 }
    }
}

fn malle() -> String {
    "malle".to_owned()
}

fn eight() -> usize {
    8
}

fn minute() -> u64 {
    60
}

impl Config {
    /// Reads the file and what the environment overrides.
    pub(crate) fn load(path: Option<&Path>) -> Result<Config, Failure> {
        let path = path.ok_or_else(|| {
            Failure::usage("find the configuration: none is named", "give --config or set MALLE_CONFIG")
        })?;
        let text = read_file(path, Exit::Usage)?;
        let environment =
            Environment::with_prefix("MALLE").prefix_separator("__").separator("__").try_parsing(true);
        let config = Config::parse(&text, environment).map_err(|error| {
            let what = format!("read the configuration {}: {error}", path.display());
            Failure::usage(what, "deploy/malle.toml has every key and what it means")
        })?;
        config.check_values()?;
        Ok(config)
    }

    fn parse(text: &str, environment: Environment) -> Result<Config, ::config::ConfigError> {
        let file = File::from_str(text, FileFormat::Toml);
        ::config::Config::builder().add_source(file).add_source(environment).build()?.try_deserialize()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use super::*;

    const LEAST: &str = r#"
        production_zone = "eu-west"
        time_zone = "Europe/Paris"
        key_file = "/etc/malle/ring.key"
        postgres = { url = "postgres://malle@db/malle", password = { file = "/run/secrets/postgres" } }
        rabbitmq = { url = "amqp://malle@mq/malle", password = { env = "RABBITMQ_PASSWORD" } }
        redis = { url = "redis://redis" }
    "#;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, ::config::ConfigError> {
        let source = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment =
            Environment::with_prefix("MALLE").prefix_separator("__").separator("__").try_parsing(true);
        Config::parse(text, environment.source(Some(source.collect::<HashMap<_, _>>())))
    }

    /// The least that a configuration says, and more.
    pub(in crate::fleet) fn config(more: &str) -> Config {
        try_config(more).expect("it can be read")
    }

    pub(in crate::fleet) fn try_config(more: &str) -> Result<Config, ::config::ConfigError> {
        parse(&format!("{LEAST}\n{more}"), &[])
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let config = parse(LEAST, &[]).expect("complete");
        assert_eq!((config.plan.nightly.as_str(), config.worker.nightly), ("22:00-06:00", 6));
        assert!(matches!(config.plan.outside, Outside::Wait));
        assert!(config.producer.listen.is_none() && config.servers.is_empty());
    }

    #[test]
    fn the_environment_overrides() {
        let config = parse(
            LEAST,
            &[("MALLE__TIME_ZONE", "UTC"), ("MALLE__WORKER__NIGHTLY", "9"), ("MALLE_STORE", "file:///x")],
        );
        let config = config.expect("complete");
        assert_eq!((config.time_zone.as_str(), config.worker.nightly), ("UTC", 9));
    }

    #[test]
    fn what_is_not_known_is_named() {
        let server = "[[servers]]\nname = \"a\"\nurl = \"https://a\"\n";
        let by_telepathy = format!("{server}discover = {{ by = \"telepathy\" }}");
        for (more, named) in [
            (by_telepathy.as_str(), "telepathy"),
            ("[worker]\nnigthly = 3", "nigthly"),
            ("[[stores]]\nname = \"a\"", "zone"),
            ("[plan]\noutside = \"perhaps\"", "perhaps"),
        ] {
            let error = parse(&format!("{LEAST}\n{more}"), &[]).expect_err(more).to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_secret_that_stands_there_itself_is_not_repeated() {
        let text = LEAST.replace("{ env = \"RABBITMQ_PASSWORD\" }", "\"hunter2\"");
        let by_file = parse(&text, &[]).expect_err("no secrets in here").to_string();
        let by_variable =
            parse(LEAST, &[("MALLE__REDIS__PASSWORD", "hunter2")]).expect_err("nor here").to_string();
        for error in [by_file, by_variable] {
            assert!(error.contains("{ file") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_example_is_complete_and_true() {
        let text = include_str!("../../../../deploy/malle.toml");
        let config = parse(text, &[]).expect("deploy/malle.toml");
        assert_eq!((config.servers.len(), config.stores.len()), (1, 1));

        // Keys that stand there as comments are true, too.
        let key = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(is_of_a_key));
        let lines = text.lines().map(|line| line.strip_prefix("# ").filter(|rest| key(rest)).unwrap_or(line));
        let lines: Vec<&str> = lines.collect();
        assert!(lines.iter().zip(text.lines()).filter(|(one, other)| *one != other).count() > 40);
        let config = parse(&lines.join("\n"), &[]).expect("deploy/malle.toml with all its keys");
        assert!(config.servers[0].token.is_some() && config.telemetry.otlp.is_some());
    }

    fn is_of_a_key(c: char) -> bool {
        c.is_ascii_lowercase() || c == '_'
    }
}
