//! `/set` (RFC 8620 section 5.3), `Email/import` (RFC 8621 section 4.8) and `Blob/upload` (RFC 9404 section 4.1): what is
//! created, changed and destroyed, each thing with an answer of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::methods::expected::{Asked, Expected, Reference};
use crate::methods::ids::{Id, State};
use crate::methods::json::check_account;
use crate::text::printable;

/// What a `/set` asks for.
#[derive(Debug, Clone, Default)]
pub struct Set {
    if_in_state: Option<State>,
    create: BTreeMap<String, Value>,
    update: BTreeMap<Id, Value>,
    destroy: Vec<Id>,
    destroy_found: Option<Reference>,
    more: Map<String, Value>,
}

impl Set {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing is done (`stateMismatch`) unless the type is in this state.
    #[must_use]
    pub fn if_in_state(mut self, state: &State) -> Self {
        self.if_in_state = Some(state.clone());
        self
    }

    /// Creates an object; `#name` refers to it within the same request.
    pub fn create(&mut self, name: impl Into<String>, object: Value) {
        self.create.insert(name.into(), object);
    }

    /// Changes an object by a patch (RFC 8620 section 5.3): JSON pointers without the leading slash, `null` removes.
    pub fn update(&mut self, id: &Id, patch: Value) {
        self.update.insert(id.clone(), patch);
    }

    /// Destroys an object.
    pub fn destroy(&mut self, id: &Id) {
        self.destroy.push(id.clone());
    }

    /// Destroys what an earlier call of the same batch finds, and nothing if that call fails.
    #[must_use]
    pub fn destroying(mut self, found: Reference) -> Self {
        self.destroy_found = Some(found);
        self
    }

    /// An argument of the type's own, such as `onDestroyRemoveEmails`.
    #[must_use]
    pub fn with(mut self, argument: &str, value: impl Into<Value>) -> Self {
        self.more.insert(argument.into(), value.into());
        self
    }

    /// The number of objects it is about, those that are found aside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.create.len() + self.update.len() + self.destroy.len()
    }

    /// Whether it is about nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.destroy_found.is_none()
    }

    /// The arguments, and what the answer has to mention. `creations` is what the method calls them.
    pub(crate) fn arguments(self, method: &'static str, creations: &str) -> (Map<String, Value>, Expected) {
        let asked = Asked {
            create: self.create.keys().cloned().collect(),
            update: self.update.keys().cloned().collect(),
            destroy: self.destroy.iter().cloned().collect(),
        };
        let mut arguments = self.more;
        if let Some(state) = self.if_in_state {
            arguments.insert("ifInState".into(), json!(state));
        }
        if !self.create.is_empty() {
            arguments.insert(creations.into(), self.create.into_iter().collect());
        }
        if !self.update.is_empty() {
            let update = self.update.into_iter().map(|(id, patch)| (id.to_string(), patch));
            arguments.insert("update".into(), update.collect());
        }
        if let Some(found) = self.destroy_found {
            arguments.insert("#destroy".into(), found.json());
        } else if !self.destroy.is_empty() {
            arguments.insert("destroy".into(), json!(self.destroy));
        }
        (arguments, Expected { written: Some(asked), ..Expected::of(method) })
    }
}

/// What became of everything that was asked for.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The type's state afterwards, where it has one.
    pub new_state: Option<State>,
    /// By the name given to each.
    pub created: BTreeMap<String, Created>,
    /// By the name given to each.
    pub not_created: BTreeMap<String, SetError>,
    /// Updates that were refused.
    pub not_updated: BTreeMap<Id, SetError>,
    /// What is gone, whether it was named or found.
    pub destroyed: BTreeSet<Id>,
    /// What could not be destroyed.
    pub not_destroyed: BTreeMap<Id, SetError>,
}

/// A new object, as far as the server tells.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// Its id; of an upload that of the blob.
    pub id: Id,
    /// Its length in bytes, of emails and blobs.
    #[serde(default)]
    pub size: Option<u64>,
}

