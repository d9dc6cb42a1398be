//! An account from the inside: tests change it while it is served, and look at the truth.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use serde_json::Value;

use crate::account::{Account, Checkpoint, folder};
use crate::churn::Kinds;
use crate::dates;
use crate::email::{Content, Email, StoredBlob};
use crate::furniture;
use crate::ids;
use crate::kind::DataType;
use crate::rng::Rng;
use crate::server::{SharedAccount, lock};
use crate::set_object::template;

/// What the server holds about one email.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailTruth {
    /// Its id.
    pub id: String,
    /// Blob id of its bytes.
    pub blob_id: String,
    /// Ids of the folders it lies in.
    pub mailbox_ids: BTreeSet<String>,
    /// Its keywords.
    pub keywords: BTreeSet<String>,
    /// As JMAP writes it, `2024-02-29T12:00:01Z`.
    pub received_at: String,
    /// Length of its bytes.
    pub size: u64,
}

/// One account of a running simulator. Methods take the account's lock for a moment; requests wait meanwhile.
#[derive(Clone, Debug)]
pub struct AccountHandle {
    account: SharedAccount,
}

impl Account {
    pub(crate) fn truth(&self, index: u32, email: &Email) -> EmailTruth {
        EmailTruth {
            id: self.ids.email(index),
            blob_id: self.blob_id(index, &email.content),
            mailbox_ids: email.folders.iter().map(|number| ids::short(u64::from(*number))).collect(),
            keywords: email.keywords.iter().map(|keyword| keyword.to_string()).collect(),
            received_at: dates::rfc3339(email.received_at),
            size: email.content.size(&self.mails),
        }
    }

    fn folders_of(&self, ids: &[&str]) -> Vec<u32> {
        let known = ids.iter().filter(|id| self.object(DataType::Mailbox, id).is_some());
        let numbers: Vec<u32> = known.filter_map(|id| folder(id)).collect();
        if numbers.is_empty() { self.folders().into_iter().take(1).collect() } else { numbers }
    }
}

