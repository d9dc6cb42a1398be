use std::time::Duration;

/// What a caller should do about an error; every library error answers with one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Trying again later may help, not before `retry_after` when the other side named a time.
    Transient {
        /// The time that the other side asked for (`Retry-After`), if it named one.
        retry_after: Option<Duration>,
    },
    /// The credentials or keys are refused; a person must act.
    Auth,
    /// The same call will fail the same way.
    Permanent,
    /// Bytes that were stored or sent are not what they must be.
    Corrupt,
    /// Somebody else committed first, or the right to write was taken away.
    Fenced,
    /// The caller asked for it to stop.
    Cancelled,
}
