//! What `/health/ready` shows. Redis is not among it: without it work goes on, slower.

use std::time::Duration;

use queue::LinkState;
use telemetry::probe;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::worker::Services;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// Older results count as none; longer than the catalogue may take to answer.
const CHECKED: Duration = Duration::from_secs(180);

/// Looks until the token is cancelled.
pub(crate) fn checks(services: &Services, servers: Vec<String>, over: &CancellationToken) -> JoinSet<()> {
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
    let (services, stop) = (services.clone(), over.clone());
    checks.spawn(async move {
        let look = async {
            loop {
                look_at_sign_ins(&services, &servers).await;
                tokio::time::sleep(EVERY).await;
            }
        };
        stop.run_until_cancelled(look).await;
    });
    checks
}

/// Shows for each server whether its refusal of our credentials is in force, also if another worker met it.
async fn look_at_sign_ins(services: &Services, servers: &[String]) {
    for server in servers {
        let refused = services.sign_ins.refusal(server).await.is_some();
        services.metrics.servers.of(server).sign_in_refused.set(i64::from(refused));
    }
}
