//! From the configuration to what roles are made of.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use catalog::Catalog;
use coordination::LeaseTerms;
use jmap::{Credentials, Renewal};
use model::{SignedDuration, SystemClock};
use planning::TimeZone;
use producer::{Disappeared, Scope};
use queue::Broker;
use repository::{KeyRing, ObjectStore};
use url::Url;
use zeroize::Zeroizing;

use super::agent::{Agent, agent};
use super::listing::Relisted;
use super::ring::RingFile;
use crate::args::shared::KeyFile;
use crate::fleet::settings::config::{Config, Postgres, RabbitMq, Redis, Store, Token};
use crate::fleet::settings::mail_server::Server;
use crate::fleet::settings::source::Source;
use crate::secrets::SecretFile;
use crate::store::client::{Access, Keys};
use crate::store::from_url;
use crate::terminal::failure::Failure;
use crate::terminal::output::Out;
use crate::terminal::waiting;
use crate::{secrets, server};

/// Whether workers will understand a selection of emails.
pub(crate) fn read_selection(text: &str) -> Result<(), String> {
    text.parse::<engine::Selection>().map(drop).map_err(|error| error.to_string())
}

impl Config {
    /// Connects; the schema need not be migrated.
    pub(crate) async fn catalog(&self, role: &str) -> Result<Catalog> {
        let Postgres { settings, password, ca_file } = &self.postgres;
        let settings = catalog::Settings {
            url: with_password(&settings.url, password.as_ref(), "postgres")?.into(),
            application_name: format!("malle-{role}"),
            authorities: authorities(ca_file.as_deref())?,
            ..settings.clone()
        };
        Catalog::connect(&settings).await.context("connect to Postgres")
    }

    /// Connects when it is first needed.
    pub(crate) fn broker(&self, role: &str) -> Result<Broker> {
        let RabbitMq { url, password, ca_file, settings } = &self.rabbitmq;
        let url = with_password(url, password.as_ref(), "rabbitmq")?;
        let mut settings = settings.clone().reaching(url.as_str(), &format!("malle-{role}"))?;
        let pem = authorities(ca_file.as_deref())?;
        settings.authorities = pem.map(|pem| String::from_utf8_lossy(&pem).into_owned());
        Ok(Broker::new(settings))
    }

    /// Connects when it is first needed.
    pub(crate) fn redis(&self) -> Result<coordination::Redis> {
        let Redis { settings, password, ca_file } = &self.redis;
        Ok(coordination::Redis::new(coordination::Settings {
            url: with_password(&settings.url, password.as_ref(), "redis")?.into(),
            authorities: authorities(ca_file.as_deref())?,
            lease: LeaseTerms::of(settings.lease.ttl),
            ..settings.clone()
        })?)
    }

    /// The windows and the service's time zone, which go together.
    pub(crate) fn calendar(&self) -> Result<(planning::Settings, TimeZone)> {
        let (windows, zone) = (self.producer.plan.calendar, planning::zone(&self.producer.plan.time_zone)?);
        planning::Calendar::new(windows, zone.clone()).context("use the windows of [plan]")?;
        Ok((windows, zone))
    }

    /// What a producer is told.
    pub(crate) fn producer(&self) -> Result<producer::Settings> {
        self.check_places()?;
        self.producer_anywhere()
    }

    /// The same, wherever mail comes from and backups go.
    pub(crate) fn producer_anywhere(&self) -> Result<producer::Settings> {
        self.check_silence()?;
        let mut settings = self.producer.clone();
        settings.watch.every = settings.watch.every.min(settings.watch.every_mailbox);
        if let Some(listen) = self.listen {
            let mut tokens = Vec::new();
            for Token { name, secret, scopes, tenants } in &self.tokens {
                let secret = producer::Secret::new(secret.read()?.as_str());
                let (name, scopes, tenants) = (name.clone(), scopes.clone(), tenants.clone());
                tokens.push(producer::ApiToken { name, secret, scopes, tenants });
            }
            let servers = self.servers.iter().map(|server| server.name.clone()).collect();
            let (rules, zones, connections) = (self.rules(), self.zones(), self.connections);
            settings.api = Some(producer::ApiSettings { listen, tokens, connections, rules, servers, zones });
        }
        Ok(settings)
    }

