use model::Timestamp;
use repository::SnapshotInfo;
use serde::Serialize;

use crate::mailboxes::numbers::Numbers;

/// A snapshot as `list`, `show` and `backup` print it.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotRow {
    /// What people call it, for tables.
    #[serde(skip)]
    pub(crate) name: String,
    /// The fleet's number of the backup, or none; without a fleet the snapshot's own.
    pub(crate) number: Option<u64>,
    /// The snapshot's own number.
    snapshot: u64,
    pub(crate) time: String,
    pub(crate) started: String,
    /// Raw bytes of all emails in it.
    pub(crate) size: u64,
    /// Bytes it added to the store.
    pub(crate) stored: u64,
    pub(crate) emails: u64,
    pub(crate) new_emails: u64,
    pub(crate) removed_emails: u64,
    /// Seconds.
    pub(crate) duration: f64,
    pub(crate) location: String,
    pub(crate) state: &'static str,
    pub(crate) failures: u64,
    pub(crate) account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kind: String,
}

impl SnapshotRow {
    pub(crate) fn of(info: &SnapshotInfo, numbers: &Numbers) -> SnapshotRow {
        let s = &info.summary;
        SnapshotRow {
            name: numbers.name(info.number),
            number: numbers.number(info.number),
            snapshot: info.number.0,
            time: stamp(info.finished),
            started: stamp(s.started),
            size: s.email_bytes,
            stored: info.stored_bytes,
            emails: s.emails,
            new_emails: s.new_emails,
            removed_emails: s.removed_emails,
            duration: seconds(info),
            location: info.location.clone(),
            state: engine::state_of(info).as_str(),
            failures: s.failures,
            account: s.account_name.clone(),
            kind: s.origin.kind.clone(),
        }
    }

    /// The same of a snapshot that refers to what is known to be missing or damaged.
    #[must_use]
    pub(crate) fn damaged(self) -> SnapshotRow {
        SnapshotRow { state: "damaged", ..self }
    }
}

fn seconds(info: &SnapshotInfo) -> f64 {
    let took = info.finished.duration_since(info.summary.started);
    (took.as_secs_f64() * 1000.0).round().max(0.0) / 1000.0
}

/// `2026-11-22T15:21:07.123Z`
fn stamp(time: Timestamp) -> String {
    format!("{time:.3}")
}
