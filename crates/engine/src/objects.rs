//! Brings the objects of one type but Email to a state the server really had. They are few: whole types are read into
//! memory, and only what differs from the base becomes rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use jmap::{Batch, Changes, Client, Id, Ids, JmapBlobId, Objects, State, Whole};
use model::{DataType, FolderId};
use repository::{ObjectRecord, TypeStatus};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::diff::COUNTS;
use crate::emails::{CHANGES_PAGES, cannot_tell};
use crate::fetch::{Subject, Wanted};
use crate::listing::list_ids;
use crate::owner::{is_each_users, may_act_as_owners};
use crate::run::Run;
use crate::types::to_jmap;

/// Beginning of the states that we make ourselves, of types that have none on the server.
pub(crate) const OWN_STATE: &str = "content:";
/// Rounds before a type counts as moving.
const ROUNDS: usize = 8;
const CHANGES_PAGE: usize = 1_000;
/// Objects fetched at once; some (contacts with pictures) are long.
const GET_AT_ONCE: usize = 100;
/// Longest answer; objects are held in memory.
const MOST_BYTES: u64 = 16 << 20;
/// Longest answer about a single object; one that is longer is named as not fetched.
const MOST_BYTES_ALONE: u64 = 40 << 20;
/// A type with more objects than this is refused rather than held,
const MOST_OBJECTS: usize = 200_000;
/// and so is one with more bytes of JSON.
const MOST_HELD: usize = 256 << 20;

/// What a type holds now, or how it differs from the base.
#[derive(Default)]
struct Found {
    /// `None`: gone.
    objects: BTreeMap<String, Option<Bytes>>,
    /// `objects` is all there is, not a difference.
    is_all: bool,
    /// What the server named and then said not to have; its changes must say that it was destroyed.
    doubted: BTreeSet<String>,
    /// Bytes of JSON that were added.
    held: usize,
    /// What the server did not give of objects that were read; `None`: none was.
    not_given: Option<BTreeSet<&'static str>>,
    /// What cannot be read while the others can, and why.
    unreadable: BTreeMap<String, String>,
}

/// How a type ended up.
pub(crate) struct SyncedObjects {
    pub(crate) state: String,
    pub(crate) status: TypeStatus,
    pub(crate) count: u64,
    /// Properties that the server does not give; `None`: no object was read.
    pub(crate) not_given: Option<Vec<String>>,
}

/// Types whose `/get` names a state that moves when they do.
pub(crate) fn has_state(data_type: DataType) -> bool {
    data_type != DataType::ParticipantIdentity
}

/// Whether an equal state means equal objects. On Stalwart it says nothing of which script is active, whether the vacation
/// response is, and which address book is the default one.
pub(crate) fn state_tells_all(data_type: DataType) -> bool {
    use DataType::{AddressBook, Calendar, SieveScript, VacationResponse};
    has_state(data_type) && !matches!(data_type, SieveScript | VacationResponse | AddressBook | Calendar)
}

/// Why a type could not be read; its previous objects stay.
pub(crate) type Unread = jmap::Error;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithContent {
    #[serde(default)]
    blob_id: Option<JmapBlobId>,
    #[serde(default)]
    size: Option<u64>,
}

