//! Everything but emails and folders: scripts, vacation response, identities, contacts, calendars, files.
//!
//! Each type is compared with what the account holds, by names and uids of its own (`rules.rs`), and what is missing is created.
//! An attempt that was cut off leaves objects that the next one recognises, and servers refuse a second object of the same
//! name or uid: that is all the ledger that is needed. What was there before the first attempt is written down, so that every
//! attempt counts what all of them did.
//!
//! Mode *exact* changes and destroys only what the safety backup holds just as it is; what its owner touched meanwhile stays.
//! Before content is replaced or destroyed, its copy is read from the store and hashed; what does not open stays.

mod calendars;
mod defaults;
mod filters;
mod icalendar;
mod left_out;
mod losses;
pub(super) mod pairs;
mod places;
mod properties;
mod putting;
mod removing;
pub(super) mod rules;
mod steps;
mod text;
mod texts;
mod there;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::DataType;
use repository::{ObjectRecord, Snapshot, TypeStatus};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::restore::report::RestoredObjects;
use crate::restore::request::{Mode, Restore};
use crate::restore::seam::Seam;
use crate::restore::target::Target;
use crate::server::owner::is_each_users;
use crate::server::properties::MEMBER;
use crate::server::types::to_jmap;
use pairs::{JmapObject, NewIds, jmap_object, levels, pair, patch, read_object};
use properties::{differ, has_own_components, is_partly_unknown};
use rules::Refers;
use steps::Step;
use text::Text;
use there::{There, came_without, readable};

/// Objects that are destroyed in one request.
const DESTROYED_AT_ONCE: usize = 100;
/// Names are cut before something is put behind them.
const LONGEST_NAME: usize = 150;
/// Flags that servers keep beside the objects: one of them changing does not make it another object.
const FLAGS: [&str; 2] = ["isActive", "isDefault"];
/// The directory beside the others, as if the snapshot had it under this id; real ones have no blanks.
const ROOT: &str = " ";
/// What is called so has no name in the snapshot, and servers want one.
const NAMELESS: &str = "Restored";
/// What the ids begin with of what a dry run would create: no real one has a blank.
const NEW: &str = "new ";
/// Whether a user's programs show it.
const SUBSCRIBED: &str = "isSubscribed";

