//! Reading hostile JSON: bounded lists, strings without a second copy, bounded depth.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::methods::ids::Id;

/// The most elements any list of an answer may have: it bounds what parsing can allocate, and is twenty times what
/// servers give in one answer.
pub(crate) const LONGEST_LIST: usize = 100_000;

/// Deepest nesting of an object that is handed on; JSON parsers refuse more than 128.
pub(crate) const DEEPEST: usize = 100;

/// A list of at most [`LONGEST_LIST`] elements; a longer one is refused while it is read.
pub(crate) struct Capped<T>(pub(crate) Vec<T>);

impl<T> Default for Capped<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Capped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Capped<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Capped<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    if list.len() == LONGEST_LIST {
                        return Err(de::Error::custom("list too long"));
                    }
                    list.push(element);
                }
                Ok(Capped(list))
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// The shape every `/get` answers (RFC 8620 section 5.1).
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GetWire<'a, T> {
    #[serde(borrow, default)]
    pub(crate) account_id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) state: Option<crate::methods::ids::State>,
    #[serde(bound(deserialize = "T: Deserialize<'de>"))]
    pub(crate) list: Capped<T>,
    #[serde(default)]
    pub(crate) not_found: Option<Capped<Cow<'a, str>>>,
}

/// Refuses an answer about another account than the one asked about.
pub(crate) fn check_account(answered: Option<&str>, asked: &str, method: &'static str) -> Result<(), Error> {
    match answered {
        Some(answered) if answered != asked => {
            Err(Error::Untrue { method, reason: "it is about another account" })
        }
        _ => Ok(()),
    }
}

/// Refuses an id that stands twice in the lists.
pub(crate) fn no_duplicates<const N: usize>(lists: [&[Id]; N], method: &'static str) -> Result<(), Error> {
    let mut all: Vec<&Id> = lists.into_iter().flatten().collect();
    all.sort_unstable();
    if all.windows(2).any(|pair| pair[0] == pair[1]) {
        Err(Error::Untrue { method, reason: "an id stands in it twice" })
    } else {
        Ok(())
    }
}

/// The bytes of a JSON string, escapes undone; `None` for anything else and for escapes that name no character.
/// `raw` is syntactically valid JSON. One pass, one allocation.
pub(crate) fn string_bytes(raw: &RawValue) -> Option<Vec<u8>> {
    let mut rest = raw.get().strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some(at) = memchr::memchr(b'\\', rest) {
        bytes.extend_from_slice(&rest[..at]);
        rest = unescape(&rest[at + 1..], &mut bytes)?;
    }
    bytes.extend_from_slice(rest);
    Some(bytes)
}

/// Undoes the escape whose backslash was just passed, and gives what follows it.
fn unescape<'a>(escape: &'a [u8], into: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (kind, mut rest) = escape.split_first()?;
    into.push(match kind {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'"' | b'\\' | b'/' => *kind,
        b'b' => 8,
        b'f' => 12,
        b'u' => {
            let mut unit = hex4(&mut rest)?;
            if (0xD800..0xDC00).contains(&unit) {
                rest = rest.strip_prefix(b"\\u")?;
                let low = hex4(&mut rest)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                unit = 0x1_0000 + ((unit - 0xD800) << 10) + low;
            }
            let mut utf8 = [0; 4];
            into.extend_from_slice(char::from_u32(unit)?.encode_utf8(&mut utf8).as_bytes());
            return Some(rest);
        }
        _ => return None,
    });
    Some(rest)
}

fn hex4(rest: &mut &[u8]) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

/// Whether an object's or list's nesting is at most [`DEEPEST`]. `text` is syntactically valid JSON.
pub(crate) fn is_shallow(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' if depth == DEEPEST => return false,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(json: &str) -> Option<Vec<u8>> {
        string_bytes(serde_json::from_str::<&RawValue>(json).unwrap())
    }

    #[test]
    fn strings_with_every_escape() {
        assert_eq!(bytes_of(r#""a\r\n\t\b\f\"\\\/b""#).unwrap(), b"a\r\n\t\x08\x0c\"\\/b");
        assert_eq!(bytes_of(r#""\u00e9\u0000\ud83d\udE00é""#).unwrap(), "é\0😀é".as_bytes());
        assert_eq!(bytes_of(r#""""#).unwrap(), b"");
    }

    #[test]
    fn what_is_no_string_of_characters_is_refused() {
        for json in [r#""\ud800""#, r#""\ud800\n""#, r#""\ud800\ud800""#, r#""\udc00""#, "null", "7", "[]"] {
            assert_eq!(bytes_of(json), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn string_bytes_agree_with_serde(text in any::<String>()) {
            prop_assert_eq!(bytes_of(&serde_json::to_string(&text).unwrap()), Some(text.clone().into_bytes()));
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(bytes_of(&format!("\"{escaped}\"")), Some(text.into_bytes()));
        }
    }

    #[test]
    fn nesting_is_counted_outside_strings_only() {
        assert!(is_shallow(&format!("[\"{}\"]", "[{\\\"".repeat(1000))));
        assert!(is_shallow(&("[".repeat(DEEPEST) + &"]".repeat(DEEPEST))));
        assert!(!is_shallow(&("[".repeat(DEEPEST + 1) + &"]".repeat(DEEPEST + 1))));
        assert!(is_shallow(&"[],".repeat(1000)));
    }

    #[test]
    fn lists_are_capped_while_they_are_read() {
        let fits = format!("[{}1]", "1,".repeat(LONGEST_LIST - 1));
        assert_eq!(
            serde_json::from_str::<Capped<u8>>(&fits).map(|list| list.0.len()).ok(),
            Some(LONGEST_LIST)
        );
        let long = format!("[{}1]", "1,".repeat(LONGEST_LIST));
        assert!(serde_json::from_str::<Capped<u8>>(&long).is_err());
    }
}
