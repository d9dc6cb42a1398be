//! Everything but emails and folders: scripts, vacation response, identities, contacts, calendars, files.
//!
//! Each type is compared with what the account holds, by names and uids of its own (`rules.rs`), and what is missing is created.
//! An attempt that was cut off leaves objects that the next one recognises, and servers refuse a second object of the same
//! name or uid: that is all the ledger that is needed.
//!
//! Mode *exact* changes and destroys only what the safety backup holds just as it is; what its owner touched meanwhile stays.

mod filters;
mod pairs;
mod rules;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jmap::{Id, JmapBlobId, Set};
use model::{BlobId, DataType};
use repository::{ObjectRecord, Snapshot, TypeStatus};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::restore::content::hash_blob;
use crate::restore::exact::Safety;
use crate::restore::report::RestoredObjects;
use crate::restore::request::{Act, Mode, Planned, Restore};
use crate::restore::staging::Staging;
use crate::restore::target::Target;
use crate::types::to_jmap;
use pairs::{Thing, levels, pair, patch};
use rules::Refers;
use steps::Step;

/// Objects that are destroyed in one request.
const DESTROYED_AT_ONCE: usize = 100;
/// Names are cut before something is put behind them.
const LONGEST_NAME: usize = 150;
/// Flags that servers keep beside the objects: one of them changing does not make it another object.
const FLAGS: [&str; 2] = ["isActive", "isDefault"];
/// The directory beside the others, as if the snapshot had it under this id; real ones have no blanks.
const ROOT: &str = " ";

/// Gives back one type after another.
pub(super) struct Objects<'a> {
    target: Target<'a>,
    snapshot: &'a Arc<Snapshot>,
    how: &'a Restore<'a>,
    /// `None`: nothing is written.
    staging: Option<&'a Staging<'a>>,
    /// Backups of the account (mode *exact*).
    safety: Option<&'a Safety>,
    /// What lies beside is called so.
    label: &'a str,
    /// Ids of the account by those of the snapshot.
    ids: BTreeMap<(DataType, String), String>,
    surplus: Vec<(DataType, Vec<Thing>)>,
}

