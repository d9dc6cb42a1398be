use engine::Report;
use model::{BackupState, JobKind};
use telemetry::{BackupMetrics, Ending, JobMetrics, Registry, ServerMetrics};

use crate::disposition::{Disposition, Ended, Interrupt};
use crate::settings::MailServer;

/// What a worker counts; names and meanings stand in the README of `telemetry`.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// About jobs.
    pub jobs: JobMetrics,
    /// About backups.
    pub backups: BackupMetrics,
    /// About mail servers.
    pub servers: ServerMetrics,
}

impl Metrics {
    /// Makes the families; once for a registry.
    pub fn new(registry: &Registry, servers: &[MailServer]) -> Metrics {
        Metrics {
            jobs: JobMetrics::new(registry),
            backups: BackupMetrics::new(registry),
            servers: ServerMetrics::new(registry, servers.iter().map(|server| server.name.as_str())),
        }
    }

    /// So many bytes came from a server, in a backup or in a slice of one.
    pub(crate) fn count_read(&self, received: u64) {
        self.backups.bytes_read.inc_by(received);
    }

    /// A backup was made.
    pub(crate) fn count_backup(&self, report: &Report) {
        let Metrics { backups, .. } = self;
        backups.emails_read.inc_by(report.new_emails);
        backups.emails_stored.inc_by(report.new_emails.saturating_sub(report.held_emails));
        backups.emails_deduplicated.inc_by(report.held_emails);
        backups.bytes_stored.inc_by(report.stored_bytes);
        backups.bytes_deduplicated.inc_by(report.held_bytes);
    }

    /// A backup got its place in the catalogue.
    pub(crate) fn count_state(&self, state: BackupState) {
        self.backups.backups.of(state).inc();
    }

    /// The catalogue was told so, and took it.
    pub(crate) fn count_end(&self, kind: JobKind, ended: Ended, disposition: Disposition) {
        let jobs = &self.jobs;
        if matches!(ended, Ended::Interrupted(Interrupt::LeaseLost)) {
            jobs.lease_losses.inc();
        }
        match disposition {
            Disposition::Retry(_) => jobs.retries.of(kind).inc(),
            Disposition::Continue(..) | Disposition::Snooze(_) => match why(ended) {
                Some(Why::Window) => jobs.pauses.of(kind).inc(),
                Some(Why::Server) => jobs.snoozes.of(kind).inc(),
                None => {}
            },
            _ => {}
        }
        if let Some(ending) = ending(disposition) {
            jobs.finished.of((kind, ending)).inc();
        }
    }
}

/// Why a job that waits again does, as far as that is counted.
enum Why {
    Window,
    Server,
}

fn why(ended: Ended) -> Option<Why> {
    match ended {
        Ended::Closed(_) => Some(Why::Window),
        Ended::Failed { throttled: true, .. } | Ended::LooksAgain(_) => Some(Why::Server),
        Ended::Interrupted(by) | Ended::Sliced { asked: Some(by), .. } => match by {
            Interrupt::WindowOver(_) => Some(Why::Window),
            Interrupt::Throttled(_) => Some(Why::Server),
            _ => None,
        },
        _ => None,
    }
}

/// `None`: the job will come again.
pub(crate) fn ending(disposition: Disposition) -> Option<Ending> {
    match disposition {
        Disposition::Completed => Some(Ending::Done),
        Disposition::Bury => Some(Ending::Dead),
        Disposition::Cancel => Some(Ending::Cancelled),
        Disposition::LetGo => Some(Ending::Fenced),
        Disposition::Continue(..) | Disposition::Snooze(_) | Disposition::Retry(_) => None,
    }
}
