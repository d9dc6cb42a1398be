//! Method-level errors (RFC 8620 section 3.6.2 and the sections of the methods).

use std::fmt;

use serde::Deserialize;

use crate::class::Class;
use crate::text::printable;

/// What a server answers in place of a method's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodError {
    /// The error's `type`.
    pub kind: MethodErrorKind,
    /// The server's explanation, cut and made printable.
    pub description: Option<String>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal => $class:expr,)*) => {
        /// The error types this client meets.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum MethodErrorKind {
            $($(#[$doc])* $kind,)*
            /// A type not listed here, as the server wrote it.
            Other(String),
        }

        impl MethodErrorKind {
            fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$kind,)*
                    other => Self::Other(printable(other)),
                }
            }

            /// The name on the wire.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::Other(name) => name,
                }
            }

            fn class(&self) -> Class {
                match self {
                    $(Self::$kind => $class,)*
                    Self::Other(name) if name.contains("rateLimit") => LATER,
                    Self::Other(_) => Class::Permanent,
                }
            }
        }
    };
}

const LATER: Class = Class::Transient { retry_after: None };

kinds! {
    /// `/changes`: the state is unknown or too old; list everything and compare (an ordinary answer).
    CannotCalculateChanges = "cannotCalculateChanges" => Class::Permanent,
    /// The method is not known, or its capability is not in `using`.
    UnknownMethod = "unknownMethod" => Class::Permanent,
    /// An argument is missing, wrong or not understood.
    InvalidArguments = "invalidArguments" => Class::Permanent,
    /// A back-reference points to nothing, most often because the call it names failed.
    InvalidResultReference = "invalidResultReference" => Class::Permanent,
    /// The credentials do not allow it.
    Forbidden = "forbidden" => Class::Auth,
    /// No such account, or not for these credentials.
    AccountNotFound = "accountNotFound" => Class::Permanent,
    /// The account does not have this data type.
    AccountNotSupportedByMethod = "accountNotSupportedByMethod" => Class::Permanent,
    /// The account may only be read.
    AccountReadOnly = "accountReadOnly" => Class::Permanent,
    /// More ids or objects than the server handles in one call.
    RequestTooLarge = "requestTooLarge" => Class::Permanent,
    /// `/query`: the anchor left the results; start the listing again.
    AnchorNotFound = "anchorNotFound" => Class::Permanent,
    /// `/query`: a filter the server does not know.
    UnsupportedFilter = "unsupportedFilter" => Class::Permanent,
    /// `/query`: a sort the server does not know.
    UnsupportedSort = "unsupportedSort" => Class::Permanent,
    /// `Blob/lookup`: a data type the server does not know.
    UnknownDataType = "unknownDataType" => Class::Permanent,
    /// `/set`: the type is not in the state that was demanded; nothing was done.
    StateMismatch = "stateMismatch" => Class::Permanent,
    /// Temporary; Stalwart 0.15 answers it for missing permissions too.
    ServerUnavailable = "serverUnavailable" => LATER,
    /// An error of the server's own.
    ServerFail = "serverFail" => LATER,
    /// Part of it failed; for a read, the whole call is to be repeated.
    ServerPartialFail = "serverPartialFail" => LATER,
}

impl MethodError {
    /// What the caller should do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        self.kind.class()
    }

    /// Whether the server refused before it began.
    pub(crate) fn did_nothing(&self) -> bool {
        use MethodErrorKind as K;
        !matches!(
            self.kind,
            K::ServerUnavailable
                | K::ServerFail
                | K::ServerPartialFail
                | K::InvalidResultReference
                | K::Other(_)
        )
    }

    /// Reads the arguments of an `error` response; anything unreadable becomes an unnamed error.
    pub(crate) fn parse(arguments: &str) -> Self {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "type")]
            kind: String,
            #[serde(default)]
            description: Option<String>,
        }
        match serde_json::from_str::<Wire>(arguments) {
            Ok(wire) => Self {
                kind: MethodErrorKind::from_name(&wire.kind),
                description: wire.description.filter(|text| !text.is_empty()).as_deref().map(printable),
            },
            Err(_) => Self { kind: MethodErrorKind::Other("unnamed error".into()), description: None },
        }
    }
}

impl fmt::Display for MethodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        match &self.description {
            Some(description) => write!(f, " ({description})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &str, kind: &MethodErrorKind, class: Class, shown: &str) {
        let error = MethodError::parse(arguments);
        assert_eq!(&error.kind, kind, "{arguments}");
        assert_eq!(error.class(), class, "{arguments}");
        assert_eq!(error.to_string(), shown, "{arguments}");
    }

    #[test]
    fn method_errors_are_typed_and_unknown_ones_keep_their_name() {
        use MethodErrorKind as K;
        check(
            r#"{"type":"cannotCalculateChanges","description":"Change log is truncated"}"#,
            &K::CannotCalculateChanges,
            Class::Permanent,
            "cannotCalculateChanges (Change log is truncated)",
        );
        check(r#"{"type":"forbidden","description":""}"#, &K::Forbidden, Class::Auth, "forbidden");
        check(r#"{"type":"serverFail"}"#, &K::ServerFail, LATER, "serverFail");
        check(r#"{"type":"new\nkind"}"#, &K::Other("new kind".into()), Class::Permanent, "new kind");
        check(r#"{"kind":1}"#, &K::Other("unnamed error".into()), Class::Permanent, "unnamed error");
    }
}
