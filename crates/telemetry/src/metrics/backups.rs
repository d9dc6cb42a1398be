use model::BackupState;
use prometheus::IntCounter;

use crate::{By, Registry, Verification};

/// What backups moved, and what became of them.
#[derive(Debug, Clone)]
pub struct BackupMetrics {
    /// Backups made.
    pub backups: By<BackupState, IntCounter>,
    /// Emails read from servers.
    pub emails_read: IntCounter,
    /// Bytes received from servers.
    pub bytes_read: IntCounter,
    /// Emails that were new to a repository.
    pub emails_stored: IntCounter,
    /// Bytes written to stores, sealed.
    pub bytes_stored: IntCounter,
    /// Emails that a repository held already.
    pub emails_deduplicated: IntCounter,
    /// Their bytes, and those of shared pieces.
    pub bytes_deduplicated: IntCounter,
    /// Backups read again.
    pub verifications: By<Verification, IntCounter>,
}

impl BackupMetrics {
    /// Makes the families; once for a registry.
    pub fn new(to: &Registry) -> Self {
        BackupMetrics {
            backups: to.counter_by("malle_backups_total", "Backups made, by what they are"),
            emails_read: to.counter("malle_read_emails_total", "Emails read from servers"),
            bytes_read: to.counter("malle_read_bytes_total", "Bytes received from servers"),
            emails_stored: to.counter("malle_stored_emails_total", "Emails new to their repository"),
            bytes_stored: to.counter("malle_stored_bytes_total", "Sealed bytes written to stores"),
            emails_deduplicated: to
                .counter("malle_deduplicated_emails_total", "Emails that their repository held already"),
            bytes_deduplicated: to
                .counter("malle_deduplicated_bytes_total", "Bytes that a repository held already"),
            verifications: to.counter_by("malle_verifications_total", "Backups read again and compared"),
        }
    }
}
