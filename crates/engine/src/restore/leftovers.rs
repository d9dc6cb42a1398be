//! Folders that restores left in an account: of those that were cut off and that nobody goes on with.
//!
//! Clearing one away loses nothing: what was imported lies in its own folders, too, and stays there. What lies in the folder
//! alone goes where it is found: what a restore was about to remove into the folder for deleted emails, other emails into the inbox.
//! A process that still works on the restore finds its folder gone, and is refused by the server as a whole.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use jmap::{Account, Client};

use crate::error::Result;
use crate::restore::folders::own::{Phase, all_of, id_of, is_own};
use crate::restore::folders::placing::inbox;
use crate::restore::request::RestoreId;
use crate::restore::staging::Staging;
use crate::restore::target::{Folder, Target};

/// What one restore left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The restore.
    pub id: RestoreId,
    /// Its folders.
    pub folders: usize,
    /// Emails in them; most lie in other folders, too.
    pub emails: u64,
}

/// What restores have left in the account, or are using at this moment.
pub fn leftovers<'a>(client: &'a Client, account: &'a Account) -> BoxFuture<'a, Result<Vec<Leftover>>> {
    Box::pin(find_leftovers(client, account))
}

async fn find_leftovers(client: &Client, account: &Account) -> Result<Vec<Leftover>> {
    let target = Target::new(client, account, None);
    let mut found: BTreeMap<String, Leftover> = BTreeMap::new();
    for folder in target.folders().await? {
        let Some(id) = id_of(&folder) else { continue };
        let emails = target.emails(Some(&folder.id)).await?.len() as u64;
        let left = found.entry(id.to_string()).or_insert(Leftover { id, folders: 0, emails: 0 });
        left.folders += 1;
        left.emails += emails;
    }
    Ok(found.into_values().collect())
}

/// Takes away what a restore left in the account; nothing, if it left nothing.
pub fn clear_leftover<'a>(
    client: &'a Client,
    account: &'a Account,
    id: &'a RestoreId,
) -> BoxFuture<'a, Result<()>> {
    Box::pin(clear(client, account, id))
}

async fn clear(client: &Client, account: &Account, id: &RestoreId) -> Result<()> {
    let target = Target::new(client, account, None);
    let folders = target.folders().await?;
    let left = all_of(&folders, id);
    if left.is_empty() {
        return Ok(());
    }
    let own: Vec<Folder> = folders.into_iter().filter(|folder| !is_own(folder)).collect();
    let inbox = inbox(&own)?;
    let deleted = own.iter().find(|folder| folder.role.as_deref() == Some("trash"));
    let deleted = deleted.map_or(&inbox, |folder| &folder.id);
    for (phase, folder) in left {
        let home = if phase == Phase::Removing { deleted } else { &inbox };
        Staging::left(target, id, folder).dissolve(home).await?;
    }
    Ok(())
}
