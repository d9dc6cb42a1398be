//! One ticket, from the broker's hand to its acknowledgement.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use catalog::{ClaimAnswer, Claimed};
use coordination::{Grant, Lease, Progress};
use model::{ErrorClass, JobId, Timestamp};
use queue::{Delivery, Ticket, TraceContext};
use telemetry::{continue_trace, link_trace};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::claim::shown::Shown;
use crate::claim::watch::Watch;
use crate::claim::window::Window;
use crate::disposition::Ended;
use crate::error::Error;
use crate::job::run::Job;
use crate::steps::Step;
use crate::worker::Worker;

impl Worker {
    /// Runs the ticket's job if it may be run now. Whatever comes of it is the catalogue's, so the ticket is acknowledged.
    pub(crate) async fn serve(&self, delivery: Delivery<Ticket>, draining: &CancellationToken) {
        let job = delivery.message.job;
        self.watched.reach(job, Step::TicketTaken).await;
        let ticket = match self.claim(job, draining).await {
            Ok(ClaimAnswer::Claimed(claimed)) => {
                let now = self.services.clock.now();
                self.watched.reach(job, Step::Claimed).await;
                self.attempt(&claimed, delivery.trace.as_ref(), now, draining).await;
                self.watched.reach(job, Step::Settled).await;
                delivery.ack().await
            }
            Ok(answer) => {
                tracing::debug!(job = job.0, ?answer, "ticket was not needed");
                delivery.ack().await
            }
            Err(error) => self.unclaimed(delivery, error).await,
        };
        if let Err(error) = ticket {
            tracing::debug!(job = job.0, error = %Error::from(error).chain(), "ticket will come again");
        }
    }

    /// Asks until the catalogue answers, or until there is no more time: a queue that counts returns would give the ticket up.
    async fn claim(&self, job: JobId, draining: &CancellationToken) -> catalog::Result<ClaimAnswer> {
        let (name, times) = (&self.settings.name, &self.settings.times);
        let put_back = model::SignedDuration::try_from(times.put_back).unwrap_or_default();
        loop {
            let answer = self.services.catalog.claim(job, name, self.services.clock.now(), put_back).await;
            let error = match answer {
                Err(error) if matches!(error.class(), ErrorClass::Transient { .. }) => error,
                answer => return answer,
            };
            tracing::warn!(job = job.0, error = %Error::from(error).chain(), "catalogue does not answer");
            if draining.run_until_cancelled(sleep(times.catalogue_pause)).await.is_none() {
                return self.services.catalog.claim(job, name, self.services.clock.now(), put_back).await;
            }
        }
    }

    /// Back with the ticket, unless the catalogue's answer would always be the same.
    async fn unclaimed(
        &self,
        delivery: Delivery<Ticket>,
        error: catalog::Error,
    ) -> Result<(), queue::QueueError> {
        let (job, error) = (delivery.message.job, Error::from(error));
        tracing::warn!(job = job.0, error = %error.chain(), "job could not be claimed");
        match error.class() {
            ErrorClass::Permanent | ErrorClass::Corrupt => {
                delivery.reject("catalogue cannot read the job").await
            }
            _ => delivery.retry().await,
        }
    }

    /// Everything under one claim.
    async fn attempt(
        &self,
        claimed: &Claimed,
        trace: Option<&TraceContext>,
        now: Timestamp,
        draining: &CancellationToken,
    ) {
        let (jobs, kind) = (&self.services.metrics.jobs, claimed.kind);
        let since = Instant::now();
        if claimed.worked.is_zero() {
            let delay = now.duration_since(claimed.run_at).as_secs_f64();
            jobs.start_delay.of(kind).observe(delay.max(0.0));
        }
        let span = span(claimed, trace);
        jobs.running.of(kind).inc();
        let running = Running(|| jobs.running.of(kind).dec());
        async {
            let (ended, error) = self.work(claimed, now, draining).await;
            self.settle(claimed, ended, error, since).await;
        }
        .instrument(span)
        .await;
        drop(running);
        jobs.slices.of(kind).inc();
        jobs.slice_duration.of(kind).observe(since.elapsed().as_secs_f64());
    }

