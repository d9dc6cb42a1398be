use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use jmap::{AccountId, Client};
use producer::{Entry, MailboxKind};
use repository::{Error, KeyRing, Store, StoreOptions};
use serde_json::json;
use tokio::net::TcpListener;

use super::rights::{self, names};
use crate::args::fleet::RoleArgs;
use crate::fleet::roles::{listing, parts, role};
use crate::fleet::settings::config::Config;
use crate::fleet::settings::mail_server::Server;
use crate::server::connect;
use crate::terminal::exit::Exit;
use crate::terminal::failure;
use crate::terminal::hint::Setup;
use crate::terminal::output::{Out, remark};

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
    let (ring, problem) = match config.ring(out) {
        Ok(ring) => (Some(ring), Ok(())),
        Err(error) => (None, Err(error)),
    };
    report.add("key ring", problem)?;
    for server in &config.servers {
        check_server(&mut report, &config, server).await?;
    }
    for store in &config.stores {
        let opened = async {
            let options = StoreOptions { zone: Some(store.zone.clone()), ..StoreOptions::default() };
            let opened = Store::open(parts::objects(store, config.allow_plain_http)?, options).await?;
            match &ring {
                Some(ring) => opens_a_mailbox(&opened, ring).await,
                None => Ok(()),
            }
        };
        report.add(format_args!("store {}", store.name), opened.await)?;
    }
    Ok(if report.failed == 0 { Exit::Good } else { Exit::Usage })
}

/// Signs in, lists, and tries on the first mailbox of somebody else what jobs will ask for.
async fn check_server(report: &mut Report<'_>, config: &Config, server: &Server) -> Result<()> {
    let session = async {
        let config = parts::client(server)?;
        Ok((connect(config.clone()).await?, config))
    };
    let (session, problem) = match session.await {
        Ok(session) => (Some(session), Ok(())),
        Err(error) => (None, Err(error)),
    };
    report.add(format_args!("server {}", server.name), problem)?;
    let mut listed = None;
    if let Some(discover) = &server.discover {
        let page = async {
            let listing = listing::open(server, discover.by, config.wants_memberships())?;
            listing.page(None).await.context("list its mailboxes")
        };
        let page = page.await.map(|page| listed = Some(page.entries));
        report.add(format_args!("directory of {}", server.name), page)?;
    }
    match session {
        Some(session) => check_rights(report, config, server, session, listed).await,
        None => Ok(()),
    }
}

async fn check_rights(
    report: &mut Report<'_>,
    config: &Config,
    server: &Server,
    (client, signed_in): (Client, jmap::Config),
    listed: Option<Vec<Entry>>,
) -> Result<()> {
    let name = &server.name;
    // Nobody signs in as a group.
    let people = listed.into_iter().flatten().filter(|entry| entry.kind == Some(MailboxKind::Individual));
    let people: Vec<_> = people.filter_map(|entry| AccountId::new(entry.account?.as_str()).ok()).collect();
    let restores = config.slots.restore > 0;
    let missing = rights::missing(&client, &signed_in, &people, restores, server.act_as_owner).await;
    let (missing, to_read) = match missing {
        Ok(missing) if missing.to_read.is_empty() => (Some(missing), Ok(())),
        Ok(missing) => {
            let what = anyhow!("read mailboxes: grant its user {}", names(&missing.to_read));
            (Some(missing), Err(what))
        }
        Err(error) => (None, Err(error)),
    };
    report.add(format_args!("permissions on {name}"), to_read)?;
    let Some(missing) = missing else { return Ok(()) };
    if missing.is_alone {
        remark(format_args!(
            "{name}: nobody else's mailbox is known from the first page of its listing, so whether others' may be read was not tried"
        ));
    }
    if !missing.to_write.is_empty() {
        remark(format_args!("{name}: restores will fail: grant its user {}", names(&missing.to_write)));
    }
    if missing.to_act_as_owner {
        remark(format_args!(
            "{name}: our user cannot sign in as the owner of a mailbox (owner%user, with the permission impersonate and a \
             password, not a token): subscriptions are then not known, folders that restores bring back will not be subscribed, \
             and calendars and address books will have no name for their owner; act_as_owner = false says that this is known"
        ));
    }
    Ok(())
}

/// A ring that is whole may be that of another store.
async fn opens_a_mailbox(store: &Store, ring: &KeyRing) -> Result<()> {
    let Some(dir) = store.any_mailbox().await? else { return Ok(()) };
    match store.mailbox(ring, dir).await {
        // Nothing of these needs a key any more, or none is there: `malle check` tells.
        Ok(_) | Err(Error::NoMailbox | Error::Erased { .. } | Error::KeyGone { .. }) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("open its mailbox {dir} with the key ring")),
    }
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
    let (metrics, api) = (config.telemetry.listen, config.listen);
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
        let problem = ended.err().map(|error| failure::explain(&error, Setup::Fleet).1);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{MailboxIdentity, SystemClock};

    use super::*;

    #[tokio::test]
    async fn a_ring_of_another_store_is_noticed() {
        let objects = Arc::new(object_store::memory::InMemory::new());
        let store =
            Store::open_or_init(objects, StoreOptions::default(), &SystemClock).await.expect("a store");
        let (ours, other) = (KeyRing::generate(), KeyRing::generate());
        opens_a_mailbox(&store, &other).await.expect("nothing is in it yet");
        let alice = MailboxIdentity { server: "mail".into(), account: "a".into(), incarnation: 0 };
        store.create_mailbox(&ours, &alice, "alice@example.org").await.expect("its key is made");
        opens_a_mailbox(&store, &ours).await.expect("it is ours");
        let error = opens_a_mailbox(&store, &other).await.expect_err("another ring");
        assert_eq!(failure::explain(&error, Setup::Fleet).0, Exit::Key, "{error:?}");
    }
}
