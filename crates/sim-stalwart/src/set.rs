//! `Foo/set` (RFC 8620 §5.3): what all types have in common.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::api::Context;
use crate::error::MethodError;
use crate::found::Found;
use crate::get::{state_number, state_text};
use crate::ids;
use crate::json::{self, Arguments};
use crate::kind::DataType;
use crate::set_error::SetError;
use crate::version::Version;
use crate::{set_email, set_object, set_script, set_vacation};

/// One `set` while it is worked on.
pub(crate) struct Setting<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) kind: DataType,
    pub(crate) arguments: &'a Arguments,
    /// The blobs that the arguments name, as far as the caller may read them.
    pub(crate) blobs: &'a Found,
    /// Ids that this call destroys.
    pub(crate) doomed: BTreeSet<String>,
    pub(crate) outcome: Outcome,
}

/// What became of each object.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) created: Map<String, Value>,
    pub(crate) updated: Map<String, Value>,
    pub(crate) destroyed: Vec<String>,
    pub(crate) not_created: Map<String, Value>,
    pub(crate) not_updated: Map<String, Value>,
    pub(crate) not_destroyed: Map<String, Value>,
}

impl Outcome {
    pub(crate) fn refused_nothing(&self) -> bool {
        self.not_created.is_empty() && self.not_updated.is_empty() && self.not_destroyed.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        let maps = [
            ("created", &self.created),
            ("updated", &self.updated),
            ("notCreated", &self.not_created),
            ("notUpdated", &self.not_updated),
            ("notDestroyed", &self.not_destroyed),
        ];
        // As Stalwart does: what is empty is not there.
        maps.iter().filter(|(_, map)| !map.is_empty()).for_each(|(name, map)| json::member(out, name, map));
        if !self.destroyed.is_empty() {
            json::member(out, "destroyed", &self.destroyed);
        }
    }
}

/// Types whose `ifInState` the server heeds, and which say `oldState`.
const fn heeds_state(kind: DataType) -> bool {
    matches!(kind, DataType::Mailbox | DataType::Email | DataType::SieveScript | DataType::VacationResponse)
}

/// Refuses a call whose `ifInState` is not the present state.
pub(crate) fn check_state(
    account: &Account,
    kind: DataType,
    arguments: &Arguments,
) -> Result<(), MethodError> {
    let wanted = match arguments.get("ifInState") {
        None | Some(Value::Null) => return Ok(()),
        Some(state) => state.as_str().and_then(state_number),
    };
    let wanted = wanted.ok_or_else(|| MethodError::invalid("ifInState is no state"))?;
    if wanted == account.state(kind) { Ok(()) } else { Err(MethodError::of("stateMismatch")) }
}

/// The members of an argument that is an object, null or absent.
pub(crate) fn members<'a>(
    arguments: &'a Arguments,
    name: &str,
) -> Result<Vec<(&'a String, &'a Value)>, MethodError> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(members)) => Ok(members.iter().collect()),
        Some(_) => Err(MethodError::invalid(format!("{name}: not an object"))),
    }
}

pub(crate) fn set(
    context: &Context<'_>,
    account: &mut Account,
    kind: DataType,
    arguments: &Arguments,
    blobs: &Found,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    let (creates, updates) = (members(arguments, "create")?, members(arguments, "update")?);
    let destroys = json::strings(arguments, "destroy")?.unwrap_or_default();
    if creates.len() + updates.len() + destroys.len() > context.settings.limits.max_objects_in_set {
        return Err(MethodError::of("requestTooLarge"));
    }
    if heeds_state(kind) {
        check_state(account, kind, arguments)?;
    }
    let creates = in_order(context, creates)?;
    let old = account.state(kind);
    let doomed = destroys.iter().cloned().collect();
    let outcome = Outcome::default();
    let mut setting = Setting { context, kind, arguments, blobs, doomed, outcome };
    match kind {
        DataType::Email => set_email::set(&mut setting, account, &creates, &updates, &destroys)?,
        DataType::VacationResponse => {
            set_vacation::set(&mut setting, account, &creates, &updates, &destroys)?;
        }
        _ => setting.objects(account, &creates, &updates, &destroys),
    }
    setting.finish(account, old, out);
    Ok(())
}

