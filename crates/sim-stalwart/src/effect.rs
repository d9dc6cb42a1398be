//! What can go wrong.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// Which shape the arguments of a response take instead of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The arguments are a string.
    Text,
    /// The arguments are an empty object.
    Empty,
    /// Every list is an object.
    ListsAsObjects,
    /// Every list is null.
    ListsAsNull,
    /// Every element of every list is a number.
    ElementsAsNumbers,
}

/// Ids that a careful client must not trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddId {
    /// 300 characters, where the RFC allows 255.
    Long,
    /// `../../../etc/passwd`
    Path,
    /// Quotes and a backslash.
    Quotes,
    /// NUL, newline, escape.
    Control,
    /// No character at all.
    Empty,
}

/// Chooses objects of a `set` by (creation) id and object.
pub type Chosen = dyn Fn(&str, &Value) -> bool + Send + Sync;

/// What happens. The first group strikes requests, the second the responses to method calls.
#[derive(Clone)]
pub enum Effect {
    /// The answer comes this much later.
    Delay(Duration),
    /// The body comes in small pieces with pauses between.
    Drip {
        /// Size of a piece.
        bytes: usize,
        /// Pause after each.
        pause: Duration,
    },
    /// After the body, blanks without end (which JSON allows), one KiB at a time.
    NeverEnding {
        /// Pause after each KiB.
        pause: Duration,
    },
    /// The connection is reset (RST) after this many bytes of the answer, head included. The request is served.
    Reset {
        /// 0: all is done, and nothing is answered.
        after: u64,
    },
    /// The connection is reset when the request has been read, before anything is done with it.
    ResetUnserved,
    /// The request's body is read at this pace. Strikes by path, not by method.
    SlowRead {
        /// Bytes that take one pause.
        bytes: usize,
        /// The pause.
        pause: Duration,
    },
    /// The connection is closed (FIN) after this many bytes of the answer, head included, although
    /// `Content-Length` said more.
    Truncate {
        /// Bytes that still go out.
        after: u64,
    },
    /// `Content-Length` differs from the body by this much. More: the connection closes before the end. Less:
    /// the client sees the beginning of the body as if it were all.
    ContentLength {
        /// Added to the true length.
        add: i64,
    },
    /// An HTTP status with a problem document instead of an answer.
    Status {
        /// Such as 500, 503, 429.
        code: u16,
        /// Seconds in a `Retry-After`.
        retry_after: Option<u64>,
    },
    /// A redirect (307) to this URL.
    Redirect(String),
    /// The body is cut in half, with the right `Content-Length`: not JSON.
    InvalidJson,
    /// This many blanks before the body.
    Huge {
        /// Size of the padding.
        bytes: u64,
    },

    /// Objects of a `set`, an import or a `Blob/upload` are refused with a set error; the others are served.
    Refuse {
        /// The error's type, such as `overQuota`.
        kind: Cow<'static, str>,
        /// Which: given the (creation) id, and the object, the patch, or null if it is to be destroyed.
        chosen: Arc<Chosen>,
    },
    /// The call is answered by an error of this type, such as `serverFail` or `serverUnavailable`.
    MethodError(Cow<'static, str>),
    /// The arguments have another shape.
    WrongShape(Shape),
    /// The answer names another account.
    WrongAccount,
    /// The first element of every list comes twice.
    DuplicateIds,
    /// The first id of every list is replaced.
    OddIds(OddId),
    /// A list holds an element that was not asked for: a copy of the first under another id.
    Unasked,
    /// The first element of every list is missing and no `notFound` tells.
    Omitted,
    /// The first element of `list` is in `notFound` instead: it vanished between listing and reading.
    Vanished,
    /// `size` is wrong by this much in every element.
    LyingSize {
        /// Added to the true size, never below nought.
        add: i64,
    },
    /// The data of a blob is only its first half; `size` stays.
    ShortData,
    /// The arguments of the answer are changed by a closure.
    Distort(Arc<dyn Fn(&mut Value) + Send + Sync>),

    /// A closure runs before the request or the call is served: change the account at just this moment.
    Before(Arc<dyn Fn() + Send + Sync>),
}

impl Effect {
    /// A method error of this type.
    pub fn method_error(kind: impl Into<Cow<'static, str>>) -> Self {
        Self::MethodError(kind.into())
    }

    /// A closure that runs before the request or call is served.
    pub fn before(action: impl Fn() + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(action))
    }

    /// A closure that changes the arguments of a response.
    pub fn distort(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Distort(Arc::new(change))
    }

    /// A set error of this type for the objects that a closure chooses.
    pub fn refuse(
        kind: impl Into<Cow<'static, str>>,
        chosen: impl Fn(&str, &Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::Refuse { kind: kind.into(), chosen: Arc::new(chosen) }
    }

    pub(crate) const fn strikes_requests(&self) -> bool {
        matches!(
            self,
            Self::Delay(_)
                | Self::ResetUnserved
                | Self::Drip { .. }
                | Self::NeverEnding { .. }
                | Self::Reset { .. }
                | Self::Truncate { .. }
                | Self::ContentLength { .. }
                | Self::Status { .. }
                | Self::Redirect(_)
                | Self::InvalidJson
                | Self::Huge { .. }
        )
    }
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.strikes_requests() { "Effect on a request" } else { "Effect on a call" })
    }
}
