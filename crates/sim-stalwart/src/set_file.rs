//! The rules of files and directories (draft-ietf-jmap-filenode).

use std::sync::Arc;

use serde_json::Value;

use crate::account::Account;
use crate::kind::DataType;
use crate::set::Setting;
use crate::set_error::SetError;
use crate::set_object::Before;

pub(crate) fn check(
    setting: &Setting<'_>,
    account: &mut Account,
    before: &Before,
    present: Option<(&str, &Value)>,
    draft: &mut Value,
) -> Result<(), SetError> {
    let name = draft["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(SetError::invalid("name", "Missing name."));
    }
    if name.contains('/') && present.is_none_or(|(_, present)| present["name"] != name)
        || [".", ".."].contains(&name)
    {
        return Err(SetError::invalid("name", "Field could not be set."));
    }
    check_parent(account, present, &draft["parentId"])?;
    let own = present.map(|(id, _)| id);
    let is_twin = |(id, other): &(&String, &Arc<Value>)| {
        Some(id.as_str()) != own && other["parentId"] == draft["parentId"] && other["name"] == name
    };
    if let Some((id, _)) = before.iter().find(is_twin) {
        return Err(SetError::exists(id, "A node of this name exists in this folder."));
    }
    take_blob(setting, account, present, draft)
}

fn check_parent(account: &Account, present: Option<(&str, &Value)>, parent: &Value) -> Result<(), SetError> {
    let invalid = |reason: &str| Err(SetError::invalid("parentId", reason));
    let mut at = parent.as_str();
    if let Some(parent) = at {
        match account.object(DataType::FileNode, parent) {
            Some(node) if node["blobId"].is_null() => {}
            _ => return invalid("Parent ID does not exist or is not a folder."),
        }
    }
    while let Some(id) = at {
        if present.is_some_and(|(own, _)| own == id) {
            return invalid("Circular reference in parent ids.");
        }
        at = account.object(DataType::FileNode, id).and_then(|node| node["parentId"].as_str());
    }
    Ok(())
}

/// A new blob is kept for good, and decides the size.
fn take_blob(
    setting: &Setting<'_>,
    account: &mut Account,
    present: Option<(&str, &Value)>,
    draft: &mut Value,
) -> Result<(), SetError> {
    let Some(id) = draft["blobId"].as_str() else {
        let is_file = ["type", "size"].iter().any(|property| !draft[*property].is_null());
        return if is_file { Err(SetError::invalid("blobId", "Missing blob id.")) } else { Ok(()) };
    };
    if present.is_some_and(|(_, present)| present["blobId"] == id) {
        return Ok(());
    }
    let content = setting.blobs.get(&setting.resolved(id)?).filter(|content| content.is_readable());
    let content = content.ok_or_else(|| SetError::invalid("blobId", "Blob could not be found."))?;
    draft["size"] = content.size(&account.mails).into();
    let bytes = content.bytes(&account.mails);
    draft["blobId"] = account.blobs.pin(bytes).into();
    Ok(())
}

/// Removes a node, and what is in it if the caller said so, the deepest first.
pub(crate) fn destroy(
    setting: &Setting<'_>,
    account: &mut Account,
    id: &str,
) -> Result<Vec<String>, SetError> {
    let mut found = vec![id.to_owned()];
    let mut next = 0;
    while let Some(parent) = found.get(next).cloned() {
        let nodes = account.objects[&DataType::FileNode].present.iter();
        found.extend(nodes.filter(|(_, node)| node["parentId"] == parent.as_str()).map(|(id, _)| id.clone()));
        next += 1;
    }
    if found.len() > 1 && setting.arguments.get("onDestroyRemoveChildren") != Some(&Value::Bool(true)) {
        return Err(SetError::of("nodeHasChildren"));
    }
    found.reverse();
    found.iter().for_each(|id| account.put_object(DataType::FileNode, id, None));
    Ok(found)
}
