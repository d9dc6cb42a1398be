//! The rules of Sieve scripts (RFC 9661).

use serde_json::Value;

use crate::account::Account;
use crate::kind::DataType;
use crate::set::Setting;
use crate::set_error::SetError;
use crate::set_object::Before;

/// The script that stands for the vacation response is not changed here.
pub(crate) fn may_change(present: &Value) -> Result<(), SetError> {
    if present["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("vacation")) {
        let reason = "The 'vacation' script cannot be modified, use VacationResponse/set instead.";
        return Err(SetError::of("forbidden").because(reason));
    }
    Ok(())
}

pub(crate) fn check(
    setting: &Setting<'_>,
    account: &mut Account,
    before: &Before,
    present: Option<(&str, &Value)>,
    draft: &mut Value,
) -> Result<(), SetError> {
    check_name(account, before, present, draft)?;
    if present.is_none() {
        draft["isActive"] = false.into();
    }
    let Some(id) = draft["blobId"].as_str() else {
        return Err(SetError::invalid("blobId", "Missing blobId."));
    };
    if present.is_some_and(|(_, present)| present["blobId"] == id) {
        return Ok(());
    }
    let content = setting.blobs.get(&setting.resolved(id)?).filter(|content| content.is_readable());
    let content = content
        .ok_or_else(|| SetError::of("blobNotFound").because("Blob does not exist.").about("blobId"))?;
    account.check_quota(content.size(&account.mails))?;
    let bytes = content.bytes(&account.mails);
    if !is_script(&bytes) {
        return Err(SetError::of("invalidScript").because("Expected token \"instruction\"."));
    }
    draft["blobId"] = account.blobs.pin(bytes).into();
    Ok(())
}

/// Without a name it gets one that nobody chose.
fn check_name(
    account: &Account,
    before: &Before,
    present: Option<(&str, &Value)>,
    draft: &mut Value,
) -> Result<(), SetError> {
    let name = draft["name"].as_str().unwrap_or_default();
    if name.eq_ignore_ascii_case("vacation") {
        let reason = "The 'vacation' name is reserved, please use a different name.";
        return Err(SetError::of("forbidden").because(reason).about("name"));
    }
    if name.is_empty() {
        let own = present.map_or(Value::Null, |(_, present)| present["name"].clone());
        let drawn = || format!("{:015x}", account.objects[&DataType::SieveScript].next).into();
        draft["name"] = if own.is_null() { drawn() } else { own };
        return Ok(());
    }
    let own = present.map(|(id, _)| id);
    let twin = before.iter().find(|(id, other)| Some(id.as_str()) != own && other["name"] == name);
    match twin {
        Some((id, _)) if present.is_none_or(|(_, present)| present["name"] != name) => {
            Err(SetError::exists(id, format!("A sieve script with name '{name}' already exists.")))
        }
        _ => Ok(()),
    }
}

/// No compiler: UTF-8 in which braces and quotes close.
fn is_script(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let (mut depth, mut quotes) = (0i32, 0);
    for char in code.flat_map(str::chars) {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => return false,
            '}' => depth -= 1,
            '"' => quotes += 1,
            _ => {}
        }
    }
    depth == 0 && quotes % 2 == 0
}

/// `onSuccessActivateScript` and `onSuccessDeactivateScript`: only if nothing was refused, and the state stays.
pub(crate) fn activate(setting: &mut Setting<'_>, account: &mut Account) {
    if setting.kind != DataType::SieveScript || !setting.outcome.refused_nothing() {
        return;
    }
    let wanted = setting.arguments.get("onSuccessActivateScript").and_then(Value::as_str);
    let wanted = wanted.map(|id| (id, setting.resolved(id)));
    if let Some((id, Ok(script))) = wanted {
        if account.object(DataType::SieveScript, &script).is_none() {
            return;
        }
        account.activate_script(Some(&script));
        let outcome = &mut setting.outcome;
        let answer = match id.strip_prefix('#') {
            Some(creation) => outcome.created.get_mut(creation),
            None => outcome.updated.get_mut(&script),
        };
        if let Some(answer) = answer {
            answer["isActive"] = true.into();
        }
    } else if setting.arguments.get("onSuccessDeactivateScript") == Some(&Value::Bool(true)) {
        account.activate_script(None);
    }
}

impl Account {
    /// At most one script is active. Which one is kept beside the scripts: no state moves.
    pub(crate) fn activate_script(&mut self, id: Option<&str>) {
        self.mark(DataType::SieveScript, "isActive", id);
        let is_vacation =
            |id: &str| self.object(DataType::SieveScript, id).is_some_and(|it| it["name"] == "vacation");
        let enabled = id.is_some_and(is_vacation).then_some("singleton");
        self.mark(DataType::VacationResponse, "isEnabled", enabled);
    }

    /// Sets a flag of one object and takes it from all others, without a trace in the log.
    pub(crate) fn mark(&mut self, kind: DataType, flag: &str, chosen: Option<&str>) {
        let Some(objects) = self.objects.get_mut(&kind) else { return };
        for (id, object) in &mut objects.present {
            let is = Some(id.as_str()) == chosen;
            if object[flag] != is {
                let mut changed = Value::clone(object);
                changed[flag] = is.into();
                *object = changed.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_for_a_script() {
        for (text, expected) in [
            ("", true),
            ("require [\"fileinto\"];\r\n# it's {\r\nkeep;", true),
            ("if true { keep; }", true),
            ("this is { no script", false),
            ("}{", false),
            ("\"", false),
        ] {
            assert_eq!(is_script(text.as_bytes()), expected, "{text}");
        }
        assert!(!is_script(b"\xff"));
    }
}
