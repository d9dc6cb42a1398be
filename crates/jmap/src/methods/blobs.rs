//! `Blob/get` (RFC 9404 section 4.2): many blobs in one answer.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::methods::expected::Expected;
use crate::methods::ids::JmapBlobId;
use crate::methods::json::string_bytes;
use crate::methods::objects::{Book, Failure, ObjectError, read};

/// Standard alphabet; padding may be there or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A whole blob, exactly as long as the server says it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// The server's name for it.
    pub id: JmapBlobId,
    /// Its bytes, in memory of their own.
    pub data: Bytes,
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({:?}, {} bytes)", self.id, self.data.len())
    }
}

/// The result of a `Blob/get`.
#[derive(Debug, Clone)]
pub struct Blobs {
    /// In the server's order, no id twice; none that was not asked for, where the ids were given (not referred to).
    pub list: Vec<Blob>,
    /// Ids the server says do not exist.
    pub not_found: Vec<JmapBlobId>,
    /// Blobs that cannot be used; most are worth a download by URL. With ids given, `list`, `not_found` and `failures`
    /// account for every one.
    pub failures: Vec<Failure<JmapBlobId>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default, rename = "data:asText")]
    text: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "data:asBase64")]
    base64: Option<&'a RawValue>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    is_encoding_problem: Option<bool>,
    #[serde(default)]
    is_truncated: Option<bool>,
}

/// What is left of an element of the wrong shape.
#[derive(Deserialize)]
struct OnlyId {
    id: JmapBlobId,
}

impl Blobs {
    pub(crate) fn parse(text: &str, expected: &Expected, account: &str) -> Result<Self, Error> {
        // One pass where every element has the right shape; else once more, to lose only the broken elements.
        let (elements, not_found) = match read::<Wire<'_>>(text, expected, account) {
            Ok(wire) => (wire.list.0.into_iter().map(Ok).collect(), wire.not_found),
            Err(Error::Malformed { .. }) => {
                let wire = read::<&RawValue>(text, expected, account)?;
                let elements = wire.list.0.into_iter().map(|raw| {
                    serde_json::from_str(raw.get())
                        .map_err(|_| serde_json::from_str::<OnlyId>(raw.get()).ok().map(|element| element.id))
                });
                (elements.collect(), wire.not_found)
            }
            Err(error) => return Err(error),
        };
        let mut book = Book::new(expected);
        let list = decode_all(elements, &mut book, expected.method)?;
        let not_found = book.not_found(&not_found.unwrap_or_default().0, expected.method, JmapBlobId::new)?;
        Ok(Self { list, not_found, failures: book.close(JmapBlobId::new) })
    }
}

fn decode_all(
    elements: Vec<Result<Wire<'_>, Option<JmapBlobId>>>,
    book: &mut Book<'_, JmapBlobId>,
    method: &'static str,
) -> Result<Vec<Blob>, Error> {
    let mut list: Vec<Blob> = Vec::with_capacity(elements.len());
    for wire in elements {
        let (id, decoded) = match wire {
            Ok(wire) => (JmapBlobId::new(&wire.id).ok(), wire.decode()),
            Err(id) => (id, Err(ObjectError::Malformed)),
        };
        let Some(id) = id else {
            book.fail(None, ObjectError::Malformed);
            continue;
        };
        let is_new = book.note(id.as_str(), method)?;
        match decoded {
            Ok(data) if is_new => list.push(Blob { id, data }),
            // A back-reference names the same blob once for each email that has it; so may the answer.
            Ok(data) if list.iter().any(|blob| blob.id == id && blob.data == data) => {}
            Ok(_) => {
                list.retain(|blob| blob.id != id);
                book.fail(Some(id), ObjectError::TwoVersions);
            }
            Err(error) => {
                list.retain(|blob| blob.id != id);
                book.fail(Some(id), error);
            }
        }
    }
    Ok(list)
}