impl Setting<'_> {
    /// Creates, updates and destroys, in this order, as the RFC wants it.
    fn objects(
        &mut self,
        account: &mut Account,
        creates: &[(&String, &Value)],
        updates: &[(&String, &Value)],
        destroys: &[String],
    ) {
        let before = account.objects[&self.kind].present.clone();
        for (creation, object) in creates {
            let Some(object) = object.as_object() else { continue };
            match set_object::create(self, account, &before, object) {
                Ok(created) => self.created(creation, created),
                Err(error) => drop(self.outcome.not_created.insert((*creation).clone(), error.json())),
            }
        }
        let before = account.objects[&self.kind].present.clone();
        for (id, object) in updates {
            let Some(object) = object.as_object().filter(|_| self.is_id(id)) else { continue };
            match self.living(id).and_then(|()| set_object::update(self, account, &before, (id, object))) {
                Ok(updated) => drop(self.outcome.updated.insert((*id).clone(), updated)),
                Err(error) => drop(self.outcome.not_updated.insert((*id).clone(), error.json())),
            }
        }
        for id in destroys {
            if !self.is_id(id) {
                continue;
            }
            match set_object::destroy(self, account, id) {
                Ok(also) => self.outcome.destroyed.extend(also),
                Err(error) => drop(self.outcome.not_destroyed.insert(id.clone(), error.json())),
            }
        }
        set_script::activate(self, account);
        set_object::choose_default(self, account);
    }

    /// Notes a created object and makes its creation id known to the rest of the request.
    pub(crate) fn created(&mut self, creation: &str, created: Value) {
        if let Some(id) = created["id"].as_str() {
            self.context.created.borrow_mut().insert(creation.to_owned(), id.to_owned());
        }
        self.outcome.created.insert(creation.to_owned(), created);
    }

    /// An id that the call destroys is not updated any more.
    pub(crate) fn living(&self, id: &str) -> Result<(), SetError> {
        if self.doomed.contains(id) {
            return Err(SetError::of("willDestroy").because("ID will be destroyed."));
        }
        Ok(())
    }

    /// 0.15 is silent about what is no id at all, creation ids included.
    pub(crate) fn is_id(&self, id: &str) -> bool {
        self.context.settings.version != Version::V0_15 || ids::is_id(id)
    }

    /// The id that `#name` or a plain id stands for.
    pub(crate) fn resolved(&self, id: &str) -> Result<String, SetError> {
        let Some(creation) = id.strip_prefix('#') else { return Ok(id.to_owned()) };
        let known = self.context.created.borrow().get(creation).cloned();
        known.ok_or_else(|| SetError::not_found().because(format!("Id reference {creation:?} not found.")))
    }

    fn finish(&self, account: &Account, old: u64, out: &mut Vec<u8>) {
        let outcome = &self.outcome;
        self.context.server.meters.set(
            outcome.created.len() as u64,
            outcome.updated.len() as u64,
            outcome.destroyed.len() as u64,
        );
        out.push(b'{');
        json::member(out, "accountId", &account.id);
        let new = account.state(self.kind);
        if heeds_state(self.kind) {
            json::member(out, "oldState", &state_text(old));
        }
        if heeds_state(self.kind) || (new != old && self.kind != DataType::ParticipantIdentity) {
            json::member(out, "newState", &state_text(new));
        }
        outcome.write(out);
        out.push(b'}');
    }
}

/// Creations, those that others refer to first. A reference to nothing fails the call, as in Stalwart.
pub(crate) fn in_order<'a>(
    context: &Context<'_>,
    mut waiting: Vec<(&'a String, &'a Value)>,
) -> Result<Vec<(&'a String, &'a Value)>, MethodError> {
    let names: BTreeSet<&String> = waiting.iter().map(|(name, _)| *name).collect();
    let known = context.created.borrow();
    let mut done = BTreeSet::new();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let before = ordered.len();
        for (name, object) in std::mem::take(&mut waiting) {
            let wanted = references(object);
            if let Some(lost) = wanted.iter().find(|it| !names.contains(it) && !known.contains_key(*it)) {
                let reason = format!("Invalid reference to non-existing object {lost:?} from {name:?}");
                return Err(MethodError::of("invalidResultReference").because(reason));
            }
            if wanted.iter().all(|it| done.contains(it) || !names.contains(it)) {
                done.insert(name.clone());
                ordered.push((name, object));
            } else {
                waiting.push((name, object));
            }
        }
        if ordered.len() == before {
            return Err(MethodError::of("invalidResultReference").because("cyclic references".to_owned()));
        }
    }
    Ok(ordered)
}

/// The creation ids that an object's own members refer to, and the parts of a blob.
fn references(object: &Value) -> Vec<String> {
    let parts = object["data"].as_array().into_iter().flatten().filter_map(Value::as_object);
    let members = object.as_object().into_iter().chain(parts).flatten();
    let named = members.flat_map(|(name, value)| match value {
        Value::String(text) if name.ends_with("Id") => vec![text.as_str()],
        Value::Object(set) if name.ends_with("Ids") => set.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    });
    named.filter_map(|id| id.strip_prefix('#').map(str::to_owned)).collect()
}

/// The answer for an object that was created: its id alone.
pub(crate) fn created(id: &str) -> Value {
    json!({ "id": id })
}
