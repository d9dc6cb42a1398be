//! The numbered log: its rules (`fold`) and its objects (`journal`).

pub mod fold;
pub(crate) mod journal;
