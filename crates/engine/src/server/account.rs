//! The account as the mail server shows it: to its owner where that is possible, else to the one who signs in.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jmap::{Account, Batch, Changes, Client, Id, Ids, MethodErrorKind, State, Whole};
use model::{DataType, FolderId};

use super::listing::{IdList, list_ids};
use super::owner::{Owner, is_each_users, may_act_as_owners};
use super::types::to_jmap;
use crate::error::Result;
use crate::search::diff::COUNTS;

/// Changes asked for at once.
const CHANGES_PAGE: usize = 5_000;
/// Pages after which the server means no good.
const CHANGES_PAGES: usize = 1_000;
/// Changes after which listing is as short a way, and one that needs no memory for each of them.
const MOST_CHANGES: usize = 50_000;

/// An account, and who reads it.
pub(crate) struct RemoteAccount<'a> {
    pub(crate) client: &'a Client,
    pub(crate) account: &'a Account,
    owner: Option<&'a Owner<'a>>,
    /// What the owner may not read; the one who signs in does.
    denied_to_owner: Mutex<BTreeSet<DataType>>,
}

/// All changes of a type between two states.
pub(crate) struct Delta {
    pub(crate) to: State,
    pub(crate) changed: BTreeSet<Id>,
    pub(crate) gone: BTreeSet<Id>,
}

impl Delta {
    pub(crate) fn touches(&self, ids: &BTreeSet<Id>) -> bool {
        self.changed.iter().chain(&self.gone).any(|id| ids.contains(id))
    }

    pub(crate) fn names(&self, id: &Id) -> bool {
        self.changed.contains(id) || self.gone.contains(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }
}

impl<'a> RemoteAccount<'a> {
    pub(crate) fn new(
        client: &'a Client,
        account: &'a Account,
        owner: Option<&'a Owner<'a>>,
    ) -> RemoteAccount<'a> {
        RemoteAccount { client, account, owner, denied_to_owner: Mutex::default() }
    }

    /// Objects that one request may be about.
    pub(crate) fn most_in_get(&self) -> usize {
        self.client.session().limits.max_objects_in_get
    }

    /// These objects with all their properties, in an answer of at most so many bytes.
    pub(crate) async fn get(
        &self,
        data_type: DataType,
        ids: Ids<Id>,
        most_bytes: u64,
    ) -> Result<Whole, jmap::Error> {
        let (account, of_type) = (&self.account.id, to_jmap(data_type));
        if let Some(owner) = self.owner_of(data_type).await? {
            match owner.get_whole(account, of_type, &ids, Some(most_bytes)).await {
                // Some owners may not read this type, and the one who signs in may.
                Err(error) if is_denied(&error) => drop(self.denied_to_owner().insert(data_type)),
                answer => return answer,
            }
        }
        self.client.get_whole(account, of_type, &ids, Some(most_bytes)).await
    }

    /// The ids of all objects of a type.
    pub(crate) async fn ids(&self, data_type: DataType) -> Result<IdList> {
        list_ids(self.client, &self.account.id, to_jmap(data_type)).await
    }

    /// The state of a type.
    pub(crate) async fn state(&self, data_type: DataType) -> Result<Option<State>, jmap::Error> {
        let mut batch = Batch::new(&self.account.id);
        let call = batch.state(to_jmap(data_type));
        Ok(self.client.call(&batch).await?.take(call)?.state)
    }

