//! Pieces of XML that a server sent.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::BytesRef;

use crate::error::Error;

pub(crate) fn plain<T, E>(text: Result<T, E>) -> Result<T, Error> {
    text.map_err(|_| malformed("its text is no text"))
}

/// What stands for itself under another name.
pub(crate) fn meant(reference: &BytesRef<'_>) -> Result<String, Error> {
    if let Some(character) = plain(reference.resolve_char_ref())? {
        return Ok(character.to_string());
    }
    let named = std::str::from_utf8(reference).ok().and_then(resolve_predefined_entity);
    named.map(str::to_owned).ok_or_else(|| malformed("an unknown entity"))
}

pub(crate) fn malformed(why: &'static str) -> Error {
    Error::Malformed { what: "answer by CalDAV or CardDAV", why: why.to_owned() }
}