/// What the account holds of a type.
struct There {
    things: Vec<Thing>,
    /// Whether the safety backups hold it, the latest just so.
    is_held: Vec<bool>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(
        target: Target<'a>,
        snapshot: &'a Arc<Snapshot>,
        how: &'a Restore<'a>,
        staging: Option<&'a Staging<'a>>,
        safety: Option<&'a Safety>,
        label: &'a str,
    ) -> Objects<'a> {
        let (ids, surplus) = (BTreeMap::new(), Vec::new());
        Objects { target, snapshot, how, staging, safety, label, ids, surplus }
    }

    /// Creates what is missing and, in mode *exact*, changes what differs.
    pub(super) async fn give(&mut self, done: &mut BTreeMap<DataType, RestoredObjects>) -> Result<()> {
        for data_type in rules::ORDER {
            if !self.how.types.contains(&data_type) || self.is_unknown(data_type) {
                continue;
            }
            self.how.progress.phase(rules::plural(data_type));
            let report = done.entry(data_type).or_insert_with(|| RestoredObjects::nothing(data_type));
            report.begin();
            let given = match data_type {
                DataType::VacationResponse => self.give_vacation(report).await,
                _ => self.give_type(data_type, report).await,
            };
            match given {
                Err(
                    Error::Server { source, .. }
                    | Error::Unsettled { source, .. }
                    | Error::Write { source, .. },
                ) if source.method_error().is_some() => {
                    report.left_out = Some(format!("the mail server fails: {source}"));
                }
                given => given?,
            }
        }
        Ok(())
    }

    /// The snapshot says nothing of this type, and so nothing of the account's is too much.
    fn is_unknown(&self, data_type: DataType) -> bool {
        let status = self.snapshot.info().type_state(data_type).map(|state| state.status);
        matches!(status, None | Some(TypeStatus::NotOffered))
    }

    async fn give_type(&mut self, data_type: DataType, report: &mut RestoredObjects) -> Result<()> {
        let wanted = self.wanted(data_type).await?;
        report.wanted = wanted.len() as u64;
        if !self.target.account.offers(to_jmap(data_type)) {
            report.left_out = (!wanted.is_empty()).then(|| "the mail server does not offer them".to_owned());
            return Ok(());
        }
        if wanted.is_empty() && self.how.mode != Mode::Exact {
            return Ok(());
        }
        let there = self.there(data_type).await?;
        let mut free = vec![true; there.things.len()];
        let keys = rules::keys(data_type, self.how.mode, self.how.same_account);
        let default = wanted.iter().find(|thing| thing.is("isDefault")).map(|thing| thing.id.clone());
        if let Some(staging) = self.staging {
            staging.assert_alive().await?;
        }
        for level in levels(wanted) {
            let things = self.refer(data_type, level, report);
            let pairs = pair(&things, &there.things, &mut free, &keys);
            let mut steps = Vec::new();
            for (thing, pair) in things.into_iter().zip(pairs) {
                match pair {
                    None => steps.push(Step::create(data_type, thing)),
                    Some(at) => {
                        let id = there.things[at].id.clone();
                        self.ids.insert((data_type, thing.id.clone()), id);
                        steps.extend(self.change(data_type, thing, &there, at).await?);
                    }
                }
            }
            self.take(data_type, steps, report).await?;
        }
        if self.how.mode == Mode::Exact {
            self.choose_default(data_type, default, &there).await?;
            let surplus = there.things.into_iter().zip(there.is_held).zip(free);
            let surplus =
                surplus.filter(|((_, is_held), free)| *free && *is_held).map(|((thing, _), _)| thing);
            self.surplus.push((data_type, surplus.collect()));
        }
        Ok(())
    }

    /// What of the snapshot is wanted, under the names it will have.
    async fn wanted(&self, data_type: DataType) -> Result<Vec<Thing>> {
        let is_beside = self.how.mode == Mode::Beside;
        let mut things = things(&self.snapshot.objects_of(data_type).await?);
        match data_type {
            DataType::SieveScript if is_beside => things.iter_mut().for_each(|thing| self.rename(thing)),
            DataType::SieveScript => things.retain(|thing| !rules::is_hidden(data_type, thing)),
            DataType::AddressBook | DataType::Calendar if is_beside => {
                let used = self.used(data_type).await?;
                things.retain(|thing| used.contains(&thing.id));
                things.iter_mut().for_each(|thing| self.rename(thing));
            }
            DataType::FileNode if is_beside && !things.is_empty() => {
                for thing in things.iter_mut().filter(|thing| thing.text("parentId").is_empty()) {
                    thing.json.insert("parentId".to_owned(), json!(ROOT));
                }
                let json = Map::from_iter([("name".to_owned(), json!(self.label))]);
                things.push(Thing { id: ROOT.to_owned(), json, content: None });
            }
            _ => {}
        }
        Ok(things)
    }

    fn rename(&self, thing: &mut Thing) {
        let name: String = thing.text("name").chars().take(LONGEST_NAME / 4).collect();
        thing.json.insert("name".to_owned(), json!(format!("{name} – {}", self.label)));
    }

    /// Ids of the address books or calendars that hold something.
    async fn used(&self, data_type: DataType) -> Result<Vec<String>> {
        let Some((contents, member)) = rules::contents_of(data_type) else { return Ok(Vec::new()) };
        let contents = things(&self.snapshot.objects_of(contents).await?);
        let sets = contents.iter().filter_map(|thing| thing.json.get(member)?.as_object());
        let mut used: Vec<String> = sets.flat_map(|set| set.keys().cloned()).collect();
        used.sort_unstable();
        used.dedup();
        Ok(used)
    }

    async fn there(&self, data_type: DataType) -> Result<There> {
        let mut live: Vec<Thing> = Vec::new();
        for object in self.target.objects(to_jmap(data_type)).await? {
            live.extend(thing(object.id.as_str(), &object.json, None));
        }
        live.retain(|thing| !rules::is_hidden(data_type, thing));
        let Some(safety) = self.safety else {
            // A dry run: nothing will be touched.
            let is_held = vec![true; live.len()];
            return Ok(There { things: live, is_held });
        };
        let held = things(&safety.now.objects_of(data_type).await?);
        let first = safety.first.objects_of(data_type).await?;
        let first: BTreeSet<&str> = first.iter().map(|object| object.id.as_str()).collect();
        let held: BTreeMap<&str, &Thing> = held.iter().map(|thing| (thing.id.as_str(), thing)).collect();
        let mut is_held = Vec::with_capacity(live.len());
        for thing in &mut live {
            let known = held.get(thing.id.as_str()).filter(|known| is_as_before(known, thing));
            thing.content = known.and_then(|known| known.content);
            is_held.push(known.is_some() && first.contains(thing.id.as_str()));
        }
        Ok(There { things: live, is_held })
    }

    /// Puts the account's ids in place of the snapshot's. What refers to something that did not come back cannot either.
    fn refer(&self, data_type: DataType, things: Vec<Thing>, report: &mut RestoredObjects) -> Vec<Thing> {
        let mut referring = Vec::with_capacity(things.len());
        for mut thing in things {
            match self.references(data_type, &thing) {
                Err(reason) => report.refuse(&thing.id, thing.name(), reason, &thing.json, thing.content),
                Ok(None) => referring.push(thing),
                Ok(Some((member, references))) => {
                    thing.json.insert(member.to_owned(), references);
                    referring.push(thing);
                }
            }
        }
        referring
    }

    fn references(
        &self,
        data_type: DataType,
        thing: &Thing,
    ) -> Result<Option<(&'static str, Value)>, &'static str> {
        match rules::refers(data_type) {
            Refers::Nothing => Ok(None),
            Refers::Parent => {
                let parent = thing.json.get("parentId").and_then(Value::as_str);
                match parent {
                    None => Ok(Some(("parentId", Value::Null))),
                    Some(parent) => match self.ids.get(&(data_type, parent.to_owned())) {
                        Some(id) => Ok(Some(("parentId", json!(id)))),
                        None => Err("its directory did not come back"),
                    },
                }
            }
            Refers::Set(container, member) => {
                let set = thing.json.get(member).and_then(Value::as_object);
                let ids = set.into_iter().flat_map(Map::keys);
                let ids = ids.filter_map(|id| self.ids.get(&(container, id.clone())));
                let ids: Map<String, Value> = ids.map(|id| (id.clone(), json!(true))).collect();
                match ids.is_empty() {
                    true => Err("what it lies in did not come back"),
                    false => Ok(Some((member, ids.into()))),
                }
            }
        }
    }

    /// What makes an object that is there as the snapshot has it.
    async fn change(
        &self,
        data_type: DataType,
        wanted: Thing,
        there: &There,
        at: usize,
    ) -> Result<Option<Step>> {
        let (now, is_held) = (&there.things[at], there.is_held[at]);
        let may_change = match self.how.mode {
            Mode::Beside => false,
            Mode::Missing => rules::is_pristine(data_type, now),
            Mode::Exact => is_held,
        };
        if !may_change {
            return Ok(None);
        }
        let patch = patch(&wanted, now, &rules::rules(data_type));
        let has_other_content = self.how.mode == Mode::Exact && self.has_other_content(&wanted, now).await?;
        let is_same = patch.is_empty() && !has_other_content;
        Ok((!is_same).then(|| Step::change(wanted, now.id.clone(), patch, has_other_content)))
    }

    async fn has_other_content(&self, wanted: &Thing, now: &Thing) -> Result<bool> {
        let same_account = self.how.same_account;
        match (wanted.content, now.content, self.safety) {
            (None, ..) => Ok(false),
            (Some(wanted), Some(now), _) if same_account => Ok(wanted != now),
            // Another mailbox names the same bytes otherwise.
            (Some(wanted), Some(now), Some(safety)) => {
                Ok(self.hash_for(&safety.now, &wanted).await != Some(now))
            }
            (Some(_), ..) if same_account => Ok(wanted.text("blobId") != now.text("blobId")),
            // A dry run knows no hash of the account's.
            (Some(wanted), ..) => {
                let Ok(blob) = JmapBlobId::new(now.text("blobId")) else { return Ok(true) };
                let hasher = self.snapshot.hasher();
                Ok(hash_blob(self.target, &hasher, &blob).await? != Some(wanted))
            }
        }
    }

    /// What another mailbox calls these bytes; `None` if they cannot be read.
    async fn hash_for(&self, other: &Snapshot, blob: &BlobId) -> Option<BlobId> {
        let mut pieces = self.snapshot.blob_reader(blob).await.ok()?;
        let hasher = other.hasher();
        let mut hash = hasher.stream();
        while let Some(piece) = pieces.next().await.ok()? {
            hash.update(&piece);
        }
        Some(BlobId(*hash.finalize().as_bytes()))
    }

    async fn choose_default(
        &self,
        data_type: DataType,
        default: Option<String>,
        there: &There,
    ) -> Result<()> {
        let chosen = default.and_then(|id| self.ids.get(&(data_type, id)));
        let now = there.things.iter().find(|thing| thing.is("isDefault")).map(|thing| &thing.id);
        let Some(chosen) = chosen.filter(|id| rules::has_default(data_type) && Some(*id) != now) else {
            return Ok(());
        };
        if self.staging.is_some() {
            let set = Set::new().with("onSuccessSetIsDefault", chosen.clone());
            self.target.set(rules::plural(data_type), to_jmap(data_type), set).await?;
        }
        Ok(())
    }

    /// Destroys what the snapshot does not have and the safety backup holds, what lies in something first.
    pub(super) async fn remove(&self, done: &mut BTreeMap<DataType, RestoredObjects>) -> Result<()> {
        for (data_type, surplus) in self.surplus.iter().rev() {
            let Some(report) = done.get_mut(data_type) else { continue };
            if let Some(tell) = self.how.dry_run {
                report.removed += surplus.len() as u64;
                for thing in surplus {
                    let (act, name) = (Act::Remove, thing.name());
                    tell(&Planned { act, data_type: *data_type, id: &thing.id, name: &name });
                }
                continue;
            }
            for level in levels(surplus.clone()).iter().rev() {
                for things in level.chunks(DESTROYED_AT_ONCE) {
                    self.destroy(*data_type, things, report).await?;
                }
            }
        }
        Ok(())
    }

    async fn destroy(
        &self,
        data_type: DataType,
        things: &[Thing],
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let ids = things.iter().filter_map(|thing| Id::new(&thing.id).ok()).collect();
        let mut set = Set::new();
        for object in self.target.objects_of(to_jmap(data_type), ids).await? {
            let now = thing(object.id.as_str(), &object.json, None);
            let is_same = |doomed: &Thing| now.as_ref().is_some_and(|now| is_as_before(doomed, now));
            if things.iter().any(|doomed| doomed.id == object.id.as_str() && is_same(doomed)) {
                set.destroy(&object.id);
            }
        }
        if set.is_empty() {
            return Ok(());
        }
        if let Some(staging) = self.staging {
            staging.assert_alive().await?;
        }
        let written = self.target.set(rules::plural(data_type), to_jmap(data_type), set).await?;
        report.removed += written.destroyed.len() as u64;
        // What lies in something arrived meanwhile, and stays with it.
        let stays = |kind: &str| kind == "notFound" || kind.contains("Has");
        for (id, refusal) in written.not_destroyed.iter().filter(|(_, refusal)| !stays(&refusal.kind)) {
            let name =
                things.iter().find(|thing| thing.id == id.as_str()).map(Thing::name).unwrap_or_default();
            report.notes.push(format!("{name} is still there: {refusal}"));
        }
        Ok(())
    }
}

fn things(records: &[ObjectRecord]) -> Vec<Thing> {
    records.iter().filter_map(|record| thing(&record.id, &record.json, record.blob)).collect()
}

fn thing(id: &str, json: &[u8], content: Option<BlobId>) -> Option<Thing> {
    let json: Map<String, Value> = serde_json::from_slice(json).ok()?;
    Some(Thing { id: id.to_owned(), json, content })
}

fn is_as_before(before: &Thing, now: &Thing) -> bool {
    let says = |thing: &Thing| {
        let mut json = thing.json.clone();
        FLAGS.iter().for_each(|flag| drop(json.remove(*flag)));
        json
    };
    says(before) == says(now)
}
