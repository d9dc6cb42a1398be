#![doc = include_str!("../README.md")]

/// Format 1 of the repository, generated from `proto/repository.proto`.
#[expect(missing_docs, clippy::all, reason = "generated; the .proto file is the documentation")]
pub mod repository {
    include!("generated/malle.repository.v1.rs");
}

/// Messages on the queues, generated from `proto/ticket.proto`.
#[expect(missing_docs, reason = "generated; the .proto file is the documentation")]
pub mod ticket {
    include!("generated/malle.ticket.v1.rs");
}

mod email;
mod email_row;
mod message;

pub use email::NotAnEmail;
pub use email_row::{EmailRow, NotARow, RowParts};
pub use message::{BackupRequest, MailboxName, NotAMessage, Ticket};
