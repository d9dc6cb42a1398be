//! The response object (RFC 8620 section 3.4), split once and read call by call.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::methods::batch::{Batch, Call};
use crate::methods::blobs::Blobs;
use crate::methods::changes::Changes;
use crate::methods::emails::Emails;
use crate::methods::expected::Expected;
use crate::methods::ids::{AccountId, State};
use crate::methods::json::Capped;
use crate::methods::method_error::{MethodError, MethodErrorKind};
use crate::methods::objects::Objects;
use crate::methods::query::QueryPage;
use crate::methods::set::Written;

/// The answer to a batch. Splitting it copies nothing; [`Answer::take`] parses one call's result, which for tens of
/// megabytes of blobs takes tens of milliseconds of CPU and may be done on another thread.
#[derive(Debug, Clone)]
pub struct Answer {
    account: AccountId,
    calls: Vec<(Expected, Outcome)>,
    session_state: Option<State>,
    max_objects_in_get: usize,
    size: usize,
}

#[derive(Debug, Clone)]
enum Outcome {
    Result(Bytes),
    Error(MethodError),
    Missing,
    Other,
}

mod sealed {
    pub trait Sealed {}
}

/// What a method call can result in.
pub trait MethodResult: sealed::Sealed + Sized {
    #[doc(hidden)]
    fn read(arguments: &Bytes, text: &str, context: &Context<'_>) -> Result<Self, Error>;
}

/// What a result is measured against.
#[doc(hidden)]
#[derive(Debug)]
pub struct Context<'a> {
    expected: &'a Expected,
    account: &'a str,
    max_objects_in_get: usize,
}

macro_rules! results {
    ($($result:ty: |$arguments:ident, $text:ident, $context:ident| $read:expr;)*) => {
        $(impl sealed::Sealed for $result {}
        impl MethodResult for $result {
            fn read($arguments: &Bytes, $text: &str, $context: &Context<'_>) -> Result<Self, Error> {
                $read
            }
        })*
    };
}

results! {
    Objects: |arguments, text, c| Self::parse(arguments, text, c.expected, c.account, c.max_objects_in_get);
    Emails: |_arguments, text, c| Self::parse(text, c.expected, c.account);
    Blobs: |_arguments, text, c| Self::parse(text, c.expected, c.account);
    QueryPage: |_arguments, text, c| Self::parse(text, c.expected, c.account);
    Changes: |_arguments, text, c| Self::parse(text, c.expected, c.account);
    Written: |_arguments, text, c| Self::parse(text, c.expected, c.account);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    method_responses: Capped<Invocation<'a>>,
    #[serde(default)]
    session_state: Option<State>,
}

#[derive(Deserialize)]
struct Invocation<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] &'a RawValue,
    #[serde(borrow)] Cow<'a, str>,
);

/// Splits the answer to a batch into the results of its calls. `max_objects_in_get` is the session's limit.
///
/// # Errors
/// [`Error::Malformed`] when it is no response object, [`Error::Untrue`] when it answers a call that was not made, or one
/// twice. A call left unanswered fails when it is taken.
pub fn parse_response(body: &Bytes, batch: &Batch, max_objects_in_get: usize) -> Result<Answer, Error> {
    const WHAT: &str = "API answer";
    let text = std::str::from_utf8(body).map_err(|error| Error::Malformed {
        what: WHAT,
        why: format!("no UTF-8 at byte {}", error.valid_up_to()),
    })?;
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|source| Error::malformed(WHAT, &source))?;
    let mut calls: Vec<_> =
        batch.expected().iter().map(|expected| (expected.clone(), Outcome::Missing)).collect();
    for Invocation(name, arguments, call_id) in wire.method_responses.0 {
        let call = call_id.parse::<usize>().ok().and_then(|index| calls.get_mut(index));
        let Some((expected, outcome)) = call else {
            return Err(Error::Untrue {
                method: "the request",
                reason: "it answers a call that was not made",
            });
        };
        if !matches!(outcome, Outcome::Missing) {
            return Err(Error::Untrue { method: expected.method, reason: "there are two of them" });
        }
        *outcome = match name {
            _ if name == expected.method => Outcome::Result(body.slice_ref(arguments.get().as_bytes())),
            _ if name == "error" => Outcome::Error(MethodError::parse(arguments.get())),
            _ => Outcome::Other,
        };
    }
    Ok(Answer {
        account: batch.account().clone(),
        calls,
        session_state: wire.session_state,
        max_objects_in_get,
        size: body.len(),
    })
}

impl Answer {
    /// The result of a call of the batch this answers.
    ///
    /// # Errors
    /// [`Error::Method`] when the server answered an error for it (where its ids were to come from an earlier call that failed,
    /// that call's error); [`Error::Malformed`] and [`Error::Untrue`] for a result
    /// that breaks the protocol. A single broken object is no error but one of the result's `failures`.
    pub fn take<T: MethodResult>(&self, call: Call<T>) -> Result<T, Error> {
        let method = call.method;
        let (expected, outcome) = self
            .calls
            .get(call.index)
            .filter(|(expected, _)| expected.method == method)
            .ok_or(Error::Untrue { method, reason: "it belongs to another batch" })?;
        match outcome {
            Outcome::Result(arguments) => {
                let text = std::str::from_utf8(arguments).expect("parse_response found it valid");
                let context = Context {
                    expected,
                    account: self.account.as_str(),
                    max_objects_in_get: self.max_objects_in_get,
                };
                T::read(arguments, text, &context)
            }
            Outcome::Error(error) => Err(self.cause(call.index, method, error)),
            Outcome::Missing => Err(Error::Untrue { method, reason: "there is none" }),
            Outcome::Other => Err(Error::Untrue { method, reason: "it answers another method" }),
        }
    }

    /// The error of a call, or of the earlier call that should have given its ids.
    fn cause(&self, index: usize, method: &'static str, error: &MethodError) -> Error {
        let (mut index, mut method, mut error) = (index, method, error);
        while error.kind == MethodErrorKind::InvalidResultReference {
            let earlier = self.calls[index].0.after.filter(|earlier| *earlier < index);
            match earlier.map(|earlier| (earlier, &self.calls[earlier])) {
                Some((earlier, (expected, Outcome::Error(cause)))) => {
                    (index, method, error) = (earlier, expected.method, cause);
                }
                _ => break,
            }
        }
        Error::Method { method, error: error.clone() }
    }

    /// The session's state; when it differs from [`Session::state`](crate::Session::state), limits or accounts changed.
    #[must_use]
    pub fn session_state(&self) -> Option<&State> {
        self.session_state.as_ref()
    }

    /// Bytes of the answer, all of which stay in memory while the answer or an [`Object`](crate::Object) of it lives.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}
