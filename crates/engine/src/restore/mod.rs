//! Gives a snapshot back to an account.

mod content;
mod emails;
mod exact;
mod folders;
mod leftovers;
mod objects;
mod record;
mod rehearsal;
mod report;
mod request;
mod run;
mod safety;
mod seam;
mod shares;
mod staging;
mod target;
mod told;
mod uploads;

pub use leftovers::{Leftover, clear_leftover, leftovers};
pub use record::{KnownRestore, RestoreParameters};
pub use report::{ObjectRefusal, Refusal, Refusals, Restored, RestoredObjects, Unremoved, UnremovedEmail};
pub use request::{Act, Mode, Planned, Register, RegisterError, Restore, RestoreId, Tell, UNDER_WAY};
pub use run::{begin_restore, restore};
pub use shares::Share;
