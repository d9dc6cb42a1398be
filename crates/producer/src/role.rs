use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use model::Clock;
use queue::Broker;
use telemetry::{FleetMetrics, Health, OutboxMetrics};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Pulse, STUCK};
use crate::calendars::Calendars;
use crate::directory::Directory;
use crate::{Api, Asking, Error, Planner, Publisher, Reaper, Settings, Watch, serve_requests};

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A check that was not made for so long counts as failed.
const CHECKED: Duration = Duration::from_secs(120);

/// What a producer talks to.
pub struct Parts {
    /// Migrated.
    pub catalog: Catalog,
    /// One virtual host with the queues.
    pub broker: Broker,
    /// What is due is decided by it.
    pub clock: Arc<dyn Clock>,
    /// What this role did.
    pub outbox: OutboxMetrics,
    /// How the fleet is.
    pub fleet: FleetMetrics,
    /// Whether this role is well.
    pub health: Health,
    /// Servers that are asked for their mailboxes by themselves.
    pub directories: Vec<Directory>,
}

/// Runs a producer until the token is cancelled; then each part ends what it has under way. Any number of producers may run at once.
///
/// # Errors
/// What does not pass by itself; the other parts are ended in order first.
pub async fn run(settings: Settings, parts: Parts, stop: CancellationToken) -> Result<(), Error> {
    let stop = stop.child_token();
    let mut tasks = begin(settings, parts, &stop).await?;
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.map_err(Error::Panicked).flatten();
        if ended.is_err() {
            stop.cancel();
        }
        outcome = outcome.and(ended);
    }
    outcome
}

async fn begin(
    settings: Settings,
    parts: Parts,
    stop: &CancellationToken,
) -> Result<JoinSet<Result<(), Error>>, Error> {
    let Parts { catalog, broker, clock, outbox, fleet, health, directories } = parts;
    let calendar = Calendars::new(&settings.plan)?.usual().clone();
    let planner = Planner::new(catalog.clone(), clock.clone(), &settings.plan, outbox.clone())?;
    let asking = Asking::new(catalog.clone(), clock.clone(), settings.requests.clone());
    let api = match &settings.api {
        Some(api) => Some(Api::bind(api, catalog.clone(), asking.clone(), clock.clone()).await?),
        None => None,
    };
    let pulse = |name, every| {
        Pulse::new(stop.clone(), health.watchdog(name, STUCK + every), every, FIRST_WAIT, LONGEST_WAIT)
    };

    let mut tasks = JoinSet::new();
    let planning = pulse("planner", settings.plan.every);
    tasks.spawn(async move {
        planner.run(planning).await;
        Ok(())
    });

    let publisher = Publisher::new(
        catalog.clone(),
        broker.publisher(),
        clock.clone(),
        settings.outbox.clone(),
        outbox.clone(),
    );
    let (first, longest) = (settings.outbox.first_wait, settings.outbox.longest_wait);
    let watchdog = health.watchdog("publisher", STUCK);
    let publishing = Pulse::new(stop.clone(), watchdog, settings.outbox.every, first, longest);
    tasks.spawn(async move {
        publisher.run(publishing).await;
        Ok(())
    });

    let reaping = pulse("reaper", settings.reaper.every);
    let reaper =
        Reaper::new(catalog.clone(), broker.clone(), clock.clone(), settings.reaper.clone(), outbox.clone());
    tasks.spawn(async move {
        reaper.run(reaping).await;
        Ok(())
    });

    let watching = pulse("watch", settings.watch.every);
    let checks = (health.check("catalog", CHECKED), health.check("broker", CHECKED));
    let numbers = (fleet, outbox);
    let watch =
        Watch::new(catalog.clone(), broker.clone(), clock.clone(), calendar, settings.watch.clone(), numbers);
    tasks.spawn(async move {
        watch.run(watching, checks.0, checks.1).await;
        Ok(())
    });

    let draining = stop.clone();
    let mut requests = broker.requests(settings.requests.slots, stop.clone());
    tasks.spawn(
        async move { serve_requests(&asking, &mut requests, &draining).await.map_err(Error::Requests) },
    );

    for directory in directories {
        let (catalog, clock) = (catalog.clone(), clock.clone());
        let discovering = pulse("directory", directory.every);
        tasks.spawn(async move {
            directory.run(&catalog, &*clock, discovering).await;
            Ok(())
        });
    }
    if let Some(api) = api {
        let stop = stop.clone();
        tasks.spawn(async move {
            api.serve(stop).await;
            Ok(())
        });
    }
    Ok(tasks)
}
