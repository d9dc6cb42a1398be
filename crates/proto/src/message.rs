use model::{JobId, JobKind, MailboxId};
use prost::Message;

use crate::ticket::{self, request};

const LONGEST_KEY: usize = 200;
const LONGEST_ADDRESS: usize = 320;

/// A job may be run; what it is and whether it still is stands in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Which job.
    pub job: JobId,
    /// The queue it belongs to.
    pub kind: JobKind,
}

/// A request for a backup, from a program that may not be ours.
#[derive(Clone, PartialEq, Eq)]
pub struct BackupRequest {
    /// Requests with the same key are one request.
    pub idempotency_key: String,
    /// Whose mailbox.
    pub mailbox: MailboxName,
    /// Why; for now always manual.
    pub kind: JobKind,
}

/// How a request names a mailbox.
#[derive(Clone, PartialEq, Eq)]
pub enum MailboxName {
    /// By the catalogue's id.
    Id(MailboxId),
    /// By its current address.
    Address(String),
}

/// Why bytes from a queue are no message of ours; never quotes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAMessage {
    /// Not the protobuf message that was expected.
    Malformed,
    /// A field that has to be there is empty, too long, none of its words, or holds a control character; which.
    Field(&'static str),
}

impl Ticket {
    /// As `malle.ticket.v1.Ticket`.
    pub fn to_bytes(self) -> Vec<u8> {
        ticket::Ticket { job: self.job.0, kind: self.kind.as_str().to_owned() }.encode_to_vec()
    }

    /// Reads a `malle.ticket.v1.Ticket`.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAMessage> {
        let wire = ticket::Ticket::decode(bytes).map_err(|_| NotAMessage::Malformed)?;
        let kind = wire.kind.parse().map_err(|_| NotAMessage::Field("kind"))?;
        Ok(Self { job: JobId(not_zero(wire.job, "job")?), kind })
    }
}

impl BackupRequest {
    /// As `malle.ticket.v1.Request`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mailbox = match &self.mailbox {
            MailboxName::Id(id) => request::Mailbox::MailboxId(id.0),
            MailboxName::Address(address) => request::Mailbox::Address(address.clone()),
        };
        let kind = self.kind.as_str().to_owned();
        let idempotency_key = self.idempotency_key.clone();
        ticket::Request { idempotency_key, mailbox: Some(mailbox), kind }.encode_to_vec()
    }

    /// Reads a `malle.ticket.v1.Request`.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAMessage> {
        let wire = ticket::Request::decode(bytes).map_err(|_| NotAMessage::Malformed)?;
        let mailbox = match wire.mailbox.ok_or(NotAMessage::Field("mailbox"))? {
            request::Mailbox::MailboxId(id) => MailboxName::Id(MailboxId(not_zero(id, "mailbox_id")?)),
            request::Mailbox::Address(address) => {
                MailboxName::Address(text(address, LONGEST_ADDRESS, "address")?)
            }
        };
        match wire.kind.parse() {
            Ok(kind @ JobKind::Manual) => {
                let idempotency_key = text(wire.idempotency_key, LONGEST_KEY, "idempotency_key")?;
                Ok(Self { idempotency_key, mailbox, kind })
            }
            _ => Err(NotAMessage::Field("kind")),
        }
    }
}

fn not_zero(number: u64, field: &'static str) -> Result<u64, NotAMessage> {
    if number == 0 { Err(NotAMessage::Field(field)) } else { Ok(number) }
}

fn text(text: String, longest: usize, field: &'static str) -> Result<String, NotAMessage> {
    // Postgres holds no NUL, and nobody names anything with the others.
    let usable = !text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control);
    if usable { Ok(text) } else { Err(NotAMessage::Field(field)) }
}

impl std::fmt::Debug for BackupRequest {
    /// Without the address: a request is logged when it is refused.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.idempotency_key;
        f.debug_struct("BackupRequest").field("key", key).field("mailbox", &self.mailbox).finish()
    }
}

impl std::fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MailboxName::Id(id) => write!(f, "{id}"),
            MailboxName::Address(_) => f.write_str("an address"),
        }
    }
}

impl std::fmt::Display for NotAMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotAMessage::Malformed => f.write_str("not the message that belongs here"),
            NotAMessage::Field(field) => write!(f, "unusable field {field}"),
        }
    }
}

