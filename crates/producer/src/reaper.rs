use std::sync::Arc;

use catalog::Catalog;
use model::Clock;
use telemetry::OutboxMetrics;

use crate::backoff::Pulse;
use crate::error::chain;
use crate::settings::ReaperSettings;

/// Cleans up after what died: any number of them at once, each round bounded.
pub struct Reaper {
    catalog: Catalog,
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
    pub republished: usize,
    /// Finished jobs that are forgotten.
    pub deleted: u64,
}

impl Reaper {
    /// Asks nobody yet.
    pub fn new(
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        settings: ReaperSettings,
        metrics: OutboxMetrics,
    ) -> Reaper {
        Reaper { catalog, clock, settings, metrics }
    }

    /// Releases, publishes again and forgets, at most the settings' limit of each.
    pub async fn round(&self) -> catalog::Result<Reaped> {
        let ReaperSettings { silent, lost_after, keep_finished, limit, .. } = self.settings;
        let released = self.catalog.release_stale(silent, limit).await?;
        for kind in &released {
            self.metrics.reaped.of(*kind).inc();
        }
        let republished = self.catalog.republish_lost(lost_after, limit, self.clock.now()).await?;
        for kind in &republished {
            self.metrics.republished.of(*kind).inc();
        }
        let deleted = self.catalog.delete_finished(keep_finished, limit).await?;
        Ok(Reaped { released: released.len(), republished: republished.len(), deleted })
    }

    pub(crate) async fn run(&self, mut pulse: Pulse) {
        loop {
            let go_on = match self.round().await {
                Ok(Reaped { released, republished, deleted }) => {
                    if released + republished > 0 || deleted > 0 {
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
