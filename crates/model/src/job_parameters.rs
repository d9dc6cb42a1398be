//! What a job is told besides its kind and its mailbox: one form for the HTTP API, the command line, the catalogue and the workers.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::words::words;
use crate::{BackupNumber, JobKind, MailboxId};

words! {
    /// What a restore does with what the account has.
    RestoreMode, "mode of a restore" {
        /// The backup comes back into a folder of its own.
        Beside = "beside",
        /// Only what the account lacks comes back, into its own folders.
        Missing = "missing",
        /// The account becomes what the backup has. It is backed up first; what arrives meanwhile stays.
        Exact = "exact",
    }
}

/// The mode that changes least.
impl Default for RestoreMode {
    fn default() -> RestoreMode {
        RestoreMode::Beside
    }
}

impl RestoreMode {
    /// Whether a part of a backup may come back so: an account that became a part of a backup exactly would lose the rest.
    pub fn takes_selection(self) -> bool {
        self != RestoreMode::Exact
    }
}

/// The parameters of a job, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobParameters {
    /// Of a backup.
    Backup(BackupParameters),
    /// Of a restore.
    Restore(RestoreParameters),
    /// Of a verification.
    Verify(VerifyParameters),
}

/// The parameters of a backup. None at all: an incremental one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupParameters {
    /// Everything is listed, whatever the server says of changes.
    #[serde(skip_serializing_if = "is_false")]
    pub full: bool,
}

/// The parameters of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreParameters {
    /// The backup that comes back.
    pub number: BackupNumber,
    /// How.
    #[serde(default)]
    pub mode: RestoreMode,
    /// Which emails, in the words of `malle find`; nothing but emails comes back then. `None`: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// What the mail server refuses because it is no email comes as the attachment of one that says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrap_refused: bool,
    /// The mailbox that the backup is of. `None`: the job's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_mailbox: Option<MailboxId>,
}

/// The parameters of a verification. None at all: of the mailbox's newest backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyParameters {
    /// The backup that is read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<BackupNumber>,
}

/// Why parameters are not those of a job. Quotes nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidParameters {
    /// A restore without parameters.
    Missing,
    /// A field is missing, unknown or of another type.
    Unreadable,
    /// Mode *exact* with a selection.
    ExactSelection,
    /// A selection of nothing.
    EmptySelection,
    /// Jobs of this kind take none.
    NoneTaken,
}

impl InvalidParameters {
    /// The reason, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            InvalidParameters::Missing => "there are none",
            InvalidParameters::Unreadable => "a field is missing, unknown or of another type",
            InvalidParameters::ExactSelection => "an exact restore of a selection would remove all the rest",
            InvalidParameters::EmptySelection => "the selection is empty; leave it out to choose everything",
            InvalidParameters::NoneTaken => "jobs of this kind take none",
        }
    }
}

impl fmt::Display for InvalidParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for InvalidParameters {}

impl RestoreParameters {
    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// [`InvalidParameters::ExactSelection`], [`InvalidParameters::EmptySelection`].
    pub fn check(&self) -> Result<(), InvalidParameters> {
        let Some(select) = &self.select else { return Ok(()) };
        if !self.mode.takes_selection() {
            return Err(InvalidParameters::ExactSelection);
        }
        if select.trim().is_empty() {
            return Err(InvalidParameters::EmptySelection);
        }
        Ok(())
    }
}

impl JobParameters {
    /// Reads the parameters of a job of this kind.
    ///
    /// # Errors
    /// [`InvalidParameters`]; fields that this version does not know are refused, too.
    pub fn read(kind: JobKind, parameters: Option<&Value>) -> Result<JobParameters, InvalidParameters> {
        match kind {
            JobKind::Manual | JobKind::Nightly | JobKind::Weekend => {
                parameters.map_or(Ok(BackupParameters::default()), read).map(JobParameters::Backup)
            }
            JobKind::Restore => {
                let restore: RestoreParameters = read(parameters.ok_or(InvalidParameters::Missing)?)?;
                restore.check()?;
                Ok(JobParameters::Restore(restore))
            }
            JobKind::Verify => {
                parameters.map_or(Ok(VerifyParameters::default()), read).map(JobParameters::Verify)
            }
            JobKind::Prune | JobKind::Drill | JobKind::Global => Err(InvalidParameters::NoneTaken),
        }
    }