impl Run<'_> {
    /// Syncs one type. `since`: what the rows of the base, or of an earlier call of this run, are the state of.
    pub(crate) async fn sync_objects(
        &mut self,
        data_type: DataType,
        since: Option<State>,
        known: &mut BTreeMap<String, ObjectRecord>,
    ) -> crate::error::Result<Result<SyncedObjects, Unread>> {
        let read = match self.read_objects(data_type, since).await {
            Ok(read) => read,
            Err(error) if is_fatal(&error) => {
                return Err(crate::error::Error::Server { what: "the account's objects", source: error });
            }
            Err(error) => return Ok(Err(error)),
        };
        let (mut found, state, status) = read;
        let mut not_given = found.not_given.take();
        if let Some(lacks) = self.put_objects(data_type, found, known).await? {
            not_given.get_or_insert_default().insert(lacks);
        }
        let not_given = not_given.map(|names| names.into_iter().map(str::to_owned).collect());
        Ok(Ok(SyncedObjects { state, status, count: known.len() as u64, not_given }))
    }

    async fn read_objects(
        &self,
        data_type: DataType,
        since: Option<State>,
    ) -> Result<(Found, String, TypeStatus), Unread> {
        if let Some(since) = since.filter(|_| to_jmap(data_type).has_changes()) {
            let mut found = Found::default();
            match self.follow(data_type, since, BTreeSet::new(), &mut found).await {
                Err(error) if cannot_tell(&error) => {}
                followed => return followed.map(|(state, status)| (found, state, status)),
            }
        }
        self.list_objects(data_type).await
    }

    /// Reads a type as a whole. What fits one answer is of one moment; of what does not, the ids are listed first, then
    /// what changed meanwhile is read again.
    async fn list_objects(&self, data_type: DataType) -> Result<(Found, String, TypeStatus), Unread> {
        let mut last = None;
        for _ in 0..ROUNDS {
            let whole = match self.get(data_type, Ids::All).await {
                // Long objects, such as contacts with pictures: page by page then.
                Err(jmap::Error::AnswerTooLarge { .. }) => {
                    let mut whole = self.get(data_type, Ids::These(Vec::new())).await?;
                    whole.objects.may_be_cut = true;
                    whole
                }
                answer => answer?,
            };
            let objects = &whole.objects;
            if !objects.may_be_cut {
                let mut found = Found { is_all: true, ..Found::default() };
                found.add_whole(data_type, &whole)?;
                let torn =
                    objects.state.clone().filter(|_| whole.is_torn && to_jmap(data_type).has_changes());
                if let Some(before) = torn {
                    let touched = found.objects.keys().cloned().collect();
                    match self.follow(data_type, before.clone(), touched, &mut found).await {
                        Err(error) if cannot_tell(&error) => {}
                        followed => return followed.map(|(state, status)| (found, state, status)),
                    }
                    last = Some((found, before.as_str().to_owned(), TypeStatus::Moving));
                    continue;
                }
                let state = objects.state.as_ref().map(|state| state.as_str().to_owned());
                let state =
                    state.filter(|_| has_state(data_type)).unwrap_or_else(|| self.fingerprint(&found));
                return Ok((found, state, TypeStatus::Complete));
            }
            let before = whole
                .objects
                .state
                .ok_or_else(|| incomplete(data_type, "the server may have cut the list off"))?;
            let (mut found, listed, is_settled) = self.read_by_pages(data_type, &before).await?;
            if is_settled {
                found.believed(data_type)?;
                return Ok((found, before.as_str().to_owned(), TypeStatus::Complete));
            }
            match self.settle(data_type, &before, listed, &mut found).await {
                Err(error) if cannot_tell(&error) => {}
                settled => return settled.map(|(state, status)| (found, state, status)),
            }
            last = Some((found, before.as_str().to_owned(), TypeStatus::Moving));
        }
        Ok(last.expect("the loop ran"))
    }

    /// All objects of a type with more of them than one answer holds, the state when their ids were known, and whether all
    /// were read at this state.
    async fn read_by_pages(
        &self,
        data_type: DataType,
        state: &State,
    ) -> Result<(Found, Option<State>, bool), Unread> {
        if !to_jmap(data_type).has_query() {
            return Err(incomplete(data_type, "the server may have cut the list off"));
        }
        let ids = match list_ids(self.client, &self.account.id, to_jmap(data_type)).await {
            Ok(ids) => ids,
            Err(crate::error::Error::Server { source, .. }) => return Err(source),
            Err(_) => return Err(incomplete(data_type, "its pages do not add up")),
        };
        if ids.len() > MOST_OBJECTS {
            return Err(incomplete(data_type, "there are more objects than can be held"));
        }
        let ids: Vec<Id> = (0..ids.len()).filter_map(|at| Id::new(ids.get(at)).ok()).collect();
        let listed = self.get(data_type, Ids::These(Vec::new())).await?.objects.state;
        let mut found = Found { is_all: true, ..Found::default() };
        let states = self.get_into(data_type, ids, &mut found).await?;
        let is_settled = states.iter().chain(&listed).all(|seen| seen == state);
        Ok((found, listed, is_settled))
    }

    /// Brings what was listed while it may have changed to one moment. `before`: the state before, `listed`: when the ids were
    /// known.
    async fn settle(
        &self,
        data_type: DataType,
        before: &State,
        listed: Option<State>,
        found: &mut Found,
    ) -> Result<(String, TypeStatus), Unread> {
        if let Some(listed) = &listed {
            let (_, _, gone) = self.changes_of(data_type, listed).await?;
            found.doubted.retain(|doubted| !gone.iter().any(|id| id.as_str() == doubted));
        }
        let touched = found.objects.keys().cloned().collect();
        let (state, status) = self.follow(data_type, before.clone(), touched, found).await?;
        self.drop_passers_by(data_type, listed, &state, found).await?;
        Ok((state, status))
    }

    /// Takes out what a listing met although it came after the state before it and was gone at `state`: the changes between
    /// those two say nothing of it, those since the ids were `listed` do.
    async fn drop_passers_by(
        &self,
        data_type: DataType,
        listed: Option<State>,
        state: &str,
        found: &mut Found,
    ) -> Result<(), Unread> {
        let (Some(listed), Ok(state)) = (listed, State::new(state)) else { return Ok(()) };
        let (_, _, gone) = self.changes_of(data_type, &listed).await?;
        let (_, _, gone_later) = self.changes_of(data_type, &state).await?;
        for id in gone.difference(&gone_later) {
            found.objects.insert(id.as_str().to_owned(), None);
        }
        Ok(())
    }

    /// Applies changes since a state until nothing that may have been read too late is named again.
    async fn follow(
        &self,
        data_type: DataType,
        mut since: State,
        mut touched: BTreeSet<String>,
        found: &mut Found,
    ) -> Result<(String, TypeStatus), Unread> {
        for round in 0..ROUNDS {
            let (to, changed, gone) = self.changes_of(data_type, &since).await?;
            let late = changed.iter().chain(&gone).any(|id| touched.contains(id.as_str()));
            let nothing = changed.is_empty() && gone.is_empty();
            let is_progress = round > 0 || found.is_all;
            if nothing || (is_progress && !late) {
                found.believed(data_type)?;
                return Ok((since.as_str().to_owned(), TypeStatus::Complete));
            }
            found.objects.extend(gone.iter().map(|id| (id.as_str().to_owned(), None)));
            found.doubted.retain(|doubted| !gone.iter().any(|id| id.as_str() == doubted));
            touched = changed.iter().chain(&gone).map(|id| id.as_str().to_owned()).collect();
            self.get_into(data_type, changed.into_iter().collect(), found).await?;
            since = to;
        }
        Ok((since.as_str().to_owned(), TypeStatus::Moving))
    }

    async fn changes_of(
        &self,
        data_type: DataType,
        since: &State,
    ) -> Result<(State, BTreeSet<Id>, BTreeSet<Id>), Unread> {
        let (mut to, mut changed, mut gone) = (since.clone(), BTreeSet::new(), BTreeSet::new());
        for _ in 0..CHANGES_PAGES {
            let mut batch = Batch::new(&self.account.id);
            let call = batch.changes(to_jmap(data_type), &to, CHANGES_PAGE);
            let page: Changes = self.client.call(&batch).await?.take(call)?;
            for id in page.created.into_iter().chain(page.updated) {
                gone.remove(&id);
                changed.insert(id);
            }
            for id in page.destroyed {
                changed.remove(&id);
                gone.insert(id);
            }
            to = page.new_state;
            if !page.has_more_changes {
                return Ok((to, changed, gone));
            }
        }
        Err(incomplete(data_type, "its changes never end"))
    }

    async fn get_into(
        &self,
        data_type: DataType,
        ids: Vec<Id>,
        found: &mut Found,
    ) -> Result<BTreeSet<State>, Unread> {
        let mut states = BTreeSet::new();
        let at_once = GET_AT_ONCE.min(self.client.session().limits.max_objects_in_get);
        let mut left: Vec<Vec<Id>> = ids.chunks(at_once).map(<[Id]>::to_vec).collect();
        while let Some(mut chunk) = left.pop() {
            let ids = Ids::These(chunk.clone());
            let answer = match self.get(data_type, ids.clone()).await {
                Err(jmap::Error::AnswerTooLarge { .. }) if chunk.len() == 1 => {
                    self.get_within(data_type, ids, MOST_BYTES_ALONE).await
                }
                answer => answer,
            };
            match (answer, chunk.as_slice()) {
                (Err(error @ jmap::Error::AnswerTooLarge { .. }), [only]) => {
                    found.unreadable.insert(only.as_str().to_owned(), error.to_string());
                }
                (Err(jmap::Error::AnswerTooLarge { .. }), _) => {
                    left.push(chunk.split_off(chunk.len() / 2));
                    left.push(chunk);
                }
                (answer, _) => {
                    let whole = answer?;
                    found.add_whole(data_type, &whole)?;
                    let objects = whole.objects;
                    found.doubted.extend(objects.not_found.iter().map(|id| id.as_str().to_owned()));
                    states.extend(objects.state);
                }
            }
        }
        Ok(states)
    }

    pub(crate) async fn get(&self, data_type: DataType, ids: Ids<Id>) -> Result<Whole, Unread> {
        self.get_within(data_type, ids, MOST_BYTES).await
    }

    /// Whether the server, asked for these folders by their ids, knows none of them.
    pub(crate) async fn are_gone(&self, folders: &BTreeSet<FolderId>) -> bool {
        let ids: Vec<Id> = folders.iter().filter_map(|folder| Id::new(folder.as_str()).ok()).collect();
        match self.get(DataType::Mailbox, Ids::These(ids)).await {
            Ok(whole) => whole.objects.list.is_empty() && whole.objects.not_found.len() == folders.len(),
            Err(_) => false,
        }
    }

    async fn get_within(&self, data_type: DataType, ids: Ids<Id>, bytes: u64) -> Result<Whole, Unread> {
        let (account, of_type) = (&self.account.id, to_jmap(data_type));
        if let Some(owner) = self.owner_of(data_type).await? {
            match owner.get_whole(account, of_type, &ids, Some(bytes)).await {
                // Some owners may not read this type, and the one who signs in may.
                Err(error) if is_denied(&error) => drop(self.denied_to_owner().insert(data_type)),
                answer => return answer,
            }
        }
        self.client.get_whole(account, of_type, &ids, Some(bytes)).await
    }

    fn denied_to_owner(&self) -> MutexGuard<'_, BTreeSet<DataType>> {
        self.denied_to_owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account's owner, who reads a type of which each user has something of their own, where somebody else signs in and may act as
    /// the owner.
    pub(crate) async fn owner_of(&self, data_type: DataType) -> Result<Option<&Client>, Unread> {
        match self.how.owner {
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

    /// The state to which nothing but the numbers of emails has changed (RFC 8621 section 2.2): folders that only got mail need not be
    /// read as their owner sees them. `None`: more has changed, or the server does not tell.
    pub(crate) async fn counted_since(&self, data_type: DataType, since: &State) -> Option<State> {
        if data_type != DataType::Mailbox || self.account.is_personal || self.how.owner.is_none() {
            return None;
        }
        let mut to = since.clone();
        for _ in 0..CHANGES_PAGES {
            let mut batch = Batch::new(&self.account.id);
            let call = batch.changes(to_jmap(data_type), &to, CHANGES_PAGE);
            let page = self.client.call(&batch).await.ok()?.take(call).ok()?;
            let names = page.updated_properties.as_deref().unwrap_or_default();
            let is_counted = !names.is_empty() && names.iter().all(|name| COUNTS.contains(&name.as_str()));
            let is_same = page.created.is_empty() && page.destroyed.is_empty();
            if !is_same || !(is_counted || page.updated.is_empty()) {
                return None;
            }
            to = page.new_state;
            if !page.has_more_changes {
                return Some(to);
            }
        }
        None
    }

    /// Makes rows of what differs from what is known, which is brought up to date; what of them the server does not show.
    async fn put_objects(
        &mut self,
        data_type: DataType,
        mut found: Found,
        known: &mut BTreeMap<String, ObjectRecord>,
    ) -> crate::error::Result<Option<&'static str>> {
        if found.is_all {
            let failed = self.failures.keys().filter(|(t, _)| *t == data_type).map(|(_, id)| id);
            // What cannot be read is there, and as it was.
            for id in known.keys().chain(failed).filter(|id| !found.unreadable.contains_key(*id)) {
                found.objects.entry(id.clone()).or_insert(None);
            }
        }
        for (id, reason) in found.unreadable {
            found.objects.remove(&id);
            self.fail(data_type, id, reason).await?;
        }
        let (mut wanted, mut replaced) = (Vec::new(), Vec::new());
        let mut events = BTreeMap::new();
        for (id, json) in found.objects {
            let failed = self.failures.contains_key(&(data_type, id.clone()));
            let old = known.get(&id);
            let Some(json) = json else {
                if old.is_some() {
                    known.remove(&id);
                    self.lost_objects.remove(&(data_type, id.clone()));
                    self.writer.remove_object(data_type, &id).await?;
                }
                self.forgive(data_type, &id).await?;
                continue;
            };
            if data_type == DataType::CalendarEvent {
                events.insert(id, json);
                continue;
            }
            if !failed && old.is_some_and(|old| old.json == json) {
                continue;
            }
            let is_same = |old: &&ObjectRecord| !failed && content_of(&old.json).0 == content_of(&json).0;
            let blob = old.filter(is_same).and_then(|old| old.blob);
            let object = ObjectRecord { data_type, id: id.clone(), json, blob };
            match content_of(&object.json) {
                (Some(content), size) if blob.is_none() => {
                    replaced.push((id.clone(), old.cloned()));
                    wanted.push(Wanted { blob: content, size, subject: Subject::Object(object.clone()) });
                }
                _ => {
                    self.forgive(data_type, &id).await?;
                    self.put_object(object.clone()).await?;
                }
            }
            known.insert(id, object);
        }
        self.fetch(wanted).await?;
        // What could not be fetched is as it was.
        replaced.retain(|(id, _)| self.failures.contains_key(&(data_type, id.clone())));
        for (id, old) in replaced {
            match old {
                Some(old) => known.insert(id, old),
                None => known.remove(&id),
            };
        }
        match events.is_empty() {
            true => Ok(None),
            false => self.put_events(events, known).await,
        }
    }

    /// A state for types that have none: equal content, equal state.
    fn fingerprint(&self, found: &Found) -> String {
        let mut text = String::new();
        for (id, json) in &found.objects {
            text.push_str(id);
            text.push_str(&String::from_utf8_lossy(json.as_deref().unwrap_or_default()));
        }
        format!("{OWN_STATE}{:016x}", self.hasher.short(&text))
    }

    pub(crate) fn fingerprint_of(&self, data_type: DataType, objects: &Objects) -> Option<String> {
        let mut found = Found::default();
        found.add(data_type, objects).ok()?;
        Some(self.fingerprint(&found))
    }
}

