//! A request: several method calls on one account, later ones using the results of earlier ones.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::methods::blobs::Blobs;
use crate::methods::capability::{Capability, DataType};
use crate::methods::changes::Changes;
use crate::methods::emails::Emails;
use crate::methods::expected::{Expected, Reference};
use crate::methods::ids::{AccountId, Id, JmapBlobId, State};
use crate::methods::objects::Objects;
use crate::methods::query::{Query, QueryPage};
use crate::methods::set::{Set, Written};

/// The ids a `/get` is about.
#[derive(Debug, Clone)]
pub enum Ids<T> {
    /// `ids: null`: every object of the type. Servers may cut it at `maxObjectsInGet`; see [`Objects::may_be_cut`].
    All,
    /// These. An empty list asks for the state alone.
    These(Vec<T>),
    /// Those an earlier call of the same batch finds (RFC 8620 section 3.7).
    Of(Reference),
}

/// A call put into a batch; hands out its result by [`Answer::take`](crate::Answer::take).
pub struct Call<T> {
    pub(crate) index: usize,
    pub(crate) method: &'static str,
    result: PhantomData<fn() -> T>,
}

impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Call<T> {}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({} {})", self.index, self.method)
    }
}

impl<T> Call<T> {
    /// Refers to a part of the result by a JSON pointer with `*` for every element (RFC 8620 section 3.7).
    #[must_use]
    pub fn at(self, path: &'static str) -> Reference {
        Reference { call: self.index, method: self.method, path }
    }
}

impl Call<QueryPage> {
    /// The ids found.
    #[must_use]
    pub fn ids(self) -> Reference {
        self.at("/ids")
    }
}

impl Call<Changes> {
    /// The ids created.
    #[must_use]
    pub fn created(self) -> Reference {
        self.at("/created")
    }

    /// The ids updated.
    #[must_use]
    pub fn updated(self) -> Reference {
        self.at("/updated")
    }
}

impl Call<Emails> {
    /// The blobs of the emails found.
    #[must_use]
    pub fn blob_ids(self) -> Reference {
        self.at("/list/*/blobId")
    }
}

impl Call<Objects> {
    /// The blobs of the objects found (scripts, files).
    #[must_use]
    pub fn blob_ids(self) -> Reference {
        self.at("/list/*/blobId")
    }
}

/// Method calls on one account, sent as one request. `using` follows from the calls.
#[derive(Debug, Clone)]
pub struct Batch {
    account: AccountId,
    using: BTreeSet<Capability>,
    calls: Vec<(&'static str, Value)>,
    expected: Vec<Expected>,
    objects: usize,
    written: usize,
    answer_limit: Option<u64>,
}

impl Batch {
    /// An empty batch on an account.
    #[must_use]
    pub fn new(account: &AccountId) -> Self {
        Self {
            account: account.clone(),
            using: BTreeSet::from([Capability::CORE]),
            calls: Vec::new(),
            expected: Vec::new(),
            objects: 0,
            written: 0,
            answer_limit: None,
        }
    }

    /// Lowers the limit on the answer's size for this request alone, in bytes.
    #[must_use]
    pub fn limit_answer(mut self, bytes: u64) -> Self {
        self.answer_limit = Some(bytes);
        self
    }

    /// `Foo/get` with all properties.
    pub fn get(&mut self, data_type: DataType, ids: Ids<Id>) -> Call<Objects> {
        self.push_get(data_type.get_method(), data_type.capability(), ids, None)
    }

    /// `Foo/get` with these properties; `id` comes along.
    pub fn get_properties(
        &mut self,
        data_type: DataType,
        ids: Ids<Id>,
        properties: &[&str],
    ) -> Call<Objects> {
        self.push_get(data_type.get_method(), data_type.capability(), ids, Some(properties))
    }

    /// `Foo/get` without objects: the type's present state.
    pub fn state(&mut self, data_type: DataType) -> Call<Objects> {
        self.get(data_type, Ids::These(Vec::new()))
    }

    /// `Email/get` of what [`Email`](crate::Email) holds.
    pub fn emails(&mut self, ids: Ids<Id>) -> Call<Emails> {
        let email = DataType::Email;
        self.push_get(email.get_method(), email.capability(), ids, Some(crate::methods::emails::PROPERTIES))
    }

    /// `Blob/get` of whole blobs (RFC 9404): text where it is valid UTF-8, else base64, and the size.
    pub fn blobs(&mut self, ids: Ids<JmapBlobId>) -> Call<Blobs> {
        self.push_get("Blob/get", Capability::BLOB, ids, None)
    }

    /// `Foo/query`.
    pub fn query(&mut self, data_type: DataType, query: &Query) -> Call<QueryPage> {
        self.using.insert(data_type.capability());
        let expected = Expected::of(data_type.query_method());
        self.push(query.arguments(), expected)
    }