impl Wire<'_> {
    /// The true bytes. Base64 is true even with `isEncodingProblem` (it then says why it is no text); text is not.
    fn decode(&self) -> Result<Bytes, ObjectError> {
        if self.is_truncated == Some(true) {
            return Err(ObjectError::Truncated);
        }
        let data = match (self.base64, self.text) {
            (Some(base64), _) => {
                let encoded = base64.get().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                let encoded = encoded.ok_or(ObjectError::Malformed)?;
                let decoded = if encoded.contains('\\') {
                    BASE64.decode(string_bytes(base64).ok_or(ObjectError::Malformed)?)
                } else {
                    BASE64.decode(encoded)
                };
                decoded.map_err(|_| ObjectError::BadBase64)?
            }
            (None, Some(_)) if self.is_encoding_problem == Some(true) => {
                return Err(ObjectError::AlteredText);
            }
            (None, Some(text)) => string_bytes(text).ok_or(ObjectError::Malformed)?,
            (None, None) if self.is_encoding_problem == Some(true) => return Err(ObjectError::AlteredText),
            (None, None) => return Err(ObjectError::NoData),
        };
        let said = self.size.ok_or(ObjectError::NoSize)?;
        let got = data.len() as u64;
        if said == got { Ok(data.into()) } else { Err(ObjectError::WrongSize { said, got }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(list: &str, asked: Option<&[&str]>) -> Result<Blobs, Error> {
        let text = format!(r#"{{"accountId":"a","list":[{list}],"notFound":[]}}"#);
        let ids = asked.map(|ids| ids.iter().map(|id| (*id).into()).collect());
        Blobs::parse(&text, &Expected { ids, ..Expected::of("Blob/get") }, "a")
    }

    fn check(element: &str, expected: Result<&[u8], ObjectError>) {
        let blobs = parse(&format!(r#"{{"id":"b",{element}}}"#), None).unwrap();
        match expected {
            Ok(data) => assert_eq!(blobs.list.first().map(|blob| &blob.data[..]), Some(data), "{element}"),
            Err(error) => {
                assert_eq!(blobs.failures.iter().map(|f| f.error).collect::<Vec<_>>(), [error], "{element}");
                assert!(blobs.list.is_empty());
            }
        }
    }

    #[test]
    fn blobs_as_servers_send_them() {
        check(r#""data:asText":"a\r\né","size":5"#, Ok("a\r\né".as_bytes()));
        check(r#""data:asText":"","size":0"#, Ok(b""));
        check(r#""data:asBase64":"/+8A","isEncodingProblem":true,"size":3"#, Ok(b"\xff\xef\0"));
        check(r#""data:asBase64":"\/+8A","size":3"#, Ok(b"\xff\xef\0"));
        check(r#""data:asBase64":"/w","size":1"#, Ok(b"\xff"));
        check(r#""data:asBase64":"/w==","data:asText":null,"size":1"#, Ok(b"\xff"));
        check(r#""data:asText":"a","size":1,"isTruncated":false,"other":[{}]"#, Ok(b"a"));
    }

    #[test]
    fn blobs_that_must_not_be_trusted() {
        use ObjectError as E;
        check(r#""data:asText":"a?","isEncodingProblem":true,"size":2"#, Err(E::AlteredText));
        check(r#""data:asText":null,"isEncodingProblem":true,"size":2"#, Err(E::AlteredText));
        check(r#""data:asText":"a","size":2"#, Err(E::WrongSize { said: 2, got: 1 }));
        check(r#""data:asText":"a""#, Err(E::NoSize));
        check(r#""data:asText":"a","size":1,"isTruncated":true"#, Err(E::Truncated));
        check(r#""data:asBase64":"a?==","size":1"#, Err(E::BadBase64));
        check(r#""data:asBase64":7,"size":1"#, Err(E::Malformed));
        check(r#""data:asText":"\ud800","size":3"#, Err(E::Malformed));
        check(r#""size":1"#, Err(E::NoData));
    }

    #[test]
    fn a_broken_blob_fails_alone() {
        let blobs = parse(
            r#"{"id":"b1","data:asText":"a","size":1},{"id":"b2","data:asText":"a","size":-1},17,
               {"id":"b3","data:asText":"a","data:asText":"b","size":1}"#,
            Some(&["b1", "b2", "b3"]),
        )
        .unwrap();
        assert_eq!(blobs.list.len(), 1);
        let failed: Vec<_> =
            blobs.failures.iter().map(|f| f.id.as_ref().map_or("?", JmapBlobId::as_str)).collect();
        assert_eq!(failed, ["b2", "?", "b3"]);
    }

    #[test]
    fn the_same_blob_twice_is_one_and_two_versions_are_none() {
        let one = r#"{"id":"b","data:asText":"a","size":1}"#;
        let other = r#"{"id":"b","data:asText":"b","size":1}"#;
        assert_eq!(parse(&format!("{one},{one}"), None).unwrap().list.len(), 1);
        let both = parse(&format!("{one},{other}"), None).unwrap();
        assert!(both.list.is_empty());
        assert_eq!(both.failures[0].error, ObjectError::TwoVersions);
        assert!(matches!(parse(one, Some(&["c"])), Err(Error::Untrue { .. })));
    }

    proptest! {
        #[test]
        fn bytes_survive_both_encodings(data in proptest::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
            let element = format!(r#""data:asBase64":"{}","size":{}"#, BASE64.encode(&data), data.len());
            check(&element, Ok(&data));
            let quoted = serde_json::to_string(&text).unwrap();
            check(&format!(r#""data:asText":{quoted},"size":{}"#, text.len()), Ok(text.as_bytes()));
        }
    }
}
