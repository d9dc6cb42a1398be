//! Gives a snapshot back to an account.

mod content;
mod dates;
mod exact;
mod finding;
mod folders;
mod held;
mod import;
mod landing;
mod ledger;
mod leftovers;
mod objects;
mod placing;
mod record;
mod rehearsal;
mod report;
mod request;
mod run;
mod safety;
mod shares;
mod staging;
mod target;
mod told;
mod twins;
mod uploads;
mod wrapping;

pub use leftovers::{Leftover, clear_leftover, leftovers};
pub use record::{KnownRestore, RestoreParameters};
pub use report::{ObjectRefusal, Refusal, Refusals, Restored, RestoredObjects, Unremoved, UnremovedEmail};
pub use request::{Act, Mode, Planned, Register, RegisterError, Restore, RestoreId, Tell, UNDER_WAY};
pub use run::{begin_restore, restore};
pub use shares::Share;
