//! Emails and folders of a snapshot agree: no email lies in a folder that the snapshot does not have.

use model::{DataType, FolderId};
use repository::TypeStatus;

use super::objects::reading::MOST_BYTES;
use super::run::Run;
use super::states::TypeStates;
use crate::error::Result;

/// Rounds in which emails and folders are brought to agree.
const ROUNDS: usize = 8;

impl Run<'_> {
    /// After the folders were read, emails are brought up to date once more, and when one then lies in a folder that is not known yet,
    /// so are the folders. Where nothing has changed since these were listed and the server, asked for the folder by its id, does
    /// not know it, the email lies in it as the server has it: Stalwart 0.16 takes a request that names a folder which another one is
    /// destroying.
    pub(crate) async fn agree(&mut self, types: &mut TypeStates) -> Result<()> {
        let mut listed = None;
        for _ in 0..ROUNDS {
            let (Some(since), Some(_)) = (types.complete(DataType::Email), types.complete(DataType::Mailbox))
            else {
                return Ok(());
            };
            let emails = self.bring_up(since, None).await?;
            types.set(DataType::Email, emails.status, emails.state.as_str(), self.draft.counts.emails, "");
            let folders = self.draft.objects_of(DataType::Mailbox).await?;
            let unknown = self.emails.unknown_folders(|id: &FolderId| folders.contains_key(id.as_str()));
            if emails.status != TypeStatus::Complete || unknown.is_empty() {
                return Ok(());
            }
            if listed.as_ref() == Some(&emails.state) && self.server.are_gone(&unknown, MOST_BYTES).await {
                return Ok(());
            }
            listed = Some(emails.state);
            match self.sync_objects(DataType::Mailbox, None).await? {
                Ok(synced) => {
                    types.set(DataType::Mailbox, synced.status, &synced.state, synced.count, "");
                    types.set_not_given(DataType::Mailbox, synced.not_given.unwrap_or_default());
                    types.set_of_owner(DataType::Mailbox, self.server.is_owners(DataType::Mailbox).await);
                }
                Err(error) => {
                    self.keep(DataType::Mailbox, &error.to_string(), types);
                    return Ok(());
                }
            }
        }
        if let Some(emails) = types.states.get_mut(&DataType::Email) {
            emails.status = TypeStatus::Moving;
        }
        Ok(())
    }
}
