//! Which of the account's objects are the snapshot's, and what has to change. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::{BlobId, DataType};
use serde_json::{Map, Value};

/// An object of the snapshot, or of the account.
#[derive(Debug, Clone)]
pub(in crate::restore) struct JmapObject {
    pub(in crate::restore) id: String,
    /// References are ids of the account, on both sides.
    pub(in crate::restore) json: Map<String, Value>,
    /// A script's text, a file's bytes.
    pub(in crate::restore) content: Option<BlobId>,
    /// An event's, as CalDAV gives it.
    pub(in crate::restore) text: Option<BlobId>,
}

impl JmapObject {
    pub(super) fn text(&self, member: &str) -> &str {
        self.json.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn is(&self, flag: &str) -> bool {
        self.json.get(flag) == Some(&Value::Bool(true))
    }

    /// What people call it.
    pub(in crate::restore) fn name(&self) -> String {
        let full = self.json.get("name").and_then(|name| name.get("full")).and_then(Value::as_str);
        let texts = ["name", "title", "email", "calendarAddress", "uid"].map(|member| self.text(member));
        let name = full.into_iter().chain(texts).find(|text| !text.is_empty());
        name.or_else(|| self.journal("summary")).unwrap_or(&self.id).to_owned()
    }

    /// Whether it is what has no JSCalendar of its own (VJOURNAL): Stalwart gives a group of nothing, and all there is of it as
    /// jCal (RFC 7265).
    pub(super) fn is_journal(&self) -> bool {
        self.text("@type") == "Group" && self.json.contains_key("iCalendar")
    }

    /// A property of the first component in its jCal.
    pub(super) fn journal(&self, property: &str) -> Option<&str> {
        let properties = self.json.get("iCalendar")?.get("components")?.get(0)?.get(1)?.as_array()?;
        properties.iter().find(|one| one.get(0).is_some_and(|name| name == property))?.get(3)?.as_str()
    }
}

/// Ids of the account by those of the snapshot.
pub(in crate::restore) type NewIds = BTreeMap<(DataType, String), String>;

/// An object of the account, if it can be read.
pub(in crate::restore) fn read_object(id: &str, json: &[u8]) -> Option<JmapObject> {
    jmap_object(id, json, None)
}

pub(super) fn jmap_object(id: &str, json: &[u8], content: Option<BlobId>) -> Option<JmapObject> {
    let mut json: Map<String, Value> = serde_json::from_slice(json).ok()?;
    drop_idle_blob_ids(&mut json);
    Some(JmapObject { id: id.to_owned(), json, content, text: None })
}

/// Removes the id of a blob that a photo's URI stands beside. Stalwart 0.16 lets one be set by a patch, and takes no card that has one.
fn drop_idle_blob_ids(json: &mut Map<String, Value>) {
    let media = json.get_mut("media").and_then(Value::as_object_mut).into_iter().flatten();
    for entry in media.filter_map(|(_, entry)| entry.as_object_mut()) {
        if entry.get("uri").is_some_and(Value::is_string) {
            entry.remove("blobId");
        }
    }
}

/// What of an object is sent.
pub(super) struct Rules {
    /// Members that are the server's, or that go another way (content, flags of which one object has each).
    pub(super) not_sent: &'static [&'static str],
    /// Members, at any depth, that are sent and that servers overwrite or add: they make no difference.
    pub(super) not_compared: &'static [&'static str],
    /// Objects have the members that somebody gave them. Those of other types have all that the server knows.
    pub(super) is_open: bool,
}

/// What makes two objects the same; `None`: this key says nothing of the object.
pub(super) type Key = Box<dyn Fn(&JmapObject) -> Option<String> + Send + Sync>;

/// For each wanted object the index of the one there that it is, as far as there is one. The first key decides where it can,
/// each further one about what is left. What is paired is taken out of `free`.
pub(super) fn pair(
    wanted: &[JmapObject],
    there: &[JmapObject],
    free: &mut [bool],
    keys: &[Key],
) -> Vec<Option<usize>> {
    let mut pairs = vec![None; wanted.len()];
    for key in keys {
        let mut by_key: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
        for (at, thing) in there.iter().enumerate().filter(|(at, _)| free[*at]) {
            if let Some(key) = key(thing) {
                by_key.entry(key).or_default().push_back(at);
            }
        }
        for (thing, pair) in wanted.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
            *pair = key(thing).and_then(|key| by_key.get_mut(&key)?.pop_front());
            if let Some(at) = *pair {
                free[at] = false;
            }
        }
    }
    pairs
}

