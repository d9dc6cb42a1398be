//! Brings the objects of one type but Email to a state the server really had. They are few: whole types are read into
//! memory, and only what differs from the base becomes rows.

use jmap::State;
use model::DataType;
use repository::{TypeState, TypeStatus};

use super::events::lacking;
use super::found::Unread;
use super::reading::{ReadType, read_type};
use crate::backup::probe::Offer;
use crate::backup::run::Run;
use crate::backup::states::TypeStates;
use crate::error::{Error, Result};
use crate::server::account::is_fatal;
use crate::server::owner::is_each_users;
use crate::server::properties;

/// Types with more objects than this are brought up to date by `/changes`.
const LONG_TYPE: u64 = 400;

/// How a type ended up.
pub(crate) struct SyncedObjects {
    pub(crate) state: String,
    pub(crate) status: TypeStatus,
    pub(crate) count: u64,
    /// Properties that the server does not give; `None`: no object was read.
    pub(crate) not_given: Option<Vec<String>>,
}

impl Run<'_> {
    pub(crate) async fn sync_type(
        &mut self,
        t: DataType,
        offer: &Offer,
        types: &mut TypeStates,
    ) -> Result<()> {
        let state = match offer {
            Offer::No => {
                self.not_offered(t, types);
                return Ok(());
            }
            Offer::Broken(reason) => {
                self.keep(t, reason, types);
                return Ok(());
            }
            Offer::State(Some(state), _) => state.as_str(),
            Offer::State(None, Some(fingerprint)) => fingerprint.as_str(),
            Offer::State(None, None) => "",
        };
        let witness = match offer {
            Offer::State(Some(_), Some(fingerprint)) => self.witness_of(t, fingerprint),
            _ => 0,
        };
        let base = self.draft.base_state(t).cloned();
        let same_flags = base.as_ref().is_some_and(|base| base.witness == witness);
        let trusted = self.draft.trusted_state(t).filter(|_| same_flags);
        let has_failed = self.draft.has_failures_of(t);
        // Fewer are read as a whole: one request, of one moment, and no history to trust.
        let is_long = base.as_ref().is_some_and(|base| base.count > LONG_TYPE);
        let unchanged = trusted.as_ref().is_some_and(|trusted| trusted.as_str() == state) && !has_failed;
        let was_of_owner = base.as_ref().is_some_and(|base| base.of_owner);
        let shows_more = self.shows_more_now(t, base.as_ref(), unchanged).await;
        let (trusted, unchanged) = (trusted.filter(|_| !shows_more), unchanged && !shows_more);
        let counted = match &trusted {
            Some(since) if !unchanged && !has_failed => self.server.counted_since(t, since).await,
            _ => None,
        };
        let state = counted.as_ref().map_or(state, State::as_str);
        if let (true, Some(base)) = (unchanged || counted.is_some(), base) {
            types.set(t, TypeStatus::Complete, state, base.count, "");
            types.set_witness(t, witness);
            types.set_not_given(t, base.not_given);
            types.set_of_owner(t, base.of_owner);
            return Ok(());
        }
        let not_given = self.draft.base_state(t).map(|base| base.not_given.clone()).unwrap_or_default();
        let since = trusted.filter(|_| is_long && !has_failed);
        let is_difference = since.is_some();
        match self.sync_objects(t, since).await? {
            Ok(synced) => {
                // Rows that stay are as the user who made the base saw them.
                let of_owner = self.server.is_owners(t).await && (!is_difference || was_of_owner);
                types.set(t, synced.status, &synced.state, synced.count, "");
                types.set_witness(t, witness);
                let lacks = synced.not_given.unwrap_or_else(|| not_given.clone());
                let lacks = if is_difference { lacking(lacks, &not_given) } else { lacks };
                types.set_not_given(t, lacks);
                types.set_of_owner(t, of_owner);
            }
            Err(error) => self.keep(t, &error.to_string(), types),
        }
        Ok(())
    }

    /// Tells of the flags of a type's objects, and of what is read beside them: a base that was made without it is read as a whole.
    fn witness_of(&self, t: DataType, fingerprint: &str) -> u64 {
        let beside = properties::home_of(t).map_or("", |_| properties::MEMBER);
        self.draft.hasher.short(&format!("{fingerprint}{beside}")).max(1)
    }

    /// Whether all of a type has to be read because the server shows more of it than the base holds: the owner's view instead of somebody
    /// else's, texts of events, or properties of collections. Nobody signs in as the owner for what did not change.
    async fn shows_more_now(&self, t: DataType, base: Option<&TypeState>, unchanged: bool) -> bool {
        let is_others = is_each_users(t) && !base.is_some_and(|base| base.of_owner);
        let may_ask = is_others && (self.server.has_reached_owner() || !unchanged);
        may_ask && self.server.is_owners(t).await
            || self.shows_texts_now(base).await
            || self.server.shows_properties_now(t, base).await
    }

    /// Syncs one type. `since`: what the rows of the base, or of an earlier call of this run, are the state of.
    pub(crate) async fn sync_objects(
        &mut self,
        data_type: DataType,
        since: Option<State>,
    ) -> Result<Result<SyncedObjects, Unread>> {
        let read = match read_type(&self.server, &self.draft.hasher, data_type, since).await {
            Ok(mut read) => {
                let lacks = self.server.add_properties(data_type, &mut read.found).await;
                lacks.map(|lacks| (read, lacks))
            }
            Err(error) => Err(error),
        };
        let (ReadType { mut found, state, status }, lacks) = match read {
            Ok(read) => read,
            Err(source) if is_fatal(&source) => {
                return Err(Error::Server { what: "the account's objects", source });
            }
            Err(error) => return Ok(Err(error)),
        };
        let mut not_given = found.not_given.take();
        let mut known = std::mem::take(self.draft.objects_of(data_type).await?);
        let put = self.put_objects(data_type, found, &mut known).await;
        let count = known.len() as u64;
        *self.draft.objects_of(data_type).await? = known;
        for lacks in put?.into_iter().chain(lacks) {
            not_given.get_or_insert_default().insert(lacks);
        }
        let not_given = not_given.map(|names| names.into_iter().map(str::to_owned).collect());
        Ok(Ok(SyncedObjects { state, status, count, not_given }))
    }

    /// A type whose objects stay those of the base, because it could not be read.
    pub(crate) fn keep(&self, t: DataType, reason: &str, types: &mut TypeStates) {
        let count = self.draft.base_state(t).map_or(0, |known| known.count);
        types.set(t, TypeStatus::Stale, "", count, reason);
    }

    pub(crate) fn not_offered(&self, t: DataType, types: &mut TypeStates) {
        match self.draft.base_state(t).map(|known| known.status) {
            None | Some(TypeStatus::NotOffered) => types.set(t, TypeStatus::NotOffered, "", 0, ""),
            Some(_) => self.keep(t, "the server offered it before and does not now", types),
        }
    }
}
