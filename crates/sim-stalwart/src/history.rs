//! What each type really contained at each of its states.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::account::Account;
use crate::email::Email;
use crate::get::{state_number, state_text};
use crate::handle::AccountHandle;
use crate::kind::DataType;

/// Objects of one type by id. Emails have `id blobId mailboxIds keywords receivedAt size`; folders are without
/// their counts.
pub type TypeContent = BTreeMap<String, Value>;

impl AccountHandle {
    /// The present state of a type, as `get` says it.
    #[must_use]
    pub fn state(&self, kind: DataType) -> String {
        state_text(self.lock().state(kind))
    }

    /// Every state the type ever had, in ascending order, abandoned timelines included.
    #[must_use]
    pub fn states(&self, kind: DataType) -> Vec<String> {
        let account = self.lock();
        let mut states = account.states(kind);
        states.sort_unstable();
        states.dedup();
        states.into_iter().map(state_text).collect()
    }

    /// What the type contained at this state; if roll-backs made several timelines repeat it, all of them,
    /// newest first. Empty: it never was a state of the type.
    #[must_use]
    pub fn state_contents(&self, kind: DataType, state: &str) -> Vec<TypeContent> {
        let account = self.lock();
        state_number(state).map(|state| account.contents(kind, state)).unwrap_or_default()
    }

    /// What the type contained at this state, in the newest timeline that had it.
    #[must_use]
    pub fn state_content(&self, kind: DataType, state: &str) -> Option<TypeContent> {
        self.state_contents(kind, state).into_iter().next()
    }

    /// What the type contains now.
    #[must_use]
    pub fn content(&self, kind: DataType) -> TypeContent {
        self.state_content(kind, &self.state(kind)).unwrap_or_default()
    }
}

impl Account {
    fn states(&self, kind: DataType) -> Vec<u64> {
        let of = |kind| self.objects.get(&kind).map(|objects| objects.log.states()).unwrap_or_default();
        match kind {
            DataType::Email => self.emails.states(),
            DataType::SieveScript | DataType::VacationResponse => {
                let both = of(DataType::SieveScript).into_iter().chain(of(DataType::VacationResponse));
                both.collect()
            }
            _ => of(kind),
        }
    }

    fn contents(&self, kind: DataType, state: u64) -> Vec<TypeContent> {
        if !self.states(kind).contains(&state) {
            return Vec::new();
        }
        if kind == DataType::Email {
            let now = self.emails().collect();
            let named =
                |(index, email): (u32, Arc<Email>)| (self.ids.email(index), self.email_json(index, &email));
            let contents = self.emails.contents(state, &now).into_iter();
            return contents.map(|content| content.into_iter().map(named).collect()).collect();
        }
        let Some(objects) = self.objects.get(&kind) else {
            return Vec::new();
        };
        // Types that share a state may be at a number of the other's: the newest of their own up to it counts.
        let contents = objects.log.contents(state.min(objects.log.state()), &objects.present).into_iter();
        contents
            .map(|content| content.into_iter().map(|(id, object)| (id, Value::clone(&object))).collect())
            .collect()
    }

    fn email_json(&self, index: u32, email: &Email) -> Value {
        let truth = self.truth(index, email);
        let flags = |set: &std::collections::BTreeSet<String>| {
            set.iter().map(|flag| (flag.clone(), Value::Bool(true))).collect::<serde_json::Map<_, _>>()
        };
        json!({
            "id": truth.id, "blobId": truth.blob_id, "mailboxIds": flags(&truth.mailbox_ids),
            "keywords": flags(&truth.keywords), "receivedAt": truth.received_at, "size": truth.size,
        })
    }
}
