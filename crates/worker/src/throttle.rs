//! The fleet's load budget as the pace of one job's requests.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use coordination::{Budget, BudgetRules, Observation, Permit, Share};
use jmap::{Outcome, Throttle, Turn};
use telemetry::{Refusal, ServerSeries};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

/// One server's budget.
#[derive(Clone)]
pub(crate) struct Paced {
    /// Who keeps it.
    pub(crate) budget: Arc<dyn Budget>,
    /// Under which name.
    pub(crate) name: String,
    /// How much there is.
    pub(crate) rules: BudgetRules,
    /// What is counted.
    pub(crate) series: ServerSeries,
    /// Reports on their way to the keeper: a request that is over must not wait for them.
    pub(crate) reports: TaskTracker,
    /// How long a request waits for its share.
    pub(crate) patience: Duration,
    /// Told how much longer it would have to wait: the job should give its slot to others.
    pub(crate) spent: Arc<watch::Sender<Option<Duration>>>,
}

impl fmt::Debug for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Throttle for Paced {
    async fn acquire(&self) -> Box<dyn Turn> {
        let permit = self.share().await;
        self.series.limit.set(i64::try_from(permit.limit()).unwrap_or(i64::MAX));
        self.series.in_flight.inc();
        Box::new(Request { paced: self.clone(), permit: Some(permit), since: Instant::now() })
    }
}

impl Paced {
    async fn share(&self) -> Permit {
        let began = Instant::now();
        loop {
            match self.budget.try_take(&self.name, &self.rules).await {
                Share::Granted(permit) => return permit,
                Share::Wait(time) if began.elapsed() + time > self.patience => {
                    self.spent.send_replace(Some(time));
                    // The job is dropped, and this with it.
                    std::future::pending::<()>().await;
                }
                Share::Wait(time) => sleep(time).await,
            }
        }
    }
}

/// A request under way, with its share of the budget.
struct Request {
    paced: Paced,
    permit: Option<Permit>,
    since: Instant,
}

impl Turn for Request {
    fn end(mut self: Box<Self>, outcome: Outcome, latency: Duration) {
        let series = &self.paced.series;
        series.request_duration.observe(latency.as_secs_f64());
        let outcome = match outcome {
            Outcome::Answered => coordination::Outcome::Done,
            Outcome::Refused { status, retry_after } => {
                let refusal = if status == 503 { Refusal::Unavailable } else { Refusal::TooMany };
                series.refused(refusal).inc();
                coordination::Outcome::Busy { retry_after }
            }
            Outcome::Failed => {
                series.failures.inc();
                coordination::Outcome::Failed
            }
        };
        self.give_back(Observation { outcome, latency });
    }
}

impl Request {
    fn give_back(&mut self, seen: Observation) {
        let Some(permit) = self.permit.take() else { return };
        self.paced.series.in_flight.dec();
        let budget = Arc::clone(&self.paced.budget);
        // Without a runtime the process is ending; the share then ends by itself.
        if let Ok(runtime) = Handle::try_current() {
            self.paced.reports.spawn_on(async move { budget.report(permit, seen).await }, &runtime);
        }
    }
}

impl Drop for Request {
    /// Abandoned: it says nothing about the server, but its place is free again.
    fn drop(&mut self) {
        let latency = self.since.elapsed();
        self.give_back(Observation { outcome: coordination::Outcome::Done, latency });
    }
}
