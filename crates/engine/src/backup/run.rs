//! One backup on its way.

use jmap::JmapBlobId;
use model::{DataType, Timestamp};
use repository::SnapshotWriter;

use super::draft::Draft;
use super::emails::recent::Recent;
use super::emails::tracked::TrackedEmails;
use super::keep::Keeping;
use super::options::Backup;
use super::slice::{Alarm, Slice};
use crate::error::Result;
use crate::server::account::RemoteAccount;

/// The account on the server, the snapshot that grows, and what is known of emails meanwhile.
pub(crate) struct Run<'a> {
    pub(crate) server: RemoteAccount<'a>,
    pub(crate) how: &'a Backup<'a>,
    pub(crate) draft: Draft<'a>,
    pub(crate) emails: TrackedEmails,
    /// Whether the server, rather than what is asked for, is at fault when something does not come.
    pub(crate) health: Health,
    pub(crate) alarm: Alarm,
    pub(crate) keeping: Option<Keeping>,
    /// Bytes that the slices before fetched.
    pub(crate) fetched_before: u64,
    pub(crate) started: Timestamp,
}

/// How fetching went lately.
#[derive(Default)]
pub(crate) struct Health {
    /// The last email that came.
    pub(crate) fetched: Option<JmapBlobId>,
    pub(crate) failed_in_a_row: u32,
}

impl<'a> Run<'a> {
    pub(crate) async fn new(
        server: RemoteAccount<'a>,
        writer: SnapshotWriter,
        how: &'a Backup<'a>,
        trusts: bool,
        (slice, started): (Option<&Slice>, Timestamp),
    ) -> Result<Run<'a>> {
        let draft = Draft::new(writer, how, trusts).await?;
        // Slices may have changed these rows.
        let emails = draft.base_state(DataType::Email).filter(|_| draft.writer.slices().is_none());
        let recent = Recent::new(emails.map_or(&[][..], |emails| &emails.recent));
        Ok(Run {
            server,
            how,
            emails: TrackedEmails::new(recent),
            health: Health::default(),
            alarm: Alarm::of(slice),
            keeping: Keeping::of(slice, &draft.counts),
            fetched_before: draft.counts.fetched_bytes,
            draft,
            started,
        })
    }

    /// No row of an email was written or counted yet.
    pub(crate) fn is_untouched(&self) -> bool {
        let counts = &self.draft.counts;
        let is_counted = counts.fetched_bytes > 0 || counts.removed > 0;
        !is_counted && self.emails.late.is_empty() && !self.emails.has_relabelled
    }
}
