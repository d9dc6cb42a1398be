//! What `/health/ready` shows. Redis is not among it: without it work goes on, slower.

use std::time::Duration;

use queue::LinkState;
use telemetry::probe;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::run::Services;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// Older results count as none; longer than the catalogue may take to answer.
const CHECKED: Duration = Duration::from_secs(180);

/// Looks until the token is cancelled.
pub(crate) fn checks(services: &Services, over: &CancellationToken) -> JoinSet<()> {
    let named = |name| (services.health.check(name, CHECKED), services.health.watchdog(name, CHECKED));
    let mut checks = JoinSet::new();
    let (catalog, looking, stop) = (services.catalog.clone(), named("postgres"), over.clone());
    checks.spawn(async move {
        let ask = || async { catalog.ping().await.map_err(|_| "cannot be asked") };
        probe(EVERY, looking, stop, ask).await;
    });
    // Lanes open it, and open it again; there is nothing to ask.
    let (broker, looking, stop) = (services.broker.clone(), named("rabbitmq"), over.clone());
    checks.spawn(async move {
        let ask = || async {
            match broker.links().consuming {
                LinkState::Closed => Err("no connection"),
                LinkState::Open | LinkState::Blocked => Ok(()),
            }
        };
        probe(EVERY, looking, stop, ask).await;
    });
    checks
}
