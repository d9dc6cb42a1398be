//! Faults in the arguments of a response: the answer is written as it should be, then distorted.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::effect::{Effect, OddId, Shape};
use crate::json;

/// Applies those effects that change arguments to the JSON that begins at `start`.
pub(crate) fn distort(effects: &[Arc<Effect>], start: usize, out: &mut Vec<u8>) {
    let keeps = |effect: &Arc<Effect>| {
        matches!(**effect, Effect::MethodError(_) | Effect::Before(_) | Effect::Refuse { .. })
    };
    if effects.iter().all(keeps) {
        return;
    }
    if let Ok(mut arguments) = serde_json::from_slice::<Value>(&out[start..]) {
        effects.iter().for_each(|effect| apply(effect, &mut arguments));
        out.truncate(start);
        json::push(out, &arguments);
    }
}

fn apply(effect: &Effect, arguments: &mut Value) {
    match effect {
        Effect::WrongShape(shape) => reshape(*shape, arguments),
        Effect::WrongAccount => arguments["accountId"] = "zzz".into(),
        Effect::DuplicateIds => lists(arguments, |list| {
            if let Some(first) = list.first().cloned() {
                list.push(first);
            }
        }),
        Effect::OddIds(odd) => lists(arguments, |list| {
            if let Some(first) = list.first_mut() {
                rename(first, &odd_id(*odd));
            }
        }),
        Effect::Unasked => lists(arguments, |list| {
            if let Some(mut stranger) = list.first().cloned() {
                rename(&mut stranger, "unasked");
                list.push(stranger);
            }
        }),
        Effect::Omitted => lists(arguments, |list| {
            if !list.is_empty() {
                list.remove(0);
            }
        }),
        Effect::Vanished => vanish(arguments),
        Effect::LyingSize { add } => elements(arguments, |element| {
            if let Some(size) = element["size"].as_u64() {
                element["size"] = size.saturating_add_signed(*add).into();
            }
        }),
        Effect::ShortData => elements(arguments, shorten),
        Effect::Distort(change) => change(arguments),
        _ => {}
    }
}

/// The lists of objects or ids in a response of any method, `notFound` excepted.
fn lists(arguments: &mut Value, mut change: impl FnMut(&mut Vec<Value>)) {
    for name in ["list", "ids", "created", "updated", "destroyed"] {
        if let Some(Value::Array(list)) = arguments.get_mut(name) {
            change(list);
        }
    }
}

fn elements(arguments: &mut Value, change: impl FnMut(&mut Value)) {
    if let Some(Value::Array(list)) = arguments.get_mut("list") {
        list.iter_mut().for_each(change);
    }
}

fn rename(element: &mut Value, id: &str) {
    match element {
        Value::String(text) => id.clone_into(text),
        other => other["id"] = id.into(),
    }
}

fn odd_id(odd: OddId) -> String {
    match odd {
        OddId::Long => "x".repeat(300),
        OddId::Path => "../../../etc/passwd".to_owned(),
        OddId::Quotes => "a\"b'c\\d".to_owned(),
        OddId::Control => "a\u{0}b\nc\u{1b}[31m".to_owned(),
        OddId::Empty => String::new(),
    }
}

fn reshape(shape: Shape, arguments: &mut Value) {
    match shape {
        Shape::Text => *arguments = "not what you expected".into(),
        Shape::Empty => *arguments = json!({}),
        Shape::ListsAsObjects | Shape::ListsAsNull => {
            let new = if shape == Shape::ListsAsNull { Value::Null } else { json!({ "0": "a" }) };
            let members = arguments.as_object_mut().into_iter().flatten();
            members.filter(|(_, value)| value.is_array()).for_each(|(_, value)| *value = new.clone());
        }
        Shape::ElementsAsNumbers => {
            lists(arguments, |list| list.iter_mut().for_each(|element| *element = 7.into()));
        }
    }
}

fn vanish(arguments: &mut Value) {
    let first = arguments.get_mut("list").and_then(Value::as_array_mut).filter(|list| !list.is_empty());
    if let Some(gone) = first.map(|list| list.remove(0))
        && let Some(missing) = arguments.get_mut("notFound").and_then(Value::as_array_mut)
    {
        missing.push(gone["id"].clone());
    }
}

fn shorten(element: &mut Value) {
    for (name, step) in [("data:asText", 1), ("data:asBase64", 4)] {
        if let Some(text) = element.get(name).and_then(Value::as_str) {
            let mut half = text.len() / 2 / step * step;
            while !text.is_char_boundary(half) {
                half -= 1;
            }
            element[name] = text[..half].into();
        }
    }
}
