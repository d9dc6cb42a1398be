use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use model::Clock;
use queue::{Broker, queue_of};
use telemetry::OutboxMetrics;

use crate::backoff::Pulse;
use crate::error::chain;
use crate::settings::ReaperSettings;

/// Cleans up after what died: any number of them at once, each round bounded.
pub struct Reaper {
    catalog: Catalog,
    broker: Broker,
    clock: Arc<dyn Clock>,
    settings: ReaperSettings,
    metrics: OutboxMetrics,
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Jobs whose worker died; they wait again.
    pub released: usize,
    /// Jobs whose ticket was lost; another one will be published.
    pub republished: u64,
    /// Jobs that are over and entries of the audit log that are old enough to be deleted.
    pub deleted: u64,
}

impl Reaper {
    /// Asks nobody yet.
    pub fn new(
        catalog: Catalog,
        broker: Broker,
        clock: Arc<dyn Clock>,
        settings: ReaperSettings,
        metrics: OutboxMetrics,
    ) -> Reaper {
        Reaper { catalog, broker, clock, settings, metrics }
    }

    /// Releases, publishes again and forgets, at most the settings' limit of each (of each kind of ticket).
    pub async fn round(&self) -> catalog::Result<Reaped> {
        let ReaperSettings { silent, lost_after, keep_finished, keep_audit, limit, .. } = self.settings;
        let released = self.catalog.release_stale(silent, limit).await?;
        for kind in &released {
            self.metrics.reaped.of(*kind).inc();
        }
        let republished = self.republish(lost_after, limit).await?;
        let deleted = self.catalog.delete_finished(keep_finished, limit).await?
            + self.catalog.delete_dead(keep_audit, limit).await?
            + self.catalog.delete_audit(keep_audit, limit).await?;
        Ok(Reaped { released: released.len(), republished, deleted })
    }

    /// A deep backlog has old tickets, too: no more are published again than the broker lacks.
    async fn republish(&self, lost_after: Duration, limit: u32) -> catalog::Result<u64> {
        let (now, mut republished) = (self.clock.now(), 0);
        let out = self.catalog.tickets_out(lost_after, now).await?;
        if out.is_empty() {
            return Ok(0);
        }
        let depths = match self.broker.depths().await {
            Ok(depths) => depths,
            Err(error) => {
                tracing::warn!(error = chain(&error), "lost tickets cannot be told from those that wait");
                return Ok(0);
            }
        };
        for (kind, tickets) in out {
            let queue = queue_of(kind);
            let there = depths.iter().find(|depth| depth.queue == queue).map_or(0, |depth| depth.ready);
            let missing = tickets.saturating_sub(there.into()).min(limit.into());
            let missing = u32::try_from(missing).unwrap_or(limit);
            let again = self.catalog.republish_lost(kind, lost_after, missing, now).await?;
            self.metrics.republished.of(kind).inc_by(again);
            republished += again;
        }
        Ok(republished)
    }

    pub(crate) async fn run(&self, mut pulse: Pulse) {
        loop {
            let go_on = match self.round().await {
                Ok(Reaped { released, republished, deleted }) => {
                    if released > 0 || republished + deleted > 0 {
                        tracing::info!(released, republished, deleted, "reaped");
                    }
                    pulse.went_well().await
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "a round of the reaper failed; it is made again");
                    pulse.failed().await
                }
            };
            if !go_on {
                return pulse.finish();
            }
        }
    }
}
