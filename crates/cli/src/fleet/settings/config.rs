//! The fleet's configuration: one TOML file, single values overridden by `MALLE__SECTION__KEY` in the environment.
//!
//! Most keys, with their bounds, stand in the settings of the crates that use them; here is what only this crate knows. Secrets are
//! never in it: it says in which file or variable each one is.

use std::collections::BTreeSet;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use model::forms::{Nested, flag, list, name, optional, parsed, path, required, text, url, words};
use model::settings;
use model::settings::Tables;
use producer::Scope;
use url::Url;

use super::file;
use super::mail_server::Server;
use super::source::{Source, secret};
use crate::secrets::read_file;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;

settings! {
    /// Everything a role is told.
    #[derive(Debug)]
    pub(crate) struct Config {
        /// The zone in which the mail servers are: a store in the same zone is refused, because it would be lost together with the mail.
        pub(crate) production_zone: String = String::new(), "production_zone": required(name("the name of a zone"));
        /// The file with the keys of all repositories, made by `malle key new --output`. Who has it can read every backup, and without
        /// it nobody can.
        pub(crate) key_file: PathBuf = PathBuf::new(), "key_file": required(path());
        /// A mail server or a store that is not on this machine may have an `http://` URL: for a network that is safe by itself.
        pub(crate) allow_plain_http: bool = false, "allow_plain_http": flag();
        pub(crate) postgres: Postgres = Postgres::default(), "postgres": Nested;
        pub(crate) rabbitmq: RabbitMq = RabbitMq::default(), "rabbitmq": Nested;
        pub(crate) redis: Redis = Redis::default(), "redis": Nested;
        /// One for each mail server.
        pub(crate) servers: Vec<Server> = Vec::new(), "servers": Tables::Many;
        /// One for each place of backups, made by `malle init`. One without keys of its own takes what the environment says (`AWS_…`,
        /// `GOOGLE_…`, `AZURE_…`); one that has some takes nothing from there.
        pub(crate) stores: Vec<Store> = Vec::new(), "stores": Tables::Many;
        pub(crate) producer: producer::Settings = producer::Settings::default(), "producer": Nested;
        pub(crate) retry: planning::RetryPolicy = planning::RetryPolicy::default(), "plan": Nested;
        /// Where the HTTP API listens, behind a proxy that ends TLS. Without it there is no API.
        pub(crate) listen: Option<SocketAddr> = None, "producer.listen": optional(parsed("an address like 0.0.0.0:8080"));
        pub(crate) connections: producer::Connections = producer::Connections::default(), "producer": Nested;
        /// Who may use the HTTP API.
        pub(crate) tokens: Vec<Token> = Vec::new(), "producer.tokens": Tables::Many;
        /// Plans of mailboxes that are listed without one: the first rule that fits. A mailbox fits a rule if it has all that the rule
        /// names. One that fits none is reported and not backed up.
        pub(crate) rules: Vec<producer::Rule> = Vec::new(), "producer.rules": Tables::Many;
        pub(crate) slots: worker::Slots = worker::Slots::default(), "worker": Nested;
        pub(crate) times: worker::Times = worker::Times::default(), "worker": Nested;
        pub(crate) telemetry: telemetry::Choices = telemetry::Choices::default(), "telemetry": Nested;
    }
}

settings! {
    #[derive(Debug)]
    pub(crate) struct Postgres {
        pub(crate) settings: catalog::Settings = catalog::Settings::default(), "postgres": Nested;
        /// Where the password stands.
        pub(crate) password: Option<Source> = None, "postgres.password": optional(secret());
        /// Certificates in PEM that are trusted beside the system's. With it, TLS is demanded.
        pub(crate) ca_file: Option<PathBuf> = None, "postgres.ca_file": optional(path());
    }
}

settings! {
    #[derive(Debug)]
    pub(crate) struct RabbitMq {
        /// The broker, and one virtual host of it for the fleet; `amqps://` for TLS.
        pub(crate) url: String = String::new(), "rabbitmq.url": required(url("a URL like amqp://user@host/vhost", &["amqp", "amqps"]));
        /// Where the password stands.
        pub(crate) password: Option<Source> = None, "rabbitmq.password": optional(secret());
        /// Certificates in PEM that are trusted beside the system's.
        pub(crate) ca_file: Option<PathBuf> = None, "rabbitmq.ca_file": optional(path());
        pub(crate) settings: queue::Settings = queue::Settings::default(), "rabbitmq": Nested;
    }
}

settings! {
    #[derive(Debug)]
    pub(crate) struct Redis {
        pub(crate) settings: coordination::Settings = coordination::Settings::default(), "redis": Nested;
        /// Where the password stands.
        pub(crate) password: Option<Source> = None, "redis.password": optional(secret());
        /// Certificates in PEM that are trusted instead of the system's.
        pub(crate) ca_file: Option<PathBuf> = None, "redis.ca_file": optional(path());
    }
}

