//! Settings that know their keys in the fleet's configuration file.
//!
//! [`settings!`](crate::settings!) declares a type of settings. Each field has its usual value and, if people may set it, its key
//! and the form of its values; the field's comment is what the manual says of the key. One walk over all keys serves the reader
//! of the file, the manual and the tests, so that a bound stands in one place.

use std::collections::BTreeMap;
use std::fmt;

/// Settings with keys in the configuration file.
pub trait Section {
    /// Shows every key to the visitor, which may set the key's field.
    fn visit(&mut self, visitor: &mut dyn Visitor);
}

/// Reads or describes the keys of settings.
pub trait Visitor {
    /// Meets a key with one value.
    fn key(&mut self, key: Key<'_>);

    /// Meets a key with tables. `each` adds one and shows its keys, whose names begin behind that of the table.
    fn tables(
        &mut self,
        name: &'static str,
        about: &'static str,
        shape: Tables,
        each: &mut dyn FnMut(&mut dyn Visitor),
    );
}

/// How many tables a key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// None or one.
    One,
    /// A list of them.
    Many,
}

/// One key of the configuration.
pub struct Key<'a> {
    /// As it stands in the file, with the section before it.
    pub name: &'static str,
    /// What it means, a line for each line of the field's comment.
    pub about: &'static str,
    /// The usual value, as it is written in the file; `None`: it has none.
    pub usual: Option<String>,
    /// The file must have it.
    pub is_required: bool,
    /// What may be written.
    pub allowed: Allowed,
    /// Sets the field, or says why this value cannot be used (with an empty text: it is not among the allowed).
    pub set: &'a mut dyn FnMut(&Value) -> Result<(), String>,
}

/// What may be written for a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Allowed {
    /// A whole number of this unit (which may be empty), from the least to the most.
    Whole(&'static str, u64, u64),
    /// Any number from 0 to 1.
    Share,
    /// `true` or `false`.
    Flag,
    /// A text; the words say which.
    Text(&'static str),
    /// One of these texts.
    Words(Vec<&'static str>),
    /// A list of them, none of them twice.
    List(Box<Allowed>),
    /// A table; the words say which.
    Table(&'static str),
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Whole("", least, most) => write!(f, "a whole number from {least} to {most}"),
            Allowed::Whole(unit, least, most) => write!(f, "a whole number of {unit} from {least} to {most}"),
            Allowed::Share => f.write_str("a number from 0 to 1"),
            Allowed::Flag => f.write_str("true or false"),
            Allowed::Text(words) | Allowed::Table(words) => f.write_str(words),
            Allowed::Words(words) => write!(f, "one of {}", words.join(", ")),
            Allowed::List(of) => write!(f, "a list, each {of}, none twice"),
        }
    }
}

/// A value of the configuration. It has no `Debug`: it may be a secret that stands in the wrong place.
pub enum Value {
    /// A whole number.
    Whole(i128),
    /// A number with a fraction, or none at all (NaN).
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
    /// A text.
    Text(String),
    /// The text of an environment variable, which may mean any of the above.
    Variable(String),
    /// Several values.
    List(Vec<Node>),
    /// Keys and their values.
    Table(Table),
    /// What no key takes: a date, or a number that is longer than any.
    Other,
}

/// Keys and their values.
pub type Table = BTreeMap<String, Node>;

/// A value and where it stands.
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
}

/// Where a value of the configuration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of the file, counted from 1.
    Line(usize),
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(number) => write!(f, "line {number}"),
            Place::Variable(name) => f.write_str(name),
        }
    }
}

impl Value {
    /// The text that it is.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Variable(text) => Some(text),
            _ => None,
        }
    }

    /// ` = 7` of a number or flag; nothing of anything else, which may be a secret.
    pub fn shown(&self) -> String {
        match self {
            Value::Whole(number) => format!(" = {number}"),
            Value::Number(number) => format!(" = {number}"),
            Value::Flag(flag) => format!(" = {flag}"),
            Value::Variable(text) if text.parse::<f64>().is_ok() => format!(" = {text}"),
            _ => String::new(),
        }
    }
}

/// Declares a type of settings: `field: Type = usual value, "key": form;`. The form may be left out, with the key, for what people
/// cannot set. `Default` is made of the usual values; those of keys that the file must have are placeholders.
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $visible:vis struct $name:ident {
            $(
                $(#[doc = $about:literal])*
                $field_visible:vis $field:ident: $type:ty = $usual:expr $(, $key:literal: $form:expr)?;
            )*
        }
    ) => {
        $(#[$meta])*
        $visible struct $name {
            $($(#[doc = $about])* $field_visible $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $usual,)* }
            }
        }

        impl $crate::settings::Section for $name {
            fn visit(&mut self, visitor: &mut dyn $crate::settings::Visitor) {
                $(
                    // Not needed of what has no key.
                    let _about = concat!($($about, "\n",)*);
                    $($crate::forms::Form::show(&$form, $key, _about, &mut self.$field, visitor);)?
                )*
            }
        }
    };
}
