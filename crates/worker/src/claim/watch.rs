//! What goes on beside a job: heartbeats, its lease, its progress, and everything that may end it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use catalog::{Catalog, Claim, Heartbeat};
use coordination::{Lease, Leases, Progress, ProgressBoard, Renewal};
use model::{Clock, ErrorClass};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::claim::shown::Shown;
use crate::claim::window::ScheduledSlot;
use crate::disposition::{Ended, Interrupt};
use crate::error::{Error, Result};
use crate::settings::Times;

/// What the work itself answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done, and the catalogue knows.
    Done,
    /// There is a backup, but not a good one, and the job may make another.
    Incomplete,
    /// It ended at a boundary.
    Sliced {
        /// Something was committed.
        progressed: bool,
    },
}

/// Watches over one job under one claim.
pub(crate) struct Watch<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) claim: Claim,
    pub(crate) leases: &'a dyn Leases,
    pub(crate) lease: &'a mut Lease,
    pub(crate) board: &'a dyn ProgressBoard,
    pub(crate) shown: Arc<Shown>,
    /// What the board shows, but for what `shown` knows.
    pub(crate) entry: Progress,
    pub(crate) times: Times,
    pub(crate) draining: &'a CancellationToken,
    /// When the job has taken too long.
    pub(crate) limit: Instant,
    /// When its window closes, and whose window it is.
    pub(crate) window: Option<(Instant, ScheduledSlot)>,
    pub(crate) clock: &'a dyn Clock,
    /// The catalogue was asked to end the job.
    pub(crate) ending: &'a AtomicBool,
    /// Says so when the mail server's budget is spent for long.
    pub(crate) spent: watch::Receiver<Option<Duration>>,
}

impl Watch<'_> {
    /// Runs the work for as long as it may run. A gentle interrupt asks it to stop, by `stop`, and leaves it the grace; any
    /// other one, or the end of the grace, drops it. The error is that of work that failed by itself.
    pub(crate) async fn over(
        mut self,
        work: impl Future<Output = Result<Answer>>,
        stop: &CancellationToken,
    ) -> (Ended, Option<Error>) {
        tokio::pin!(work);
        let mut asked = None;
        loop {
            let interrupt = tokio::select! {
                biased;
                answer = &mut work => return ended(answer, asked),
                interrupt = self.interrupt(asked) => interrupt,
            };
            if asked.is_some() || !interrupt.is_gentle() {
                return (Ended::Interrupted(interrupt), None);
            }
            asked = Some(interrupt);
            stop.cancel();
            self.limit = self.limit.min(Instant::now() + self.times.grace.mul_f64(0.75));
        }
    }

    /// The next reason to stop; once it was asked to, only those that do not wait, and the end of the grace as `asked` again.
    async fn interrupt(&mut self, asked: Option<Interrupt>) -> Interrupt {
        let is_new = asked.is_none();
        let closing = self.window.as_ref().map(|(at, _)| *at);
        let Times { heartbeat, renewal, progress, .. } = self.times;
        tokio::select! {
            interrupt = beat(self.catalog, &self.claim, heartbeat, is_new, self.ending) => interrupt,
            interrupt = renew(self.leases, self.lease, renewal) => interrupt,
            never = show(self.board, &self.shown, &mut self.entry, progress) => match never {},
            () = self.draining.cancelled(), if is_new => Interrupt::Draining,
            () = sleep_until(closing.unwrap_or(self.limit)), if is_new && closing.is_some() => {
                let (_, slot) = self.window.as_ref().expect("it closes");
                Interrupt::WindowOver(slot.goes_on(self.clock.now()))
            }
            wait = spent(&mut self.spent), if is_new => Interrupt::Throttled(wait),
            () = sleep_until(self.limit) => asked.unwrap_or(Interrupt::OutOfTime),
        }
    }
}

fn ended(answer: Result<Answer>, asked: Option<Interrupt>) -> (Ended, Option<Error>) {
    match answer {
        Ok(Answer::Done) => (Ended::Done, None),
        Ok(Answer::Incomplete) => (Ended::Incomplete, None),
        Ok(Answer::Sliced { progressed }) => (Ended::Sliced { progressed, asked }, None),
        Err(Error::Catalog(catalog::Error::Fenced)) => (Ended::Interrupted(Interrupt::Fenced), None),
        // It was told to stop before it came to a boundary.
        Err(error) if error.class() == ErrorClass::Cancelled && asked.is_some() => {
            (Ended::Sliced { progressed: false, asked }, None)
        }
        Err(error) => match error {
            Error::SignInRefused { wait } | Error::SignInPending { wait } => {
                (Ended::LooksAgain(wait), Some(error))
            }
            _ => (Ended::Failed { class: error.class(), throttled: error.is_throttle() }, Some(error)),
        },
    }
}

/// A catalogue that cannot be asked stops nothing: what is written in the end is checked against the epoch.
async fn beat(
    catalog: &Catalog,
    claim: &Claim,
    every: Duration,
    hears: bool,
    ending: &AtomicBool,
) -> Interrupt {
    let mut ticks = ticks(every);
    loop {
        ticks.tick().await;
        match timeout(every, catalog.heartbeat(claim)).await {
            Ok(Ok(Heartbeat::Cancel)) if hears => return Interrupt::Cancelled,
            Ok(Ok(_)) => {}
            // The job may have ended between our question and this answer; the end's own answer tells.
            Ok(Err(catalog::Error::Fenced)) if ending.load(Relaxed) => {}
            Ok(Err(catalog::Error::Fenced)) => return Interrupt::Fenced,
            Ok(Err(error)) => tracing::warn!(error = %Error::from(error).chain(), "heartbeat failed"),
            Err(_) => tracing::warn!("heartbeat was not answered in time"),
        }
    }
}

async fn renew(leases: &dyn Leases, lease: &mut Lease, every: Duration) -> Interrupt {
    let mut ticks = ticks(every);
    ticks.tick().await;
    loop {
        let expiry = lease.deadline().map(Instant::from_std);
        tokio::select! {
            _ = ticks.tick() => match leases.renew(lease).await {
                Renewal::Renewed => {}
                Renewal::Lost => return Interrupt::LeaseLost,
                Renewal::Unreachable(error) => tracing::debug!(%error, "lease was not renewed"),
            },
            () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => {
                return Interrupt::LeaseLost;
            }
        }
    }
}

async fn spent(told: &mut watch::Receiver<Option<Duration>>) -> Duration {
    let wait = told.wait_for(Option::is_some).await.map(|wait| wait.unwrap_or_default());
    match wait {
        Ok(wait) => wait,
        // The job that would have told is over.
        Err(_) => std::future::pending().await,
    }
}

enum Never {}

async fn show(board: &dyn ProgressBoard, shown: &Shown, entry: &mut Progress, every: Duration) -> Never {
    let mut ticks = ticks(every);
    loop {
        ticks.tick().await;
        let look = shown.look();
        entry.phase = look.phase.to_owned();
        (entry.emails_done, entry.emails_expected, entry.bytes) = (look.done, look.expected, look.bytes);
        if let Err(error) = board.show(entry).await {
            tracing::debug!(%error, "progress was not shown");
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
