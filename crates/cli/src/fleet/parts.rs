//! From the configuration to what roles are made of.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use catalog::Catalog;
use coordination::BudgetRules;
use jmap::Credentials;
use model::{SignedDuration, SystemClock};
use planning::TimeZone;
use queue::Broker;
use repository::KeyRing;
use url::Url;

use super::config::{Config, Outside, Server, Source};
use crate::args::KeyFile;
use crate::failure::Failure;
use crate::output::Out;
use crate::{secrets, server, store_url};

impl Config {
    /// Connects; the schema need not be migrated.
    pub(crate) async fn catalog(&self, role: &str) -> Result<Catalog> {
        let url = with_password(&self.postgres.url, self.postgres.password.as_ref(), "postgres")?;
        let mut settings = catalog::Settings::new(url.as_str(), format!("malle-{role}"));
        settings.schema.clone_from(&self.postgres.schema);
        settings.pool_size = self.postgres.connections;
        Catalog::connect(&settings).await.context("connect to Postgres")
    }

    /// Connects when it is first needed.
    pub(crate) fn broker(&self, role: &str) -> Result<Broker> {
        let url = with_password(&self.rabbitmq.url, self.rabbitmq.password.as_ref(), "rabbitmq")?;
        Ok(Broker::new(queue::Settings::new(url.as_str(), &format!("malle-{role}"))?))
    }

    /// Connects when it is first needed.
    pub(crate) fn redis(&self) -> Result<coordination::Redis> {
        let url = with_password(&self.redis.url, self.redis.password.as_ref(), "redis")?;
        Ok(coordination::Redis::new(coordination::Settings::new(url.as_str(), &self.redis.prefix)?)?)
    }

    /// The windows and the service's time zone, which go together.
    pub(crate) fn calendar(&self) -> Result<(planning::Settings, TimeZone)> {
        let plan = &self.plan;
        let windows = planning::Settings {
            nightly: plan.nightly.parse().context("read plan.nightly")?,
            weekend: plan.weekend.parse().context("read plan.weekend")?,
            tail_percent: plan.tail_percent,
            outside: match plan.outside {
                Outside::Wait => planning::Outside::Wait,
                Outside::Reduced => planning::Outside::Reduced,
            },
        };
        let zone = planning::zone(&self.time_zone).context("read time_zone")?;
        planning::Calendar::new(windows, zone.clone()).context("use the windows of [plan]")?;
        Ok((windows, zone))
    }

    /// What a producer is told.
    pub(crate) fn producer(&self) -> Result<producer::Settings> {
        let mut settings = producer::Settings::new(&self.time_zone);
        (settings.plan.calendar, _) = self.calendar()?;
        settings.plan.first_backups_per_hour = self.plan.first_backups_per_hour;
        settings.plan.every = Duration::from_secs(self.producer.plan_every_seconds.max(1));
        let (requests, interval) = (self.producer.manual_per_hour, SignedDuration::from_hours(1));
        settings.requests.limit = catalog::RateLimit { requests, interval };
        if let Some(listen) = self.producer.listen {
            let mut tokens = Vec::new();
            for token in &self.producer.tokens {
                let secret = producer::Secret::new(token.secret.read()?.as_str());
                tokens.push(producer::ApiToken { name: token.name.clone(), secret });
            }
            settings.api = Some(producer::ApiSettings { listen, tokens, rules: self.rules() });
        }
        Ok(settings)
    }

    /// Which plan mailboxes have that are listed without one.
    pub(crate) fn rules(&self) -> producer::Rules {
        producer::Rules::new(self.producer.rules.clone())
    }

    /// What a worker is told; opens no store yet.
    pub(crate) fn worker(&self, out: &Out) -> Result<worker::Settings> {
        let mut servers = Vec::new();
        for server in &self.servers {
            let budget = BudgetRules::new(server.requests_in_flight, server.requests_per_minute);
            servers.push(worker::MailServer { name: server.name.clone(), client: client(server)?, budget });
        }
        let mut stores = Vec::new();
        for store in &self.stores {
            let objects =
                store_url::objects(&store.url).with_context(|| format!("set up the store {}", store.name))?;
            stores.push(worker::BackupStore { name: store.name.clone(), zone: store.zone.clone(), objects });
        }
        let of = &self.worker;
        let (windows, time_zone) = self.calendar()?;
        Ok(worker::Settings {
            name: store_url::writer(),
            slots: worker::Slots {
                manual: of.manual,
                restore: of.restore,
                nightly: of.nightly,
                weekend: of.weekend,
                verify: of.verify,
            },
            servers,
            stores,
            production_zone: self.production_zone.clone(),
            ring: self.ring(out)?,
            windows,
            time_zone,
            retry: planning::RetryPolicy { attempts: self.plan.attempts.max(1), ..Default::default() },
            limits: worker::Limits::default(),
            times: worker::Times {
                slice: Duration::from_secs(of.slice_seconds.max(1)),
                grace: Duration::from_secs(of.grace_seconds.max(4)),
                ..worker::Times::default()
            },
        })
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
    ) -> Result<worker::Services> {
        let redis = Arc::new(self.redis()?);
        let catalog = self.catalog("worker").await?;
        catalog.require_migrated().await?;
        Ok(worker::Services {
            catalog,
            broker: self.broker("worker")?,
            leases: redis.clone(),
            budget: redis.clone(),
            board: redis,
            backups: Arc::new(worker::InSlices),
            clock: Arc::new(SystemClock),
            metrics: worker::Metrics::new(registry, servers),
        })
    }
}

/// A mail server's address and who signs in there.
pub(crate) fn client(server: &Server) -> Result<jmap::Config> {
    let url = server::server_url(Some(&server.url))?;
    let credentials = match (&server.token, &server.user, &server.password) {
        (Some(token), None, None) => Credentials::bearer(token.read()?),
        (None, Some(user), Some(password)) => Credentials::basic(user.clone(), password.read()?),
        _ => {
            let what =
                format!("sign in at the server {}: it needs a user and a password, or a token", server.name);
            return Err(Failure::usage(what, "set user and password, or token, in its [[servers]]").into());
        }
    };
    let mut config = jmap::Config::new(url, credentials);
    config.authorities = server::authorities(server.ca_file.as_deref())?;
    config.user_agent = server::USER_AGENT.to_owned();
    Ok(config)
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
        url.set_password(Some(password.read()?.as_str())).map_err(|()| bad("it cannot have a password"))?;
    }
    Ok(url)
}