/// Gives back one type after another.
pub(super) struct Objects<'a> {
    target: Target<'a>,
    snapshot: &'a Arc<Snapshot>,
    how: &'a Restore<'a>,
    seam: Seam<'a>,
    /// What lies beside is called so.
    label: &'a str,
    ids: NewIds,
    surplus: Vec<(DataType, Vec<JmapObject>)>,
    /// What the server took, and does not keep as it was sent.
    unkept: Vec<steps::Unkept>,
    /// Events of the snapshot that come by their texts, because another one has their UID.
    twins: BTreeSet<String>,
    /// Events of the account that were changed over JMAP.
    changed: BTreeSet<String>,
    /// Address books and calendars of the account that this restore made, and their names.
    made: BTreeMap<(DataType, String), String>,
    /// How much stays out of each of those, because mode *missing* leaves it where it is.
    left_out: BTreeMap<(DataType, String), u64>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(
        target: Target<'a>,
        snapshot: &'a Arc<Snapshot>,
        how: &'a Restore<'a>,
        seam: Seam<'a>,
        label: &'a str,
    ) -> Objects<'a> {
        let (ids, surplus, unkept) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (twins, changed) = (BTreeSet::new(), BTreeSet::new());
        let (made, left_out) = (BTreeMap::new(), BTreeMap::new());
        Objects { target, snapshot, how, seam, label, ids, surplus, unkept, twins, changed, made, left_out }
    }

    /// Creates what is missing and, in mode *exact*, changes what differs.
    pub(super) async fn give(&mut self, done: &mut BTreeMap<DataType, RestoredObjects>) -> Result<()> {
        for data_type in rules::ORDER {
            if !self.how.types.contains(&data_type) || self.is_unknown(data_type) {
                continue;
            }
            self.how.progress.phase(rules::plural(data_type));
            // Each attempt finds out once more what all of them did.
            done.insert(data_type, RestoredObjects::nothing(data_type));
            let Some(report) = done.get_mut(&data_type) else { continue };
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

    /// Of what is there now.
    pub(super) fn into_ids(self) -> NewIds {
        self.ids
    }

    /// The snapshot says nothing of this type, and so nothing of the account's is too much.
    fn is_unknown(&self, data_type: DataType) -> bool {
        let status = self.snapshot.info().type_state(data_type).map(|state| state.status);
        matches!(status, None | Some(TypeStatus::NotOffered))
    }

    async fn give_type(&mut self, data_type: DataType, report: &mut RestoredObjects) -> Result<()> {
        let wanted = self.wanted(data_type, report).await?;
        report.wanted = wanted.len() as u64 + report.refused_count;
        if !self.target.account.offers(to_jmap(data_type)) {
            report.left_out = (!wanted.is_empty()).then(|| "the mail server does not offer them".to_owned());
            return Ok(());
        }
        if wanted.is_empty() && self.how.mode != Mode::Exact {
            return Ok(());
        }
        let texts: Vec<Text> = wanted.iter().filter_map(Text::of).collect();
        let bare = wanted.iter().filter(|event| Text::is_missing(event)).count();
        let unknown = wanted.iter().filter(|thing| is_partly_unknown(data_type, thing)).count();
        let mut there = self.there(data_type, &wanted, report).await?;
        let mut free = vec![true; there.things.len()];
        let keys = rules::keys(data_type, self.how.mode, self.how.same_account);
        let default = wanted.iter().find(|thing| thing.is("isDefault")).map(|thing| thing.id.clone());
        self.seam.assert_alive().await?;
        for level in levels(wanted) {
            let things = self.refer(data_type, level, report);
            let mut pairs = pair(&things, &there.things, &mut free, &keys);
            if self.how.mode == Mode::Exact && data_type == DataType::FileNode {
                self.make_room(&things, &mut pairs, &mut there, &mut free).await?;
            }
            if data_type == DataType::CalendarEvent {
                self.note_twins(&things, &pairs, &there);
            }
            let mut steps = Vec::new();
            for (thing, pair) in things.into_iter().zip(pairs) {
                match pair {
                    None => steps.extend(self.creation(data_type, thing, &there, report)),
                    Some(at) => {
                        let id = there.things[at].id.clone();
                        self.ids.insert((data_type, thing.id.clone()), id);
                        let place = ["parentId", "name"].map(|member| thing.json.get(member).cloned());
                        let step = self.change(data_type, thing, &there, at, report).await?;
                        if step.is_some() && data_type == DataType::FileNode {
                            // From now on it is there, and not in the way of anything.
                            let json = &mut there.things[at].json;
                            for (member, value) in ["parentId", "name"].into_iter().zip(place) {
                                json.insert(member.to_owned(), value.unwrap_or_default());
                            }
                        }
                        steps.extend(step);
                    }
                }
            }
            let may_end = self.how.mode == Mode::Exact && default.is_none();
            if !may_end && steps.iter().any(Step::creates) {
                self.keep_default(data_type, &there).await?;
            }
            self.take(data_type, steps, report).await?;
        }
        self.give_texts(texts, &there, report).await?;
        self.tell_bare(bare, report);
        self.tell_unknown(data_type, unknown, report);
        self.tell_left_out(data_type, report);
        self.tell_unkept(data_type, report).await?;
        let has_default = there.things.iter().any(|thing| thing.is("isDefault"));
        if self.how.mode == Mode::Exact || self.how.mode == Mode::Missing && !has_default {
            self.choose_default(data_type, default, &there).await?;
        }
        if self.how.mode == Mode::Exact {
            let (kept, surplus) =
                surplus(there, free).into_iter().partition(|thing| is_partly_unknown(data_type, thing));
            tell_kept(kept, report);
            self.surplus.push((data_type, surplus));
        }
        Ok(())
    }

    /// What creates an object that is missing; `None`: it comes by its text, or not at all.
    fn creation(
        &self,
        data_type: DataType,
        thing: JmapObject,
        there: &There,
        report: &mut RestoredObjects,
    ) -> Option<Step> {
        if self.comes_by_text(&thing) {
            return None;
        }
        match rules::cannot_be_sent(&thing).or_else(|| self.is_taken(data_type, &thing, there)) {
            None => Some(Step::create(data_type, named(data_type, thing))),
            Some(reason) => {
                report.refuse(&thing.id, thing.name(), reason, &thing.json, thing.content);
                None
            }
        }
    }

    /// Of all-day series whose texts the snapshot lacks.
    fn tell_bare(&self, bare: usize, report: &mut RestoredObjects) {
        let is_concerned = report.restored > 0 || self.how.mode == Mode::Exact;
        if bare > 0 && is_concerned {
            report.notes.push(format!(
                "{bare} all-day series are as JMAP shows them, perhaps without occurrences that were changed: the snapshot lacks their texts"
            ));
        }
    }

    /// Why an event cannot come beside another version of itself.
    fn is_taken(&self, data_type: DataType, event: &JmapObject, there: &There) -> Option<&'static str> {
        let is_of_uid =
            |one: &JmapObject| !event.text("uid").is_empty() && one.text("uid") == event.text("uid");
        let is_event = data_type == DataType::CalendarEvent && self.how.mode == Mode::Beside;
        (is_event && there.things.iter().any(is_of_uid)).then_some(
            "the account has another version of this event, and servers take each UID once; restore it in mode exact, or export it",
        )
    }

    /// What of the snapshot is wanted, under the names it will have.
    async fn wanted(&self, data_type: DataType, report: &mut RestoredObjects) -> Result<Vec<JmapObject>> {
        let is_beside = self.how.mode == Mode::Beside;
        let (found, lost) = readable(self.snapshot, data_type).await?;
        for (id, reason) in lost {
            report.refuse(&id, id.clone(), reason, &Map::new(), None);
        }
        let mut things = jmap_objects(&found);
        things.iter_mut().for_each(|thing| self.subscribe(data_type, thing));
        match data_type {
            DataType::SieveScript if is_beside => things.iter_mut().for_each(|thing| self.label(thing)),
            DataType::SieveScript => things.retain(|thing| !rules::is_hidden(data_type, thing)),
            DataType::AddressBook | DataType::Calendar if is_beside => {
                let used = self.used(data_type).await?;
                // Each account has a default one: beside it an empty one is useless.
                things.retain(|thing| !thing.is("isDefault") || used.contains(&thing.id));
                things.iter_mut().for_each(|thing| self.label(thing));
            }
            DataType::FileNode if is_beside && !things.is_empty() => {
                for thing in things.iter_mut().filter(|thing| thing.text("parentId").is_empty()) {
                    thing.json.insert("parentId".to_owned(), json!(ROOT));
                }
                let json = Map::from_iter([("name".to_owned(), json!(self.label))]);
                things.push(JmapObject { id: ROOT.to_owned(), json, content: None, text: None });
            }
            _ => {}
        }
        Ok(things)
    }

    /// Of what users subscribe to: as its owner had it, or subscribed, as mail programs show what is. Nobody subscribes for somebody
    /// else.
    fn subscribe(&self, data_type: DataType, thing: &mut JmapObject) {
        if !is_each_users(data_type) || !thing.json.contains_key(SUBSCRIBED) {
            return;
        }
        let is_known = self.snapshot.info().is_of_owner(data_type) && self.how.mode != Mode::Beside;
        if !self.target.is_owners() {
            thing.json.remove(SUBSCRIBED);
        } else if !is_known {
            thing.json.insert(SUBSCRIBED.to_owned(), json!(true));
        }
    }

    fn label(&self, thing: &mut JmapObject) {
        let name: String = thing.text("name").chars().take(LONGEST_NAME / 4).collect();
        thing.json.insert("name".to_owned(), json!(format!("{name} – {}", self.label)));
    }

    /// Ids of the address books or calendars that hold something.
    async fn used(&self, data_type: DataType) -> Result<Vec<String>> {
        let Some((contents, member)) = rules::contents_of(data_type) else { return Ok(Vec::new()) };
        let contents = jmap_objects(&readable(self.snapshot, contents).await?.0);
        let sets = contents.iter().filter_map(|thing| thing.json.get(member)?.as_object());
        let mut used: Vec<String> = sets.flat_map(|set| set.keys().cloned()).collect();
        used.sort_unstable();
        used.dedup();
        Ok(used)
    }

    /// Puts the account's ids in place of the snapshot's. What refers to something that did not come back cannot either.
    fn refer(
        &self,
        data_type: DataType,
        things: Vec<JmapObject>,
        report: &mut RestoredObjects,
    ) -> Vec<JmapObject> {
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
        thing: &JmapObject,
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
                if ids.is_empty() {
                    Err("what it lies in did not come back")
                } else {
                    Ok(Some((member, ids.into())))
                }
            }
        }
    }

    /// What makes an object that is there as the snapshot has it. Counts what earlier attempts did to it.
    async fn change(
        &mut self,
        data_type: DataType,
        wanted: JmapObject,
        there: &There,
        at: usize,
        report: &mut RestoredObjects,
    ) -> Result<Option<Step>> {
        let (now, is_held) = (&there.things[at], there.is_held[at]);
        let rules = rules::rules(data_type);
        let is_ours = self.is_ours(data_type, &now.id);
        if is_ours {
            report.restored += 1;
            if rules::contents_of(data_type).is_some() {
                self.made.insert((data_type, now.id.clone()), now.name());
            }
        }
        let may_change = match self.how.mode {
            Mode::Beside => false,
            Mode::Missing => rules::is_pristine(data_type, now),
            Mode::Exact => is_held,
        };
        // An attempt was cut off between CalDAV and JMAP.
        let may_change = may_change || is_ours && has_own_components(&wanted);
        let mut patch = patch(&wanted, now, &rules);
        if !self.snapshot.info().is_of_owner(data_type) {
            patch.remove(SUBSCRIBED);
        }
        if self.how.mode == Mode::Missing && wanted.is("isDefault") && patch.contains_key("name") {
            self.keep_name(&wanted, now, may_change, &mut patch, report);
        }
        if !may_change {
            self.note_left_out(data_type, &wanted, now);
            if is_ours {
                report.notes.extend(came_without(&wanted, now, &rules));
                return Ok(self.property_change(wanted, now, report));
            } else if self.how.mode == Mode::Missing && self.was_filled(data_type, &wanted, now) {
                report.changed += 1;
                self.tell_cut_off(&wanted, now, report);
            }
            return Ok(None);
        }
        let has_other_content = self.how.mode == Mode::Exact && self.has_other_content(&wanted, now).await?;
        if patch.is_empty() && !has_other_content && !differ(&wanted, now) {
            if !is_ours && self.was_changed(&wanted, now, there, &rules).await? {
                report.changed += 1;
            }
            return Ok(None);
        }
        if let Some(reason) = rules::cannot_be_sent(&wanted) {
            if self.comes_by_text(&wanted) {
                return Ok(None);
            }
            report.notes.push(format!("{} was left as it is: {reason}", now.name()));
            return Ok(None);
        }
        let is_overwritten = has_other_content || now.text.is_some();
        if is_overwritten && let Some(reason) = self.is_irreplaceable(now).await? {
            report.notes.push(format!("{} was left as it is: {reason}", now.name()));
            return Ok(None);
        }
        if data_type == DataType::FileNode {
            rules::keep_modified(&mut patch, &wanted);
        }
        let properties = self.property_difference(&wanted, now, report);
        let is_nothing = patch.is_empty() && !has_other_content && properties.is_empty();
        let step = Step::change(wanted, now.clone(), patch, has_other_content).with(properties);
        Ok(Some(step).filter(|_| !is_nothing))
    }

    /// What gives its properties to an object that an earlier attempt made.
    fn property_change(
        &self,
        wanted: JmapObject,
        now: &JmapObject,
        report: &mut RestoredObjects,
    ) -> Option<Step> {
        let properties = self.property_difference(&wanted, now, report);
        let is_nothing = properties.is_empty();
        (!is_nothing).then(|| Step::change(wanted, now.clone(), Map::new(), false).with(properties))
    }
}

