//! The numbered log: its rules (`fold`, `prune_rules`) and its objects (`journal`).

pub mod fold;
pub(crate) mod journal;
pub mod prune_rules;
