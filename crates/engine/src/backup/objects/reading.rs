//! Reads the objects of one type but Email, at a state that the server really had.
//!
//! What fits one answer is of one moment; of what does not, the ids are listed first, then what changed meanwhile is read again.

use std::collections::BTreeSet;

use jmap::{Id, Ids, State, Whole};
use model::DataType;
use repository::{BlobHasher, TypeStatus};

use super::found::{Found, Unread, has_state, incomplete};
use crate::backup::settle::{Follow, Followed, follow};
use crate::error::Error;
use crate::server::account::{Delta, RemoteAccount};
use crate::server::types::to_jmap;

/// Listings before a type counts as moving.
const LISTINGS: usize = 8;
/// Objects fetched at once; some (contacts with pictures) are long.
const GET_AT_ONCE: usize = 100;
/// Longest answer; objects are held in memory.
pub(crate) const MOST_BYTES: u64 = 16 << 20;
/// Longest answer about a single object; one that is longer is named as not fetched.
const MOST_BYTES_ALONE: u64 = 40 << 20;
/// A type with more objects than this is refused rather than held.
const MOST_OBJECTS: usize = 200_000;

/// A type as it was read, and at which state.
pub(crate) struct ReadType {
    pub(crate) found: Found,
    pub(crate) state: String,
    pub(crate) status: TypeStatus,
}

/// One type while it is read.
struct Reading<'a> {
    server: &'a RemoteAccount<'a>,
    data_type: DataType,
    found: Found,
}

/// Reads what changed since a state, or everything.
pub(crate) async fn read_type(
    server: &RemoteAccount<'_>,
    hasher: &BlobHasher,
    data_type: DataType,
    since: Option<State>,
) -> Result<ReadType, Unread> {
    if let Some(since) = since.filter(|_| to_jmap(data_type).has_changes()) {
        let mut reading = Reading { server, data_type, found: Found::default() };
        if let Some((state, status)) = reading.follow(since, None).await? {
            return Ok(ReadType { found: reading.found, state, status });
        }
    }
    list_type(server, hasher, data_type).await
}

async fn list_type(
    server: &RemoteAccount<'_>,
    hasher: &BlobHasher,
    data_type: DataType,
) -> Result<ReadType, Unread> {
    let mut last = None;
    for _ in 0..LISTINGS {
        let mut reading = Reading { server, data_type, found: Found::of_all() };
        let whole = reading.get_all().await?;
        let state = whole.objects.state.clone();
        let (before, listed) = if whole.objects.may_be_cut {
            let before =
                state.ok_or_else(|| incomplete(data_type, "the server may have cut the list off"))?;
            let (listed, is_settled) = reading.read_by_pages(&before).await?;
            if is_settled {
                return reading.complete(before.as_str().to_owned());
            }
            (before, listed)
        } else {
            reading.found.add_whole(data_type, &whole)?;
            match state.clone().filter(|_| whole.is_torn && to_jmap(data_type).has_changes()) {
                Some(before) => (before, None),
                None => {
                    let state = state.filter(|_| has_state(data_type));
                    let state = state.map(|state| state.as_str().to_owned());
                    let state = state.unwrap_or_else(|| reading.found.fingerprint(hasher));
                    return reading.complete(state);
                }
            }
        };
        let settled = reading.settle(&before, listed).await?;
        let is_settled = settled.is_some();
        let (state, status) = settled.unwrap_or((before.as_str().to_owned(), TypeStatus::Moving));
        last = Some(ReadType { found: reading.found, state, status });
        if is_settled {
            break;
        }
    }
    Ok(last.expect("the loop ran"))
}

