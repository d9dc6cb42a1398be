//! `PatchObject` (RFC 8620 §5.3): JSON pointers whose leading slash is left out.

use serde_json::{Map, Value};

use crate::set_error::SetError;

/// The steps of a pointer; a leading slash is forgiven, as Stalwart does.
pub(crate) fn steps(pointer: &str) -> Vec<String> {
    let steps = pointer.strip_prefix('/').unwrap_or(pointer).split('/');
    steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// Sets what the pointer names, or removes it if the value is null. All steps but the last must exist.
pub(crate) fn apply(object: &mut Map<String, Value>, pointer: &str, value: Value) -> Result<(), SetError> {
    let failed = || SetError::invalid(pointer, "Patch operation failed.");
    let mut steps = steps(pointer);
    let last = steps.pop().ok_or_else(failed)?;
    let mut at = object;
    for step in steps {
        at = at.get_mut(&step).and_then(Value::as_object_mut).ok_or_else(failed)?;
    }
    match value {
        Value::Null => drop(at.remove(&last)),
        value => drop(at.insert(last, value)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(pointer: &str, value: Value, expected: Option<&Value>) {
        let mut object = json!({ "a": { "b/c": 1, "d": { "e": 2 } }, "list": [1] });
        let result = apply(object.as_object_mut().expect("it is one"), pointer, value);
        assert_eq!(result.ok().map(|()| &object), expected, "{pointer}");
    }

    #[test]
    fn pointers_set_and_remove_what_they_name() {
        check("a", Value::Null, Some(&json!({ "list": [1] })));
        check("a/b~1c", json!(7), Some(&json!({ "a": { "b/c": 7, "d": { "e": 2 } }, "list": [1] })));
        check("/a/d/e", Value::Null, Some(&json!({ "a": { "b/c": 1, "d": {} }, "list": [1] })));
        check(
            "a/x~0y",
            json!(true),
            Some(&json!({ "a": { "b/c": 1, "d": { "e": 2 }, "x~y": true }, "list": [1] })),
        );
        check("a/none/e", json!(1), None);
        check("list/0", json!(1), None);
    }
}