    async fn work(
        &self,
        claimed: &Claimed,
        now: Timestamp,
        draining: &CancellationToken,
    ) -> (Ended, Option<Error>) {
        let failed = |error: Error| (Ended::Failed { class: error.class(), throttled: false }, Some(error));
        let Some(mailbox) = &claimed.mailbox else { return failed(Error::Unsupported) };
        if claimed.attempt.0 > u64::from(self.settings.retry.attempts) {
            return (Ended::Exhausted, None);
        }
        let window = Window::of(&self.settings, claimed.kind, claimed.slot_date, mailbox, now);
        if let Window::Closed(later) = window {
            return (Ended::Closed(later), None);
        }
        let Some(mut lease) = self.lease(mailbox.id).await else { return (Ended::LeaseTaken, None) };
        self.watched.reach(claimed.claim.job, Step::LeaseTaken).await;
        let (stop, shown) = (CancellationToken::new(), Arc::new(Shown::default()));
        let (spent, ending) = (Arc::new(watch::Sender::new(None)), AtomicBool::new(false));
        let watch = Watch {
            catalog: &self.services.catalog,
            claim: claimed.claim,
            leases: &*self.services.leases,
            lease: &mut lease,
            board: &*self.services.board,
            shown: shown.clone(),
            entry: self.entry(claimed, mailbox.id, now),
            times: self.settings.times,
            draining,
            limit: Instant::now() + self.settings.limits.of(claimed.kind),
            window: window.closes(now),
            clock: &*self.services.clock,
            ending: &ending,
            spent: spent.subscribe(),
        };
        let budget = window.budget();
        let job = Job {
            worker: self,
            claimed,
            mailbox,
            budget,
            shown: &shown,
            spent: &spent,
            ending: &ending,
            stop: &stop,
            signed_in_with: OnceLock::new(),
        };
        let ended = Box::pin(watch.over(job.run(), &stop)).await;
        self.services.leases.release(lease).await;
        self.watched.reach(claimed.claim.job, Step::LeaseReleased).await;
        ended
    }

    /// `None`: somebody else has it.
    async fn lease(&self, mailbox: model::MailboxId) -> Option<Lease> {
        match self.services.leases.acquire(mailbox).await {
            Grant::Held(lease) => Some(lease),
            Grant::Unprotected(lease, error) => {
                tracing::debug!(%error, "working without a lease, under the epoch alone");
                Some(lease)
            }
            Grant::Taken => None,
        }
    }

    fn entry(&self, claimed: &Claimed, mailbox: model::MailboxId, now: Timestamp) -> Progress {
        Progress {
            job: claimed.claim.job,
            kind: claimed.kind,
            mailbox,
            phase: String::new(),
            emails_done: 0,
            emails_expected: None,
            bytes: 0,
            worker: self.settings.name.clone(),
            started: now.checked_sub(claimed.worked).unwrap_or(now),
        }
    }
}

/// The first claim goes on with the ticket's trace; slices and retries begin their own, linked to it.
fn span(claimed: &Claimed, trace: Option<&TraceContext>) -> Span {
    let mailbox = claimed.claim.mailbox.map(|mailbox| mailbox.0);
    let (job, attempt) = (claimed.claim.job.0, claimed.attempt.0);
    let span =
        tracing::info_span!("job", job, kind = %claimed.kind, mailbox, attempt, slices = claimed.slices);
    if let Some(TraceContext { traceparent, .. }) = trace {
        if claimed.worked.is_zero() {
            continue_trace(&span, traceparent)
        } else {
            link_trace(&span, traceparent)
        };
    }
    span
}

/// Undoes what was counted, also when the task is dropped.
struct Running<F: FnMut()>(F);

impl<F: FnMut()> Drop for Running<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