impl AccountHandle {
    pub(crate) const fn new(account: SharedAccount) -> Self {
        Self { account }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    /// The account id.
    #[must_use]
    pub fn id(&self) -> String {
        self.lock().id.clone()
    }

    /// Delivers bytes as they are into these folders (the first folder if none of them exists); the email's id.
    pub fn deliver(&self, raw: impl Into<Bytes>, folders: &[&str], keywords: &[&str]) -> String {
        let mut account = self.lock();
        let folders = account.folders_of(folders);
        let keywords = keywords.iter().map(|keyword| Cow::Owned((*keyword).to_owned())).collect();
        let index = account.deliver(raw.into(), folders, keywords);
        account.ids.email(index)
    }

    /// Delivers bytes into folders of which some are gone: what 0.16 leaves of a request that named a folder while another one
    /// destroyed it. Returns the email's id.
    pub fn deliver_astray(&self, raw: impl Into<Bytes>, folders: &[&str], received_at: &str) -> String {
        let mut account = self.lock();
        let folders = folders.iter().filter_map(|id| folder(id)).collect();
        let index = account.deliver(raw.into(), folders, Vec::new());
        if let (Some(email), Some(received_at)) = (account.email(index), dates::parse(received_at)) {
            account.put_email(index, Some(Email { received_at, ..Email::clone(&email) }));
        }
        account.ids.email(index)
    }

    /// Delivers an email of about this many bytes that is made while it is read, never held; its id.
    pub fn deliver_large(&self, bytes: u32) -> String {
        let mut account = self.lock();
        let index = account.next_email;
        let recipe = account.mails.large(index, bytes);
        let name = format!("{} {index} {bytes}", account.mails.seed);
        let content = Content::Stored(Arc::new(StoredBlob::of_recipe(&name, recipe)));
        let folders = account.folders_of(&[]);
        let received_at = account.now();
        account.put_email(
            index,
            Some(Email { content, folders, keywords: Vec::new(), received_at, thread: index }),
        );
        account.ids.email(index)
    }

    fn change(&self, id: &str, change: impl FnOnce(&Account, &mut Email)) -> bool {
        let mut account = self.lock();
        let Some(index) = account.ids.email_index(id) else {
            return false;
        };
        let Some(email) = account.email(index) else {
            return false;
        };
        let mut changed = Email::clone(&email);
        change(&account, &mut changed);
        account.put_email(index, Some(changed));
        true
    }

    /// Destroys an email; false if there is none of this id.
    pub fn destroy(&self, id: &str) -> bool {
        let mut account = self.lock();
        let index = account.ids.email_index(id).filter(|index| account.email(*index).is_some());
        if let Some(index) = index {
            account.put_email(index, None);
        }
        index.is_some()
    }

    /// Moves an email into exactly these folders; false if there is no such email.
    pub fn move_to(&self, id: &str, folders: &[&str]) -> bool {
        self.change(id, |account, email| email.folders = account.folders_of(folders))
    }

    /// Sets an email's keywords to exactly these; false if there is no such email.
    pub fn set_keywords(&self, id: &str, keywords: &[&str]) -> bool {
        self.change(id, |_, email| {
            email.keywords = keywords.iter().map(|keyword| Cow::Owned((*keyword).to_owned())).collect();
        })
    }

    /// Makes a folder; its id.
    pub fn create_folder(&self, name: &str, parent: Option<&str>) -> String {
        let mut account = self.lock();
        let id = account.draw_id(DataType::Mailbox);
        let object = furniture::folder(&id, name, parent, None);
        account.put_object(DataType::Mailbox, &id, Some(object));
        id
    }

    /// Gives a folder another name.
    pub fn rename_folder(&self, id: &str, name: &str) {
        self.edit(DataType::Mailbox, id, |object| object["name"] = name.into());
    }

    /// Destroys a folder and the emails that lie nowhere else.
    pub fn destroy_folder(&self, id: &str) {
        self.lock().destroy_folder(id);
    }

    /// Adds an object of any type but Email; `id` is set in it. The id.
    pub fn insert(&self, kind: DataType, mut object: Value) -> String {
        let mut account = self.lock();
        let id = match kind {
            DataType::VacationResponse => "singleton".to_owned(),
            _ => account.draw_id(kind),
        };
        // Of these the server has every property, said or not.
        if matches!(kind, DataType::AddressBook | DataType::Calendar) {
            for (name, value) in template(kind) {
                if object.get(&name).is_none() {
                    object[name] = value;
                }
            }
        }
        object["id"] = id.as_str().into();
        account.put_with_script(kind, &id, Some(object));
        id
    }

    /// Changes an object's JSON; nothing happens if it is not there.
    pub fn edit(&self, kind: DataType, id: &str, change: impl FnOnce(&mut Value)) {
        let mut account = self.lock();
        if let Some(mut object) = account.object(kind, id).map(|object| Value::clone(object)) {
            change(&mut object);
            account.put_with_script(kind, id, Some(object));
        }
    }

    /// Removes an object of any type but Email.
    pub fn remove(&self, kind: DataType, id: &str) {
        match kind {
            DataType::Mailbox => self.destroy_folder(id),
            _ => self.lock().put_with_script(kind, id, None),
        }
    }

    /// Makes bytes readable as a blob, for scripts and file nodes; the blob id.
    pub fn put_blob(&self, bytes: impl Into<Bytes>) -> String {
        self.lock().blobs.pin(bytes.into())
    }

    /// The blob is gone from now on: `Blob/get` does not find it and a download is 404, whatever refers to it.
    pub fn vanish_blob(&self, blob_id: &str) {
        self.lock().blobs.vanished.insert(blob_id.to_owned());
    }

    /// The blobs of destroyed emails are gone from now on.
    pub fn purge(&self) {
        self.lock().blobs.unpurged.clear();
    }

    /// All uploads are gone from now on, as an hour after they were made in the field.
    pub fn expire_uploads(&self) {
        self.lock().blobs.expire_uploads();
    }

    /// Number and bytes of the uploads that have not expired.
    #[must_use]
    pub fn uploads(&self) -> (usize, u64) {
        self.lock().uploaded()
    }

    /// Limits the account to so many bytes from now on, or no more.
    pub fn set_quota(&self, bytes: Option<u64>) {
        self.lock().set_quota(bytes);
    }

    /// The blob is back.
    pub fn unvanish_blob(&self, blob_id: &str) {
        self.lock().blobs.vanished.remove(blob_id);
    }

    /// `get`, `changes`, `query`, `set` and `import` of a type answer `serverFail` from now on, or work again.
    pub fn set_failing(&self, kind: DataType, fails: bool) {
        let mut account = self.lock();
        if fails {
            account.failing.insert(kind);
        } else {
            account.failing.remove(&kind);
        }
    }

    /// Makes `count` random changes.
    pub fn mutate(&self, count: u32, seed: u64, kinds: Kinds) {
        let mut rng = Rng::new(seed);
        let mut account = self.lock();
        (0..count).for_each(|_| account.mutate(&mut rng, kinds));
    }

    /// Forgets all history: `/changes` from any earlier state answers `cannotCalculateChanges`.
    pub fn truncate_history(&self) {
        let mut account = self.lock();
        account.emails.truncate();
        account.objects.values_mut().for_each(|objects| objects.log.truncate());
    }

    /// Remembers this moment for [`Self::roll_back`].
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.lock().checkpoint()
    }

