//! What a backup knows of emails while it reads them, beside their rows.

use std::collections::{BTreeSet, HashMap};

use jmap::Id;
use model::{BlobId, EmailId, EmailRecord, FolderId};

use super::listed::Listed;
use super::recent::Recent;
use super::renumbered::Renumbered;

/// Emails that were read, and what is open about them.
pub(crate) struct TrackedEmails {
    /// Emails whose rows were changed one by one; `None`: removed.
    pub(crate) late: HashMap<EmailId, Option<Box<EmailRecord>>>,
    /// The last full listing of this run and the length of each email that was fetched for it.
    pub(crate) listed: Option<Listed>,
    /// The listing is still being worked off.
    pub(crate) is_listing: bool,
    /// Folders that emails lay in when they were listed.
    pub(crate) listed_folders: BTreeSet<FolderId>,
    /// Emails came or went while their ids were listed: one may have done both, and no state tells of it.
    pub(crate) listed_under_way: bool,
    /// The listing changed a row without fetching.
    pub(crate) has_relabelled: bool,
    /// The server named an email that it then said not to have.
    pub(crate) contradicted: bool,
    /// Emails of the base that were touched last and are other ones now; the server's changes must name them.
    pub(crate) unexplained: BTreeSet<Id>,
    /// Emails whose bytes are gone although the server listed them.
    pub(crate) vanished: BTreeSet<EmailId>,
    /// Emails the server named and then said not to have; its changes must say that they were destroyed.
    pub(crate) doubted: BTreeSet<EmailId>,
    /// Emails that the listing found as they were, and whose envelopes are to be read again.
    pub(crate) outdated: Vec<(EmailId, BlobId)>,
    /// Emails of the snapshot that grows that were touched last.
    pub(crate) recent: Recent,
    /// Emails that came and went, to tell those that only have other ids now.
    pub(crate) renumbered: Renumbered,
}

impl TrackedEmails {
    pub(crate) fn new(recent: Recent) -> TrackedEmails {
        TrackedEmails {
            late: HashMap::new(),
            listed: None,
            is_listing: false,
            listed_folders: BTreeSet::new(),
            listed_under_way: false,
            has_relabelled: false,
            contradicted: false,
            unexplained: BTreeSet::new(),
            vanished: BTreeSet::new(),
            doubted: BTreeSet::new(),
            outdated: Vec::new(),
            recent,
            renumbered: Renumbered::default(),
        }
    }

    /// Length of an email as far as this run has touched it.
    pub(crate) fn length_of(&self, id: &EmailId) -> Option<u64> {
        if let Some(late) = self.late.get(id) {
            return late.as_ref().map(|record| record.size);
        }
        let listed = self.listed.as_ref()?;
        listed.length_at(listed.ids.position(id.as_str())?)
    }

    /// Length of an email that is in the snapshot now.
    pub(crate) fn size_now(&self, id: &EmailId, in_base: Option<&EmailRecord>) -> Option<u64> {
        let untouched = match &self.listed {
            None => true,
            Some(listed) => listed.ids.position(id.as_str()).is_some_and(|at| listed.length_at(at).is_none()),
        };
        self.length_of(id).or_else(|| in_base.filter(|_| untouched).map(|record| record.size))
    }

    /// Whether its row was removed one by one.
    pub(crate) fn is_removed(&self, id: &EmailId) -> bool {
        matches!(self.late.get(id), Some(None))
    }

    /// The folders that an email lies in, as far as this run looked at it, and that are not among these. A folder that was
    /// destroyed after its emails were listed is missed needlessly: the next backup finds everything in order.
    pub(crate) fn unknown_folders(&self, is_known: impl Fn(&FolderId) -> bool) -> BTreeSet<FolderId> {
        let late = self.late.values().flatten().flat_map(|record| &record.folders);
        late.chain(&self.listed_folders).filter(|folder| !is_known(folder)).cloned().collect()
    }
}
