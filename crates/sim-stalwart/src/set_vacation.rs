//! `VacationResponse/set` (RFC 8621 §8.2): one object, which may be made by updating it.

use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::error::MethodError;
use crate::forms::Phase;
use crate::kind::DataType;
use crate::set::Setting;
use crate::set_error::SetError;

const ONLY: &str = "singleton";

pub(crate) fn set(
    setting: &mut Setting<'_>,
    account: &mut Account,
    creates: &[(&String, &Value)],
    updates: &[(&String, &Value)],
    destroys: &[String],
) -> Result<(), MethodError> {
    if !creates.is_empty() && !updates.is_empty() {
        return Err(MethodError::invalid("Creating and updating on the same request is not allowed."));
    }
    for (place, (creation, object)) in creates.iter().enumerate() {
        let result = match place {
            0 => setting.living(ONLY).and_then(|()| put(setting, account, object, Phase::Create)),
            _ => Err(SetError::of("forbidden").because("Only one object can be created.")),
        };
        match result {
            Ok(()) => setting.created(creation, json!({ "id": ONLY })),
            Err(error) => drop(setting.outcome.not_created.insert((*creation).clone(), error.json())),
        }
    }
    for (id, object) in updates {
        let result = match id.as_str() {
            ONLY => setting.living(id).and_then(|()| put(setting, account, object, Phase::Update)),
            _ => Err(SetError::not_found().because("ID not found.")),
        };
        match result {
            Ok(()) => drop(setting.outcome.updated.insert((*id).clone(), Value::Null)),
            Err(error) => drop(setting.outcome.not_updated.insert((*id).clone(), error.json())),
        }
    }
    for id in destroys {
        if account.object(DataType::VacationResponse, id).is_some() {
            account.put_with_script(DataType::VacationResponse, id, None);
            setting.outcome.destroyed.push(id.clone());
        } else {
            setting.outcome.not_destroyed.insert(id.clone(), SetError::not_found().json());
        }
    }
    Ok(())
}

/// As Stalwart does: what is not given stays, but `isEnabled`, which is then false; a creation passes over nulls.
fn put(setting: &Setting<'_>, account: &mut Account, object: &Value, phase: Phase) -> Result<(), SetError> {
    let none = json!({
        "id": ONLY, "fromDate": null, "toDate": null, "subject": null, "textBody": null, "htmlBody": null,
    });
    let present = account.object(DataType::VacationResponse, ONLY).map(|object| Value::clone(object));
    let mut draft: Map<String, Value> = present.unwrap_or(none).as_object().cloned().unwrap_or_default();
    draft.insert("isEnabled".to_owned(), false.into());
    let given = object.as_object().into_iter().flatten();
    for (name, value) in given.filter(|(_, value)| phase == Phase::Update || !value.is_null()) {
        setting.put(&mut draft, (name, value), phase)?;
    }
    let enabled = draft["isEnabled"] == true;
    account.put_with_script(DataType::VacationResponse, ONLY, Some(Value::Object(draft)));
    if enabled {
        account.activate_vacation();
    }
    Ok(())
}

impl Account {
    /// The vacation response is the active script now.
    fn activate_vacation(&mut self) {
        let mut scripts = self.objects[&DataType::SieveScript].present.iter();
        let own = scripts.find(|(_, script)| script["name"] == "vacation").map(|(id, _)| id.clone());
        if let Some(id) = own {
            self.activate_script(Some(&id));
        }
    }
}