    /// One heartbeat may be late, and one be lost.
    fn check_silence(&self) -> Result<(), Failure> {
        let (silent, heartbeat) = (self.producer.reaper.silent, self.times.heartbeat);
        if silent >= 3 * heartbeat {
            return Ok(());
        }
        let what = format!(
            "use producer.silent_seconds = {}: workers that live would lose their jobs",
            silent.as_secs()
        );
        let hint = "make it at least three times worker.heartbeat_seconds, and the same in both roles' configuration";
        Err(Failure::usage(what, hint))
    }

    /// Which plan mailboxes have that are listed without one.
    pub(crate) fn rules(&self) -> producer::Rules {
        producer::Rules::new(self.rules.clone())
    }

    /// Where backups may go.
    pub(crate) fn zones(&self) -> Vec<String> {
        self.stores.iter().map(|store| store.zone.clone()).collect()
    }

    /// How long backups of a mailbox that is gone are kept; `None`: for ever.
    pub(crate) fn keep_gone(&self) -> Option<SignedDuration> {
        self.producer.plan.keep_gone
    }

    /// Whether tenants and groups of mailboxes matter: to a rule, or to a token that is bound to tenants.
    pub(crate) fn wants_memberships(&self) -> bool {
        // One that may restore and not operate gives a backup to mailboxes of the same tenant only.
        let asks_whose = |token: &Token| {
            let may = |scope| token.scopes.contains(&scope);
            token.tenants.is_some() || (may(Scope::Restore) && !may(Scope::Operate))
        };
        self.rules().name_memberships() || self.tokens.iter().any(asks_whose)
    }

    /// Servers that are asked for their mailboxes.
    pub(crate) fn directories(&self) -> Result<Vec<producer::Directory>> {
        let mut directories = Vec::new();
        for server in &self.servers {
            let Some(discover) = &server.discover else { continue };
            directories.push(producer::Directory {
                server: server.name.clone(),
                listing: Relisted::open(server, discover.by, self.wants_memberships())?,
                rules: self.rules(),
                disappeared: Disappeared::Gone {
                    missing_for: discover.missing_for,
                    at_most_percent: discover.drop_at_most_percent,
                },
                every: discover.every,
            });
        }
        Ok(directories)
    }

    /// What a worker is told; opens no store yet.
    pub(crate) fn worker(&self, out: &Out) -> Result<worker::Settings> {
        self.check_silence()?;
        self.check_places()?;
        self.worker_anywhere(out)
    }

    /// The same, wherever mail comes from and backups go.
    pub(crate) fn worker_anywhere(&self, out: &Out) -> Result<worker::Settings> {
        let mut servers = Vec::new();
        for server in &self.servers {
            servers.push(worker::MailServer {
                name: server.name.clone(),
                client: client(server)?,
                budget: server.budget.among(server.workers_without_redis),
                acts_as_owner: server.act_as_owner,
            });
        }
        let (windows, time_zone) = self.calendar()?;
        Ok(worker::Settings {
            name: from_url::writer(),
            slots: self.slots,
            servers,
            stores: self.stores()?,
            production_zone: self.production_zone.clone(),
            ring: Arc::new(RingFile::new(self.key_file.clone(), self.ring(out)?)),
            windows,
            time_zone,
            retry: self.retry,
            limits: worker::Limits::default(),
            times: self.times.under(self.redis.settings.lease.ttl),
        })
    }

    /// Where backups lie; asks none of them yet.
    pub(crate) fn stores(&self) -> Result<Vec<worker::BackupStore>> {
        let mut stores = Vec::new();
        for store in &self.stores {
            let objects = objects(store, self.allow_plain_http)
                .with_context(|| format!("use the [[stores]] named {}", store.name))?;
            stores.push(worker::BackupStore { name: store.name.clone(), zone: store.zone.clone(), objects });
        }
        Ok(stores)
    }

    /// The keys of all repositories.
    pub(crate) fn ring(&self, out: &Out) -> Result<KeyRing> {
        secrets::ring(&KeyFile { key_file: Some(self.key_file.clone()) }, out)
    }

