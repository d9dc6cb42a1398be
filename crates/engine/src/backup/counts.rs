//! Counts of the snapshot that grows.

use repository::SnapshotInfo;

/// What is in it, and how it came there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) emails: u64,
    pub(crate) bytes: u64,
    pub(crate) new: u64,
    pub(crate) removed: u64,
    pub(crate) fetched_bytes: u64,
    /// Emails and contents of objects that came in this run.
    pub(crate) fetched: u64,
    /// Those of them, in one piece, that the repository held already.
    pub(crate) held: u64,
    /// Emails and objects that the store had lost and that were stored again in this run.
    pub(crate) healed: u64,
    /// Rows whose envelope was read again.
    pub(crate) renewed: u64,
}

impl Counts {
    pub(crate) fn of(info: &SnapshotInfo) -> Counts {
        Counts { emails: info.summary.emails, bytes: info.summary.email_bytes, ..Counts::default() }
    }
}
