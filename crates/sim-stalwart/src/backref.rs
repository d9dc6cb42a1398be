//! References to earlier results within a request (RFC 8620 §3.7).

use serde_json::Value;

use crate::error::MethodError;
use crate::json::Arguments;

/// An earlier response of the same request: its call id, its name and its arguments as they were sent.
pub(crate) struct Earlier<'a> {
    pub(crate) call: &'a str,
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a [u8],
}

/// Replaces every `#name` argument by what it refers to.
pub(crate) fn resolve(arguments: &mut Arguments, earlier: &[Earlier<'_>]) -> Result<(), MethodError> {
    let references: Vec<String> = arguments.keys().filter(|name| name.starts_with('#')).cloned().collect();
    for name in references {
        let reference = arguments.remove(&name).unwrap_or_default();
        let plain = name.trim_start_matches('#');
        if arguments.contains_key(plain) {
            return Err(MethodError::invalid(format!("{plain} is given twice")));
        }
        let value = lookup(&reference, earlier).ok_or_else(|| MethodError::of("invalidResultReference"))?;
        arguments.insert(plain.to_owned(), value);
    }
    Ok(())
}

fn lookup(reference: &Value, earlier: &[Earlier<'_>]) -> Option<Value> {
    let (call, name) = (reference["resultOf"].as_str()?, reference["name"].as_str()?);
    let response = earlier.iter().find(|response| response.call == call)?;
    if response.name != name {
        return None;
    }
    let arguments: Value = serde_json::from_slice(response.arguments).ok()?;
    follow(&arguments, reference["path"].as_str()?)
}

/// A JSON pointer in which `*` stands for every element of a list; lists found that way are joined.
fn follow(value: &Value, path: &str) -> Option<Value> {
    let Some(path) = path.strip_prefix('/') else {
        return path.is_empty().then(|| value.clone());
    };
    let (step, rest) = path.find('/').map_or((path, ""), |at| path.split_at(at));
    match value {
        Value::Array(list) if step == "*" => {
            let mut found = Vec::new();
            for element in list {
                match follow(element, rest)? {
                    Value::Array(inner) => found.extend(inner),
                    other => found.push(other),
                }
            }
            Some(Value::Array(found))
        }
        Value::Array(list) => follow(list.get(step.parse::<usize>().ok()?)?, rest),
        Value::Object(object) => follow(object.get(&step.replace("~1", "/").replace("~0", "~"))?, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &str, expected: Option<&Value>) {
        let value = json!({
            "ids": ["a", "b"], "list": [{ "blobId": "x", "many": [1, 2] }, { "blobId": "y", "many": [3] }],
            "a/b": { "0": true },
        });
        assert_eq!(follow(&value, path).as_ref(), expected, "{path}");
    }

    #[test]
    fn pointers_find_what_the_rfc_says() {
        check("/ids", Some(&json!(["a", "b"])));
        check("/ids/1", Some(&json!("b")));
        check("/list/*/blobId", Some(&json!(["x", "y"])));
        check("/list/*/many", Some(&json!([1, 2, 3])));
        check("/a~1b/0", Some(&json!(true)));
        check("/list/*/absent", None);
        check("/ids/7", None);
        check("ids", None);
    }
}