    /// `Foo/changes`, at most `most` of them.
    pub fn changes(&mut self, data_type: DataType, since: &State, most: usize) -> Call<Changes> {
        self.using.insert(data_type.capability());
        let mut arguments = Map::new();
        arguments.insert("sinceState".into(), json!(since));
        arguments.insert("maxChanges".into(), json!(most));
        let expected = Expected { since: Some(since.clone()), ..Expected::of(data_type.changes_method()) };
        self.push(arguments, expected)
    }

    /// `Foo/set`. A batch with it goes through [`Client::change`](crate::Client::change).
    pub fn set(&mut self, data_type: DataType, set: Set) -> Call<Written> {
        self.push_set(data_type.set_method(), data_type.capability(), "create", set)
    }

    /// `Email/import` of uploaded blobs: `create`s of `blobId`, `mailboxIds`, `keywords`, `receivedAt`.
    pub fn import(&mut self, emails: Set) -> Call<Written> {
        self.push_set("Email/import", Capability::MAIL, "emails", emails)
    }

    /// `Blob/upload` (RFC 9404 section 4.1): `create`s of `data` and `type`. Sending it twice does no harm.
    pub fn upload(&mut self, blobs: Set) -> Call<Written> {
        self.push_set("Blob/upload", Capability::BLOB, "create", blobs)
    }

    fn push_set(
        &mut self,
        method: &'static str,
        capability: Capability,
        creations: &str,
        set: Set,
    ) -> Call<Written> {
        self.using.insert(capability);
        self.written = self.written.max(set.len());
        let (arguments, expected) = set.arguments(method, creations);
        self.push(arguments, expected)
    }

    /// `Principal/query` by one condition, and `Principal/get` of what it finds.
    pub(crate) fn principals(&mut self, property: &str, value: &str, most: usize) -> Call<Objects> {
        let query = Query::page(most).filter(json!({ property: value }));
        let found: Call<QueryPage> = self.push(query.arguments(), Expected::of("Principal/query"));
        self.principals_by_id(Ids::<Id>::Of(found.ids()))
    }

    /// `Principal/get` of what identifies them.
    pub(crate) fn principals_by_id<I: AsRef<str>>(&mut self, ids: Ids<I>) -> Call<Objects> {
        let properties = &["id", "name", "email", "type"];
        self.push_get("Principal/get", Capability::PRINCIPALS, ids, Some(properties))
    }

    fn push_get<I: AsRef<str>, T>(
        &mut self,
        method: &'static str,
        capability: Capability,
        ids: Ids<I>,
        properties: Option<&[&str]>,
    ) -> Call<T> {
        self.using.insert(capability);
        let mut arguments = Map::new();
        let mut expected = Expected::of(method);
        match ids {
            Ids::All => {
                arguments.insert("ids".into(), Value::Null);
                expected.all = true;
            }
            Ids::These(ids) => {
                self.objects = self.objects.max(ids.len());
                let mut asked: Vec<Box<str>> = ids.iter().map(|id| id.as_ref().into()).collect();
                asked.sort_unstable();
                asked.dedup();
                arguments.insert("ids".into(), json!(asked));
                expected.ids = Some(asked);
            }
            Ids::Of(reference) => {
                arguments.insert("#ids".into(), reference.json());
                expected.after = Some(reference.call);
            }
        }
        if let Some(properties) = properties {
            let mut properties = properties.to_vec();
            // RFC 8620 section 5.1 gives the id unasked; not every server does.
            if !properties.contains(&"id") {
                properties.push("id");
            }
            arguments.insert("properties".into(), json!(properties));
        }
        self.push(arguments, expected)
    }

    fn push<T>(&mut self, mut arguments: Map<String, Value>, expected: Expected) -> Call<T> {
        arguments.insert("accountId".into(), json!(self.account));
        let call = Call { index: self.calls.len(), method: expected.method, result: PhantomData };
        self.calls.push((expected.method, Value::Object(arguments)));
        self.expected.push(expected);
        call
    }

    /// The number of calls.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The account the batch is about.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    pub(crate) fn expected(&self) -> &[Expected] {
        &self.expected
    }

    pub(crate) fn answer_limit(&self) -> Option<u64> {
        self.answer_limit
    }

    /// The most ids any call names.
    pub(crate) fn most_objects(&self) -> usize {
        self.objects
    }

    /// The most objects any call creates, changes or destroys.
    pub(crate) fn most_written(&self) -> usize {
        self.written
    }

    /// The request object (RFC 8620 section 3.3); call ids are the calls' positions.
    pub(crate) fn body(&self) -> Bytes {
        let using: Vec<_> = self.using.iter().map(|capability| capability.urn()).collect();
        let calls = self
            .calls
            .iter()
            .enumerate()
            .map(|(n, (method, arguments))| json!([method, arguments, n.to_string()]));
        let request = json!({ "using": using, "methodCalls": calls.collect::<Vec<_>>() });
        Bytes::from(request.to_string())
    }
}

impl Expected {
    pub(crate) fn of(method: &'static str) -> Self {
        Self { method, ids: None, all: false, since: None, after: None, written: None }
    }
}

impl Reference {
    pub(crate) fn json(self) -> Value {
        json!({ "resultOf": self.call.to_string(), "name": self.method, "path": self.path })
    }
}
