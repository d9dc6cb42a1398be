//! The account that is given something back: what it holds, and how it is changed.

use std::collections::BTreeMap;

use jmap::{Account, Batch, Client, DataType, Email, Id, Ids, Objects, Set, Written};
use serde::Deserialize;
use serde_json::json;

use crate::error::{Error, Result};
use crate::server::listing::{IdList, list_emails_in, list_ids};
use crate::server::metadata::{self, Metadata};
use crate::server::owner::is_each_users;
use crate::server::types::from_jmap;

/// The account.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) client: &'a Client,
    pub(super) account: &'a Account,
    /// Signed in as its owner; `None`: `client` is, or nobody can.
    pub(super) owner: Option<&'a Client>,
}

/// A folder (JMAP's Mailbox).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Folder {
    pub(super) id: Id,
    pub(super) name: String,
    #[serde(default)]
    pub(super) parent_id: Option<Id>,
    #[serde(default)]
    pub(super) role: Option<String>,
    #[serde(default)]
    pub(super) sort_order: u32,
    #[serde(default)]
    pub(super) is_subscribed: Option<bool>,
}

impl Folder {
    pub(super) fn unnamed(id: &Id) -> Folder {
        let (name, parent_id, role) = (String::new(), None, None);
        Folder { id: id.clone(), name, parent_id, role, sort_order: 0, is_subscribed: None }
    }

    /// Takes over what a creation or a patch says.
    pub(super) fn apply(&mut self, patch: &serde_json::Value) {
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        if let Some(name) = patch.get("name").and_then(text) {
            self.name = name;
        }
        if let Some(parent) = patch.get("parentId") {
            self.parent_id = parent.as_str().and_then(|id| Id::new(id).ok());
        }
        if let Some(role) = patch.get("role") {
            self.role = text(role);
        }
        if let Some(is_subscribed) = patch.get("isSubscribed").and_then(serde_json::Value::as_bool) {
            self.is_subscribed = Some(is_subscribed);
        }
        if let Some(order) = patch.get("sortOrder").and_then(serde_json::Value::as_u64) {
            self.sort_order = u32::try_from(order).unwrap_or(u32::MAX);
        }
    }
}

/// A key of a patch (RFC 8620 section 5.3): `member` of the object, and what of it.
pub(super) fn pointer(member: &str, of: &Id) -> String {
    format!("{member}/{}", of.as_str().replace('~', "~0").replace('/', "~1"))
}

impl<'a> Target<'a> {
    pub(super) fn new(client: &'a Client, account: &'a Account, owner: Option<&'a Client>) -> Target<'a> {
        Target { client, account, owner }
    }

    /// Whether what each user has of their own is the owner's here.
    pub(super) fn is_owners(&self) -> bool {
        self.account.is_personal || self.owner.is_some()
    }

    /// Who reads and writes objects of this type: those of which users have something of their own, the owner if possible.
    pub(super) fn of(&self, data_type: model::DataType) -> &'a Client {
        self.owner.filter(|_| is_each_users(data_type)).unwrap_or(self.client)
    }
}