settings! {
    /// A place of backups.
    #[derive(Debug)]
    pub(crate) struct Store {
        /// What the catalogue calls it. It stays for good.
        pub(crate) name: String = String::new(), "name": required(name("a name"));
        /// Where it is. The first store takes mailboxes that name no zone, the others those that name theirs.
        pub(crate) zone: String = String::new(), "zone": required(name("the name of a zone"));
        /// The bucket or directory, as `--store` takes it.
        pub(crate) url: String = String::new(), "url": required(text("a URL like s3://bucket/prefix", |text| {
            from_url::check(text).map(|()| text.to_owned()).map_err(|failure| failure.to_string())
        }));
        /// The region of the bucket.
        pub(crate) region: Option<String> = None, "region": optional(name("the name of a region"));
        /// The address of the object storage, if it is not that of the cloud.
        pub(crate) endpoint: Option<String> = None, "endpoint": optional(text("an http or https address like https://s3.example.net", endpoint));
        /// s3: the access key's id; az: the account; gs: none.
        pub(crate) key_id: Option<Source> = None, "key_id": optional(secret());
        /// s3: the secret access key; az: the account's key; gs: the service account's JSON.
        pub(crate) secret: Option<Source> = None, "secret": optional(secret());
    }
}

settings! {
    /// A bearer token of the HTTP API.
    #[derive(Debug)]
    pub(crate) struct Token {
        /// Whose it is; written into the audit log.
        pub(crate) name: String = String::new(), "name": required(text("a word without blanks", word));
        /// Where the token stands: at least 32 characters, random.
        pub(crate) secret: Source = Source::Env(String::new()), "secret": required(secret());
        /// What it may be used for. directory: says which mailboxes there are; operate: cancels and redrives jobs, verifies, pauses.
        pub(crate) scopes: BTreeSet<Scope> = BTreeSet::new(), "scopes": required(list(words(&Scope::ALL, Scope::as_str)));
        /// Whose mailboxes it sees; everybody's without it.
        pub(crate) tenants: Option<BTreeSet<String>> = None, "tenants": optional(list(name("the name of a tenant")));
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(|_| text.to_owned()).ok_or_else(String::new)
}

fn word(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(char::is_whitespace) {
        true => Err(String::new()),
        false => Ok(text.to_owned()),
    }
}

impl Config {
    /// Reads the file and what the environment overrides.
    pub(crate) fn load(file: Option<&Path>) -> Result<Config, Failure> {
        let file = file.ok_or_else(|| {
            Failure::usage("find the configuration: none is named", "give --config or set MALLE_CONFIG")
        })?;
        let text = read_file(file, Exit::Usage)?;
        let variables = env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        let read = Config::read(&text, variables);
        read.and_then(Config::without_contradictions).map_err(|mistakes| {
            let what = format!("use the configuration {}: {}", file.display(), mistakes.join("; "));
            Failure::usage(what, "docs/configuration.md has every key, what it means and what is allowed")
        })
    }

    /// Reads every key, or says everything that is wrong.
    pub(crate) fn read(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, Vec<String>> {
        let mut config = Config::default();
        file::read(&mut config, text, variables)?;
        Ok(config)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const LEAST: &str = r#"
        production_zone = "eu-west"
        time_zone = "Europe/Paris"
        key_file = "/etc/malle/ring.key"
        postgres = { url = "postgres://malle@db/malle", password = { file = "/run/secrets/postgres" } }
        rabbitmq = { url = "amqp://malle@mq/malle", password = { env = "RABBITMQ_PASSWORD" } }
        redis = { url = "redis://redis" }
    "#;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read(text, variables).map_err(|mistakes| mistakes.join("; "))
    }

    /// The least that a configuration says, and more.
    pub(in crate::fleet) fn config(more: &str) -> Config {
        parse(&format!("{LEAST}\n{more}"), &[]).expect("it can be read")
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let config = parse(LEAST, &[]).expect("complete");
        let calendar = config.producer.plan.calendar;
        assert_eq!((calendar.nightly.to_string().as_str(), config.slots.nightly), ("22:00-06:00", 6));
        assert_eq!(calendar.outside, planning::Outside::Wait);
        assert!(config.listen.is_none() && config.servers.is_empty());
    }

    #[test]
    fn the_environment_overrides() {
        let config = parse(
            LEAST,
            &[("MALLE__TIME_ZONE", "UTC"), ("MALLE__WORKER__NIGHTLY", "9"), ("MALLE_STORE", "file:///x")],
        );
        let config = config.expect("complete");
        assert_eq!((config.producer.plan.time_zone.as_str(), config.slots.nightly), ("UTC", 9));
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
            let error = parse(&format!("{LEAST}\n{more}"), &[]).expect_err(more);
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_secret_that_stands_there_itself_is_not_repeated() {
        let text = LEAST.replace("{ env = \"RABBITMQ_PASSWORD\" }", "\"hunter2\"");
        let by_file = parse(&text, &[]).expect_err("no secrets in here");
        let by_variable = parse(LEAST, &[("MALLE__REDIS__PASSWORD", "hunter2")]).expect_err("nor here");
        for error in [by_file, by_variable] {
            assert!(error.contains("{ file") && !error.contains("hunter2"), "{error}");
        }
        let without_quotes = LEAST.replace("{ env = \"RABBITMQ_PASSWORD\" }", "hunter2");
        let error = parse(&without_quotes, &[]).expect_err("no TOML");
        assert!(error.contains("line 6") && !error.contains("hunter2"), "{error}");
    }
}
