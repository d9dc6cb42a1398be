//! `/query` (RFC 8620 section 5.5).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::methods::expected::Expected;
use crate::methods::ids::{Id, State};
use crate::methods::json::{Capped, check_account, no_duplicates};

/// Which objects to list, and which page of the listing.
#[derive(Debug, Clone)]
pub struct Query {
    limit: usize,
    start: Start,
    total: bool,
    sort: Option<Value>,
    filter: Option<Value>,
}

#[derive(Debug, Clone)]
enum Start {
    Position(u64),
    After(Id),
    Last,
}

impl Query {
    /// The first page of at most `limit` ids in the server's own order. Servers may give fewer (Stalwart: 5,000).
    #[must_use]
    pub fn page(limit: usize) -> Self {
        Self { limit, start: Start::Position(0), total: false, sort: None, filter: None }
    }

    /// The page that follows the id, wherever it stands now; `anchorNotFound` when it is gone.
    #[must_use]
    pub fn after(mut self, id: &Id) -> Self {
        self.start = Start::After(id.clone());
        self
    }

    /// The page that starts at a position; only sound while `queryState` stays the same.
    #[must_use]
    pub fn at(mut self, position: u64) -> Self {
        self.start = Start::Position(position);
        self
    }

    /// The last `limit` ids.
    #[must_use]
    pub fn last(limit: usize) -> Self {
        Self { start: Start::Last, ..Self::page(limit) }
    }

    /// Asks for the number of all ids too.
    #[must_use]
    pub fn with_total(mut self) -> Self {
        self.total = true;
        self
    }

    /// Sorts by one property.
    #[must_use]
    pub fn sorted_by(mut self, property: &str) -> Self {
        self.sort = Some(json!([{ "property": property, "isAscending": true }]));
        self
    }

    /// Lists only what the filter lets pass (RFC 8620 section 5.5, and the section of the type).
    #[must_use]
    pub fn filter(mut self, filter: Value) -> Self {
        self.filter = Some(filter);
        self
    }

    pub(crate) fn arguments(&self) -> Map<String, Value> {
        let mut arguments = Map::new();
        arguments.insert("limit".into(), json!(self.limit));
        match &self.start {
            Start::Position(0) => {}
            Start::Position(position) => {
                arguments.insert("position".into(), json!(position));
            }
            Start::Last => {
                let before_the_end = i64::try_from(self.limit).unwrap_or(i64::MAX);
                arguments.insert("position".into(), json!(-before_the_end));
            }
            Start::After(id) => {
                arguments.insert("anchor".into(), json!(id));
                arguments.insert("anchorOffset".into(), json!(1));
            }
        }
        if self.total {
            arguments.insert("calculateTotal".into(), json!(true));
        }
        for (name, value) in [("sort", &self.sort), ("filter", &self.filter)] {
            if let Some(value) = value {
                arguments.insert(name.into(), value.clone());
            }
        }
        arguments
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryPage {
    /// Changes whenever the listing does.
    pub query_state: Option<State>,
    /// Where the page starts in the whole listing; servers differ in its truth for anchored pages.
    pub position: Option<i64>,
    /// The number of all ids, if asked for.
    pub total: Option<u64>,
    /// The ids in order, none twice. An empty page is the listing's end.
    pub ids: Vec<Id>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow, default)]
    account_id: Option<Cow<'a, str>>,
    #[serde(default)]
    query_state: Option<State>,
    #[serde(default)]
    position: Option<i64>,
    #[serde(default)]
    total: Option<u64>,
    ids: Capped<Id>,
}

impl QueryPage {
    pub(crate) fn parse(text: &str, expected: &Expected, account: &str) -> Result<Self, Error> {
        let wire: Wire<'_> =
            serde_json::from_str(text).map_err(|source| Error::malformed("/query answer", &source))?;
        check_account(wire.account_id.as_deref(), account, expected.method)?;
        no_duplicates([wire.ids.0.as_slice()], expected.method)?;
        Ok(Self {
            query_state: wire.query_state,
            position: wire.position,
            total: wire.total,
            ids: wire.ids.0,
        })
    }
}
