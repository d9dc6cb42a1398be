use model::{BackupState, JobKind, Plan};
use prometheus::{Gauge, IntGauge};

use crate::{By, Label, Open, Percentile, Registry};

/// The fleet as the catalogue has it. Every producer shows the same: a query takes the maximum over them.
#[derive(Debug, Clone)]
pub struct FleetMetrics {
    /// Mailboxes that are backed up by a plan.
    pub mailboxes: By<Plan, IntGauge>,
    /// Mailboxes found on a server that no rule gives a plan.
    pub unplanned: IntGauge,
    /// Mailboxes with a plan that are paused: nothing is planned for them, and they are not overdue.
    pub paused: By<Plan, IntGauge>,
    /// Mailboxes whose window closed without a good backup.
    pub overdue: By<Plan, IntGauge>,
    /// Mailboxes with a plan that have no good backup at all; the ages leave them out.
    pub without_good: By<Plan, IntGauge>,
    /// How old the newest good backups are, in seconds; not a number while no mailbox of the plan has one.
    pub newest_good_age: By<(Plan, Percentile), Gauge>,
    /// Mailboxes by what their newest backup is.
    pub newest_backups: By<BackupState, IntGauge>,
    /// Jobs in the catalogue that are not over.
    pub jobs: By<(JobKind, Open), IntGauge>,
    /// How long the oldest due job has waited, in seconds; 0 if none is due.
    pub oldest_due: By<JobKind, Gauge>,
    /// Tickets at the broker that wait for a worker.
    pub queued: By<JobKind, IntGauge>,
    /// Deliveries in the queue of dead letters.
    pub dead_letters: IntGauge,
}

impl FleetMetrics {
    /// Makes the families; once for a registry.
    pub fn new(to: &Registry) -> Self {
        let fleet = FleetMetrics {
            mailboxes: to.count_by("malle_mailboxes", "Mailboxes with a plan"),
            unplanned: to
                .count("malle_unplanned_mailboxes", "Mailboxes on servers that no rule gives a plan"),
            paused: to.count_by("malle_paused_mailboxes", "Mailboxes with a plan that are paused"),
            overdue: to
                .count_by("malle_overdue_mailboxes", "Mailboxes whose window closed without a good backup"),
            without_good: to.count_by(
                "malle_mailboxes_without_good_backup",
                "Mailboxes with a plan that have no good backup yet",
            ),
            newest_good_age: to.gauge_by(
                "malle_newest_good_backup_age_seconds",
                "Age of the newest good backup of a mailbox, by share of mailboxes that are no older",
            ),
            newest_backups: to
                .count_by("malle_newest_backups", "Mailboxes by the state of their newest backup"),
            jobs: to.count_by("malle_jobs", "Jobs in the catalogue that are not over"),
            oldest_due: to
                .gauge_by("malle_oldest_due_job_age_seconds", "Time that the oldest due job has waited"),
            queued: to.count_by("malle_queued_tickets", "Tickets at the broker that wait for a worker"),
            dead_letters: to.count("malle_dead_letters", "Deliveries in the queue of dead letters"),
        };
        for labels in
            Plan::ALL.iter().flat_map(|plan| Percentile::EVERY.iter().map(|percentile| (*plan, *percentile)))
        {
            fleet.newest_good_age.of(labels).set(f64::NAN);
        }
        fleet
    }
}
