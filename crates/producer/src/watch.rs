use std::sync::Arc;
use std::time::Instant;

use catalog::Catalog;
use model::{BackupState, Clock, JobKind, JobState, Plan, Timestamp};
use planning::Calendar;
use queue::{Broker, DEAD, Depth, QueueError, REQUESTS, Ticket, queue_of};
use telemetry::{FleetMetrics, OutboxMetrics, Percentile};

use crate::backoff::Pulse;
use crate::error::chain;
use crate::settings::WatchSettings;

/// Letters that are looked into to tell their kinds.
const LETTERS: usize = 1000;

const PERCENTILES: [(Percentile, f64); 4] =
    [(Percentile::P50, 0.5), (Percentile::P90, 0.9), (Percentile::P99, 0.99), (Percentile::P100, 1.0)];

/// States that the catalogue is asked for; what is over is counted where it ended.
const STATES: [JobState; 3] = [JobState::Waiting, JobState::Running, JobState::Dead];

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
        for (kind, state) in JobKind::ALL.iter().flat_map(|kind| STATES.map(|state| (*kind, state))) {
            let found = counts.iter().find(|count| (count.kind, count.state) == (kind, state));
            self.fleet.jobs.of((kind, state)).set(signed(found.map_or(0, |count| count.jobs)));
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

    /// What needs a look at every mailbox: overdue, ages of the newest good backups, unplanned.
    pub async fn mailboxes(&self) -> catalog::Result<()> {
        let now = self.clock.now();
        let planned = self.catalog.planned().await?;
        let since: Vec<_> =
            Plan::ALL.iter().map(|plan| (*plan, self.calendar.covered_since(*plan, now))).collect();
        let overdue = self.catalog.overdue(&since).await?;
        let quantiles = PERCENTILES.map(|(_, quantile)| quantile);
        let ages = self.catalog.newest_good_ages(&quantiles, now).await?;
        for plan in Plan::ALL {
            let count = planned.iter().find(|(of, _)| of == plan).map_or(0, |(_, count)| *count);
            self.fleet.mailboxes.of(*plan).set(signed(count));
            let late = overdue.iter().find(|late| late.plan == *plan).map_or(0, |late| late.mailboxes);
            self.fleet.overdue.of(*plan).set(signed(late));
            let ages = ages.iter().find(|ages| ages.plan == *plan);
            for (at, (percentile, _)) in PERCENTILES.iter().enumerate() {
                let age = ages.and_then(|ages| ages.quantiles.get(at)).copied();
                self.fleet.newest_good_age.of((*plan, *percentile)).set(age.unwrap_or(0.0));
            }
        }
        let newest = self.catalog.newest_backups().await?;
        for state in BackupState::ALL.iter().copied() {
            let count = newest.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
            self.fleet.newest_backups.of(state).set(signed(count));
        }
        self.fleet.unplanned.set(signed(self.catalog.unplanned().await?));
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
        let mut dead = [0_i64; JobKind::ALL.len()];
        if ready(DEAD) > 0 {
            for letter in self.broker.dead_letters().list(LETTERS).await? {
                let kind = kind_of(letter.queue.as_deref(), &letter.body);
                let at = JobKind::ALL.iter().position(|known| *known == kind).expect("ALL holds every kind");
                dead[at] += 1;
            }
        }
        for (kind, count) in JobKind::ALL.iter().zip(dead) {
            self.fleet.dead_letters.of(*kind).set(count);
        }
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

/// A request asks for a backup by hand.
fn kind_of(queue: Option<&str>, body: &[u8]) -> JobKind {
    let by_queue = JobKind::ALL.iter().copied().find(|kind| queue == Some(queue_of(*kind).as_str()));
    let by_body = || Ticket::parse(body).ok().map(|ticket| ticket.kind);
    match queue {
        Some(REQUESTS) => JobKind::Manual,
        _ => by_queue.or_else(by_body).unwrap_or(JobKind::Manual),
    }
}

fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
