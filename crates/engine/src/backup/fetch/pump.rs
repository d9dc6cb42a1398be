//! The pipeline: plan → fetch (several at once) → intake, each step behind a bounded channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::fetcher::{BATCH_BYTES, Fetcher};
use super::step::{Arrived, Step, Wanted};
use crate::error::{Error, Result};

/// Batches planned ahead of the fetchers.
const PLANNED: usize = 4;
/// Answers waiting for the intake.
const WAITING: usize = 2;

/// Hands wanted things to the fetchers in batches, and what needs no fetching straight to the intake.
pub(crate) struct Planner {
    jobs: mpsc::Sender<Vec<Wanted>>,
    out: mpsc::Sender<Result<Step>>,
    batch: Vec<Wanted>,
    batch_bytes: u64,
    most_in_batch: usize,
    wanted: Arc<AtomicU64>,
}

/// The end of the pipeline.
pub(crate) struct Intake {
    steps: mpsc::Receiver<Result<Step>>,
    arrived: u64,
    wanted: Arc<AtomicU64>,
    _tasks: [AbortOnDropHandle<()>; 1],
}

/// A pipeline whose fetchers run `places` at a time.
pub(crate) fn pipeline(
    fetcher: impl FnOnce(mpsc::Sender<Result<Step>>) -> Fetcher,
    places: usize,
    most_in_batch: usize,
) -> (Planner, Intake) {
    let (out, steps) = mpsc::channel(WAITING);
    let (jobs, planned) = mpsc::channel(PLANNED);
    let wanted = Arc::new(AtomicU64::new(0));
    let dispatcher = tokio::spawn(dispatch(fetcher(out.clone()), planned, places.max(1)));
    let planner =
        Planner { jobs, out, batch: Vec::new(), batch_bytes: 0, most_in_batch, wanted: wanted.clone() };
    (planner, Intake { steps, arrived: 0, wanted, _tasks: [AbortOnDropHandle::new(dispatcher)] })
}

async fn dispatch(fetcher: Fetcher, mut planned: mpsc::Receiver<Vec<Wanted>>, places: usize) {
    let mut running = JoinSet::new();
    let mut whole = true;
    while let Some(batch) = planned.recv().await {
        while running.len() >= places {
            whole &= running.join_next().await.is_none_or(|done| done.is_ok());
        }
        running.spawn(fetcher.clone().fetch(batch));
    }
    while let Some(done) = running.join_next().await {
        whole &= done.is_ok();
    }
    if !whole {
        let _ = fetcher.out.send(Err(Error::Stopped)).await;
    }
}

impl Planner {
    pub(crate) async fn want(&mut self, wanted: Wanted) {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        if wanted.is_big() {
            return self.order(vec![wanted]).await;
        }
        if self.batch_bytes + wanted.weight() > BATCH_BYTES || self.batch.len() >= self.most_in_batch {
            self.flush().await;
        }
        self.batch_bytes += wanted.weight();
        self.batch.push(wanted);
    }

    pub(crate) async fn tell(&self, step: Result<Step>) {
        // Nobody listening means that the backup has ended already, by an error of its own.
        let _ = self.out.send(step).await;
    }

    /// Orders what is left; the pipeline ends when all of it came.
    pub(crate) async fn finish(mut self) {
        self.flush().await;
    }

    async fn flush(&mut self) {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            self.order(batch).await;
        }
    }

    async fn order(&self, batch: Vec<Wanted>) {
        let _ = self.jobs.send(batch).await;
    }
}

impl Intake {
    /// The next step; `None` when everything that was wanted has come or is known to be missing.
    pub(crate) async fn next(&mut self) -> Result<Option<Step>> {
        let step = match self.steps.recv().await {
            Some(step) => step?,
            // Short without a word: a task died.
            None if self.arrived != self.wanted.load(Ordering::Relaxed) => return Err(Error::Stopped),
            None => return Ok(None),
        };
        self.arrived += match &step {
            Step::Arrived(Arrived::Whole(fetched)) => fetched.len() as u64,
            Step::Arrived(Arrived::Missing(..)) => 1,
            _ => 0,
        };
        Ok(Some(step))
    }
}
