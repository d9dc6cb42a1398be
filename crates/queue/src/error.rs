use std::time::Duration;

use model::ErrorClass;

/// Why something about RabbitMQ failed. `Display` is a lower-case fragment without credentials.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// The configured URI is none, or names another scheme than `amqp` or `amqps`.
    #[error("RabbitMQ URI cannot be used: amqp[s]://user:password@host[:port]/vhost is expected")]
    InvalidUri,
    /// No connection, or it broke.
    #[error("no connection to RabbitMQ")]
    Unreachable(#[source] lapin::Error),
    /// Wrong credentials, no such virtual host, or no right to do this in it.
    #[error("RabbitMQ refuses access")]
    Refused(#[source] lapin::Error),
    /// A queue of ours exists with other arguments than ours; somebody has to delete it once it is empty.
    #[error("a queue exists with other arguments, or a request is not valid")]
    Precondition(#[source] lapin::Error),
    /// The broker gave no answer in time; whether it did what was asked is open.
    #[error("RabbitMQ did not answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// An alarm (memory, disk): the broker takes no messages until it is over.
    #[error("RabbitMQ takes no messages (memory or disk alarm)")]
    Blocked,
    /// The message was returned: its queue does not exist. The next publish declares it again.
    #[error("queue {queue} does not exist")]
    Unroutable {
        /// Where the message should have gone.
        queue: String,
    },
    /// The broker could not store the message.
    #[error("RabbitMQ could not store a message")]
    NotStored,
    /// The broker ended a consumer: its queue was deleted or has no leader.
    #[error("RabbitMQ ended the consumer of {queue}")]
    ConsumerEnded {
        /// Which queue was consumed.
        queue: String,
    },
    /// The channel that brought the delivery is gone: the broker gives it out again; commit nothing more in its name.
    #[error("delivery is no longer ours")]
    DeliveryLost,
    /// Opening a consumer failed as often as the settings allow: a role that does nothing else should end and be started again.
    #[error("RabbitMQ could not be used {attempts} times in a row")]
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// What was wrong the last time.
        #[source]
        last: Box<QueueError>,
    },
    /// A dead letter does not tell which queue it came from, and is no ticket either.
    #[error("dead letter does not tell its queue")]
    NoOrigin,
}

impl QueueError {
    /// What a caller should do. Of [`crate::Source::next`]: go on calling after `Transient`, end the role after anything else.
    pub fn class(&self) -> ErrorClass {
        match self {
            QueueError::Unreachable(_)
            | QueueError::TimedOut { .. }
            | QueueError::Blocked
            | QueueError::Unroutable { .. }
            | QueueError::NotStored
            | QueueError::ConsumerEnded { .. } => ErrorClass::Transient { retry_after: None },
            QueueError::Refused(_) => ErrorClass::Auth,
            QueueError::DeliveryLost => ErrorClass::Fenced,
            QueueError::InvalidUri
            | QueueError::Precondition(_)
            | QueueError::GaveUp { .. }
            | QueueError::NoOrigin => ErrorClass::Permanent,
        }
    }
}

impl QueueError {
    /// The broker closed the channel because something named does not exist (reply code 404).
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, QueueError::Unreachable(error) if code_of(error) == 404)
    }
}

fn code_of(error: &lapin::Error) -> u16 {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(protocol) => protocol.get_id(),
        _ => 0,
    }
}

impl From<lapin::Error> for QueueError {
    /// By the reply codes of AMQP 0-9-1.
    fn from(error: lapin::Error) -> Self {
        match code_of(&error) {
            // access-refused, not-allowed
            403 | 530 => QueueError::Refused(error),
            // precondition-failed, syntax-error, command-invalid, not-implemented
            406 | 502 | 503 | 540 => QueueError::Precondition(error),
            _ => QueueError::Unreachable(error),
        }
    }
}