/// What makes `there` equal to `wanted`. `null` and absent are one; a member that the snapshot does not know at all stays,
/// unless the type is open: then its owner has added it.
pub(super) fn patch(wanted: &JmapObject, there: &JmapObject, rules: &Rules) -> Map<String, Value> {
    let added = there.json.keys().filter(|name| rules.is_open && !wanted.json.contains_key(*name));
    let is_said = |name: &&String| {
        !rules.not_sent.contains(&name.as_str()) && !rules.not_compared.contains(&name.as_str())
    };
    let names = wanted.json.keys().chain(added).filter(is_said);
    let mut patch = Map::new();
    for name in names {
        let (want, is) = (wanted.json.get(name), there.json.get(name));
        if !is_same(want.unwrap_or(&Value::Null), is.unwrap_or(&Value::Null), rules) {
            patch.insert(name.clone(), want.cloned().unwrap_or_default());
        }
    }
    patch
}

/// Whether two values differ in nothing but what servers overwrite, at any depth.
fn is_same(want: &Value, is: &Value, rules: &Rules) -> bool {
    let (Value::Object(wanted), Value::Object(there)) = (want, is) else { return want == is };
    let mut names = wanted.keys().chain(there.keys());
    names.all(|name| match (wanted.get(name), there.get(name)) {
        _ if rules.not_compared.contains(&name.as_str()) => true,
        (Some(want), Some(is)) => is_same(want, is, rules),
        (want, is) => want == is,
    })
}

/// What is sent to create it.
pub(super) fn creation(wanted: &JmapObject, rules: &Rules) -> Map<String, Value> {
    let sent = wanted
        .json
        .iter()
        .filter(|(name, value)| !rules.not_sent.contains(&name.as_str()) && !value.is_null());
    sent.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Members of what was sent that the server keeps otherwise, or not at all. What it adds makes no difference.
pub(super) fn not_kept<'s>(sent: &'s Map<String, Value>, now: &JmapObject, rules: &Rules) -> Vec<&'s str> {
    let is_own = |name: &str| rules.not_sent.contains(&name) || rules.not_compared.contains(&name);
    let differs = |name: &str, value: &Value| {
        let now = now.json.get(name).unwrap_or(&Value::Null);
        !is_own(name) && !is_kept(value, now, rules)
    };
    sent.iter().filter(|(name, value)| differs(name, value)).map(|(name, _)| name.as_str()).collect()
}

/// Whether a value has all that was sent of it, at any depth.
fn is_kept(sent: &Value, now: &Value, rules: &Rules) -> bool {
    match (sent, now) {
        (Value::Object(sent), Value::Object(now)) => sent.iter().all(|(name, value)| {
            let now = now.get(name).unwrap_or(&Value::Null);
            rules.not_compared.contains(&name.as_str()) || is_kept(value, now, rules)
        }),
        (Value::Array(sent), Value::Array(now)) => {
            sent.len() == now.len() && sent.iter().zip(now).all(|(sent, now)| is_kept(sent, now, rules))
        }
        (sent, now) => sent == now || is_nothing(sent) && is_nothing(now),
    }
}

