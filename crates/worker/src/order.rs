//! What a job's parameters say, as JSON in the catalogue.

use engine::{Mode, Selection};
use model::BackupNumber;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// Parameters of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreOrder {
    /// The backup that comes back.
    pub number: u64,
    /// How.
    pub mode: RestoreMode,
    /// Which emails, in the words of `malle find`; then nothing but emails comes back. All, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// The mailbox that the backup is of, if it is another one: what that had is given to the job's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_mailbox: Option<u64>,
}

/// How a backup comes back: [`engine::Mode`] in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoreMode {
    /// Into a folder of its own.
    Beside,
    /// Only what is not there any more.
    Missing,
    /// The account becomes what the backup has.
    Exact,
}

impl From<RestoreMode> for Mode {
    fn from(mode: RestoreMode) -> Mode {
        match mode {
            RestoreMode::Beside => Mode::Beside,
            RestoreMode::Missing => Mode::Missing,
            RestoreMode::Exact => Mode::Exact,
        }
    }
}

/// Parameters of a backup; none at all mean an incremental one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupOrder {
    /// Everything is listed, whatever the server says of changes.
    #[serde(default)]
    pub full: bool,
}

/// Parameters of a verification; none at all mean the newest backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyOrder {
    /// The backup that is read again; `None`: the mailbox's newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

impl RestoreOrder {
    pub(crate) fn read(parameters: Option<&Value>) -> Result<RestoreOrder> {
        let order: RestoreOrder = read(parameters.ok_or(Error::Order { reason: "there are none" })?)?;
        if order.mode == RestoreMode::Exact && order.select.is_some() {
            return Err(Error::Order { reason: "an exact restore of a selection would remove all the rest" });
        }
        Ok(order)
    }

    pub(crate) fn number(&self) -> BackupNumber {
        BackupNumber(self.number)
    }

    pub(crate) fn selection(&self) -> Result<Selection> {
        match &self.select {
            None => Ok(Selection::default()),
            Some(text) => text.parse().map_err(|_| Error::Order { reason: "the selection cannot be read" }),
        }
    }
}

impl BackupOrder {
    pub(crate) fn read(parameters: Option<&Value>) -> Result<BackupOrder> {
        parameters.map_or(Ok(BackupOrder::default()), read)
    }
}

impl VerifyOrder {
    pub(crate) fn read(parameters: Option<&Value>) -> Result<VerifyOrder> {
        parameters.map_or(Ok(VerifyOrder::default()), read)
    }
}

fn read<T: DeserializeOwned>(parameters: &Value) -> Result<T> {
    T::deserialize(parameters)
        .map_err(|_| Error::Order { reason: "a field is missing, unknown or of the wrong kind" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn orders_are_read_strictly() {
        let read = |json: Value| RestoreOrder::read(Some(&json)).ok();
        let order = read(json!({"number": 41, "mode": "missing"})).expect("the least that is needed");
        assert_eq!((order.number, order.mode, order.from_mailbox), (41, RestoreMode::Missing, None));
        assert_eq!(read(json!({"number": 41})), None, "how it comes back is never guessed");
        assert_eq!(read(json!({"number": 41, "mode": "exact", "select": "from:bob"})), None);
        assert_eq!(
            read(json!({"number": 41, "mode": "missing", "dry": true})),
            None,
            "unknown to this version"
        );
        assert!(RestoreOrder::read(None).is_err());
        assert_eq!(BackupOrder::read(None).ok(), Some(BackupOrder { full: false }));
        assert_eq!(BackupOrder::read(Some(&json!({"full": true}))).ok(), Some(BackupOrder { full: true }));
        assert!(BackupOrder::read(Some(&json!({"fool": true}))).is_err());
        assert_eq!(VerifyOrder::read(None).ok(), Some(VerifyOrder::default()));
    }

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        let order = json!({"number": 41, "mode": "missing", "select": "geheim:bob"});
        let order = RestoreOrder::read(Some(&order)).expect("the selection is read later");
        let error = order.selection().expect_err("no such key");
        assert!(!error.chain().contains("geheim"), "{error}");
    }
}
