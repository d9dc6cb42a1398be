//! The role: a lane for each kind of job, until it is told to drain.

use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use coordination::{Budget, Leases, ProgressBoard, SignIns};
use engine::{Backup, Ended, Slice};
use futures::future::BoxFuture;
use jmap::{Account, Client};
use model::Clock;
use queue::Broker;
use repository::Repository;
use telemetry::Health;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Result;
use crate::lane::lane;
use crate::line::Lines;
use crate::metrics::Metrics;
use crate::readiness::checks;
use crate::settings::Settings;
use crate::sign_in::SignInGates;
use crate::steps::Watched;
use crate::stores::Stores;

/// For what is still to be given back once all jobs are over.
const LAST_REPORTS: Duration = Duration::from_secs(1);

/// What [`engine::backup_slice`] is. Safe to drop: what was not committed never happened.
pub type MakeSlice = dyn for<'a> Fn(
        &'a Client,
        &'a Account,
        &'a Repository,
        &'a Backup<'_>,
        &'a Slice,
    ) -> BoxFuture<'a, engine::Result<Ended>>
    + Send
    + Sync;

/// Everything outside that a worker uses. `coordination::Redis` is `leases`, `budget`, `sign_ins` and `board` in one.
#[derive(Clone)]
pub struct Services {
    /// The truth.
    pub catalog: Catalog,
    /// Tickets.
    pub broker: Broker,
    /// One worker a mailbox.
    pub leases: Arc<dyn Leases>,
    /// Load on mail servers.
    pub budget: Arc<dyn Budget>,
    /// Mail servers that refuse our credentials.
    pub sign_ins: Arc<dyn SignIns>,
    /// What people see of running jobs.
    pub board: Arc<dyn ProgressBoard>,
    /// Makes the slices of a backup: [`engine::backup_slice`], unless a test puts something before it.
    pub make_slice: Arc<MakeSlice>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether this role can work.
    pub health: Health,
}

/// One process's worker.
pub(crate) struct Worker {
    pub(crate) settings: Settings,
    pub(crate) services: Services,
    pub(crate) stores: Stores,
    pub(crate) lines: Lines,
    pub(crate) gates: SignInGates,
    /// Reports about requests that are over.
    pub(crate) reports: TaskTracker,
    pub(crate) watched: Watched,
}

/// Works until `stop` is cancelled, then drains: no new tickets, running jobs find an end within the grace, and this returns.
/// Dropped, it ends as a crash does: what it held is released by the reaper.
///
/// # Errors
/// Settings that cannot be used, or a broker that could not be used for long; the other lanes are drained first.
pub async fn run(settings: Settings, services: Services, stop: CancellationToken) -> Result<()> {
    work(settings, services, stop, Watched::default()).await
}

/// The same, with somebody who is told of every step.
///
/// # Errors
/// Those of [`run`].
#[cfg(feature = "steps")]
pub async fn run_watched(
    settings: Settings,
    services: Services,
    stop: CancellationToken,
    steps: Arc<dyn crate::steps::Steps>,
) -> Result<()> {
    work(settings, services, stop, Watched::by(steps)).await
}

async fn work(
    settings: Settings,
    services: Services,
    stop: CancellationToken,
    watched: Watched,
) -> Result<()> {
    settings.check()?;
    let stores = Stores::new(&settings);
    let reports = TaskTracker::new();
    let worker = Arc::new(Worker {
        settings,
        services,
        stores,
        lines: Lines::default(),
        gates: SignInGates::default(),
        reports,
        watched,
    });
    let draining = stop.child_token();
    let over = CancellationToken::new();
    let servers = worker.settings.servers.iter().map(|server| server.name.clone()).collect();
    let checks = checks(&worker.services, servers, &over);
    let mut lanes = JoinSet::new();
    for (kind, slots) in worker.settings.slots.lanes() {
        lanes.spawn(lane(Arc::clone(&worker), kind, slots, draining.clone()));
    }
    let mut result = Ok(());
    while let Some(ended) = lanes.join_next().await {
        match ended {
            Ok(ended) => result = result.and(ended),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    over.cancel();
    checks.join_all().await;
    worker.reports.close();
    // What does not get through is given back by time.
    let _ = timeout(LAST_REPORTS, worker.reports.wait()).await;
    result
}
