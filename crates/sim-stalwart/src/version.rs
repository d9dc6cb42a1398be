//! Which Stalwart is simulated, where the two in the field differ.

use crate::kind::Capabilities;

/// A generation of Stalwart. It decides what is offered and these manners:
///
/// | | 0.15 | 0.16 |
/// |---|---|---|
/// | capability not named in `using` | the method works | `unknownMethod` |
/// | body that is no JSON, unknown capability | problem `notRequest` | problems of their own (RFC 8620 §3.6.1) |
/// | `Blob/get` of a malformed id | in neither list | in `notFound` |
/// | `changes` of a type that is not offered | `cannotCalculateChanges` | `unknownMethod` |
/// | an id in `set` that is none | in no list | in `notUpdated`, `notDestroyed` |
/// | import of bytes that are no message | an email | `invalidEmail` |
/// | upload to an account that does not exist | taken | 404 |
/// | `get` without names of properties | both leave some out | (see [`Named`]) |
/// | an impersonator names an account that does not exist | an empty one is made by the reading | `accountNotFound` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Version {
    /// Mail, scripts, vacation, identities; no contacts, calendars and files.
    V0_15,
    /// Everything.
    #[default]
    V0_16,
}

/// What a server does with names of properties that it gives only to those who name them (`shareWith`, `isVisible`, `vCard`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Named {
    /// It gives them, as Stalwart 0.16.19 does.
    #[default]
    Given,
    /// It leaves them out without a word.
    LeftOut,
    /// `invalidArguments` for the whole call.
    Refused,
}

impl Version {
    /// What this generation offers.
    #[must_use]
    pub fn capabilities(self) -> Capabilities {
        match self {
            Self::V0_15 => Capabilities::v0_15(),
            Self::V0_16 => Capabilities::v0_16(),
        }
    }
}
