//! Which items of a snapshot an export takes.

use std::collections::BTreeSet;

use model::{DataType, EmailRecord, FolderId};
use repository::Snapshot;

use crate::error::Result;
use crate::search::folders::FolderTree;
use crate::search::selection::{Predicate, Selection};

/// Everything, or what a selection means.
pub(super) struct Wanted {
    chosen: Option<Chosen>,
    /// How many emails.
    pub(super) emails: u64,
}

struct Chosen {
    predicate: Predicate,
    /// Those that hold the emails, and those above.
    folders: BTreeSet<FolderId>,
}

impl Wanted {
    /// Looks through the emails once if there is a selection: folders come before emails.
    pub(super) async fn read(snapshot: &Snapshot, selection: Option<&Selection>) -> Result<Wanted> {
        let Some(selection) = selection else {
            return Ok(Wanted { chosen: None, emails: snapshot.info().summary.emails });
        };
        let tree = FolderTree::read(snapshot).await?;
        if let Some(path) = selection.missing_folder(std::slice::from_ref(&tree)) {
            return Err(tree.lacks(path));
        }
        let mut chosen = Chosen { predicate: selection.among(&tree), folders: BTreeSet::new() };
        let (mut all, mut emails) = (snapshot.emails().await?, 0);
        while let Some(email) = all.next().await? {
            if chosen.predicate.matches(&email) {
                emails += 1;
                email.folders.iter().for_each(|folder| tree.add_upwards(folder, &mut chosen.folders));
            }
        }
        Ok(Wanted { chosen: Some(chosen), emails })
    }

    pub(super) fn email(&self, email: &EmailRecord) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen.predicate.matches(email))
    }

    /// Whether anything of a type may be wanted.
    pub(super) fn is_of(&self, data_type: DataType) -> bool {
        self.chosen.is_none() || matches!(data_type, DataType::Email | DataType::Mailbox)
    }

    /// Of a selection only folders.
    pub(super) fn object(&self, data_type: DataType, id: &str) -> bool {
        let is_chosen =
            |chosen: &Chosen| data_type == DataType::Mailbox && chosen.folders.contains(&FolderId::from(id));
        self.chosen.as_ref().is_none_or(is_chosen)
    }
}
