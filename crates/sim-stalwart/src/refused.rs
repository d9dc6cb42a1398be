//! Objects that a fault keeps from being created, changed or destroyed, while the rest of the call is served.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::effect::Effect;
use crate::json::{self, Arguments};
use crate::set_error::SetError;

/// Errors by the name of the response's member and by (creation) id.
#[derive(Debug, Default)]
pub(crate) struct Refused(Vec<(&'static str, String, Value)>);

impl Refused {
    /// Takes the objects that the effects choose out of a call's arguments.
    pub(crate) fn taken_from(effects: &[Arc<Effect>], arguments: &mut Arguments) -> Self {
        let mut refused = Self::default();
        for effect in effects {
            if let Effect::Refuse { kind, chosen } = &**effect {
                let error = SetError::of(kind.clone()).because("a fault that was asked for").json();
                let mut take = |member, id: &str, object: &Value| {
                    let is = chosen(id, object);
                    if is {
                        refused.0.push((member, id.to_owned(), error.clone()));
                    }
                    !is
                };
                choose(arguments, &mut take);
            }
        }
        refused
    }

    /// Adds the errors to the response that begins at `start`.
    pub(crate) fn add_to(self, start: usize, out: &mut Vec<u8>) {
        if self.0.is_empty() {
            return;
        }
        let mut response: Value = serde_json::from_slice(&out[start..]).unwrap_or_default();
        for (member, id, error) in self.0 {
            response[member][id] = error;
        }
        out.truncate(start);
        json::push(out, &response);
    }
}

/// Keeps those objects of a call that `keep` wants.
fn choose(arguments: &mut Arguments, keep: &mut impl FnMut(&'static str, &str, &Value) -> bool) {
    for (name, member) in [("create", "notCreated"), ("emails", "notCreated"), ("update", "notUpdated")] {
        if let Some(Value::Object(objects)) = arguments.get_mut(name) {
            let kept: Map<String, Value> =
                std::mem::take(objects).into_iter().filter(|(id, object)| keep(member, id, object)).collect();
            *objects = kept;
        }
    }
    if let Some(Value::Array(ids)) = arguments.get_mut("destroy") {
        ids.retain(|id| id.as_str().is_none_or(|text| keep("notDestroyed", text, &Value::Null)));
    }
}
