//! Properties of calendars and address books that JMAP does not take, put by CalDAV and CardDAV: see `server/properties.rs`.
//!
//! Which collection an object is is told by its name, and of several with one name by the properties that it had. The kinds of entries
//! that a calendar takes can be chosen only when it is made: such a calendar is made by CalDAV, and its other members follow over JMAP. An
//! attempt that ends in between leaves a calendar with its name, which the next one fills.

use std::collections::{BTreeMap, BTreeSet};

use jmap::{COMPONENTS, Collection, Id, Properties, TIME_ZONE};
use model::DataType;
use serde_json::{Map, Value};

use super::losses::{otherwise, without};
use super::pairs::{JmapObject, read_object};
use super::text::refused_for_good;
use super::{Objects, rules};
use crate::error::Result;
use crate::restore::report::RestoredObjects;
use crate::restore::request::Mode;
use crate::restore::target::{Target, read, written};
use crate::server::properties::{NOT_SHOWN, NOT_TOLD, add, collections, home_of, is_called, local_name, of};
use crate::server::types::to_jmap;

/// Why it is not told which collection an object is.
const UNTOLD: &str = "another one has the same name, and the mail server does not say which is which";
const CUT_OFF: &str = "an attempt was cut off before; mode exact sets it";
const UNKNOWN: &str = "the mail server does not tell what it has of them";
const UNSHOWN: &str = "the mail server does not show it by CalDAV or CardDAV";

/// What makes the properties of a collection those of another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Difference {
    set: Properties,
    remove: Vec<String>,
    /// What it had before.
    before: Properties,
}

impl Difference {
    /// Of a collection that does not exist yet, or that takes the kinds of entries that it has to take.
    pub(super) fn of_new(wanted: &JmapObject) -> Difference {
        let mut properties = of(&wanted.json).unwrap_or_default();
        properties.remove(COMPONENTS);
        Difference::between(&properties, Properties::new())
    }

    fn between(wanted: &Properties, before: Properties) -> Difference {
        let is_other = |(name, element): &(&String, &String)| before.get(*name) != Some(*element);
        let set = wanted.iter().filter(is_other).map(|(name, element)| (name.clone(), element.clone()));
        let remove = before.keys().filter(|name| !wanted.contains_key(*name)).cloned();
        Difference { set: set.collect(), remove: remove.collect(), before }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// For people.
    fn names(&self) -> Vec<&str> {
        self.set.keys().chain(&self.remove).map(|name| local_name(name)).collect()
    }

    /// What the collection has to have, and has not.
    fn missing(&self, now: &Properties) -> Vec<&str> {
        let set = self.set.iter().filter(|(name, element)| now.get(*name) != Some(*element));
        let kept = self.remove.iter().filter(|name| now.contains_key(*name));
        set.map(|(name, _)| name).chain(kept).map(|name| local_name(name)).collect()
    }
}

/// Whether an object of the account may have other properties than are wanted.
pub(super) fn differ(wanted: &JmapObject, now: &JmapObject) -> bool {
    match (of(&wanted.json), of(&now.json)) {
        (Some(wanted), Some(now)) => wanted != now,
        (Some(wanted), None) => !wanted.is_empty(),
        (None, _) => false,
    }
}

/// Whether its properties would be lost with it: the safety backup has them not.
pub(super) fn is_partly_unknown(data_type: DataType, thing: &JmapObject) -> bool {
    home_of(data_type).is_some() && of(&thing.json).is_none()
}

pub(super) fn has_properties(thing: &JmapObject) -> bool {
    of(&thing.json).is_some_and(|properties| !properties.is_empty())
}

/// Whether an object has to be made by CalDAV.
pub(super) fn has_own_components(thing: &JmapObject) -> bool {
    of(&thing.json).is_some_and(|properties| properties.contains_key(COMPONENTS))
}

impl Target<'_> {
    /// Adds to objects of the account what JMAP does not show of them.
    pub(in crate::restore) async fn add_properties(
        &self,
        data_type: DataType,
        live: &mut [JmapObject],
    ) -> Result<()> {
        if let Some(collections) = self.collections(data_type).await? {
            for thing in live {
                add(&mut thing.json, &collections);
            }
        }
        Ok(())
    }

    /// `None`: the server shows none, or objects of this type are none.
    async fn collections(&self, data_type: DataType) -> Result<Option<Vec<Collection>>> {
        let Some(home) = home_of(data_type) else { return Ok(None) };
        let collections = collections(self.of(data_type), self.account, home).await;
        collections.map_err(|source| read(rules::plural(data_type), source))
    }
}

