//! Brings tickets from the catalogue to the broker. Order: taken (nobody else gets them for a while), published and confirmed,
//! marked. A crash before the confirm leaves them to be taken again after the hold; between confirm and mark a second ticket follows,
//! which a worker answers by a look into the catalogue; a mark that fails is the same. What the broker did not take is given back
//! at once, but for tickets of a single queue that is ill, which wait for the hold's end. So a ticket may come twice and is never missing.

use std::sync::Arc;

use catalog::{Catalog, Ticket};
use model::Clock;
use queue::{Outgoing, QueueError, TicketSink, TraceContext};
use telemetry::OutboxMetrics;
use tracing::Instrument;

use crate::backoff::Pulse;
use crate::error::chain;
use crate::settings::OutboxSettings;

/// Publishes tickets that are due; any number of them at once.
pub struct Publisher {
    catalog: Catalog,
    sink: Arc<dyn TicketSink>,
    clock: Arc<dyn Clock>,
    settings: OutboxSettings,
    metrics: OutboxMetrics,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Sent {
    /// The broker has them, and the catalogue knows.
    pub confirmed: usize,
    /// They are still to be published.
    pub failed: usize,
    /// Why, of one of them.
    pub error: Option<QueueError>,
}

impl Publisher {
    /// Asks nobody yet.
    pub fn new(
        catalog: Catalog,
        sink: Arc<dyn TicketSink>,
        clock: Arc<dyn Clock>,
        settings: OutboxSettings,
        metrics: OutboxMetrics,
    ) -> Publisher {
        Publisher { catalog, sink, clock, settings, metrics }
    }

    /// Publishes tickets that are due, at most `limit` of each kind.
    pub async fn publish(&self, limit: u32) -> catalog::Result<Sent> {
        let mut tickets = self.catalog.take_unpublished(limit, self.settings.hold, self.clock.now()).await?;
        if tickets.is_empty() {
            return Ok(Sent::default());
        }
        let outgoing: Vec<Outgoing> = tickets.iter_mut().map(outgoing).collect();
        let span = tracing::info_span!("publish", tickets = tickets.len());
        let answers = self.sink.publish(&outgoing).instrument(span).await;
        let is_up = answers.iter().any(Result::is_ok);
        let (mut confirmed, mut failed, mut back, mut error) = (Vec::new(), 0, Vec::new(), None);
        for (ticket, answer) in tickets.into_iter().zip(answers) {
            match answer {
                Ok(()) => confirmed.push(ticket),
                Err(refused) => {
                    failed += 1;
                    // A queue that is ill while others are well: its tickets wait for the end of their hold, out of the others' way.
                    if !(is_up && matches!(refused, QueueError::NotStored)) {
                        back.push(ticket);
                    }
                    error = Some(refused);
                }
            }
        }
        self.metrics.failures.inc_by(failed as u64);
        self.settle(&confirmed, &back).await?;
        Ok(Sent { confirmed: confirmed.len(), failed, error })
    }

    async fn settle(&self, confirmed: &[Ticket], back: &[Ticket]) -> catalog::Result<()> {
        for ticket in confirmed {
            self.metrics.published.of(ticket.kind).inc();
        }
        let marked = self.catalog.mark_published(confirmed).await;
        if !back.is_empty() {
            self.catalog.give_back(back).await?;
        }
        marked
    }

    /// While the broker takes nothing, one ticket of each kind is enough to find out whether that is over. What it takes of some
    /// queues is not slowed down by one that takes nothing.
    pub(crate) async fn run(&self, mut pulse: Pulse) {
        loop {
            let limit = if pulse.failures() == 0 { self.settings.batch.max(1) } else { 1 };
            let go_on = match self.publish(limit).await {
                Ok(Sent { error: Some(error), confirmed, failed }) => {
                    let error = chain(&error);
                    tracing::warn!(
                        error,
                        confirmed,
                        failed,
                        "tickets were not published; they stay in the outbox"
                    );
                    if confirmed > 0 { pulse.go_on() } else { pulse.failed().await }
                }
                Ok(Sent { confirmed: 0, .. }) => pulse.went_well().await,
                Ok(_) => pulse.go_on(),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the outbox could not be read or marked");
                    pulse.failed().await
                }
            };
            if !go_on {
                return pulse.finish();
            }
        }
    }
}

/// The job's first ticket goes on with the trace of who asked for it; later ones (slices, retries) begin traces of their own that
/// are linked to it. The ticket then carries the trace that the job is remembered by.
fn outgoing(ticket: &mut Ticket) -> Outgoing {
    let span = tracing::info_span!("ticket", job = %ticket.job, kind = %ticket.kind, number = ticket.number);
    if let Some(asked) = &ticket.traceparent {
        match ticket.number {
            1 => telemetry::continue_trace(&span, asked),
            _ => telemetry::link_trace(&span, asked),
        };
    }
    let traceparent = telemetry::traceparent(&span);
    ticket.traceparent = ticket.traceparent.take().or_else(|| traceparent.clone());
    Outgoing {
        ticket: queue::Ticket { job: ticket.job, kind: ticket.kind },
        trace: traceparent.map(|traceparent| TraceContext { traceparent, tracestate: None }),
    }
}