impl Found {
    fn add_whole(&mut self, data_type: DataType, whole: &Whole) -> Result<(), Unread> {
        self.not_given.get_or_insert_default().extend(&whole.not_given);
        self.add(data_type, &whole.objects)
    }

    fn add(&mut self, data_type: DataType, objects: &Objects) -> Result<(), Unread> {
        for failure in &objects.failures {
            let id = failure.id.as_ref().ok_or_else(|| incomplete(data_type, "an object in it has no id"))?;
            self.unreadable.insert(id.as_str().to_owned(), failure.error.to_string());
        }
        for object in &objects.list {
            // A copy, so that one small object does not keep a whole answer in memory.
            let json = lasting(data_type, &object.json);
            self.held += json.len();
            self.objects.insert(object.id.as_str().to_owned(), Some(json));
        }
        for id in &objects.not_found {
            self.objects.insert(id.as_str().to_owned(), None);
        }
        match self.held > MOST_HELD {
            true => Err(incomplete(data_type, "its objects are longer than can be held")),
            false => Ok(()),
        }
    }

    /// Nothing that the server named is missing without its having been destroyed.
    fn believed(&self, data_type: DataType) -> Result<(), Unread> {
        match self.doubted.is_empty() {
            true => Ok(()),
            false => {
                Err(incomplete(data_type, "the server lists an object and then says that there is none"))
            }
        }
    }
}

