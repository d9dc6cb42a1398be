//! `Email/set` (RFC 8621 §4.6): folders and keywords change, the rest never does. Import alone makes emails.

use serde_json::{Map, Value};

use crate::account::{Account, folder};
use crate::email::Email;
use crate::error::MethodError;
use crate::ids;
use crate::keywords;
use crate::kind::DataType;
use crate::patch;
use crate::set::Setting;
use crate::set_error::SetError;

pub(crate) fn set(
    setting: &mut Setting<'_>,
    account: &mut Account,
    creates: &[(&String, &Value)],
    updates: &[(&String, &Value)],
    destroys: &[String],
) -> Result<(), MethodError> {
    for (creation, _) in creates {
        let error = SetError::of("forbidden").because("The simulator makes emails by Email/import alone.");
        setting.outcome.not_created.insert((*creation).clone(), error.json());
    }
    for (id, patch) in updates {
        let Some(patch) = patch.as_object().filter(|_| setting.is_id(id)) else { continue };
        match setting.living(id).and_then(|()| update(setting, account, id, patch)) {
            Ok(()) => drop(setting.outcome.updated.insert((*id).clone(), Value::Null)),
            Err(error) => drop(setting.outcome.not_updated.insert((*id).clone(), error.json())),
        }
    }
    // An id that is given twice is destroyed twice, says Stalwart.
    let (known, unknown): (Vec<&String>, Vec<&String>) =
        destroys.iter().filter(|id| setting.is_id(id)).partition(|id| account.index_of(id).is_some());
    for id in unknown {
        setting.outcome.not_destroyed.insert(id.clone(), SetError::not_found().json());
    }
    for id in known {
        if let Some(index) = account.index_of(id) {
            account.put_email(index, None);
        }
        setting.outcome.destroyed.push(id.clone());
    }
    Ok(())
}

fn update(
    setting: &Setting<'_>,
    account: &mut Account,
    id: &str,
    patch: &Map<String, Value>,
) -> Result<(), SetError> {
    let index = account.index_of(id).ok_or_else(SetError::not_found)?;
    let email = account.email(index).ok_or_else(SetError::not_found)?;
    let mut changed = Email::clone(&email);
    for (pointer, value) in patch {
        apply(setting, &mut changed, pointer, value)?;
    }
    if changed.folders == email.folders && changed.keywords == email.keywords {
        return Ok(());
    }
    if changed.folders.is_empty() {
        return Err(SetError::invalid("mailboxIds", "Message has to belong to at least one mailbox."));
    }
    for number in changed.folders.iter().filter(|number| !email.folders.contains(number)) {
        let id = ids::short(u64::from(*number));
        if account.object(DataType::Mailbox, &id).is_none() {
            return Err(SetError::invalid("mailboxIds", format!("mailboxId {id} does not exist.")));
        }
    }
    account.put_email(index, Some(changed));
    Ok(())
}

/// One member of a patch: a whole set, or one element of it.
fn apply(setting: &Setting<'_>, email: &mut Email, pointer: &str, value: &Value) -> Result<(), SetError> {
    let refused = || SetError::invalid(pointer, "Invalid property or value.");
    let steps = patch::steps(pointer);
    let mut steps = steps.iter().map(String::as_str);
    match (steps.next(), steps.next(), value) {
        (Some("keywords"), None, Value::Object(set)) => {
            email.keywords = keywords::of_set(set).map_err(|_| refused())?;
        }
        (Some("mailboxIds"), None, Value::Object(set)) => {
            let wanted = set.iter().filter(|(_, is)| **is == Value::Bool(true));
            let ids = wanted.map(|(id, _)| setting.resolved(id)).collect::<Result<Vec<_>, _>>()?;
            email.folders = ids.iter().filter_map(|id| folder(id)).collect();
        }
        (Some(set @ ("keywords" | "mailboxIds")), Some(element), Value::Bool(_) | Value::Null) => {
            let wanted = *value == Value::Bool(true);
            if set == "keywords" && !element.is_empty() {
                toggle(&mut email.keywords, keywords::spelled(element), wanted);
            } else {
                let number = folder(&setting.resolved(element)?).filter(|_| set == "mailboxIds");
                toggle(&mut email.folders, number.ok_or_else(refused)?, wanted);
            }
        }
        _ => return Err(refused()),
    }
    Ok(())
}

fn toggle<T: PartialEq>(set: &mut Vec<T>, element: T, wanted: bool) {
    if !wanted {
        set.retain(|present| *present != element);
    } else if !set.contains(&element) {
        set.push(element);
    }
}

impl Account {
    /// The number of the email with this id, if there is one.
    pub(crate) fn index_of(&self, id: &str) -> Option<u32> {
        self.ids.email_index(id).filter(|index| self.email(*index).is_some())
    }
}
