//! What stays out of an address book or calendar that was made again: it is there, in another one, and mode *missing* changes nothing
//! that is there.

use model::DataType;
use serde_json::{Map, Value};

use super::Objects;
use super::pairs::JmapObject;
use super::rules::{self, Refers};
use crate::restore::report::RestoredObjects;
use crate::restore::request::Mode;

impl Objects<'_> {
    /// Counts an object for each container that this restore made and that it was in.
    pub(super) fn note_left_out(&mut self, data_type: DataType, wanted: &JmapObject, now: &JmapObject) {
        let Refers::Set(container, member) = rules::refers(data_type) else { return };
        let set = |thing: &JmapObject| {
            thing.json.get(member).and_then(Value::as_object).cloned().unwrap_or_default()
        };
        let now: Map<String, Value> = set(now);
        for id in set(wanted).into_iter().map(|(id, _)| id).filter(|id| !now.contains_key(id)) {
            let key = (container, id);
            if self.how.mode == Mode::Missing && self.made.contains_key(&key) {
                *self.left_out.entry(key).or_default() += 1;
            }
        }
    }

    pub(super) fn tell_left_out(&mut self, data_type: DataType, report: &mut RestoredObjects) {
        for ((container, id), count) in std::mem::take(&mut self.left_out) {
            let name = self.made.get(&(container, id)).map_or("", String::as_str);
            let plural = rules::plural(data_type);
            report.note(format!(
                "{name} comes back without {count} of its {plural}: they are in others only, and mode missing leaves them there; mode exact puts \
                 them into it, too"
            ));
        }
    }
}
