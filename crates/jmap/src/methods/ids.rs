//! Ids and states as RFC 8620 section 1.2 has them, read generously.

use std::borrow::Borrow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// The longest id (RFC 8620 section 1.2), in bytes.
const LONGEST_ID: usize = 255;

/// The longest state this client carries, in bytes; the RFC names no limit.
const LONGEST_STATE: usize = 1024;

/// A text that cannot be an id or a state: empty, too long, or with control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text is empty, too long, or holds control characters")]
pub struct InvalidId;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $shortest:literal, $longest:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks length and characters; what RFC 8620 forbids beyond that (such as `.`) is let pass.
            ///
            /// # Errors
            /// [`InvalidId`].
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let fits = ($shortest..=$longest).contains(&text.len());
                if fits && !text.chars().any(char::is_control) { Ok(Self(text.into())) } else { Err(InvalidId) }
            }

            /// The text as the server wrote it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(stringify!($name))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::new(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

text_id!(
    /// The id of any object but a blob or an account: email, mailbox, script, card, …
    Id, 1, LONGEST_ID
);
text_id!(
    /// The id of an account; on Stalwart also the id of its principal.
    AccountId, 1, LONGEST_ID
);
text_id!(
    /// A server's name for a run of bytes. Two of them may name the same bytes.
    JmapBlobId, 1, LONGEST_ID
);
text_id!(
    /// An opaque state: of a data type (`state`), a listing (`queryState`) or the session.
    State, 0, LONGEST_STATE
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_generously_within_bounds() {
        for good in ["a", "singleton", "a.b~c/d", "é", &"x".repeat(255)] {
            assert_eq!(Id::new(good).map(|id| id.as_str().to_owned()).as_deref(), Ok(good));
        }
        for bad in ["", "a\nb", "\u{85}", &"x".repeat(256)] {
            assert_eq!(Id::new(bad), Err(InvalidId), "{bad:?}");
        }
        assert!(State::new("").is_ok());
        assert!(serde_json::from_str::<Id>("\"a\\u0000\"").is_err());
        assert_eq!(serde_json::from_str::<Id>("\"\\u0061\"").unwrap(), Id::new("a").unwrap());
    }
}
