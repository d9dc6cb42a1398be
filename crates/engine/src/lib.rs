#![doc = include_str!("../README.md")]

mod backup;
mod chunker;
mod diff;
mod emails;
mod envelope;
mod error;
mod events;
mod export;
mod fetch;
mod find;
mod fold;
mod folders;
mod join;
mod keep;
mod letters;
mod listed;
mod listing;
mod metadata;
mod objects;
mod options;
mod owner;
mod probe;
mod pump;
mod query;
mod recent;
mod reindex;
mod renewal;
mod renumbered;
mod report;
mod restore;
mod run;
mod selection;
mod slice;
mod types;
mod witness;

pub use crate::export::{Export, Exported, Loss, Losses, Source, export};
pub use backup::{Ended, backup, backup_slice};
pub use diff::{Change, Diff, DiffCounts, Fate, FolderChange, Pair};
pub use error::{Error, Result, class_of};
pub use find::{Found, Hit, find};
pub use folders::{Folder, FolderTree, Subfolders};
pub use options::{Backup, Progress, Silent};
pub use owner::{Owner, SignIn, is_each_users, may_act_as_owners};
pub use query::QueryError;
pub use reindex::{Reindex, Reindexed, reindex};
pub use report::{Report, state_of};
pub use restore::{
    Act, KnownRestore, Leftover, Mode, ObjectRefusal, Planned, Refusal, Refusals, Register, RegisterError,
    Restore, RestoreId, RestoreParameters, Restored, RestoredObjects, Share, Tell, UNDER_WAY, Unremoved,
    UnremovedEmail, begin_restore, clear_leftover, leftovers, restore,
};
pub use selection::{Predicate, Selection, Test};
pub use slice::{Paused, Slice};
