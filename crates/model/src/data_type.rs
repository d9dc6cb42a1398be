use std::fmt;

/// The JMAP data types of an account that a backup holds. The number is the one on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DataType {
    /// A folder (RFC 8621 §2; JMAP calls it Mailbox).
    Mailbox = 1,
    /// An email (RFC 8621 §4).
    Email = 2,
    /// A sender identity (RFC 8621 §6).
    Identity = 3,
    /// The vacation responder, a singleton (RFC 8621 §8).
    VacationResponse = 4,
    /// A Sieve script (RFC 9661).
    SieveScript = 5,
    /// An address book (RFC 9610).
    AddressBook = 6,
    /// A contact (RFC 9610), a JSContact card.
    ContactCard = 7,
    /// A calendar (JMAP for Calendars).
    Calendar = 8,
    /// An event (JMAP for Calendars), a JSCalendar event.
    CalendarEvent = 9,
    /// Who the user is in events (JMAP for Calendars).
    ParticipantIdentity = 10,
    /// A file or a directory (JMAP File Storage).
    FileNode = 11,
}

impl DataType {
    /// Every type, in the order in which a snapshot names them.
    pub const ALL: [DataType; 11] = [
        DataType::Mailbox,
        DataType::Email,
        DataType::Identity,
        DataType::VacationResponse,
        DataType::SieveScript,
        DataType::AddressBook,
        DataType::ContactCard,
        DataType::Calendar,
        DataType::CalendarEvent,
        DataType::ParticipantIdentity,
        DataType::FileNode,
    ];

    /// The number that stands for this type on disk.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The type a number on disk stands for; `None` for a number of a newer format.
    pub fn from_number(number: u32) -> Option<DataType> {
        DataType::ALL.into_iter().find(|t| u32::from(t.number()) == number)
    }

    /// JMAP's own name, as in `Email/get`.
    pub fn name(self) -> &'static str {
        match self {
            DataType::Mailbox => "Mailbox",
            DataType::Email => "Email",
            DataType::Identity => "Identity",
            DataType::VacationResponse => "VacationResponse",
            DataType::SieveScript => "SieveScript",
            DataType::AddressBook => "AddressBook",
            DataType::ContactCard => "ContactCard",
            DataType::Calendar => "Calendar",
            DataType::CalendarEvent => "CalendarEvent",
            DataType::ParticipantIdentity => "ParticipantIdentity",
            DataType::FileNode => "FileNode",
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_disk_are_dense_and_come_back() {
        for (i, t) in DataType::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(t.number()), i + 1);
            assert_eq!(DataType::from_number(u32::from(t.number())), Some(t));
        }
        assert_eq!(DataType::from_number(0), None);
        assert_eq!(DataType::from_number(12), None);
    }
}
