//! Plans that backups are read again: each mailbox's newest one, every so many days.
//!
//! Like planning it keeps nothing: the catalogue's unique keys decide between producers.

use std::num::NonZeroU16;
use std::sync::Arc;

use catalog::{Catalog, NewJob};
use model::{Clock, JobKind, SignedDuration};
use planning::verification;
use telemetry::OutboxMetrics;
use tokio_util::sync::CancellationToken;

use crate::PlanSettings;
use crate::backoff::Pulse;
use crate::error::chain;

/// Plans verifications; any number of them at once.
pub struct Verifier {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    every_days: NonZeroU16,
    keep_gone: Option<SignedDuration>,
    page: u32,
    metrics: OutboxMetrics,
}

impl Verifier {
    /// Asks nobody yet. Backups are read again every so many days, those of mailboxes that are gone as long as the settings say.
    pub fn new(
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        every_days: NonZeroU16,
        settings: &PlanSettings,
        metrics: OutboxMetrics,
    ) -> Verifier {
        let PlanSettings { keep_gone, page, .. } = *settings;
        Verifier { catalog, clock, every_days, keep_gone, page: page.max(1), metrics }
    }

    /// Plans whatever has its turn and no job; answers how many.
    pub async fn round(&self) -> catalog::Result<u64> {
        self.round_until(&CancellationToken::new()).await
    }

    async fn round_until(&self, stop: &CancellationToken) -> catalog::Result<u64> {
        let now = self.clock.now();
        let gone_since = self.keep_gone.and_then(|keep| now.checked_sub(keep).ok());
        let (mut planned, mut after) = (0, None);
        while !stop.is_cancelled() {
            let page = self.catalog.verifiable(gone_since, after, self.page).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            let jobs: Vec<NewJob> = page
                .iter()
                .filter_map(|(mailbox, newest)| {
                    let turn = verification(*mailbox, self.every_days, now)?;
                    let is_new = newest.is_none_or(|newest| newest < turn.date);
                    is_new.then_some(NewJob {
                        kind: JobKind::Verify,
                        mailbox: Some(*mailbox),
                        slot_date: turn.date,
                        run_at: turn.at,
                        deadline: None,
                    })
                })
                .collect();
            if !jobs.is_empty() {
                planned += self.catalog.insert_due(&jobs, now).await?;
            }
        }
        self.metrics.planned.of(JobKind::Verify).inc_by(planned);
        Ok(planned)
    }

    pub(crate) async fn run(&self, mut pulse: Pulse) {
        loop {
            let go_on = match self.round_until(pulse.stop()).await {
                Ok(planned) => {
                    if planned > 0 {
                        tracing::info!(planned, "planned verifications");
                    }
                    pulse.went_well().await
                }
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "verifications could not be planned; it is tried again"
                    );
                    pulse.failed().await
                }
            };
            if !go_on {
                return pulse.finish();
            }
        }
    }
}
