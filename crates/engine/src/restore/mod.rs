//! Gives a snapshot back to an account.

mod content;
mod dates;
mod exact;
mod folders;
mod held;
mod import;
mod landing;
mod ledger;
mod objects;
mod placing;
mod rehearsal;
mod report;
mod request;
mod run;
mod staging;
mod target;
mod twins;
mod uploads;

pub use report::{ObjectRefusal, Refusal, Refusals, Restored, RestoredObjects};
pub use request::{Act, Mode, Planned, Restore, RestoreId, Tell};
pub use run::restore;