/// What is not one of the snapshot's, and may go.
fn surplus(there: There, free: Vec<bool>) -> Vec<JmapObject> {
    let all = there.things.into_iter().zip(there.is_held).zip(free);
    all.filter(|((_, is_held), free)| *free && *is_held).map(|((thing, _), _)| thing).collect()
}

/// Tells what stays because the safety backup lacks a part of it.
fn tell_kept(kept: Vec<JmapObject>, report: &mut RestoredObjects) {
    for thing in kept {
        report.note(format!(
            "{} is still there: what programs set to it by CalDAV and CardDAV alone could not be backed up before",
            thing.name()
        ));
    }
}

/// Of a type whose objects need names: what somebody else made has none for its owner.
fn named(data_type: DataType, mut thing: JmapObject) -> JmapObject {
    let is_container = rules::contents_of(data_type).is_some();
    if is_container && thing.text("name").is_empty() {
        thing.json.insert("name".to_owned(), json!(NAMELESS));
    }
    thing
}

fn jmap_objects(records: &[ObjectRecord]) -> Vec<JmapObject> {
    let read = |record: &ObjectRecord| {
        let is_event = record.data_type == DataType::CalendarEvent;
        let content = record.blob.filter(|_| !is_event);
        Some(JmapObject {
            text: record.blob.filter(|_| is_event),
            ..jmap_object(&record.id, &record.json, content)?
        })
    };
    records.iter().filter_map(read).collect()
}

