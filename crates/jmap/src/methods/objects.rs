//! `/get` of any type: the objects as raw JSON, and the bookkeeping all `/get`s share.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::methods::expected::Expected;
use crate::methods::ids::{Id, State};
use crate::methods::json::{GetWire, check_account, is_shallow};

/// Why one object of an answer cannot be used while the others can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// No object, a required property missing, or one of the wrong type.
    #[error("object is malformed")]
    Malformed,
    /// Nested deeper than JSON parsers bear.
    #[error("object is nested too deeply")]
    TooDeep,
    /// Asked for by id, and the answer does not mention it at all.
    #[error("server did not mention the object")]
    Unanswered,
    /// The same blob twice, with different bytes.
    #[error("server sent two versions of it")]
    TwoVersions,
    /// A blob with neither text nor base64.
    #[error("server sent no data for the blob")]
    NoData,
    /// Text that the server says it changed to make it valid UTF-8; the download URL has the true bytes.
    #[error("server sent altered text for the blob")]
    AlteredText,
    /// `isTruncated` although everything was asked for.
    #[error("server cut the blob short")]
    Truncated,
    /// Not base64.
    #[error("blob is no valid base64")]
    BadBase64,
    /// The blob's `size` is missing, so that nothing proves it whole.
    #[error("server named no size for the blob")]
    NoSize,
    /// The bytes are not as many as `size` says.
    #[error("blob has {got} bytes where the server announced {said}")]
    WrongSize {
        /// The `size` property.
        said: u64,
        /// The bytes decoded.
        got: u64,
    },
}

/// One object that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure<I> {
    /// Its id, unless that is what is wrong.
    pub id: Option<I>,
    /// What is wrong.
    pub error: ObjectError,
}

/// An object of any type, byte for byte as the server wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its `id`.
    pub id: Id,
    /// A JSON object: valid UTF-8, syntactically right, at most 100 levels deep. Shares the answer's memory.
    pub json: Bytes,
}

/// The result of a `/get`.
#[derive(Debug, Clone)]
pub struct Objects {
    /// The type's state, where it has one.
    pub state: Option<State>,
    /// Objects in the server's order, no id twice, none that was not asked for.
    pub list: Vec<Object>,
    /// Ids the server says do not exist.
    pub not_found: Vec<Id>,
    /// Objects that cannot be used. With ids asked for, `list`, `not_found` and `failures` account for every one.
    pub failures: Vec<Failure<Id>>,
    /// Everything was asked for and exactly as much came as the server gives in one `/get`: Stalwart cuts there without
    /// a word. List the ids by `/query` where the type has it.
    pub may_be_cut: bool,
}

#[derive(Deserialize)]
struct OnlyId {
    id: Id,
}

impl Objects {
    pub(crate) fn parse(
        body: &Bytes,
        text: &str,
        expected: &Expected,
        account: &str,
        most: usize,
    ) -> Result<Self, Error> {
        let wire = read::<&RawValue>(text, expected, account)?;
        let may_be_cut = expected.all && wire.list.0.len() >= most;
        let mut book = Book::new(expected);
        let mut list = Vec::with_capacity(wire.list.0.len());
        for raw in wire.list.0 {
            let Ok(OnlyId { id }) = serde_json::from_str(raw.get()) else {
                book.fail(None, ObjectError::Malformed);
                continue;
            };
            book.see(id.as_str(), expected.method)?;
            if is_shallow(raw.get()) {
                list.push(Object { id, json: body.slice_ref(raw.get().as_bytes()) });
            } else {
                book.fail(Some(id), ObjectError::TooDeep);
            }
        }
        let not_found = book.not_found(&wire.not_found.unwrap_or_default().0, expected.method, Id::new)?;
        let failures = book.close(Id::new);
        Ok(Self { state: wire.state, list, not_found, failures, may_be_cut })
    }
}

/// Parses the arguments of a `/get` answer and checks whom they are about.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    text: &'a str,
    expected: &Expected,
    account: &str,
) -> Result<GetWire<'a, T>, Error> {
    let wire: GetWire<'a, T> =
        serde_json::from_str(text).map_err(|source| Error::malformed("/get answer", &source))?;
    check_account(wire.account_id.as_deref(), account, expected.method)?;
    Ok(wire)
}

/// Which ids of an answer were seen, against which were asked for.
pub(crate) struct Book<'a, I> {
    asked: Option<&'a [Box<str>]>,
    seen: BTreeSet<Box<str>>,
    failures: Vec<Failure<I>>,
}

impl<'a, I> Book<'a, I> {
    pub(crate) fn new(expected: &'a Expected) -> Self {
        Self { asked: expected.ids.as_deref(), seen: BTreeSet::new(), failures: Vec::new() }
    }

    pub(crate) fn fail(&mut self, id: Option<I>, error: ObjectError) {
        self.failures.push(Failure { id, error });
    }

    /// Notes an id; refuses one that was not asked for or stands in the answer twice.
    pub(crate) fn see(&mut self, id: &str, method: &'static str) -> Result<(), Error> {
        if self.note(id, method)? {
            Ok(())
        } else {
            Err(Error::Untrue { method, reason: "an id stands in it twice" })
        }
    }

    /// Notes an id and says whether it is new; refuses one that was not asked for.
    pub(crate) fn note(&mut self, id: &str, method: &'static str) -> Result<bool, Error> {
        if self.asked.is_some_and(|asked| asked.binary_search_by(|known| (**known).cmp(id)).is_err()) {
            return Err(Error::Untrue { method, reason: "it holds an id that was not asked for" });
        }
        Ok(self.seen.insert(id.into()))
    }

    /// Takes `notFound`; an id may stand there twice, but not there and among the found.
    pub(crate) fn not_found<E>(
        &mut self,
        ids: &[impl AsRef<str>],
        method: &'static str,
        make: impl Fn(&str) -> Result<I, E>,
    ) -> Result<Vec<I>, Error> {
        let mut ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut made = Vec::with_capacity(ids.len());
        for id in ids {
            self.see(id, method)?;
            made.push(make(id).map_err(|_| Error::Untrue { method, reason: "it holds an impossible id" })?);
        }
        Ok(made)
    }

    /// The failures, those ids included that the answer should have mentioned and did not.
    pub(crate) fn close<E>(mut self, make: impl Fn(&str) -> Result<I, E>) -> Vec<Failure<I>> {
        for id in self.asked.unwrap_or_default() {
            if !self.seen.contains(id) {
                self.failures.push(Failure { id: make(id).ok(), error: ObjectError::Unanswered });
            }
        }
        self.failures
    }
}
