use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use repository::{Store, StoreOptions};
use serde_json::json;
use tokio::net::TcpListener;

use super::config::Config;
use super::{listing, parts, role};
use crate::exit::Exit;
use crate::failure;
use crate::fleet_args::RoleArgs;
use crate::output::{Out, remark};

/// `malle config check`: tries everything that the configuration names, a line each.
pub(crate) async fn check(args: &RoleArgs, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let mut report = Report { out, failed: 0 };
    report.add("windows, time zone", config.calendar().map(drop))?;
    report.add("producer, tokens of the API", producer(&config))?;
    config.doubts().iter().for_each(remark);
    let places = config.check_places();
    let is_placed = places.is_ok();
    report.add("mail servers, stores' zones", places.map_err(Into::into))?;
    report.add("worker", worker(&config, out, is_placed))?;
    report.add("logs, traces", watched(&config).await)?;
    report.add("addresses of metrics and of the API", addresses(&config).await)?;
    let catalog = async { Ok(config.catalog("check").await?.require_migrated().await?) };
    report.add("postgres", catalog.await)?;
    let broker = async { Ok(config.broker("check")?.check().await?) };
    report.add("rabbitmq", broker.await)?;
    let redis = async { Ok(config.redis()?.check().await?) };
    report.add("redis", redis.await)?;
    report.add("key ring", config.ring(out).map(drop))?;
    for server in &config.servers {
        let session = async {
            jmap::Client::connect(parts::client(server)?).await?;
            Ok(())
        };
        report.add(format_args!("server {}", server.name), session.await)?;
        if let Some(discover) = &server.discover {
            let page = async {
                listing::open(server, discover.by, config.wants_memberships())?
                    .page(None)
                    .await
                    .context("list its mailboxes")?;
                Ok(())
            };
            report.add(format_args!("directory of {}", server.name), page.await)?;
        }
    }
    for store in &config.stores {
        let opened = async {
            let options = StoreOptions { zone: Some(store.zone.clone()), ..StoreOptions::default() };
            Store::open(parts::objects(store, config.allow_plain_http)?, options).await?;
            Ok(())
        };
        report.add(format_args!("store {}", store.name), opened.await)?;
    }
    Ok(if report.failed == 0 { Exit::Good } else { Exit::Usage })
}

fn producer(config: &Config) -> Result<()> {
    Ok(config.producer_anywhere()?.check()?)
}

/// What is wrong with places is not said twice.
fn worker(config: &Config, out: &Out, is_placed: bool) -> Result<()> {
    let settings = config.worker_anywhere(out)?;
    if is_placed {
        settings.check()?;
    }
    Ok(())
}

/// Sets up what a role is watched by, and ends it: logs go nowhere, and no collector is asked.
async fn watched(config: &Config) -> Result<()> {
    let registry = role::registry("check");
    let (_, telemetry) = telemetry::prepare(&role::watching("check", config), &registry, std::io::sink)?;
    telemetry.shutdown().await;
    Ok(())
}

/// Listens where a producer would. An address that is taken is left to whoever has it: a role that runs already.
async fn addresses(config: &Config) -> Result<()> {
    let (metrics, api) = (config.telemetry.listen, config.producer.listen);
    let overlap = |api: &SocketAddr| {
        let (one, other) = (api.ip(), metrics.ip());
        api.port() != 0
            && api.port() == metrics.port()
            && (one == other || one.is_unspecified() || other.is_unspecified())
    };
    if api.as_ref().is_some_and(overlap) {
        return Err(anyhow!("listen on {metrics}: both producer.listen and telemetry.listen want it"));
    }
    for address in [Some(metrics), api].into_iter().flatten() {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                return Err(error).with_context(|| format!("listen on {address}"));
            }
            _ => (),
        }
    }
    Ok(())
}

struct Report<'a> {
    out: &'a Out,
    failed: usize,
}

impl Report<'_> {
    fn add(&mut self, what: impl Display, ended: Result<()>) -> Result<()> {
        let problem = ended.err().map(|error| failure::explain(&error).1);
        self.failed += usize::from(problem.is_some());
        match (self.out.json(), problem) {
            (true, problem) => self
                .out
                .object(&json!({ "what": what.to_string(), "ok": problem.is_none(), "problem": problem })),
            (false, None) => self.out.line(format_args!("ok      {what}")),
            (false, Some(problem)) => self.out.line(format_args!("FAILED  {what}: {problem}")),
        }
    }
}