/// Why one object was not created, changed or destroyed (RFC 8620 section 5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetError {
    /// The error's `type`, such as `overQuota`, printable.
    pub kind: String,
    /// The server's explanation, cut and made printable.
    pub description: Option<String>,
    /// The object that is there already (`alreadyExists`).
    pub existing: Option<Id>,
    /// The properties that the server does not take (`invalidProperties`).
    pub properties: Vec<String>,
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        match &self.description {
            Some(description) => write!(f, " ({description})"),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireError {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    existing_id: Option<Id>,
    #[serde(default)]
    properties: Option<Vec<String>>,
}

impl From<WireError> for SetError {
    fn from(wire: WireError) -> Self {
        let description = wire.description.filter(|text| !text.is_empty());
        Self {
            kind: printable(&wire.kind),
            description: description.as_deref().map(printable),
            existing: wire.existing_id,
            properties: wire.properties.unwrap_or_default(),
        }
    }
}

type Errors<K> = Option<BTreeMap<K, WireError>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    account_id: Option<String>,
    #[serde(default)]
    new_state: Option<State>,
    #[serde(default)]
    created: Option<BTreeMap<String, Created>>,
    #[serde(default)]
    not_created: Errors<String>,
    #[serde(default)]
    updated: Option<BTreeMap<Id, Option<Value>>>,
    #[serde(default)]
    not_updated: Errors<Id>,
    #[serde(default)]
    destroyed: Option<Vec<Id>>,
    #[serde(default)]
    not_destroyed: Errors<Id>,
}

impl Written {
    pub(crate) fn parse(text: &str, expected: &Expected, account: &str) -> Result<Self, Error> {
        let wire: Wire =
            serde_json::from_str(text).map_err(|source| Error::malformed("/set answer", &source))?;
        check_account(wire.account_id.as_deref(), account, expected.method)?;
        let updated: BTreeSet<Id> = wire.updated.unwrap_or_default().into_keys().collect();
        let written = Self {
            new_state: wire.new_state,
            created: wire.created.unwrap_or_default(),
            not_created: errors(wire.not_created),
            not_updated: errors(wire.not_updated),
            destroyed: wire.destroyed.unwrap_or_default().into_iter().collect(),
            not_destroyed: errors(wire.not_destroyed),
        };
        let asked = expected.written.as_ref();
        if asked.is_none_or(|asked| written.accounts_for(asked, &updated)) {
            Ok(written)
        } else {
            Err(Error::Untrue {
                method: expected.method,
                reason: "it does not say what became of everything",
            })
        }
    }

    /// Every single thing that was asked for has one answer.
    fn accounts_for(&self, asked: &Asked, updated: &BTreeSet<Id>) -> bool {
        let one = |done: bool, refused: bool| done != refused;
        let created =
            |name: &String| one(self.created.contains_key(name), self.not_created.contains_key(name));
        let changed = |id: &Id| one(updated.contains(id), self.not_updated.contains_key(id));
        let gone = |id: &Id| one(self.destroyed.contains(id), self.not_destroyed.contains_key(id));
        asked.create.iter().all(created) && asked.update.iter().all(changed) && asked.destroy.iter().all(gone)
    }
}

fn errors<K: Ord>(wire: Errors<K>) -> BTreeMap<K, SetError> {
    wire.unwrap_or_default().into_iter().map(|(key, error)| (key, error.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    fn check(answer: &str) -> Result<Written, Error> {
        let mut set = Set::new();
        set.create("a", json!({}));
        set.update(&id("u"), json!({}));
        set.destroy(&id("d"));
        let (_, expected) = set.arguments("Mailbox/set", "create");
        Written::parse(answer, &expected, "x")
    }

    #[test]
    fn what_was_done_and_what_was_refused() {
        let done = check(
            r#"{"accountId":"x","newState":"s","created":{"a":{"id":"m"}},"updated":{"u":null},"destroyed":["d"]}"#,
        )
        .unwrap();
        assert_eq!(done.created["a"], Created { id: id("m"), size: None });
        let refused = check(
            r#"{"accountId":"x","notCreated":{"a":{"type":"overQuota","description":"full\n"}},
               "notUpdated":{"u":{"type":"invalidProperties","properties":["x/y"]}},"notDestroyed":{"d":{"type":"notFound"}}}"#,
        )
        .unwrap();
        assert_eq!(refused.not_created["a"].to_string(), "overQuota (full )");
        assert_eq!(refused.not_updated[&id("u")].properties, ["x/y"]);
    }

    #[test]
    fn an_answer_that_leaves_something_open_is_refused() {
        for answer in [
            r#"{"accountId":"x"}"#,
            r#"{"accountId":"x","created":{"a":{"id":"m"}},"updated":{"u":null}}"#,
            r#"{"accountId":"y","created":{"a":{"id":"m"}},"updated":{"u":null},"destroyed":["d"]}"#,
            r#"{"accountId":"x","created":{"a":{}},"updated":{"u":null},"destroyed":["d"]}"#,
            r#"{"accountId":"x","created":{"a":{"id":"m"}},"notCreated":{"a":{"type":"b"}},"updated":{"u":null},"destroyed":["d"]}"#,
        ] {
            assert!(check(answer).is_err(), "{answer}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_was_not_asked() {
        let (arguments, _) =
            Set::new().with("onDestroyRemoveEmails", true).arguments("Mailbox/set", "create");
        assert_eq!(Value::Object(arguments), json!({ "onDestroyRemoveEmails": true }));
    }
}