    /// What a worker works with.
    pub(crate) async fn services(
        &self,
        registry: &telemetry::Registry,
        servers: &[worker::MailServer],
        health: telemetry::Health,
    ) -> Result<worker::Services> {
        let redis = Arc::new(self.redis()?);
        let catalog = self.catalog("worker").await?;
        catalog.require_migrated().await?;
        Ok(worker::Services {
            catalog,
            broker: self.broker("worker")?,
            leases: redis.clone(),
            budget: redis.clone(),
            sign_ins: redis.clone(),
            board: redis,
            make_slice: Arc::new(engine::backup_slice),
            clock: Arc::new(SystemClock),
            metrics: worker::Metrics::new(registry, servers),
            health,
        })
    }
}

/// Certificates in PEM of whom a service is trusted by.
fn authorities(file: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    let pem = server::authorities(file)?;
    Ok((!pem.is_empty()).then_some(pem))
}

/// The bucket or directory; asks it nothing yet.
pub(crate) fn objects(store: &Store, plain_http: bool) -> Result<Arc<dyn ObjectStore>> {
    let Store { url, region, endpoint, key_id, secret, .. } = store;
    let keys = match (key_id, secret) {
        (id, Some(secret)) => {
            let id = id.as_ref().map(Source::read).transpose()?;
            Some(Keys { id, secret: secret.read()? })
        }
        (None, None) => None,
        (Some(_), None) => {
            let what = "read a store's keys: its key_id has no secret beside it";
            return Err(Failure::usage(what, "set both, or none and the environment").into());
        }
    };
    from_url::objects(url, &Access { region: region.clone(), endpoint: endpoint.clone(), keys, plain_http })
}

/// A mail server's address and who signs in there.
pub(crate) fn client(server: &Server) -> Result<jmap::Config> {
    let url = server::server_url(Some(&server.url))?;
    let credentials = match agent(server)? {
        Agent::Token(token) => Credentials::bearer(token),
        Agent::User { name, password } => Credentials::basic(name, password),
    };
    let mut config = jmap::Config::new(url, credentials);
    config.renewal = renewal(server);
    config.authorities = server::authorities(server.ca_file.as_deref())?;
    config.user_agent = server::USER_AGENT.to_owned();
    config.waiting = Some(waiting::for_mail_server(&server.name));
    config.timeouts.request = server.budget.hold;
    Ok(config)
}

/// A file that holds the token or the password is read again when the server refuses it.
fn renewal(server: &Server) -> Option<Arc<dyn Renewal>> {
    match (&server.token, &server.password) {
        (Some(Source::File(token)), _) => Some(SecretFile::of(token, None)),
        (None, Some(Source::File(password))) => Some(SecretFile::of(password, server.user.as_deref())),
        _ => None,
    }
}

/// A service's URL with its password. Errors do not repeat it.
fn with_password(text: &str, password: Option<&Source>, section: &str) -> Result<Url, Failure> {
    let bad = |why: &str| {
        let hint = "write it like scheme://user@host/name and the password into a file of its own";
        Failure::usage(format!("read {section}.url: {why}"), hint)
    };
    let mut url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if url.password().is_some() {
        return Err(bad("it holds a password"));
    }
    if let Some(password) = password {
        // Every client decodes it; `set_password` encodes all that matters but the sign of encoding itself.
        let encoded = Zeroizing::new(password.read()?.replace('%', "%25"));
        url.set_password(Some(encoded.as_str())).map_err(|()| bad("it cannot have a password"))?;
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the three clients do: each `%` and two digits is a byte.
    fn decoded(text: &str) -> String {
        let (mut bytes, mut rest) = (Vec::new(), text.bytes());
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let digits = [rest.next(), rest.next()].map(|digit| digit.expect("two digits"));
                    u8::from_str_radix(str::from_utf8(&digits).expect("ASCII"), 16).expect("hexadecimal")
                }
                byte => byte,
            });
        }
        String::from_utf8(bytes).expect("as it was")
    }

    #[test]
    fn a_service_is_told_the_password_as_it_stands_in_its_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for password in ["%41%2f", "100%", "%", "%%25", "a%zz", "p@ss:w/o?r#d[]", "+ ä'\"&=", "plain"] {
            std::fs::write(file.path(), format!("{password}\n")).expect("it is written");
            let source = Source::File(file.path().to_owned());
            for url in ["postgres://malle@db/malle", "amqp://malle@mq/malle", "redis://redis/0"] {
                let told = with_password(url, Some(&source), "section").expect("a URL");
                assert_eq!(decoded(told.password().expect("it has one")), password, "{url}");
            }
        }
    }
}
