use std::time::Duration;

use model::ErrorClass;

/// Why Redis could not be asked. None of these stops a backup.
#[derive(Debug, thiserror::Error)]
pub enum CoordinationError {
    /// The configured URL is none of Redis.
    #[error(
        "Redis URL cannot be used: redis[s]://[user:password@]host[:port][/database] is expected, rediss if authorities are named"
    )]
    InvalidUrl,
    /// A prefix that could be taken for a pattern, or is empty.
    #[error("key prefix may consist of letters, digits, `-`, `_` and `.` only, and of one at least")]
    InvalidPrefix,
    /// No answer in time; whether the command was executed is open.
    #[error("Redis did not answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// It did not answer a moment ago, and is not asked again yet.
    #[error("Redis did not answer a moment ago, and is not asked again yet")]
    Asleep,
    /// Redis, or the way to it, failed.
    #[error("Redis cannot be used")]
    Failed(#[source] redis::RedisError),
}

impl CoordinationError {
    /// What a caller should do.
    pub fn class(&self) -> ErrorClass {
        match self {
            CoordinationError::InvalidUrl | CoordinationError::InvalidPrefix => ErrorClass::Permanent,
            CoordinationError::Failed(error) if error.kind() == redis::ErrorKind::AuthenticationFailed => {
                ErrorClass::Auth
            }
            CoordinationError::TimedOut { .. } | CoordinationError::Asleep | CoordinationError::Failed(_) => {
                ErrorClass::Transient { retry_after: None }
            }
        }
    }
}
