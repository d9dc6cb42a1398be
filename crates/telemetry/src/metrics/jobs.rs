use model::JobKind;
use prometheus::{Histogram, IntCounter, IntGauge};

use crate::{By, Ending, Registry};

/// Seconds; a job waits for moments or, in a deep backlog, for hours.
const WAITS: [f64; 10] = [0.1, 0.5, 1.0, 3.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0];

/// Seconds; an unchanged mailbox takes less than one, a first backup of a large one hours.
const WORK: [f64; 12] = [0.05, 0.2, 0.5, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0, 14_400.0];

/// What a worker does with jobs.
#[derive(Debug, Clone)]
pub struct JobMetrics {
    /// From a job's time to its claim, in seconds.
    pub start_delay: By<JobKind, Histogram>,
    /// Jobs that this worker holds.
    pub running: By<JobKind, IntGauge>,
    /// Slices that ended, for whatever reason.
    pub slices: By<JobKind, IntCounter>,
    /// From claim to the slice's end, in seconds.
    pub slice_duration: By<JobKind, Histogram>,
    /// Attempts that failed and are made again.
    pub retries: By<JobKind, IntCounter>,
    /// Put off without using an attempt up: the server asked for less.
    pub snoozes: By<JobKind, IntCounter>,
    /// Work put off to the next window.
    pub pauses: By<JobKind, IntCounter>,
    /// Jobs that ended.
    pub finished: By<(JobKind, Ending), IntCounter>,
    /// Work on a job from its first claim to its end, all slices and the time between them, in seconds.
    pub duration: By<JobKind, Histogram>,
    /// Leases that ran out or were taken while the job ran.
    pub lease_losses: IntCounter,
}

impl JobMetrics {
    /// Makes the families; once for a registry.
    pub fn new(to: &Registry) -> Self {
        JobMetrics {
            start_delay: to.histogram_by(
                "malle_job_start_delay_seconds",
                "Time from a job's due time to its claim",
                &WAITS,
            ),
            running: to.count_by("malle_running_jobs", "Jobs that this worker holds"),
            slices: to.counter_by("malle_job_slices_total", "Slices of jobs that ended, for whatever reason"),
            slice_duration: to.histogram_by(
                "malle_job_slice_duration_seconds",
                "Time from a claim to the end of its slice",
                &WORK,
            ),
            retries: to.counter_by("malle_job_retries_total", "Failed attempts that are made again"),
            snoozes: to
                .counter_by("malle_job_snoozes_total", "Jobs put off because the server asked for less"),
            pauses: to.counter_by("malle_job_pauses_total", "Jobs put off to the next window"),
            finished: to.counter_by("malle_jobs_finished_total", "Jobs that a worker let go for good"),
            duration: to.histogram_by(
                "malle_job_duration_seconds",
                "Time from a job's first claim to its end",
                &WORK,
            ),
            lease_losses: to.counter("malle_lease_losses_total", "Mailbox leases lost while their job ran"),
        }
    }
}