impl Reading<'_> {
    fn complete(self, state: String) -> Result<ReadType, Unread> {
        self.found.believed(self.data_type)?;
        Ok(ReadType { found: self.found, state, status: TypeStatus::Complete })
    }

    async fn get(&self, ids: Ids<Id>) -> Result<Whole, Unread> {
        self.server.get(self.data_type, ids, MOST_BYTES).await
    }

    async fn get_all(&self) -> Result<Whole, Unread> {
        match self.get(Ids::All).await {
            // Long objects, such as contacts with pictures: page by page then.
            Err(jmap::Error::AnswerTooLarge { .. }) => {
                let mut whole = self.get(Ids::These(Vec::new())).await?;
                whole.objects.may_be_cut = true;
                Ok(whole)
            }
            answer => answer,
        }
    }

    /// All objects of a type with more of them than one answer holds. Returns the state when their ids were known, and whether all
    /// were read at this state.
    async fn read_by_pages(&mut self, state: &State) -> Result<(Option<State>, bool), Unread> {
        let data_type = self.data_type;
        if !to_jmap(data_type).has_query() {
            return Err(incomplete(data_type, "the server may have cut the list off"));
        }
        let ids = match self.server.ids(data_type).await {
            Ok(ids) => ids,
            Err(Error::Server { source, .. }) => return Err(source),
            Err(_) => return Err(incomplete(data_type, "its pages do not add up")),
        };
        if ids.len() > MOST_OBJECTS {
            return Err(incomplete(data_type, "there are more objects than can be held"));
        }
        let ids: Vec<Id> = (0..ids.len()).filter_map(|at| Id::new(ids.get(at)).ok()).collect();
        let listed = self.get(Ids::These(Vec::new())).await?.objects.state;
        let states = self.get_into(ids).await?;
        let is_settled = states.iter().chain(&listed).all(|seen| seen == state);
        Ok((listed, is_settled))
    }

    /// Brings what was listed while it may have changed to one moment. `before`: the state before, `listed`: when the ids were
    /// known. `None`: the server cannot tell what changed.
    async fn settle(
        &mut self,
        before: &State,
        listed: Option<State>,
    ) -> Result<Option<(String, TypeStatus)>, Unread> {
        if let Some(listed) = &listed {
            let Some(delta) = self.changes(listed).await? else { return Ok(None) };
            self.found.explain(&delta.gone);
        }
        let read = self.found.objects.keys().filter_map(|id| Id::new(id).ok()).collect();
        let Some((state, status)) = self.follow(before.clone(), Some(read)).await? else { return Ok(None) };
        let (Some(listed), Ok(at)) = (listed, State::new(&state)) else { return Ok(Some((state, status))) };
        // What came after the state before and was gone at `state` again: the changes between those two say nothing of it, those since
        // the ids were listed do.
        let (Some(since), Some(later)) = (self.changes(&listed).await?, self.changes(&at).await?) else {
            return Ok(None);
        };
        for id in since.gone.difference(&later.gone) {
            self.found.objects.insert(id.as_str().to_owned(), None);
        }
        Ok(Some((state, status)))
    }

    /// Applies the changes since a state. `read`: what may have been read too late for it. `None`: the server cannot tell.
    async fn follow(
        &mut self,
        since: State,
        read: Option<BTreeSet<Id>>,
    ) -> Result<Option<(String, TypeStatus)>, Unread> {
        Ok(match follow(self, since, read).await? {
            Followed::Settled(state) => {
                self.found.believed(self.data_type)?;
                Some((state.as_str().to_owned(), TypeStatus::Complete))
            }
            Followed::Moving(state) => Some((state.as_str().to_owned(), TypeStatus::Moving)),
            Followed::Untold(_) => None,
        })
    }

    /// Returns the states at which they were read.
    async fn get_into(&mut self, ids: Vec<Id>) -> Result<BTreeSet<State>, Unread> {
        let mut states = BTreeSet::new();
        let at_once = GET_AT_ONCE.min(self.server.most_in_get());
        let mut left: Vec<Vec<Id>> = ids.chunks(at_once).map(<[Id]>::to_vec).collect();
        while let Some(mut chunk) = left.pop() {
            let ids = Ids::These(chunk.clone());
            let answer = match self.get(ids.clone()).await {
                Err(jmap::Error::AnswerTooLarge { .. }) if chunk.len() == 1 => {
                    self.server.get(self.data_type, ids, MOST_BYTES_ALONE).await
                }
                answer => answer,
            };
            match (answer, chunk.as_slice()) {
                (Err(error @ jmap::Error::AnswerTooLarge { .. }), [only]) => {
                    self.found.unreadable.insert(only.as_str().to_owned(), error.to_string());
                }
                (Err(jmap::Error::AnswerTooLarge { .. }), _) => {
                    left.push(chunk.split_off(chunk.len() / 2));
                    left.push(chunk);
                }
                (answer, _) => {
                    let whole = answer?;
                    self.found.add_whole(self.data_type, &whole)?;
                    let objects = whole.objects;
                    self.found.doubted.extend(objects.not_found.iter().map(|id| id.as_str().to_owned()));
                    states.extend(objects.state);
                }
            }
        }
        Ok(states)
    }
}

impl Follow for Reading<'_> {
    type Error = Unread;

    async fn changes(&mut self, since: &State) -> Result<Option<Delta>, Unread> {
        self.server.changes(self.data_type, since, |_| ()).await
    }

    async fn apply(&mut self, delta: &Delta) -> Result<BTreeSet<Id>, Unread> {
        let gone = delta.gone.iter().map(|id| (id.as_str().to_owned(), None));
        self.found.objects.extend(gone);
        self.found.explain(&delta.gone);
        self.get_into(delta.changed.iter().cloned().collect()).await?;
        Ok(delta.changed.union(&delta.gone).cloned().collect())
    }

    fn is_open(&self) -> bool {
        !self.found.doubted.is_empty()
    }
}
