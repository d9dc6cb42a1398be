//! How much an account may hold, and `Quota/get` (RFC 9425).

use serde_json::{Value, json};

use crate::account::Account;
use crate::email::Content;
use crate::json::{self, Arguments};
use crate::kind::DataType;
use crate::set_error::SetError;

/// The limit, and what emails take of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    limit: u64,
    emails: u64,
}

impl Quota {
    pub(crate) const fn take(&mut self, bytes: u64) {
        self.emails = self.emails.saturating_add(bytes);
    }

    pub(crate) const fn give_back(&mut self, bytes: u64) {
        self.emails = self.emails.saturating_sub(bytes);
    }
}

/// The one quota there is, called `a`; none if the account has no limit.
pub(crate) fn get(account: &Account, arguments: &Arguments, out: &mut Vec<u8>) {
    let wanted = |id: &str| match arguments.get("ids") {
        Some(Value::Array(ids)) => ids.iter().any(|wanted| wanted == id),
        _ => true,
    };
    let list: Vec<Value> = account.quota.iter().filter(|_| wanted("a")).map(|quota| {
        json!({
            "id": "a", "resourceType": "octets", "scope": "account", "name": account.name, "description": null,
            "used": quota.emails + account.bytes_of_objects(), "hardLimit": quota.limit, "warnLimit": null,
            "softLimit": null, "types": ["Email", "SieveScript", "FileNode", "CalendarEvent", "ContactCard"],
        })
    }).collect();
    json::push(out, &json!({ "accountId": account.id, "state": "n", "list": list, "notFound": [] }));
}

impl Account {
    /// Limits the account to so many bytes, or no more.
    pub(crate) fn set_quota(&mut self, limit: Option<u64>) {
        self.quota = limit.map(|limit| {
            let emails = self.emails().map(|(_, email)| email.content.size(&self.mails)).sum();
            Quota { limit, emails }
        });
    }

    pub(crate) fn use_quota(&mut self, content: &Content, change: impl FnOnce(&mut Quota, u64)) {
        if let Some(quota) = &mut self.quota {
            change(quota, content.size(&self.mails));
        }
    }

    /// Refuses `more` bytes if they do not fit.
    pub(crate) fn check_quota(&self, more: u64) -> Result<(), SetError> {
        match self.quota {
            Some(Quota { limit, emails }) if emails + self.bytes_of_objects() + more > limit => {
                Err(SetError::of("overQuota").because("You have exceeded your disk quota."))
            }
            _ => Ok(()),
        }
    }

    fn bytes_of_objects(&self) -> u64 {
        let sizes = |kind: DataType| {
            let objects = self.objects[&kind].present.values();
            objects.map(move |object| match kind {
                DataType::FileNode => object["size"].as_u64().unwrap_or(0),
                DataType::SieveScript => self.size_of_blob(object["blobId"].as_str().unwrap_or_default()),
                _ => object.to_string().len() as u64,
            })
        };
        let counted =
            [DataType::SieveScript, DataType::FileNode, DataType::ContactCard, DataType::CalendarEvent];
        counted.into_iter().flat_map(sizes).sum()
    }

    fn size_of_blob(&self, id: &str) -> u64 {
        self.blob(id).map_or(0, |content| content.size(&self.mails))
    }
}