impl Target<'_> {
    /// All folders.
    pub(super) async fn folders(&self) -> Result<Vec<Folder>> {
        let objects = self.objects(DataType::Mailbox).await?;
        let folders = objects.iter().map(|object| serde_json::from_slice(&object.json));
        folders.collect::<Result<_, _>>().map_err(|_| {
            let reason = "it holds a folder that makes no sense";
            read("the folders", jmap::Error::Untrue { method: "Mailbox/get", reason })
        })
    }

    /// All objects of a type that is not Email, with what a server gives only by name; of folders without it.
    pub(super) async fn objects(&self, data_type: DataType) -> Result<Vec<jmap::Object>> {
        let all = self.get(data_type, Ids::All).await?;
        if !all.may_be_cut || !data_type.has_query() {
            return Ok(all.list);
        }
        let ids = list_ids(self.client, &self.account.id, data_type).await?;
        let ids: Vec<Id> = (0..ids.len()).filter_map(|at| Id::new(ids.get(at)).ok()).collect();
        let mut list = Vec::new();
        for chunk in ids.chunks(self.client.session().limits.max_objects_in_get) {
            list.extend(self.get(data_type, Ids::These(chunk.to_vec())).await?.list);
        }
        Ok(list)
    }

    /// These of them, as far as they are there.
    pub(super) async fn objects_of(&self, data_type: DataType, ids: Vec<Id>) -> Result<Vec<jmap::Object>> {
        Ok(self.get(data_type, Ids::These(ids)).await?.list)
    }

    /// These of them as CalDAV shows them to the one who signs in: each user may call a calendar otherwise.
    pub(super) async fn calendars_as_we_see_them(&self, ids: Vec<Id>) -> Result<Vec<jmap::Object>> {
        let us = Target { owner: None, ..*self };
        us.objects_of(DataType::Calendar, ids).await
    }

    /// These of them as far as they are there, and the state of the type.
    pub(super) async fn objects_at(&self, data_type: DataType, ids: Vec<Id>) -> Result<Objects> {
        self.get(data_type, Ids::These(ids)).await
    }

    async fn get(&self, data_type: DataType, ids: Ids<Id>) -> Result<Objects> {
        let answer = match data_type {
            // They are looked at often, and by name and place.
            DataType::Mailbox => {
                let mut batch = Batch::new(&self.account.id);
                let call = batch.get(data_type, ids);
                self.of(from_jmap(data_type)).call(&batch).await.and_then(|answer| answer.take(call))
            }
            _ => {
                let whole =
                    self.of(from_jmap(data_type)).get_whole(&self.account.id, data_type, &ids, None).await;
                whole.map(|whole| whole.objects)
            }
        };
        answer.map_err(|source| read("the account's objects", source))
    }

    /// Ids of all emails, or of those in one folder.
    pub(super) async fn emails(&self, folder: Option<&Id>) -> Result<IdList> {
        match folder {
            Some(folder) => list_emails_in(self.client, &self.account.id, folder).await,
            None => list_ids(self.client, &self.account.id, DataType::Email).await,
        }
    }

    /// What the server knows of these emails; those that are gone or cannot be read are left out.
    pub(super) async fn metadata(&self, ids: &[Id]) -> Result<Vec<Email>> {
        let known = metadata::get(self.client, &self.account.id, ids.to_vec()).await?;
        let found = known.into_values().filter_map(|email| match email {
            Metadata::Found(email) => Some(email),
            Metadata::Gone | Metadata::Unreadable(_) => None,
        });
        Ok(found.collect())
    }

    /// Ids in pieces that one request may be about.
    pub(super) fn pieces<'i>(&self, ids: &'i IdList) -> impl Iterator<Item = Vec<Id>> + use<'i> {
        let limits = self.client.session().limits;
        let most = limits.max_objects_in_get.min(limits.max_objects_in_set);
        let starts = (0..ids.len()).step_by(most);
        starts.map(move |start| {
            let end = ids.len().min(start + most);
            (start..end).filter_map(|at| Id::new(ids.get(at)).ok()).collect()
        })
    }

    /// One `/set`.
    pub(super) async fn set(&self, what: &'static str, data_type: DataType, set: Set) -> Result<Written> {
        let mut batch = Batch::new(&self.account.id);
        let call = batch.set(data_type, set);
        let answer = self.of(from_jmap(data_type)).change(&batch).await.and_then(|answer| answer.take(call));
        answer.map_err(|source| written(what, source))
    }

    /// Creates one object; the server's refusal is the inner error.
    pub(super) async fn create(
        &self,
        what: &'static str,
        data_type: DataType,
        object: serde_json::Value,
    ) -> Result<Result<Id, jmap::SetError>> {
        let mut set = Set::new();
        set.create("new", object);
        let mut written = self.set(what, data_type, set).await?;
        match (written.created.remove("new"), written.not_created.remove("new")) {
            (Some(created), _) => Ok(Ok(created.id)),
            (None, Some(error)) => Ok(Err(error)),
            (None, None) => unreachable!("an answer accounts for everything"),
        }
    }

    /// Takes these emails out of one folder and puts them into others.
    pub(super) async fn move_emails(&self, out_of: &Id, moves: BTreeMap<Id, Vec<Id>>) -> Result<Written> {
        let mut set = Set::new();
        for (email, into) in moves {
            let mut patch = serde_json::Map::new();
            patch.insert(pointer("mailboxIds", out_of), json!(null));
            patch.extend(into.iter().map(|folder| (pointer("mailboxIds", folder), json!(true))));
            set.update(&email, patch.into());
        }
        self.set("the emails' folders", DataType::Email, set).await
    }
}

/// A failed read.
pub(super) fn read(what: &'static str, source: jmap::Error) -> Error {
    Error::Server { what, source }
}

/// A failed write.
pub(super) fn written(what: &'static str, source: jmap::Error) -> Error {
    if source.did_nothing() { Error::Write { what, source } } else { Error::Unsettled { what, source } }
}
