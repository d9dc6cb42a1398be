//! Plans what is due. A round reads all mailboxes page by page and writes jobs; between two pages nothing is kept that another
//! producer would need. A crash leaves whole pages written and the rest to the next round, of this producer or of another:
//! what is written already is not due any more, and the catalogue's unique keys refuse what two of them write at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::{Catalog, NewJob, Plannable};
use model::{Clock, JobKind, MailboxId, SignedDuration, Timestamp};
use planning::{Facts, first_backups_admitted};
use telemetry::OutboxMetrics;
use tokio_util::sync::CancellationToken;

use crate::backoff::Pulse;
use crate::calendars::{Calendars, Moments};
use crate::error::chain;
use crate::settings::PlanSettings;

const RAMP: SignedDuration = SignedDuration::from_hours(1);

/// Plans what is due; any number of them at once.
pub struct Planner {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    calendars: Calendars,
    settings: PlanSettings,
    metrics: OutboxMetrics,
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Mailboxes looked at.
    pub mailboxes: u64,
    /// Jobs written down.
    pub planned: u64,
    /// Waiting jobs cancelled because their mailbox is on another plan now.
    pub cancelled: u64,
}

impl Planner {
    /// Checks the settings; asks nobody yet.
    pub fn new(
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        settings: &PlanSettings,
        metrics: OutboxMetrics,
    ) -> Result<Planner, planning::Error> {
        let calendars = Calendars::new(settings.calendar, &settings.time_zone)?;
        Ok(Planner { catalog, clock, calendars, settings: settings.clone(), metrics })
    }

    /// Plans whatever is due now and has no job.
    pub async fn round(&self) -> catalog::Result<Round> {
        self.round_until(&CancellationToken::new()).await
    }

    /// Ends between two pages when it is told; the rest is left to the next round, of whoever makes it.
    async fn round_until(&self, stop: &CancellationToken) -> catalog::Result<Round> {
        let now = self.clock.now();
        let (mut moments, mut round, mut after) = (self.calendars.at(now), Round::default(), None);
        // Servers that get no more first backups in this round.
        let mut full = BTreeSet::new();
        while !stop.is_cancelled() {
            let page = self.catalog.plannable(after, self.settings.page.max(1)).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            round.mailboxes += page.len() as u64;
            let wanted = Wanted::of(&page, &mut moments);
            round.cancelled += self.cancel(&wanted.outdated).await?;
            for (kind, jobs) in &wanted.due {
                let planned = self.catalog.insert_due(jobs, now).await?;
                self.metrics.planned.of(*kind).inc_by(planned);
                round.planned += planned;
            }
            for ((server, kind), jobs) in &wanted.first {
                round.planned += self.admit(server, *kind, jobs, now, &mut full).await?;
            }
        }
        Ok(round)
    }

    async fn cancel(&self, outdated: &[MailboxId]) -> catalog::Result<u64> {
        if outdated.is_empty() { Ok(0) } else { self.catalog.cancel_outdated(outdated).await }
    }

    /// Counting and inserting happen in the catalogue's one transaction, so all producers together keep to the ramp.
    async fn admit(
        &self,
        server: &str,
        kind: JobKind,
        jobs: &[NewJob],
        now: Timestamp,
        full: &mut BTreeSet<String>,
    ) -> catalog::Result<u64> {
        if full.contains(server) {
            return Ok(0);
        }
        let per_hour = self.settings.first_backups_per_hour;
        let mut room = 0;
        let admit = |admitted| {
            room = first_backups_admitted(per_hour, admitted);
            room
        };
        let planned = self.catalog.insert_first(server, jobs, now - RAMP, admit, now).await?;
        if u64::from(room) <= planned {
            full.insert(server.to_owned());
        }
        self.metrics.planned.of(kind).inc_by(planned);
        Ok(planned)
    }

    pub(crate) async fn run(&self, mut pulse: Pulse) {
        loop {
            let go_on = match self.round_until(pulse.stop()).await {
                Ok(round) => {
                    if round.planned + round.cancelled > 0 {
                        let Round { mailboxes, planned, cancelled } = round;
                        tracing::info!(mailboxes, planned, cancelled, "planned");
                    }
                    pulse.went_well().await
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "a round of planning failed; it is made again");
                    pulse.failed().await
                }
            };
            if !go_on {
                return pulse.finish();
            }
        }
    }
}

/// What a page of mailboxes needs.
#[derive(Debug, Default)]
struct Wanted {
    outdated: Vec<MailboxId>,
    due: BTreeMap<JobKind, Vec<NewJob>>,
    first: BTreeMap<(String, JobKind), Vec<NewJob>>,
}

impl Wanted {
    fn of(page: &[Plannable], moments: &mut Moments<'_>) -> Wanted {
        let mut wanted = Wanted::default();
        for mailbox in page {
            if mailbox.outdated {
                wanted.outdated.push(mailbox.id);
            }
            let facts = facts(mailbox);
            let Some(due) = moments.of(mailbox.time_zone.as_deref()).due(&facts) else { continue };
            let kind = due.slot.schedule.into();
            let jobs = if facts.first {
                wanted.first.entry((mailbox.server.clone(), kind)).or_default()
            } else {
                wanted.due.entry(kind).or_default()
            };
            jobs.push(NewJob {
                kind,
                mailbox: Some(mailbox.id),
                slot_date: due.slot.date,
                run_at: due.run_at,
                deadline: Some(due.not_after),
            });
        }
        wanted
    }
}

fn facts(mailbox: &Plannable) -> Facts {
    Facts {
        mailbox: mailbox.id,
        plan: mailbox.plan,
        plan_since: mailbox.plan_since,
        newest_slot: mailbox.newest_slot,
        unfinished: mailbox.unfinished,
        paused: mailbox.paused,
        first: !mailbox.backed_up,
    }
}
