//! What a check found.

use std::collections::BTreeSet;

use model::SnapshotNumber;

use crate::error::{Error, Result};
use crate::storage::layout::Object;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The snapshot that suffers, if one does.
    pub snapshot: Option<SnapshotNumber>,
    /// What, for people.
    pub what: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Snapshots that were walked through.
    pub snapshots: u64,
    /// Emails in them, each snapshot's counted.
    pub emails: u64,
    /// Different blobs they refer to.
    pub blobs: u64,
    /// Packs they refer to, or may refer to with rows that cannot be read.
    pub packs: u64,
    /// Bytes of packs that were read and hashed.
    pub bytes_read: u64,
    /// Objects on the store that nothing refers to: left by a run that was cut off, removed by a later prune.
    pub unreferenced: u64,
    /// Their bytes.
    pub unreferenced_bytes: u64,
    /// With `Depth::Data`: records of restores that are damaged. A restore that was cut off may have no other to go on from;
    /// snapshots do not need them.
    pub damaged_records: Vec<String>,
    /// Packs and segments that are missing or damaged: `Repository::note_damage` notes them for the next backup.
    pub damaged: BTreeSet<Object>,
    /// With `Depth::Data`: packs and segments that were read to their end and are what their rows say.
    pub whole: BTreeSet<Object>,
    /// Empty: all is well.
    pub problems: Vec<Problem>,
    /// All problems, those that are not listed too, and those of them that harm no snapshot: of log entries and second copies.
    pub(super) found: u64,
    pub(super) beside: u64,
    /// Second copies that are missing or different.
    pub(super) copies: u64,
    /// Something is damaged that an unfinished backup needs.
    pub(super) harms_slices: bool,
}

/// More problems than this are not listed: the first ones say enough.
pub(super) const MAX_PROBLEMS: usize = 100;

impl CheckReport {
    /// Whether a snapshot that was looked at, or an unfinished backup, lacks anything. A log entry that is damaged stays so, and says nothing against the
    /// snapshots that can be read.
    pub fn is_harmful(&self) -> bool {
        self.found > self.beside
    }

    /// Whether a second copy is missing or different: `Repository::heal_copies` writes it again.
    pub fn lacks_copies(&self) -> bool {
        self.copies > 0
    }

    /// Whether log entries are missing or damaged, which nothing brings back.
    pub fn lacks_entries(&self) -> bool {
        self.beside > self.copies
    }

    /// Whether something is damaged that an unfinished backup needs: the next one begins without it.
    pub fn harms_slices(&self) -> bool {
        self.harms_slices
    }

    pub(super) fn problem_beside(&mut self, what: String) {
        self.beside += 1;
        self.problem(None, what);
    }

    pub(super) fn problem(&mut self, snapshot: Option<SnapshotNumber>, what: String) {
        self.found += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { snapshot, what });
        }
    }

    pub(super) fn damage(&mut self, object: Object, what: &str) {
        self.problem(None, format!("{} {what}", object.relative()));
        self.damaged.insert(object);
    }

    /// Damage is a finding; anything else (no network, no rights) ends the check.
    pub(super) fn problem_of(&mut self, snapshot: Option<SnapshotNumber>, error: Error) -> Result<()> {
        self.damaged.extend(error.damaged());
        match error.class() {
            model::ErrorClass::Corrupt => self.problem(snapshot, error.to_string()),
            // It may be one flipped byte in a header.
            _ if matches!(error, Error::NewerFormat { .. } | Error::NewerKind { .. }) => {
                self.problem(snapshot, error.to_string())
            }
            _ => return Err(error),
        }
        Ok(())
    }
}
