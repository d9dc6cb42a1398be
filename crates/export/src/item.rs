use std::io::Read;

use model::{DataType, EmailId, FolderId};

use crate::Result;

/// The bytes that belong to an object.
pub struct Content<'a> {
    /// How many bytes `bytes` gives.
    pub length: u64,
    /// The bytes, read once.
    pub bytes: &'a mut dyn Read,
}

/// A folder, or anything else of an account but an email.
pub struct Object<'a> {
    /// What it is.
    pub data_type: DataType,
    /// Its JMAP id, unique in its type.
    pub id: &'a str,
    /// The raw JMAP object, as `/get` gave it.
    pub json: &'a [u8],
    /// The text of a script, the bytes of a file, an event as iCalendar.
    pub content: Option<Content<'a>>,
}

/// An email but for its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Email<'a> {
    /// Its JMAP id.
    pub id: &'a EmailId,
    /// The folders it is in. They need not exist.
    pub folders: &'a [FolderId],
    /// Its keywords, as JMAP spells them.
    pub keywords: &'a [String],
    /// `receivedAt`, seconds since 1970 UTC; absurd values are fine.
    pub received_at: i64,
    /// Length of the raw bytes.
    pub size: u64,
}

/// Where a mailbox comes from: lets a Vandelay archive be continued by `vandelay import`. All of it may be missing; without URL and
/// account the rest is not written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// URL of the mail server as it is given to `vandelay import`, which knows its sources by that text.
    pub session_url: Option<String>,
    /// The account's id on that server.
    pub account_id: Option<String>,
    /// The account's name, for people.
    pub account_name: Option<String>,
    /// Who read it.
    pub user_name: Option<String>,
    /// The server's state of each type, as far as known.
    pub states: Vec<(DataType, String)>,
}

/// Takes the items of a mailbox: first all objects, then all emails.
pub trait Receiver {
    /// Takes an object.
    fn object(&mut self, object: Object<'_>) -> Result<()>;

    /// Takes an email.
    fn email(&mut self, email: &Email<'_>, content: &mut dyn Read) -> Result<()>;
}
