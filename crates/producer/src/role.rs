use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use model::Clock;
use queue::{Broker, LinkState};
use telemetry::{FleetMetrics, Health, OutboxMetrics, probe};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Pulse, STUCK};
use crate::calendars::Calendars;
use crate::directory::Directory;
use crate::{
    Api, Asking, Error, Planner, Publisher, ReadSelection, Reaper, Settings, Verifier, Watch, serve_requests,
};

/// Between two looks at whose backups have to be read again.
const VERIFYING: Duration = Duration::from_secs(3600);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A check that was not made for so long counts as failed.
const CHECKED: Duration = Duration::from_secs(120);

/// A catalogue that takes longer to answer is not ready.
const ANSWERS: Duration = Duration::from_secs(3);

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
    /// Restores are asked for with selections.
    pub read_selection: ReadSelection,
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
    settings.check()?;
    let Parts { catalog, broker, clock, outbox, fleet, health, directories, read_selection } = parts;
    let calendar = Calendars::new(settings.plan.calendar, &settings.plan.time_zone)?.usual().clone();
    let planner = Planner::new(catalog.clone(), clock.clone(), &settings.plan, outbox.clone())?;
    let asking = Asking::new(catalog.clone(), clock.clone(), settings.requests.clone(), read_selection);
    let api = match &settings.api {
        Some(api) => Some(Api::bind(api, catalog.clone(), asking.clone(), clock.clone()).await?),
        None => None,
    };
    let pulse = |name, every| {
        Pulse::new(stop.clone(), health.watchdog(name, STUCK + every), every, FIRST_WAIT, LONGEST_WAIT)
    };

    let mut tasks = Tasks::default();
    let planning = pulse("planner", settings.plan.every);
    tasks.spawn(async move { planner.run(planning).await });

    if let Some(days) = settings.plan.verify_days {
        let verifier = Verifier::new(catalog.clone(), clock.clone(), days, &settings.plan, outbox.clone());
        let verifying = pulse("verifier", VERIFYING);
        tasks.spawn(async move { verifier.run(verifying).await });
    }

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
    tasks.spawn(async move { publisher.run(publishing).await });

    let reaping = pulse("reaper", settings.reaper.every);
    let reaper =
        Reaper::new(catalog.clone(), broker.clone(), clock.clone(), settings.reaper.clone(), outbox.clone());
    tasks.spawn(async move { reaper.run(reaping).await });

    let discovered = outbox.clone();
    let watching = pulse("watch", settings.watch.every);
    let numbers = (fleet, outbox);
    let watch =
        Watch::new(catalog.clone(), broker.clone(), clock.clone(), calendar, settings.watch.clone(), numbers);
    tasks.spawn(async move { watch.run(watching).await });

    spawn_checks(&mut tasks, (&catalog, &broker), &health, settings.watch.ready, stop);

    let draining = stop.clone();
    let mut requests = broker.requests(settings.requests.slots, stop.clone());
    tasks.0.spawn(
        async move { serve_requests(&asking, &mut requests, &draining).await.map_err(Error::Requests) },
    );

    for directory in directories {
        let (catalog, clock, metrics) = (catalog.clone(), clock.clone(), discovered.clone());
        let discovering = pulse("directory", directory.every);
        tasks.spawn(async move { directory.run(&catalog, &*clock, discovering, &metrics).await });
    }
    if let Some(api) = api {
        let stop = stop.clone();
        tasks.spawn(async move { api.serve(stop).await });
    }
    Ok(tasks.0)
}

/// The parts of a producer.
#[derive(Default)]
struct Tasks(JoinSet<Result<(), Error>>);

impl Tasks {
    /// One that goes on until it is told to stop, whatever happens.
    fn spawn(&mut self, part: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            part.await;
            Ok(())
        });
    }
}

/// What `/health/ready` shows. Redis is not among it: a producer needs none, and a worker goes on without.
fn spawn_checks(
    tasks: &mut Tasks,
    (catalog, broker): (&Catalog, &Broker),
    health: &Health,
    every: Duration,
    stop: &CancellationToken,
) {
    let named = |name| (health.check(name, CHECKED), health.watchdog(name, STUCK));
    let (asked, looking, stopped) = (catalog.with_limit(ANSWERS), named("postgres"), stop.clone());
    tasks.spawn(async move {
        let ask = || async { asked.ping().await.map_err(|_| "cannot be asked") };
        probe(every, looking, stopped, ask).await;
    });
    let (asked, looking, stopped) = (broker.clone(), named("rabbitmq"), stop.clone());
    tasks.spawn(async move {
        let ask = || async {
            match asked.check().await {
                Ok(()) if asked.links().publishing == LinkState::Blocked => {
                    Err("takes no messages: an alarm")
                }
                Ok(()) => Ok(()),
                Err(_) => Err("cannot be used"),
            }
        };
        probe(every, looking, stopped, ask).await;
    });
}
