use model::JobKind;
use prometheus::{Gauge, IntCounter, IntGauge};

use crate::{By, Listed, Registry};

/// What a producer plans and publishes.
#[derive(Debug, Clone)]
pub struct OutboxMetrics {
    /// Jobs written to the catalogue.
    pub planned: By<JobKind, IntCounter>,
    /// Tickets that the broker confirmed.
    pub published: By<JobKind, IntCounter>,
    /// Tickets that were refused, came back, or were not confirmed in time; they stay in the outbox.
    pub failures: IntCounter,
    /// Tickets published once more because the first got lost.
    pub republished: By<JobKind, IntCounter>,
    /// Jobs taken from workers whose heartbeat had stopped.
    pub reaped: By<JobKind, IntCounter>,
    /// Mail servers that are asked for their mailboxes, by how that ended last.
    pub directories: By<Listed, IntGauge>,
    /// Tickets in the outbox.
    pub waiting: IntGauge,
    /// Age of the oldest of them, in seconds; 0 if there is none.
    pub lag: Gauge,
}

impl OutboxMetrics {
    /// Makes the families; once for a registry.
    pub fn new(to: &Registry) -> Self {
        OutboxMetrics {
            planned: to.counter_by("malle_jobs_planned_total", "Jobs written to the catalogue"),
            published: to.counter_by("malle_tickets_published_total", "Tickets that the broker confirmed"),
            failures: to.counter("malle_ticket_failures_total", "Tickets that the broker did not take"),
            republished: to
                .counter_by("malle_tickets_republished_total", "Tickets published again after one was lost"),
            reaped: to.counter_by("malle_jobs_reaped_total", "Jobs whose worker's heartbeat had stopped"),
            directories: to.count_by(
                "malle_directories",
                "Mail servers by how asking them for their mailboxes ended last",
            ),
            waiting: to.count("malle_outbox_tickets", "Tickets waiting in the outbox"),
            lag: to.gauge("malle_outbox_lag_seconds", "Age of the oldest ticket in the outbox"),
        }
    }
}
