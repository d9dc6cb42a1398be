//! JSON straight into a buffer.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::MethodError;

/// Appends the JSON of a value.
pub(crate) fn push(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("values of ours serialise, and memory takes them");
}

/// Appends `"name":` with a comma before it unless an object has just been opened.
pub(crate) fn key(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    push(out, name);
    out.push(b':');
}

/// Appends `"name":value`.
pub(crate) fn member(out: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    key(out, name);
    push(out, value);
}

/// Appends an array, each element by `write`.
pub(crate) fn array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// The arguments of a method call.
pub(crate) type Arguments = Map<String, Value>;

/// A list of strings, or nothing for null and absent.
pub(crate) fn strings(arguments: &Arguments, name: &str) -> Result<Option<Vec<String>>, MethodError> {
    let text = |value: &Value| {
        value.as_str().map(str::to_owned).ok_or_else(|| MethodError::invalid(format!("{name}: not a string")))
    };
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => list.iter().map(text).collect::<Result<_, _>>().map(Some),
        Some(_) => Err(MethodError::invalid(format!("{name}: not a list"))),
    }
}

/// An unsigned number, or nothing for null and absent.
pub(crate) fn unsigned(arguments: &Arguments, name: &str) -> Result<Option<usize>, MethodError> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| MethodError::invalid(format!("{name}: not an unsigned number"))),
    }
}
