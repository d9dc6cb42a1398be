//! What several commands print of a snapshot: types that are incomplete, objects that could not be fetched.

use anyhow::Result;
use repository::{FailureRecord, TypeState, TypeStatus};
use serde::Serialize;

use crate::terminal::failure::one_line;
use crate::terminal::output::{Out, count};

/// How well a snapshot knows one type.
#[derive(Debug, Serialize)]
pub(crate) struct TypeRow {
    #[serde(rename = "type")]
    pub(crate) name: &'static str,
    pub(crate) status: &'static str,
    pub(crate) count: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// Properties that the mail server did not give.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_given: Vec<String>,
    /// Whether what each user has of their own is the owner's; of other types nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of_owner: Option<bool>,
}

impl From<&TypeState> for TypeRow {
    fn from(state: &TypeState) -> TypeRow {
        TypeRow {
            name: state.data_type.name(),
            status: match state.status {
                TypeStatus::Complete => "complete",
                TypeStatus::NotOffered => "not offered",
                TypeStatus::Moving => "moving",
                TypeStatus::Stale => "stale",
            },
            count: state.count,
            reason: state.reason.clone(),
            not_given: state.not_given.clone(),
            of_owner: (engine::is_each_users(state.data_type) && state.count > 0).then_some(state.of_owner),
        }
    }
}

impl TypeRow {
    /// Neither complete nor absent by nature.
    pub(crate) fn is_incomplete(&self) -> bool {
        matches!(self.status, "moving" | "stale")
    }

    /// `: the reason`, if there is one.
    pub(crate) fn because(&self) -> String {
        match one_line(&self.reason, 200) {
            reason if reason.is_empty() => reason,
            reason => format!(": {reason}"),
        }
    }
}

/// What could not be fetched, in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct FailureRow {
    #[serde(rename = "type")]
    data_type: &'static str,
    id: String,
    reason: String,
    attempts: u32,
}

impl From<&FailureRecord> for FailureRow {
    fn from(record: &FailureRecord) -> FailureRow {
        FailureRow {
            data_type: record.data_type.name(),
            id: record.id.clone(),
            reason: record.reason.clone(),
            attempts: record.attempts,
        }
    }
}

/// Objects that could not be fetched, by name.
pub(crate) fn print_failures(failures: &[FailureRecord], most: usize, out: &Out) -> Result<()> {
    for failure in failures.iter().take(most) {
        let id = one_line(&failure.id, 80);
        let reason = one_line(&failure.reason, 200);
        let tried = count(failure.attempts.into(), "time");
        out.line(format_args!("  {} {id}: {reason} (tried {tried})", failure.data_type))?;
    }
    match failures.len().saturating_sub(most) {
        0 => Ok(()),
        more => out.line(format_args!("  and {more} more; --json lists them all")),
    }
}
