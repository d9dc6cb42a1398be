//! The fleet's load budget as the pace of one job's requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coordination::{Budget, BudgetRules, Observation, Permit, Share};
use jmap::{Outcome, Throttle, Turn};
use telemetry::{Refusal, ServerSeries};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::servers::line::Line;

const ABANDONED: Observation =
    Observation { outcome: coordination::Outcome::Abandoned, latency: Duration::ZERO };

/// One server's budget.
#[derive(Clone)]
pub(crate) struct Paced {
    /// Who keeps it.
    pub(crate) budget: Arc<dyn Budget>,
    /// Under which name.
    pub(crate) name: String,
    /// How much there is.
    pub(crate) rules: BudgetRules,
    /// Who of this worker asks next.
    pub(crate) line: Arc<Line>,
    /// What is counted.
    pub(crate) series: ServerSeries,
    /// Reports on their way to the keeper: a request that is over must not wait for them.
    pub(crate) reports: TaskTracker,
    /// How long a pause a job waits through.
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
        if permit.is_local() {
            self.series.unshared.inc();
        }
        self.series.limit.set(i64::try_from(permit.limit()).unwrap_or(i64::MAX));
        self.series.in_flight.inc();
        Box::new(Request { paced: self.clone(), permit: Some(permit) })
    }
}

impl Paced {
    async fn share(&self) -> Permit {
        let _head = self.line.head().await;
        loop {
            match self.try_take().await {
                Share::Granted(permit) => return permit,
                Share::Wait(time) => {
                    // Others in the queue are no reason to give up, only a server that wants to be left alone for long.
                    if time > self.patience {
                        self.spent.send_replace(Some(time));
                    }
                    self.line.wait(time).await;
                }
            }
        }
    }

    /// Asks in a task of its own: whoever waits may be dropped between the keeper's grant and its answer, and the share would
    /// be nobody's until its end.
    async fn try_take(&self) -> Share {
        let (answer, share) = oneshot::channel();
        let Paced { budget, name, rules, line, .. } = self.clone();
        let rules = line.within(rules);
        self.reports.spawn(async move {
            if let Err(Share::Granted(permit)) = answer.send(budget.try_take(&name, &rules).await) {
                budget.report(permit, ABANDONED).await;
                line.given_back();
            }
        });
        share.await.expect("the task always answers")
    }
}

/// A request under way, with its share of the budget.
struct Request {
    paced: Paced,
    permit: Option<Permit>,
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
            Outcome::Crowded => {
                series.refused(Refusal::TooMany).inc();
                self.paced.line.insists();
                coordination::Outcome::Crowded
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
        let (budget, line) = (Arc::clone(&self.paced.budget), Arc::clone(&self.paced.line));
        // Without a runtime the process is ending; the share then ends by itself.
        if let Ok(runtime) = Handle::try_current() {
            let report = async move {
                budget.report(permit, seen).await;
                line.given_back();
            };
            self.paced.reports.spawn_on(report, &runtime);
        }
    }
}

impl Drop for Request {
    /// Abandoned: it says nothing about the server, but its place is free again.
    fn drop(&mut self) {
        self.give_back(ABANDONED);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use coordination::{LeaseTerms, Memory};
    use telemetry::{Registry, ServerMetrics};
    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep};

    use super::*;

    fn paced(ceiling: u32) -> Paced {
        Paced {
            budget: Arc::new(Memory::new(LeaseTerms::default(), Duration::from_secs(1))),
            name: "one".to_owned(),
            rules: BudgetRules::new(ceiling, 6_000_000),
            line: Arc::default(),
            series: ServerMetrics::new(&Registry::new("worker", "0.0.0", "test"), ["one"]).of("one").clone(),
            reports: TaskTracker::new(),
            patience: Duration::from_secs(30),
            spent: Arc::new(watch::Sender::new(None)),
        }
    }

    #[tokio::test]
    async fn shares_go_to_who_came_first_and_as_soon_as_there_are_any() {
        const JOBS: u32 = 40;
        let (paced, order) = (paced(1), Arc::new(Mutex::new(Vec::new())));
        let (mut jobs, first) = (JoinSet::new(), paced.acquire().await);
        for job in 0..JOBS {
            let (paced, order) = (paced.clone(), Arc::clone(&order));
            jobs.spawn(async move {
                let turn = paced.acquire().await;
                order.lock().unwrap().push(job);
                turn.end(Outcome::Answered, Duration::from_millis(1));
            });
            sleep(Duration::from_millis(1)).await;
        }
        let since = Instant::now();
        first.end(Outcome::Answered, Duration::from_millis(1));
        jobs.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..JOBS).collect::<Vec<_>>());
        // Were each only to ask again after a time, it would be 50 ms for every one.
        assert!(since.elapsed() < Duration::from_millis(50) * JOBS / 2, "{:?}", since.elapsed());
    }

    #[tokio::test]
    async fn one_request_too_many_teaches_what_the_session_grants() {
        let paced = paced(64);
        paced.line.grants(4);
        paced.acquire().await.end(Outcome::Crowded, Duration::from_millis(1));
        paced.reports.close();
        paced.reports.wait().await;
        let mut turns = Vec::new();
        while let Ok(turn) = tokio::time::timeout(Duration::from_millis(20), paced.acquire()).await {
            turns.push(turn);
        }
        assert_eq!(turns.len(), 4);
    }
}
