//! Makes one snapshot of one account.

mod agree;
pub(crate) mod attempts;
mod commit;
mod counts;
mod doubts;
mod draft;
pub(crate) mod emails;
mod fetch;
mod keep;
pub(crate) mod objects;
pub(crate) mod options;
mod probe;
pub(crate) mod report;
mod run;
mod settle;
pub(crate) mod slice;
mod spine;
mod states;
mod take;
