//! One kind's tickets: at most so many jobs at once, each a task of its own.

use std::num::NonZeroU16;
use std::sync::Arc;

use model::{ErrorClass, JobKind};
use queue::{Broker, LinkState, QueueError, Source, Ticket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::worker::Worker;

/// Serves tickets until it is told to drain, or the broker is lost for good, which drains the other lanes as well. Then jobs have the
/// grace, from that moment on.
pub(crate) async fn lane(
    worker: Arc<Worker>,
    kind: JobKind,
    slots: NonZeroU16,
    draining: CancellationToken,
) -> Result<()> {
    // Their connection lives until everything is settled.
    let mut tickets = worker.services.broker.tickets(kind, slots, draining.clone());
    let mut jobs = JoinSet::new();
    let taking = async {
        let ended = take(&mut tickets, &worker, (kind, slots), &draining, &mut jobs).await;
        draining.cancel();
        ended
    };
    let told = async {
        draining.cancelled().await;
        Instant::now()
    };
    let (ended, told) = tokio::join!(taking, told);
    let ending = async {
        while let Some(ended) = jobs.join_next().await {
            report_panic(ended);
        }
    };
    if timeout_at(told + worker.settings.times.grace, ending).await.is_err() {
        tracing::warn!(%kind, jobs = jobs.len(), "jobs did not end within the grace: the reaper gives them to others");
        jobs.shutdown().await;
    }
    ended
}

async fn take(
    tickets: &mut impl Source<Ticket>,
    worker: &Arc<Worker>,
    (kind, slots): (JobKind, NonZeroU16),
    draining: &CancellationToken,
    jobs: &mut JoinSet<()>,
) -> Result<()> {
    // The broker's own bound ends with a lost channel; jobs of before it still run then.
    let free = Arc::new(Semaphore::new(slots.get().into()));
    loop {
        let slot = slot(&free, draining).await;
        match tickets.next().await {
            Ok(Some(delivery)) => {
                let (worker, draining) = (Arc::clone(worker), draining.clone());
                jobs.spawn(async move {
                    worker.serve(delivery, &draining).await;
                    drop(slot);
                });
            }
            Ok(None) => return Ok(()),
            Err(error) if is_passing(&error, &worker.services.broker) => {
                tracing::warn!(%kind, error = %Error::from(error).chain(), "tickets were lost for a while");
            }
            Err(error) => return Err(Error::from(error)),
        }
        while let Some(ended) = jobs.try_join_next() {
            report_panic(ended);
        }
    }
}

/// Whether to go on asking. A queue that is ill for long is no reason to end the lanes whose queues are well.
fn is_passing(error: &QueueError, broker: &Broker) -> bool {
    match error {
        QueueError::GaveUp { .. } => broker.links().consuming != LinkState::Closed,
        error => matches!(error.class(), ErrorClass::Transient { .. }),
    }
}

/// Waits for a free slot; `None` when draining, where nothing new comes.
async fn slot(free: &Arc<Semaphore>, draining: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    let slot = Arc::clone(free).acquire_owned();
    draining.run_until_cancelled(slot).await.map(|slot| slot.expect("the semaphore is never closed"))
}

/// Its ticket goes back by being dropped, its claim by the reaper.
fn report_panic(ended: std::result::Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(panicked = error.is_panic(), "a job's task ended before the job did");
    }
}
