#![doc = include_str!("../README.md")]

mod backup;
mod envelope;
mod error;
mod export;
mod reindex;
mod restore;
mod search;
mod server;
mod stored_emails;

pub use crate::export::{Export, Exported, Loss, Losses, Source, export};
pub use backup::attempts::{Ended, backup, backup_slice};
pub use backup::options::{Backup, Progress, Silent};
pub use backup::report::{Report, state_of};
pub use backup::slice::{Paused, Slice};
pub use error::{Error, Result, class_of};
pub use reindex::{Reindex, Reindexed, reindex};
pub use restore::{
    Act, KnownRestore, Leftover, Mode, ObjectRefusal, Planned, Refusal, Refusals, Register, RegisterError,
    Restore, RestoreId, RestoreParameters, Restored, RestoredObjects, Share, Tell, UNDER_WAY, Unremoved,
    UnremovedEmail, begin_restore, clear_leftover, leftovers, restore,
};
pub use search::diff::{Change, Diff, DiffCounts, Fate, FolderChange, Pair};
pub use search::find::{Found, Hit, find};
pub use search::folders::{Folder, FolderTree, Subfolders};
pub use search::query::QueryError;
pub use search::selection::{Predicate, Selection, Test};
pub use server::owner::{Owner, SignIn, is_each_users, may_act_as_owners};
