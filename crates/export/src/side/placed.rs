use std::borrow::Cow;

use model::DataType;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::layout::Parsed;
use crate::name::SafePath;

/// `malle/objects.jsonl`: every object, in the order in which they came.
pub(crate) const OBJECTS: &str = "objects.jsonl";
/// `malle/emails.jsonl`: every email.
pub(crate) const EMAILS: &str = "emails.jsonl";
pub(crate) const SIDE: &str = "malle";

/// A line of `objects.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ObjectLine<'a> {
    #[serde(rename = "type")]
    pub(crate) data_type: Cow<'a, str>,
    pub(crate) id: Cow<'a, str>,
    /// The object byte for byte, unless it has line breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) json: Option<Cow<'a, RawValue>>,
    /// The object as a text, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<Cow<'a, str>>,
    /// Where its content is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<Cow<'a, str>>,
}

/// A line of `emails.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EmailLine<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) folders: Vec<Cow<'a, str>>,
    pub(crate) keywords: Vec<Cow<'a, str>>,
    /// Seconds since 1970.
    pub(crate) received_at: i64,
    pub(crate) size: u64,
    pub(crate) file: Cow<'a, str>,
    /// In an mbox: where its own first byte is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<u64>,
}

/// An object whose content, if it has any, is in the export.
pub(crate) struct Placed {
    pub(crate) data_type: DataType,
    pub(crate) id: String,
    pub(crate) json: String,
    pub(crate) file: Option<SafePath>,
}

impl Placed {
    pub(crate) fn new(object: &Parsed<'_>, file: Option<SafePath>) -> Placed {
        Placed { data_type: object.data_type, id: object.id.to_owned(), json: object.json.to_owned(), file }
    }

    pub(crate) fn line(&self) -> ObjectLine<'_> {
        let is_one_line = !self.json.contains(['\n', '\r']) && self.json.trim() == self.json;
        let raw = || serde_json::from_str::<&RawValue>(&self.json).ok().map(Cow::Borrowed);
        let json = if is_one_line { raw() } else { None };
        let text = json.is_none().then(|| self.json.as_str().into());
        let file = self.file.as_ref().map(|path| path.as_str().into());
        ObjectLine { data_type: self.data_type.name().into(), id: self.id.as_str().into(), json, text, file }
    }
}