    /// Back to a checkpoint, as if the server's database had been restored: states go back too, and what happens
    /// next repeats states and ids with other content.
    pub fn roll_back(&self, to: &Checkpoint) {
        self.lock().roll_back(to);
    }

    /// Number of emails.
    #[must_use]
    pub fn email_count(&self) -> usize {
        self.lock().emails().count()
    }

    /// Every email there is now, in the order the server counts them.
    #[must_use]
    pub fn emails(&self) -> Vec<EmailTruth> {
        let account = self.lock();
        account.emails().map(|(index, email)| account.truth(index, &email)).collect()
    }

    /// One email.
    #[must_use]
    pub fn email(&self, id: &str) -> Option<EmailTruth> {
        let account = self.lock();
        let index = account.ids.email_index(id)?;
        account.email(index).map(|email| account.truth(index, &email))
    }

    /// The bytes of an email; none also if they were not kept.
    #[must_use]
    pub fn raw(&self, id: &str) -> Option<Bytes> {
        let account = self.lock();
        let email = account.email(account.ids.email_index(id)?)?;
        email.content.is_readable().then(|| email.content.bytes(&account.mails))
    }

    /// BLAKE3 of an email's bytes, also of those that were not kept ([`crate::AccountSpec::forget_bytes`]).
    #[must_use]
    pub fn digest(&self, id: &str) -> Option<[u8; 32]> {
        let account = self.lock();
        let email = account.email(account.ids.email_index(id)?)?;
        let (content, mails) = (email.content.clone(), Arc::clone(&account.mails));
        drop(account);
        Some(content.digest(&mails))
    }

    /// The bytes of a blob, if the account may read it now.
    #[must_use]
    pub fn blob(&self, blob_id: &str) -> Option<Bytes> {
        let account = self.lock();
        account.readable_blob(blob_id).map(|content| content.bytes(&account.mails))
    }
}

impl Account {
    /// As [`Account::put_object`], and keeps the script that stands for the vacation response in step.
    pub(crate) fn put_with_script(&mut self, kind: DataType, id: &str, object: Option<Value>) {
        if kind == DataType::VacationResponse {
            let present = self.object(kind, id).map(|object| Value::clone(object));
            if let Some((script, body)) =
                object.as_ref().or(present.as_ref()).cloned().and_then(|it| self.vacation_script(&it))
            {
                self.put_object(DataType::SieveScript, &script, object.is_some().then_some(body));
            }
        }
        self.put_object(kind, id, object);
    }
}