/// A list or a set of nothing is as good as none.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Things so that each comes in a later group than the one `parentId` names. What hangs in a circle hangs at the top.
pub(super) fn levels(things: Vec<JmapObject>) -> Vec<Vec<JmapObject>> {
    let mut levels: Vec<Vec<JmapObject>> = Vec::new();
    let mut rest = things;
    while !rest.is_empty() {
        let waiting: BTreeSet<String> = rest.iter().map(|thing| thing.id.clone()).collect();
        let (mut ready, mut later): (Vec<JmapObject>, Vec<JmapObject>) =
            rest.into_iter().partition(|thing| !waiting.contains(thing.text("parentId")));
        if ready.is_empty() {
            ready = std::mem::take(&mut later);
            ready.iter_mut().for_each(|thing| drop(thing.json.insert("parentId".to_owned(), Value::Null)));
        }
        levels.push(ready);
        rest = later;
    }
    levels
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jmap_object(id: &str, json: Value) -> JmapObject {
        let Value::Object(json) = json else { panic!("no object") };
        JmapObject { id: id.to_owned(), json, content: None, text: None }
    }

    fn by(member: &'static str) -> Key {
        Box::new(move |thing| Some(thing.text(member).to_owned()).filter(|text| !text.is_empty()))
    }

    #[test]
    fn the_first_key_decides_and_twins_are_counted() {
        let named = |id: &str, name: &str| jmap_object(id, json!({ "name": name }));
        let wanted = [named("1", "a"), named("2", "a"), named("3", "b"), named("4", "")];
        let there = [named("3", "a"), named("9", "b"), named("8", "")];
        let mut free = vec![true; 3];
        let id: Key = Box::new(|thing| Some(thing.id.clone()));
        let pairs = pair(&wanted, &there, &mut free, &[by("name"), id]);
        assert_eq!(pairs, [Some(0), None, Some(1), None]);
        assert_eq!(free, [false, false, true]);
    }

    #[test]
    fn a_patch_says_what_differs_and_null_is_absent() {
        let wanted = jmap_object("1", json!({ "a": 1, "b": null, "c": { "x": 1 }, "size": 3, "updated": 1 }));
        let there = jmap_object("2", json!({ "a": 1, "c": { "x": 2 }, "d": true, "e": null, "size": 4 }));
        let rules = |is_open| Rules { not_sent: &["size"], not_compared: &["updated"], is_open };
        assert_eq!(Value::from(patch(&wanted, &there, &rules(true))), json!({ "c": { "x": 1 }, "d": null }));
        assert_eq!(Value::from(patch(&wanted, &there, &rules(false))), json!({ "c": { "x": 1 } }));
        let within = jmap_object("2", json!({ "a": 1, "c": { "x": 1, "updated": 7 } }));
        assert!(patch(&wanted, &within, &rules(true)).is_empty());
        let sent = json!({ "a": 1, "c": { "x": 1 }, "updated": 1 });
        assert_eq!(Value::from(creation(&wanted, &rules(true))), sent);
    }

    #[test]
    fn what_a_server_adds_is_no_loss_and_what_it_leaves_away_is() {
        let now = jmap_object("1", json!({ "a": { "x": 1, "@type": "A" }, "b": [{ "y": 2 }], "d": "other" }));
        let rules = Rules { not_sent: &["blobId"], not_compared: &["updated"], is_open: true };
        for (sent, lost) in [
            (json!({ "a": { "x": 1, "updated": 1 }, "b": [{}], "blobId": "b" }), vec![]),
            (json!({ "a": { "x": 1, "z": 1 }, "b": [{}, {}], "c": true }), vec!["a", "b", "c"]),
            (json!({ "c": null, "d": null }), vec!["d"]),
        ] {
            let sent = sent.as_object().expect("an object");
            assert_eq!(not_kept(sent, &now, &rules), lost, "{sent:?}");
        }
    }

    #[test]
    fn a_journal_is_called_by_its_jcal() {
        let properties = json!([["uid", {}, "unknown", "journal-1"], ["summary", {}, "unknown", "Diary"]]);
        let jcal = json!({ "name": "vcalendar", "components": [["vjournal", properties, []]] });
        let journal = jmap_object("c", json!({ "@type": "Group", "iCalendar": jcal }));
        assert!(
            journal.is_journal()
                && !jmap_object("b", json!({ "@type": "Event", "iCalendar": jcal })).is_journal()
        );
        assert_eq!((journal.journal("uid"), journal.name().as_str()), (Some("journal-1"), "Diary"));
        for odd in [json!(null), json!({ "components": [] }), json!({ "components": [[1, "x"]] })] {
            let odd = jmap_object("c", json!({ "@type": "Group", "iCalendar": odd }));
            assert_eq!((odd.journal("uid"), odd.name().as_str()), (None, "c"));
        }
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_circles_are_cut() {
        let in_dir = |id: &str, parent: &str| jmap_object(id, json!({ "parentId": parent }));
        let groups = levels(vec![in_dir("c", "b"), in_dir("b", "a"), in_dir("a", "lost"), in_dir("x", "x")]);
        let ids: Vec<Vec<&str>> =
            groups.iter().map(|group| group.iter().map(|thing| thing.id.as_str()).collect()).collect();
        assert_eq!(ids, [vec!["a"], vec!["b"], vec!["c"], vec!["x"]]);
        assert_eq!(groups[3][0].json["parentId"], Value::Null);
    }
}
