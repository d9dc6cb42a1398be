//! Which text is which event's: by the UID, and of events that share one, by the calendars that they lie in.
//!
//! CalDAV does not say which calendar of JMAP one of its own is. Their names do, and of calendars that share a name the events that lie
//! in one of them alone.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jmap::{CalendarPlace, EventPlace};
use serde_json::Value;

use crate::backup::draft::Rows;

/// Rows that may have changed: ids and JSON by UID.
pub(super) type RowsByUid = BTreeMap<String, Vec<(String, Bytes)>>;

/// A calendar of CalDAV.
pub(super) struct Collection {
    pub(super) place: CalendarPlace,
    pub(super) events: Vec<EventPlace>,
    /// The ids of the calendars of JMAP that it may be.
    ids: BTreeSet<String>,
}

impl Collection {
    pub(super) fn new(place: CalendarPlace, events: Vec<EventPlace>) -> Collection {
        Collection { place, events, ids: BTreeSet::new() }
    }
}

/// The UID of an event; that of a journal stands in what Stalwart gives of it as jCal (RFC 7265).
pub(super) fn uid_of(json: &[u8]) -> Option<String> {
    let event: Value = serde_json::from_slice(json).ok()?;
    let properties = || event.get("iCalendar")?.get("components")?.get(0)?.get(1)?.as_array();
    let is_uid = |property: &&Value| property.get(0).is_some_and(|name| name == "uid");
    let of_journal = || properties()?.iter().find(is_uid)?.get(3)?.as_str();
    event.get("uid").and_then(Value::as_str).or_else(of_journal).map(str::to_owned)
}

/// UIDs that several events have.
pub(super) fn shared_uids(collections: &[Collection], rows: &RowsByUid) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let of_rows = rows.iter().filter(|(_, rows)| rows.len() > 1).map(|(uid, _)| uid);
    let events = collections.iter().flat_map(|collection| &collection.events).map(|event| &event.uid);
    of_rows.chain(events.filter(|uid| !seen.insert(*uid))).cloned().collect()
}

/// Says which calendars of JMAP (`names`: by id) these may be. `shared`: UIDs that tell nothing.
pub(super) fn tell_apart(
    collections: &mut [Collection],
    names: &BTreeMap<String, String>,
    shared: &BTreeSet<String>,
    (rows, known): (&RowsByUid, &Rows),
) {
    let mut calendars: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let jsons = known.values().map(|row| &row.json).chain(rows.values().flatten().map(|(_, json)| json));
    for json in jsons {
        if let Some(uid) = uid_of(json).filter(|uid| !shared.contains(uid)) {
            calendars.insert(uid, calendars_of(json));
        }
    }
    for Collection { place, events, ids } in &mut *collections {
        *ids = names.iter().filter(|(_, name)| **name == place.name).map(|(id, _)| id.clone()).collect();
        for lie_in in events.iter().filter_map(|event| calendars.get(&event.uid)) {
            if ids.len() > 1 && !ids.is_disjoint(lie_in) {
                ids.retain(|id| lie_in.contains(id));
            }
        }
    }
    // A calendar that is known is none of the others.
    for _ in 0..collections.len() {
        let is_known = |collection: &&Collection| collection.ids.len() == 1;
        let known: BTreeSet<String> =
            collections.iter().filter(is_known).flat_map(|it| it.ids.iter().cloned()).collect();
        for collection in collections.iter_mut().filter(|collection| collection.ids.len() > 1) {
            collection.ids.retain(|id| !known.contains(id));
        }
    }
}

fn calendars_of(json: &[u8]) -> BTreeSet<String> {
    let event: Option<Value> = serde_json::from_slice(json).ok();
    let calendars = event.as_ref().and_then(|event| event.get("calendarIds")?.as_object());
    calendars.into_iter().flatten().map(|(id, _)| id.clone()).collect()
}

/// Takes the row of an event of this UID in a collection, if that is told. `shared`: UIDs that alone do not tell it.
pub(super) fn take_row(
    rows: &mut RowsByUid,
    uid: &str,
    collection: &Collection,
    shared: &BTreeSet<String>,
) -> Option<(String, Bytes)> {
    let of_uid = rows.get_mut(uid)?;
    let is_in_it = |(_, json): &(String, Bytes)| {
        let is_told = !collection.ids.is_empty() && collection.ids.is_subset(&calendars_of(json));
        is_told || !shared.contains(uid)
    };
    let at = of_uid.iter().position(is_in_it)?;
    let row = of_uid.swap_remove(at);
    if of_uid.is_empty() {
        rows.remove(uid);
    }
    Some(row)
}