impl std::error::Error for NotAMessage {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_address() -> BackupRequest {
        BackupRequest {
            idempotency_key: "k1".to_owned(),
            mailbox: MailboxName::Address("a@example.org".to_owned()),
            kind: JobKind::Manual,
        }
    }

    #[test]
    fn golden_bytes_of_a_ticket() {
        let ticket = Ticket { job: JobId(300), kind: JobKind::Nightly };
        let golden = b"\x08\xac\x02\x12\x07nightly";
        assert_eq!(ticket.to_bytes(), golden);
        assert_eq!(Ticket::parse(golden), Ok(ticket));
        let later = [&golden[..], b"\x18\x07"].concat();
        assert_eq!(Ticket::parse(&later), Ok(ticket), "a field of a later version is passed over");
    }

    #[test]
    fn golden_bytes_of_requests() {
        let golden = b"\x0a\x02k1\x1a\x0da@example.org\x22\x06manual";
        assert_eq!(by_address().to_bytes(), golden);
        assert_eq!(BackupRequest::parse(golden), Ok(by_address()));
        let by_id = BackupRequest { mailbox: MailboxName::Id(MailboxId(7)), ..by_address() };
        let golden = b"\x0a\x02k1\x10\x07\x22\x06manual";
        assert_eq!(by_id.to_bytes(), golden);
        assert_eq!(BackupRequest::parse(golden), Ok(by_id));
    }

    #[test]
    fn what_is_missing_or_too_long_is_named() {
        let ticket = |bytes: &[u8]| Ticket::parse(bytes).expect_err("unusable");
        assert_eq!(ticket(b"\x12\x07nightly"), NotAMessage::Field("job"));
        assert_eq!(ticket(b"\x08\x01\x12\x04gold"), NotAMessage::Field("kind"));
        assert_eq!(ticket(b"hello"), NotAMessage::Malformed);
        let request = |change: fn(&mut BackupRequest)| {
            let mut request = by_address();
            change(&mut request);
            BackupRequest::parse(&request.to_bytes()).expect_err("unusable")
        };
        assert_eq!(request(|r| r.idempotency_key.clear()), NotAMessage::Field("idempotency_key"));
        assert_eq!(request(|r| r.idempotency_key = "k".repeat(201)), NotAMessage::Field("idempotency_key"));
        assert_eq!(request(|r| r.mailbox = MailboxName::Id(MailboxId(0))), NotAMessage::Field("mailbox_id"));
        let long = |r: &mut BackupRequest| r.mailbox = MailboxName::Address("a".repeat(321));
        assert_eq!(request(long), NotAMessage::Field("address"));
        assert_eq!(request(|r| r.idempotency_key = "k\0".to_owned()), NotAMessage::Field("idempotency_key"));
        let nul = |r: &mut BackupRequest| r.mailbox = MailboxName::Address("a\0@example.org".to_owned());
        assert_eq!(request(nul), NotAMessage::Field("address"));
        let line = |r: &mut BackupRequest| r.mailbox = MailboxName::Address("a@example.org\n".to_owned());
        assert_eq!(request(line), NotAMessage::Field("address"));
        assert_eq!(request(|r| r.kind = JobKind::Global), NotAMessage::Field("kind"));
        assert_eq!(BackupRequest::parse(b"\x0a\x02k1").expect_err("unusable"), NotAMessage::Field("mailbox"));
    }

    #[test]
    fn an_address_is_not_in_debug_output() {
        assert!(!format!("{:?}", by_address()).contains("example"));
    }

    proptest! {
        #[test]
        fn any_ticket_comes_back(job in 1u64.., kind in proptest::sample::select(JobKind::ALL)) {
            let ticket = Ticket { job: JobId(job), kind };
            prop_assert_eq!(Ticket::parse(&ticket.to_bytes()), Ok(ticket));
        }

        #[test]
        fn hostile_bytes_are_refused_or_valid(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(ticket) = Ticket::parse(&bytes) {
                prop_assert_ne!(ticket.job.0, 0);
            }
            let _ = BackupRequest::parse(&bytes);
        }

        #[test]
        fn a_request_comes_back_unless_it_holds_a_control_character(key in ".{1,40}", address in "(?s).{1,60}") {
            let control = key.chars().chain(address.chars()).any(char::is_control);
            let request = BackupRequest {
                idempotency_key: key, mailbox: MailboxName::Address(address), kind: JobKind::Manual,
            };
            prop_assert_eq!(BackupRequest::parse(&request.to_bytes()).ok(), (!control).then_some(request));
        }
    }
}
