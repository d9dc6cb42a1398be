//! Gives a snapshot back to an account.

mod content;
mod dates;
mod exact;
mod folders;
mod held;
mod import;
mod ledger;
mod placing;
mod report;
mod request;
mod run;
mod staging;
mod target;
mod twins;

pub use report::{Refusal, Refusals, Restored};
pub use request::{Mode, Restore, RestoreId};
pub use run::restore;