impl Objects<'_> {
    /// What has to be set of an object that is there, and may be changed.
    pub(super) fn property_difference(
        &self,
        wanted: &JmapObject,
        now: &JmapObject,
        report: &mut RestoredObjects,
    ) -> Difference {
        let Some(properties) = of(&wanted.json) else { return Difference::default() };
        let Some(before) = of(&now.json) else {
            let missing = Difference::between(&properties, Properties::new());
            note_without(&now.name(), &missing.names(), UNKNOWN, report);
            return Difference::default();
        };
        let mut difference = Difference::between(&properties, before);
        if self.how.mode != Mode::Exact {
            difference.remove.clear();
            // What somebody set since stays.
            difference.set.retain(|name, _| !difference.before.contains_key(name));
        }
        if wanted.json.get("timeZone").is_some_and(|zone| !zone.is_null()) {
            // Its own zone goes when JMAP sets another one.
            difference.remove.retain(|name| name != TIME_ZONE);
        }
        let is_fixed = difference.set.remove(COMPONENTS).is_some();
        let components = difference.remove.len();
        difference.remove.retain(|name| name != COMPONENTS);
        if is_fixed || difference.remove.len() < components {
            report.note(format!(
                "{} keeps the kinds of entries that it takes: they can be chosen only when a calendar is made",
                now.name()
            ));
        }
        difference
    }

    /// Makes a calendar that takes some kinds of entries only, and returns its id. `None`: it has to be made as others are.
    pub(super) async fn make_by_dav(
        &self,
        thing: &JmapObject,
        object: &Map<String, Value>,
        report: &mut RestoredObjects,
    ) -> Result<Option<String>> {
        let components = of(&thing.json).and_then(|mut properties| properties.remove_entry(COMPONENTS));
        let Some((component_set, element)) = components else { return Ok(None) };
        let properties = Properties::from([(component_set, element)]);
        let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
        let before = self.ids_called(name).await?;
        let key = format!("{} {}", thing.id, self.label);
        let place = format!("malle-{:016x}", self.snapshot.hasher().short(&key));
        let (client, account) = (self.target.of(DataType::Calendar), self.target.account);
        match client.make_calendar(account, &place, name, &properties).await {
            Ok(()) => {}
            Err(error) if refused_for_good(&error) => {
                note_without(name, &[local_name(COMPONENTS)], &error.to_string(), report);
                return Ok(None);
            }
            Err(error) => return Err(written("the calendars", error)),
        }
        let now = self.ids_called(name).await?;
        let made: Vec<&String> = now.difference(&before).collect();
        match made.as_slice() {
            [made] => Ok(Some((*made).clone())),
            _ => {
                let reason = "the mail server does not show over JMAP what it made by CalDAV";
                Err(read("the calendars", jmap::Error::Untrue { method: "Calendar/get", reason }))
            }
        }
    }

    async fn ids_called(&self, name: &str) -> Result<BTreeSet<String>> {
        let calendars = self.target.objects(to_jmap(DataType::Calendar)).await?;
        let things = calendars.iter().filter_map(|object| read_object(object.id.as_str(), &object.json));
        Ok(things.filter(|thing| thing.text("name") == name).map(|thing| thing.id).collect())
    }

    /// Tells what an attempt that was cut off did not set of something that it had filled.
    pub(super) fn tell_cut_off(&self, wanted: &JmapObject, now: &JmapObject, report: &mut RestoredObjects) {
        let difference = self.property_difference(wanted, now, report);
        note_without(&now.name(), &difference.names(), CUT_OFF, report);
    }

    /// Tells that the snapshot does not know the properties of some collections.
    pub(super) fn tell_unknown(&self, data_type: DataType, unknown: usize, report: &mut RestoredObjects) {
        let state = self.snapshot.info().type_state(data_type);
        let is_said = |name: &String| [NOT_SHOWN, NOT_TOLD].contains(&name.as_str());
        let is_lacking = state.is_some_and(|state| state.not_given.iter().any(is_said));
        if unknown > 0
            && is_lacking
            && (report.restored > 0 || report.changed > 0 || self.how.mode == Mode::Exact)
        {
            let plural = rules::plural(data_type);
            report.note(format!(
                "{unknown} {plural} are as JMAP shows them: the snapshot lacks what programs had set to them by CalDAV and CardDAV alone"
            ));
        }
    }

    /// Gives collections that were created or changed their properties.
    pub(super) async fn give_properties(
        &self,
        data_type: DataType,
        mut needed: BTreeMap<&str, &Difference>,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        needed.retain(|_, difference| !difference.is_empty());
        if needed.is_empty() {
            return Ok(());
        }
        self.seam.assert_alive().await?;
        let collections = self.target.collections(data_type).await?.unwrap_or_default();
        let mut put: Vec<(&Collection, &Difference)> = Vec::new();
        let names = self.names_of(data_type, &needed).await?;
        for (at, (id, name)) in names.iter().enumerate() {
            let difference = needed[id.as_str()];
            let is_alike = |it: &&(String, String)| it.1 == *name && needed[it.0.as_str()] == difference;
            let alike = names[at..].iter().filter(is_alike).count();
            let is_left = |it: &&Collection| put.iter().all(|(taken, _)| !taken.is_at(it));
            let called: Vec<_> =
                collections.iter().filter(|it| is_called(it, name)).filter(is_left).collect();
            match find(&called, difference, alike) {
                Ok(collection) => {
                    self.put_properties(data_type, collection, difference, report).await?;
                    put.push((collection, difference));
                }
                Err(reason) => note_without(name, &difference.names(), reason, report),
            }
        }
        // What a server takes is not what it keeps.
        let now = self.target.collections(data_type).await?.unwrap_or_default();
        for (collection, difference) in put {
            let Some(now) = now.iter().find(|now| now.is_at(collection)) else { continue };
            let missing =
                now.properties.as_ref().map_or_else(|| difference.names(), |now| difference.missing(now));
            if !missing.is_empty() {
                report.note(otherwise(&collection.name, &missing));
            }
        }
        Ok(())
    }

    /// What the account calls these objects.
    async fn names_of(
        &self,
        data_type: DataType,
        needed: &BTreeMap<&str, &Difference>,
    ) -> Result<Vec<(String, String)>> {
        let ids = needed.keys().filter_map(|id| Id::new(id).ok()).collect();
        let found = self.target.objects_of(to_jmap(data_type), ids).await?;
        let things = found.iter().filter_map(|object| read_object(object.id.as_str(), &object.json));
        Ok(things.map(|thing| (thing.id.clone(), thing.text("name").to_owned())).collect())
    }

    /// All that the server takes of them.
    async fn put_properties(
        &self,
        data_type: DataType,
        collection: &Collection,
        difference: &Difference,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let (mut set, mut remove) = (difference.set.clone(), difference.remove.clone());
        while !set.is_empty() || !remove.is_empty() {
            let refused = self.target.of(data_type).change_properties(collection, &set, &remove).await;
            let refused = match refused {
                Err(error) if refused_for_good(&error) => {
                    note_without(&collection.name, &difference.names(), &error.to_string(), report);
                    return Ok(());
                }
                refused => refused.map_err(|source| written(rules::plural(data_type), source))?,
            };
            // The others fail because these do (RFC 4918 section 11.4).
            let names: Vec<&String> =
                refused.iter().filter(|(_, status)| **status != 424).map(|(name, _)| name).collect();
            let before = set.len() + remove.len();
            set.retain(|name, _| !names.contains(&name));
            remove.retain(|name| !names.contains(&name));
            if set.len() + remove.len() == before {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The collection that an object is. `called`: those with its name that got nothing yet; `alike`: how many with this name get the same.
fn find<'c>(
    called: &[&'c Collection],
    difference: &Difference,
    alike: usize,
) -> std::result::Result<&'c Collection, &'static str> {
    let as_before: Vec<&Collection> = called
        .iter()
        .filter(|it| it.properties.as_ref().is_some_and(|now| are_alike(now, &difference.before)))
        .copied()
        .collect();
    match (called, as_before.as_slice()) {
        ([], _) => Err(UNSHOWN),
        ([only], _) | (_, [only]) => Ok(only),
        ([first, ..], _) if called.len() == alike => Ok(first),
        _ => Err(UNTOLD),
    }
}

/// Whether they are the same but for the zone, which may stand in JMAP.
fn are_alike(one: &Properties, other: &Properties) -> bool {
    let but_zone = |all: &Properties| {
        let mut all = all.clone();
        all.remove(TIME_ZONE);
        all
    };
    but_zone(one) == but_zone(other)
}

fn note_without(name: &str, members: &[&str], reason: &str, report: &mut RestoredObjects) {
    if !members.is_empty() {
        report.note(format!("{}: {reason}", without(name, members)));
    }
}
