use std::sync::Arc;
use std::time::Instant;

use catalog::Catalog;
use model::{BackupState, Clock, JobKind, JobState, Plan, Timestamp};
use planning::Calendar;
use queue::{Broker, DEAD, Depth, QueueError, queue_of};
use telemetry::{FleetMetrics, Open, OutboxMetrics, Percentile};

use crate::backoff::Pulse;
use crate::error::chain;
use crate::settings::WatchSettings;

const PERCENTILES: [(Percentile, f64); 4] =
    [(Percentile::P50, 0.5), (Percentile::P90, 0.9), (Percentile::P99, 0.99), (Percentile::P100, 1.0)];

/// States that the catalogue is asked for; what is over is counted where it ended.
const STATES: [(Open, JobState); 3] =
    [(Open::Waiting, JobState::Waiting), (Open::Running, JobState::Running), (Open::Dead, JobState::Dead)];

/// Brings the numbers of the fleet from the catalogue and the broker into the metrics: every producer shows the same.
pub struct Watch {
    catalog: Catalog,
    broker: Broker,
    clock: Arc<dyn Clock>,
    calendar: Calendar,
    settings: WatchSettings,
    fleet: FleetMetrics,
    outbox: OutboxMetrics,
}

impl Watch {
    /// Asks nobody yet. The calendar is the service's: when a mailbox counts as overdue.
    pub fn new(
        catalog: Catalog,
        broker: Broker,
        clock: Arc<dyn Clock>,
        calendar: Calendar,
        settings: WatchSettings,
        (fleet, outbox): (FleetMetrics, OutboxMetrics),
    ) -> Watch {
        Watch { catalog, broker, clock, calendar, settings, fleet, outbox }
    }

    /// What an index answers: jobs, ages of what is due, the outbox.
    pub async fn jobs(&self) -> catalog::Result<()> {
        let now = self.clock.now();
        let counts = self.catalog.jobs_by_state().await?;
        for (kind, (open, state)) in JobKind::ALL.iter().flat_map(|kind| STATES.map(|state| (*kind, state))) {
            let found = counts.iter().find(|count| (count.kind, count.state) == (kind, state));
            self.fleet.jobs.of((kind, open)).set(signed(found.map_or(0, |count| count.jobs)));
        }
        let oldest = self.catalog.oldest_due(now).await?;
        for kind in JobKind::ALL {
            let since = oldest.iter().find(|(due, _)| due == kind).map(|(_, since)| *since);
            self.fleet.oldest_due.of(*kind).set(age(since, now));
        }
        let lag = self.catalog.outbox_lag(now).await?;
        self.outbox.waiting.set(signed(lag.tickets));
        self.outbox.lag.set(age(lag.oldest, now));
        Ok(())
    }

    /// What needs a look at every mailbox: overdue, paused, ages of the newest good backups, unplanned.
    pub async fn mailboxes(&self) -> catalog::Result<()> {
        let now = self.clock.now();
        let (planned, paused) = (self.catalog.planned().await?, self.catalog.paused().await?);
        let since: Vec<_> =
            Plan::ALL.iter().map(|plan| (*plan, self.calendar.covered_since(*plan, now))).collect();
        let overdue = self.catalog.overdue(&since).await?;
        let count = |counts: &[(Plan, u64)], plan: Plan| {
            signed(counts.iter().find(|(of, _)| *of == plan).map_or(0, |(_, count)| *count))
        };
        for plan in Plan::ALL.iter().copied() {
            self.fleet.mailboxes.of(plan).set(count(&planned, plan));
            self.fleet.paused.of(plan).set(count(&paused, plan));
            let late = overdue.iter().find(|late| late.plan == plan).map_or(0, |late| late.mailboxes);
            self.fleet.overdue.of(plan).set(signed(late));
        }
        self.ages(now).await?;
        let newest = self.catalog.newest_backups().await?;
        for state in BackupState::ALL.iter().copied() {
            let count = newest.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
            self.fleet.newest_backups.of(state).set(signed(count));
        }
        self.fleet.unplanned.set(signed(self.catalog.unplanned().await?));
        Ok(())
    }

    /// Of the newest good backups. A plan none of whose mailboxes has one has no age, which is not the age 0.
    async fn ages(&self, now: Timestamp) -> catalog::Result<()> {
        let ages = self.catalog.newest_good_ages(&PERCENTILES.map(|(_, quantile)| quantile), now).await?;
        for plan in Plan::ALL {
            let ages = ages.iter().find(|ages| ages.plan == *plan);
            self.fleet.without_good.of(*plan).set(signed(ages.map_or(0, |ages| ages.without)));
            for (at, (percentile, _)) in PERCENTILES.iter().enumerate() {
                let age = ages.and_then(|ages| ages.quantiles.get(at)).copied();
                self.fleet.newest_good_age.of((*plan, *percentile)).set(age.unwrap_or(f64::NAN));
            }
        }
        Ok(())
    }

    /// What lies at the broker.
    pub async fn broker(&self) -> Result<(), QueueError> {
        let depths = self.broker.depths().await?;
        let ready = |queue: &str| {
            depths.iter().find(|depth| depth.queue == queue).map_or(0, |Depth { ready, .. }| *ready)
        };
        for kind in JobKind::ALL {
            self.fleet.queued.of(*kind).set(i64::from(ready(&queue_of(*kind))));
        }
        self.fleet.dead_letters.set(i64::from(ready(DEAD)));
        Ok(())
    }

    pub(crate) async fn run(&self, mut pulse: Pulse) {
        let mut newest: Option<Instant> = None;
        loop {
            let due = newest.is_none_or(|at| at.elapsed() >= self.settings.every_mailbox);
            let looked = match self.jobs().await {
                Ok(()) if due => self.mailboxes().await,
                looked => looked,
            };
            match looked {
                Ok(()) if due => newest = Some(Instant::now()),
                Ok(()) => (),
                Err(error) => tracing::warn!(error = chain(&error), "metrics of the fleet are not fresh"),
            }
            if let Err(error) = self.broker().await {
                tracing::warn!(error = chain(&error), "metrics of the queues are not fresh");
            }
            if !pulse.went_well().await {
                return pulse.finish();
            }
        }
    }
}

fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
