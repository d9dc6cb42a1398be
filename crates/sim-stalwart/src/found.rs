//! The blobs that a call names, looked up before its account is locked.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::account::Account;
use crate::api::Context;
use crate::email::{Content, StoredBlob};
use crate::json::Arguments;
use crate::server::{Role, SharedAccount, lock};

/// Contents by blob id.
#[derive(Debug, Default)]
pub(crate) struct Found(HashMap<String, Content>);

impl Found {
    pub(crate) fn get(&self, id: &str) -> Option<&Content> {
        self.0.get(id)
    }
}

impl Context<'_> {
    /// Looks where the caller may read: in the account itself, the caller's own, and for one who may name any,
    /// in all.
    pub(crate) fn find<'a>(&self, target: &SharedAccount, ids: impl Iterator<Item = &'a str>) -> Found {
        let mut missing: Vec<String> = ids.map(|id| self.created_or(id)).collect();
        let mut found = HashMap::with_capacity(missing.len());
        {
            let target = lock(target);
            found.extend(missing.iter().filter_map(|id| Some((id.clone(), target.blob(id)?))));
        }
        missing.retain(|id| !found.contains_key(id));
        for account in self.readable().iter().filter(|_| !missing.is_empty()) {
            let account = lock(account);
            let portable = |id: &String| Some((id.clone(), account.portable(account.blob(id)?)));
            found.extend(missing.iter().filter_map(portable));
        }
        Found(found)
    }

    /// As [`Self::find`] for every `blobId` in the objects of a `set`.
    pub(crate) fn named(&self, target: &SharedAccount, arguments: &Arguments) -> Found {
        let objects = ["create", "update"].iter().filter_map(|name| arguments.get(*name)?.as_object());
        let ids = objects.flat_map(|objects| objects.values().filter_map(|object| object["blobId"].as_str()));
        self.find(target, ids)
    }

    fn readable(&self) -> Vec<SharedAccount> {
        let directory = self.server.directory();
        let may = |id: &String| self.login.role != Role::Owner || self.login.account.as_ref() == Some(id);
        directory.accounts.iter().filter(|(id, _)| may(id)).map(|(_, account)| Arc::clone(account)).collect()
    }

    fn created_or(&self, id: &str) -> String {
        let known = id.strip_prefix('#').and_then(|creation| self.created.borrow().get(creation).cloned());
        known.unwrap_or_else(|| id.to_owned())
    }
}

impl Account {
    /// The same content in a form that any account can hold.
    fn portable(&self, content: Content) -> Content {
        match content {
            Content::Generated(number) => {
                Content::Stored(Arc::new(StoredBlob::lent(Arc::clone(&self.mails), number)))
            }
            stored @ Content::Stored(_) => stored,
        }
    }
}

/// Blob ids in the `emails` of an import.
pub(crate) fn imported(arguments: &Arguments) -> impl Iterator<Item = &str> {
    let emails = arguments.get("emails").and_then(Value::as_object);
    emails.into_iter().flat_map(|emails| emails.values().filter_map(|email| email["blobId"].as_str()))
}