    /// Everything between `since` and now; `None` when the server does not know, or it is too much. `each` sees the answers in their
    /// order.
    pub(crate) async fn changes(
        &self,
        data_type: DataType,
        since: &State,
        mut each: impl FnMut(&Changes),
    ) -> Result<Option<Delta>, jmap::Error> {
        let mut delta = Delta { to: since.clone(), changed: BTreeSet::new(), gone: BTreeSet::new() };
        for _ in 0..CHANGES_PAGES {
            let mut batch = Batch::new(&self.account.id);
            let call = batch.changes(to_jmap(data_type), &delta.to, CHANGES_PAGE);
            let page = match self.client.call(&batch).await.and_then(|answer| answer.take(call)) {
                Ok(page) => page,
                Err(error) if cannot_tell(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            each(&page);
            for id in page.created.into_iter().chain(page.updated) {
                delta.gone.remove(&id);
                delta.changed.insert(id);
            }
            for id in page.destroyed {
                delta.changed.remove(&id);
                delta.gone.insert(id);
            }
            delta.to = page.new_state;
            if delta.changed.len() + delta.gone.len() > MOST_CHANGES {
                return Ok(None);
            }
            if !page.has_more_changes {
                return Ok(Some(delta));
            }
        }
        Ok(None)
    }

    /// The state to which nothing but the numbers of emails has changed (RFC 8621 section 2.2): folders that only got mail need not be
    /// read as their owner sees them. `None`: more has changed, or the server does not tell.
    pub(crate) async fn counted_since(&self, data_type: DataType, since: &State) -> Option<State> {
        if data_type != DataType::Mailbox || self.account.is_personal || self.owner.is_none() {
            return None;
        }
        let mut is_counted = true;
        let is_count = |name: &String| COUNTS.contains(&name.as_str());
        let note = |page: &Changes| {
            let names = page.updated_properties.as_deref().unwrap_or_default();
            let are_counts = !names.is_empty() && names.iter().all(is_count);
            is_counted &= page.created.is_empty() && page.destroyed.is_empty();
            is_counted &= are_counts || page.updated.is_empty();
        };
        let delta = self.changes(data_type, since, note).await.ok()??;
        is_counted.then_some(delta.to)
    }

    /// Whether the server, asked for these folders by their ids, knows none of them.
    pub(crate) async fn are_gone(&self, folders: &BTreeSet<FolderId>, most_bytes: u64) -> bool {
        let ids: Vec<Id> = folders.iter().filter_map(|folder| Id::new(folder.as_str()).ok()).collect();
        match self.get(DataType::Mailbox, Ids::These(ids), most_bytes).await {
            Ok(whole) => whole.objects.list.is_empty() && whole.objects.not_found.len() == folders.len(),
            Err(_) => false,
        }
    }

    /// Whether objects of this type are read as the account's owner sees them.
    pub(crate) async fn is_owners(&self, data_type: DataType) -> bool {
        self.account.is_personal || matches!(self.owner_of(data_type).await, Ok(Some(_)))
    }

    /// Whether the owner reads, or would without signing in first.
    pub(crate) fn has_reached_owner(&self) -> bool {
        self.account.is_personal || self.owner.is_some_and(Owner::is_signed_in)
    }

    /// Who reads objects of this type.
    pub(crate) async fn reader_of(&self, data_type: DataType) -> Result<&Client, jmap::Error> {
        Ok(self.owner_of(data_type).await?.unwrap_or(self.client))
    }

    /// The account's owner, who reads a type of which each user has something of their own, where somebody else signs in and may act as
    /// the owner.
    async fn owner_of(&self, data_type: DataType) -> Result<Option<&Client>, jmap::Error> {
        match self.owner {
            Some(owner)
                if is_each_users(data_type)
                    && !self.account.is_personal
                    && may_act_as_owners(self.client)
                    && !self.denied_to_owner().contains(&data_type) =>
            {
                owner.client().await
            }
            _ => Ok(None),
        }
    }

    fn denied_to_owner(&self) -> MutexGuard<'_, BTreeSet<DataType>> {
        self.denied_to_owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refused to this user, whatever is asked.
fn is_denied(error: &jmap::Error) -> bool {
    use MethodErrorKind as K;
    let is_method = |kind: &K| {
        matches!(kind, K::UnknownMethod | K::Forbidden | K::AccountNotFound | K::AccountNotSupportedByMethod)
    };
    matches!(error, jmap::Error::Status { status: 403, .. })
        || error.method_error().is_some_and(|error| is_method(&error.kind))
}

/// The server has no history that far back, or none at all.
fn cannot_tell(error: &jmap::Error) -> bool {
    use MethodErrorKind as K;
    error
        .method_error()
        .is_some_and(|e| matches!(e.kind, K::CannotCalculateChanges | K::UnknownMethod | K::InvalidArguments))
}

/// Errors that would meet the other types as well.
pub(crate) fn is_fatal(error: &jmap::Error) -> bool {
    use jmap::Error as E;
    matches!(
        error,
        E::Unreachable(_) | E::Tls(_) | E::Unauthorized | E::Withheld | E::Cancelled | E::Setup(_)
    )
}
