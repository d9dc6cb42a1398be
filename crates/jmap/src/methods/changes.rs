//! `/changes` (RFC 8620 section 5.2).

use std::borrow::Cow;

use serde::Deserialize;

use crate::error::Error;
use crate::methods::expected::Expected;
use crate::methods::ids::{Id, State};
use crate::methods::json::{Capped, check_account};

/// What happened to a type's objects between two states. The lists are sorted and share no id: servers may name an id as
/// created and updated, or updated and destroyed; the stronger word is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The state these changes lead to; ask again from here while `has_more_changes`.
    pub new_state: State,
    /// Whether more follow. Never true without progress: `new_state` then differs from the state asked from.
    pub has_more_changes: bool,
    /// Ids that are new.
    pub created: Vec<Id>,
    /// Ids that changed.
    pub updated: Vec<Id>,
    /// Ids that are gone.
    pub destroyed: Vec<Id>,
    /// `Mailbox/changes`: the only properties that changed, if the server says so (RFC 8621 section 2.2).
    pub updated_properties: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow, default)]
    account_id: Option<Cow<'a, str>>,
    #[serde(default)]
    old_state: Option<State>,
    new_state: State,
    #[serde(default)]
    has_more_changes: bool,
    created: Capped<Id>,
    updated: Capped<Id>,
    destroyed: Capped<Id>,
    #[serde(default)]
    updated_properties: Option<Capped<String>>,
}

impl Changes {
    pub(crate) fn parse(text: &str, expected: &Expected, account: &str) -> Result<Self, Error> {
        let method = expected.method;
        let wire: Wire<'_> =
            serde_json::from_str(text).map_err(|source| Error::malformed("/changes answer", &source))?;
        check_account(wire.account_id.as_deref(), account, method)?;
        if wire.old_state.as_ref().is_some_and(|old| Some(old) != expected.since.as_ref()) {
            return Err(Error::Untrue { method, reason: "changes since another state than asked" });
        }
        if wire.has_more_changes && Some(&wire.new_state) == expected.since.as_ref() {
            return Err(Error::Untrue { method, reason: "more changes without a new state" });
        }
        let destroyed = sorted(wire.destroyed.0);
        let mut created = sorted(wire.created.0);
        created.retain(|id| destroyed.binary_search(id).is_err());
        let mut updated = sorted(wire.updated.0);
        updated.retain(|id| destroyed.binary_search(id).is_err() && created.binary_search(id).is_err());
        Ok(Self {
            new_state: wire.new_state,
            has_more_changes: wire.has_more_changes,
            created,
            updated,
            destroyed,
            updated_properties: wire.updated_properties.map(|list| list.0),
        })
    }
}

fn sorted(mut ids: Vec<Id>) -> Vec<Id> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;

    fn parse(text: &str) -> Result<Changes, Error> {
        let since = State::new("s1").ok();
        let expected = Expected { since, ..Expected::of("Email/changes") };
        Changes::parse(text, &expected, "a")
    }

    #[test]
    fn an_id_in_several_lists_stays_in_the_strongest() {
        let changes = parse(
            r#"{"accountId":"a","oldState":"s1","newState":"s2","hasMoreChanges":false,
            "created":["n","m","x"],"updated":["u","n","d"],"destroyed":["d","x","d"]}"#,
        )
        .unwrap();
        let names = |ids: &[Id]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(names(&changes.created), "m n");
        assert_eq!(names(&changes.updated), "u");
        assert_eq!(names(&changes.destroyed), "d x");
    }

    #[test]
    fn answers_that_cannot_be_true_are_corrupt() {
        for text in [
            r#"{"accountId":"b","oldState":"s1","newState":"s2","created":[],"updated":[],"destroyed":[]}"#,
            r#"{"accountId":"a","oldState":"s0","newState":"s2","created":[],"updated":[],"destroyed":[]}"#,
            r#"{"oldState":"s1","newState":"s1","hasMoreChanges":true,"created":[],"updated":[],"destroyed":[]}"#,
            r#"{"oldState":"s1","newState":"s2","created":[1],"updated":[],"destroyed":[]}"#,
            r#"{"oldState":"s1","newState":"s2"}"#,
            r#"[]"#,
        ] {
            assert_eq!(parse(text).unwrap_err().class(), Class::Corrupt, "{text}");
        }
    }
}
