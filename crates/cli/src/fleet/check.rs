use std::fmt::Display;

use anyhow::{Context, Result, anyhow};
use repository::{Store, StoreOptions};
use serde_json::json;

use super::config::Config;
use super::parts;
use crate::exit::Exit;
use crate::failure;
use crate::fleet_args::RoleArgs;
use crate::output::Out;

/// `malle config check`: tries everything that the configuration names, a line each.
pub(crate) async fn check(args: &RoleArgs, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let mut report = Report { out, failed: 0 };
    report.add("windows, time zone", config.calendar().map(drop))?;
    report.add("producer, tokens of the API", config.producer().map(drop))?;
    report.add("stores' zones", zones(&config))?;
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
                parts::listing(server, discover.by, &config.rules())?
                    .page(None)
                    .await
                    .context("list its mailboxes")?;
                Ok(())
            };
            report.add(format_args!("directory of {}", server.name), page.await)?;
        }
    }
    // One in the wrong zone must not be given a descriptor that says so.
    for store in config.stores.iter().filter(|store| store.zone != config.production_zone) {
        let opened = async {
            let options = StoreOptions { zone: Some(store.zone.clone()), ..StoreOptions::default() };
            Store::open_or_init(parts::objects(store)?, options, &model::SystemClock).await?;
            Ok(())
        };
        report.add(format_args!("store {}", store.name), opened.await)?;
    }
    Ok(if report.failed == 0 { Exit::Good } else { Exit::Usage })
}

/// Backups that burn down together with the mail are none.
fn zones(config: &Config) -> Result<()> {
    match config.stores.iter().find(|store| store.zone == config.production_zone) {
        Some(store) => Err(anyhow!("the store {} lies in production's own zone, {}", store.name, store.zone)),
        None if config.stores.is_empty() => Err(anyhow!("there is none: backups have nowhere to go")),
        None => Ok(()),
    }
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