    /// Writes them as the catalogue keeps them. `None`: nothing is said that is not so anyway.
    pub fn to_json(&self) -> Option<Value> {
        let json = match self {
            JobParameters::Backup(backup) => serde_json::to_value(backup),
            JobParameters::Restore(restore) => serde_json::to_value(restore),
            JobParameters::Verify(verify) => serde_json::to_value(verify),
        };
        let json = json.expect("numbers, words and texts are JSON");
        Some(json).filter(|json| json.as_object().is_some_and(|members| !members.is_empty()))
    }
}

fn read<T: DeserializeOwned>(parameters: &Value) -> Result<T, InvalidParameters> {
    T::deserialize(parameters).map_err(|_| InvalidParameters::Unreadable)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn restore(json: &Value) -> Result<RestoreParameters, InvalidParameters> {
        match JobParameters::read(JobKind::Restore, Some(json))? {
            JobParameters::Restore(restore) => Ok(restore),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_are_read_strictly() {
        use InvalidParameters::{EmptySelection, ExactSelection, Missing, NoneTaken, Unreadable};
        let least = restore(&json!({ "number": 41 })).expect("the least that is needed");
        assert_eq!(
            (least.number, least.mode, least.wrap_refused, least.from_mailbox),
            (BackupNumber(41), RestoreMode::Beside, false, None)
        );
        let exact = json!({ "number": 41, "mode": "exact", "select": "from:bob" });
        assert_eq!(restore(&exact), Err(ExactSelection));
        assert_eq!(restore(&json!({ "number": 41, "select": " " })), Err(EmptySelection));
        for odd in [json!({ "number": 41, "dry": true }), json!({}), json!({ "number": "41" }), json!([])] {
            assert_eq!(restore(&odd), Err(Unreadable), "{odd}");
        }
        assert_eq!(JobParameters::read(JobKind::Restore, None), Err(Missing));
        let none = JobParameters::Backup(BackupParameters { full: false });
        assert_eq!(JobParameters::read(JobKind::Nightly, None), Ok(none));
        let misspelt = json!({ "fool": true });
        assert_eq!(JobParameters::read(JobKind::Manual, Some(&misspelt)), Err(Unreadable));
        assert_eq!(JobParameters::read(JobKind::Prune, None), Err(NoneTaken));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let select = Some("from:bob".to_owned());
        let (number, from_mailbox) = (BackupNumber(41), Some(MailboxId(7)));
        let (mode, wrap_refused) = (RestoreMode::Missing, true);
        let missing = RestoreParameters { number, mode, select, wrap_refused, from_mailbox };
        for (kind, parameters, json) in [
            (
                JobKind::Manual,
                JobParameters::Backup(BackupParameters { full: true }),
                Some(json!({ "full": true })),
            ),
            (JobKind::Manual, JobParameters::Backup(BackupParameters::default()), None),
            (JobKind::Verify, JobParameters::Verify(VerifyParameters::default()), None),
            (
                JobKind::Verify,
                JobParameters::Verify(VerifyParameters { number: Some(number) }),
                Some(json!({ "number": 41 })),
            ),
            (
                JobKind::Restore,
                JobParameters::Restore(missing),
                Some(json!({
                    "number": 41, "mode": "missing", "select": "from:bob", "wrap_refused": true, "from_mailbox": 7,
                })),
            ),
        ] {
            assert_eq!(parameters.to_json(), json);
            assert_eq!(JobParameters::read(kind, json.as_ref()), Ok(parameters));
        }
    }
}