/// Members that are not sent and that owners change.
const OWNERS: [&str; 4] = ["blobId", "shareWith", "isSubscribed", MEMBER];

/// Whether nobody touched it meanwhile. What the server says of an object by itself (when it was last looked at) makes no
/// difference.
fn is_as_before(data_type: DataType, before: &JmapObject, now: &JmapObject) -> bool {
    let rules = rules::rules(data_type);
    let servers = rules.not_sent.iter().filter(|member| !OWNERS.contains(*member));
    let servers: Vec<&str> = servers.chain(rules.not_compared).chain(&FLAGS).copied().collect();
    let says = |thing: &JmapObject| {
        let mut json = thing.json.clone();
        json.retain(|member, _| !servers.contains(&member.as_str()));
        json
    };
    says(before) == says(now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_blob_beside_the_uri_of_a_photo_is_not_sent() {
        let photo = |more: Value| json!({ "uid": "u", "blobId": "own", "media": { "p": more } });
        let read = |json: Value| {
            Value::from(jmap_object("c", json.to_string().as_bytes(), None).expect("an object").json)
        };
        let both = json!({ "kind": "photo", "uri": "data:,x", "blobId": "b" });
        assert_eq!(read(photo(both)), photo(json!({ "kind": "photo", "uri": "data:,x" })));
        let as_it_is = [
            json!({ "blobId": "b" }),
            json!({ "uri": "data:,x" }),
            json!({ "uri": 1, "blobId": "b" }),
            json!(1),
        ];
        for other in as_it_is {
            assert_eq!(read(photo(other.clone())), photo(other));
        }
    }
}
