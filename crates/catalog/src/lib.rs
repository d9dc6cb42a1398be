#![doc = include_str!("../README.md")]

mod audit;
mod backups;
mod catalog;
mod columns;
mod error;
mod jobs;
mod mailboxes;
mod migrate;
mod overview;
mod settings;
mod tls;

pub use audit::AuditEntry;
pub use backups::backup::{Backup, Facts};
pub use backups::complete::NewBackup;
pub use backups::rebuild::{Found, FoundLog, Rebuilt};
pub use catalog::Catalog;
pub use error::{Error, Result};
pub use jobs::claim::{Claim, ClaimAnswer, Claimed};
pub use jobs::due::{NewJob, Plannable};
pub use jobs::job::{Cancel, Job, Redrive};
pub use jobs::outbox::Ticket;
pub use jobs::requests::{RateLimit, Request, Requested};
pub use jobs::restores::DroppedRestore;
pub use jobs::running::{Failure, Heartbeat, Later, Slice};
pub use mailboxes::listing::{Listed, Ruled};
pub use mailboxes::mailbox::{Address, Mailbox, Unlisted};
pub use mailboxes::pauses::Pause;
pub use overview::{Ages, JobCount, OutboxLag, Overdue};
pub use settings::Settings;
