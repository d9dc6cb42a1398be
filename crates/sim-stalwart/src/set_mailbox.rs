//! The rules of folders (RFC 8621 §2.5, and what Stalwart makes of it).

use serde_json::Value;

use crate::account::{Account, folder};
use crate::kind::DataType;
use crate::set::Setting;
use crate::set_error::SetError;
use crate::set_object::Before;

/// Folders inside one another.
const DEEPEST: usize = 10;
/// A name has fewer bytes.
const LONGEST: usize = 255;
/// Folders with these roles keep them, and are never destroyed.
const FIXED: [&str; 3] = ["inbox", "trash", "junk"];

pub(crate) fn check(
    setting: &Setting<'_>,
    account: &Account,
    before: &Before,
    present: Option<(&str, &Value)>,
    draft: &mut Value,
) -> Result<(), SetError> {
    let limit = setting.context.settings.limits.max_folders;
    if present.is_none() && account.objects[&DataType::Mailbox].present.len() >= limit {
        return Err(SetError::of("overQuota").because("There are too many mailboxes."));
    }
    check_name(before, present, draft)?;
    let was = |property: &str| present.map_or(&Value::Null, |(_, present)| &present[property]);
    if present.is_none() || draft["parentId"] != *was("parentId") {
        check_parent(setting, account, (before, present), draft)?;
    }
    if draft["role"] != *was("role") {
        check_role(before, was("role"), &draft["role"])?;
    }
    Ok(())
}

/// Taken is a name that a sibling has in whatever case. Moving a folder beside a namesake is allowed, as in
/// Stalwart.
fn check_name(before: &Before, present: Option<(&str, &Value)>, draft: &mut Value) -> Result<(), SetError> {
    let name = draft["name"].as_str().unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        return Err(SetError::invalid("name", "Mailbox name cannot be empty."));
    }
    if name.len() >= LONGEST {
        return Err(SetError::invalid("name", "Mailbox name is too long."));
    }
    let lower = name.to_lowercase();
    let named = |other: &Value| other["name"].as_str().is_some_and(|name| name.to_lowercase() == lower);
    let taken = before.values().any(|other| other["parentId"] == draft["parentId"] && named(other));
    if taken && present.is_none_or(|(_, present)| present["name"] != name.as_str()) {
        return Err(SetError::invalid("name", format!("A mailbox with name '{name}' already exists.")));
    }
    draft["name"] = name.into();
    Ok(())
}

/// Upwards from the new parent: it exists, does not lead back, and is not too deep. One that this call has made
/// is not looked behind.
fn check_parent(
    setting: &Setting<'_>,
    account: &Account,
    (before, present): (&Before, Option<(&str, &Value)>),
    draft: &Value,
) -> Result<(), SetError> {
    let invalid = |reason: &str| Err(SetError::invalid("parentId", reason));
    let mut parent = draft["parentId"].as_str();
    if parent.is_some_and(|parent| setting.doomed.contains(parent)) {
        return Err(SetError::of("willDestroy").because("Parent ID will be destroyed."));
    }
    for _ in 0..DEEPEST {
        let Some(id) = parent else { return Ok(()) };
        if present.is_some_and(|(own, _)| own == id) {
            return invalid("Mailbox cannot be a parent of itself.");
        }
        let all = if present.is_some() { &account.objects[&DataType::Mailbox].present } else { before };
        match (all.get(id), account.object(DataType::Mailbox, id)) {
            (Some(above), _) => parent = above["parentId"].as_str(),
            (None, Some(_)) => return Ok(()),
            (None, None) => {
                return Err(SetError::of("invalidProperties").because("Parent ID does not exist."));
            }
        }
    }
    invalid("Mailbox parent-child relationship is too deep.")
}

fn check_role(before: &Before, was: &Value, role: &Value) -> Result<(), SetError> {
    if was.as_str().is_some_and(|was| FIXED.contains(&was)) {
        return Err(SetError::invalid(
            "role",
            "You are not allowed to change the role of Inbox, Junk or Trash folders.",
        ));
    }
    match role.as_str() {
        Some(name) if before.values().any(|other| other["role"] == *role) => {
            Err(SetError::invalid("role", format!("A mailbox with role '{name}' already exists.")))
        }
        _ => Ok(()),
    }
}

/// Clears the way for the removal of a folder.
pub(crate) fn destroy(
    setting: &Setting<'_>,
    account: &mut Account,
    (id, present): (&str, &Value),
) -> Result<(), SetError> {
    if present["role"].as_str().is_some_and(|role| FIXED.contains(&role)) {
        let reason = "You are not allowed to delete Inbox, Junk or Trash folders.";
        return Err(SetError::of("forbidden").because(reason));
    }
    if account.objects[&DataType::Mailbox].present.values().any(|other| other["parentId"] == id) {
        return Err(SetError::of("mailboxHasChild").because("Mailbox has at least one children."));
    }
    let number = folder(id).ok_or_else(SetError::not_found)?;
    if account.counts.get(&number).is_none_or(|counts| counts.total == 0) {
        return Ok(());
    }
    if setting.arguments.get("onDestroyRemoveEmails") != Some(&Value::Bool(true)) {
        return Err(SetError::of("mailboxHasEmail").because("Mailbox is not empty."));
    }
    account.take_emails_out(number);
    Ok(())
}