/// An object without what is another thing each time it is read: Stalwart 0.16 gives the present time as `accessed` of a file.
fn lasting(data_type: DataType, json: &[u8]) -> Bytes {
    if data_type == DataType::FileNode
        && let Ok(mut node) = serde_json::from_slice::<Map<String, Value>>(json)
        && node.remove("accessed").is_some()
    {
        return Value::from(node).to_string().into();
    }
    Bytes::copy_from_slice(json)
}

/// Types whose objects have bytes beside their JSON (scripts, files) name them by `blobId`.
fn content_of(json: &[u8]) -> (Option<JmapBlobId>, Option<u64>) {
    match serde_json::from_slice(json) {
        Ok(WithContent { blob_id, size }) => (blob_id, size),
        Err(_) => (None, None),
    }
}

fn incomplete(data_type: DataType, reason: &'static str) -> Unread {
    jmap::Error::Untrue { method: to_jmap(data_type).get_method(), reason }
}

/// Refused to this user, whatever is asked.
fn is_denied(error: &jmap::Error) -> bool {
    let is_method = |kind: &jmap::MethodErrorKind| {
        use jmap::MethodErrorKind as K;
        matches!(kind, K::UnknownMethod | K::Forbidden | K::AccountNotFound | K::AccountNotSupportedByMethod)
    };
    matches!(error, jmap::Error::Status { status: 403, .. })
        || error.method_error().is_some_and(|error| is_method(&error.kind))
}

/// Errors that would meet the other types as well.
pub(crate) fn is_fatal(error: &jmap::Error) -> bool {
    use jmap::Error as E;
    matches!(
        error,
        E::Unreachable(_) | E::Tls(_) | E::Unauthorized | E::Withheld | E::Cancelled | E::Setup(_)
    )
}
