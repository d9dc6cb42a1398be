//! `malle produce` and `malle work`: they run until SIGTERM or SIGINT, then end what they have under way.

use std::sync::Arc;

use anyhow::{Context, Result};
use model::SystemClock;
use telemetry::{Endpoint, Health, LogFormat, Otlp, Registry, Telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::parts::read_selection;
use crate::args::fleet::RoleArgs;
use crate::fleet::settings::config::Config;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::output::Out;
use crate::terminal::waiting;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Plans, publishes, cleans up.
pub(crate) async fn produce(args: &RoleArgs) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let settings = config.producer()?;
    settings.check()?;
    let stage = Stage::enter("producer", &config).await?;
    let catalog = config.catalog("producer").await?;
    catalog.require_migrated().await?;
    let parts = producer::Parts {
        catalog,
        broker: config.broker("producer")?,
        clock: Arc::new(SystemClock),
        outbox: telemetry::OutboxMetrics::new(&stage.registry),
        fleet: telemetry::FleetMetrics::new(&stage.registry),
        health: stage.health.clone(),
        directories: config.directories()?,
        read_selection,
    };
    let ended = producer::run(settings, parts, stage.stop.clone()).await;
    stage.leave().await;
    ended?;
    Ok(Exit::Good)
}

/// Runs jobs.
pub(crate) async fn work(args: &RoleArgs, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let settings = config.worker(out)?;
    settings.check()?;
    let stage = Stage::enter("worker", &config).await?;
    let services = config.services(&stage.registry, &settings.servers, stage.health.clone()).await?;
    let ended = worker::run(settings, services, stage.stop.clone()).await;
    stage.leave().await;
    ended?;
    Ok(Exit::Good)
}

/// Where a role's metrics are.
pub(crate) fn registry(role: &str) -> Registry {
    Registry::new(role, VERSION, option_env!("MALLE_REVISION").unwrap_or("unknown"))
}

/// How a role is watched.
pub(crate) fn watching(role: &str, config: &Config) -> telemetry::Settings {
    let of = &config.telemetry;
    let otlp = of.otlp.as_ref().map(|endpoint| Otlp { sampled: of.sampled, ..Otlp::new(endpoint) });
    telemetry::Settings {
        role: role.to_owned(),
        version: VERSION.to_owned(),
        instance: from_url::writer(),
        filter: of.log.clone(),
        format: LogFormat::of_stderr(),
        otlp,
    }
}

/// What every role stands on: logs, traces, metrics, health, and the request to stop.
struct Stage {
    registry: Registry,
    health: Health,
    stop: CancellationToken,
    telemetry: Telemetry,
    /// Serves until the role is over.
    over: CancellationToken,
    endpoint: JoinHandle<()>,
}

impl Stage {
    async fn enter(role: &str, config: &Config) -> Result<Stage> {
        let registry = registry(role);
        let telemetry = telemetry::install(&watching(role, config), &registry)?;
        waiting::tell_the_log(telemetry::waits);
        let (health, stop, over) = (Health::default(), CancellationToken::new(), CancellationToken::new());
        let listen = config.telemetry.listen;
        let endpoint = Endpoint::bind(listen).await.context("listen for metrics and health")?;
        let serving = endpoint.serve(registry.clone(), health.clone(), over.clone());
        let endpoint = tokio::spawn(async move {
            let _ = serving.await;
        });
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let token = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        });
        Ok(Stage { registry, health, stop, telemetry, over, endpoint })
    }

    async fn leave(self) {
        self.over.cancel();
        let _ = self.endpoint.await;
        self.telemetry.shutdown().await;
    }
}
