//! The role: a lane for each kind of job, until it is told to drain.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Result;
use crate::lane::lane;
use crate::readiness::checks;
use crate::servers::line::Lines;
use crate::servers::sign_in_gates::SignInGates;
use crate::settings::Settings;
use crate::steps::Watched;
use crate::stores::Stores;
use crate::worker::{Services, Worker};

/// For what is still to be given back once all jobs are over.
const LAST_REPORTS: Duration = Duration::from_secs(1);

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
