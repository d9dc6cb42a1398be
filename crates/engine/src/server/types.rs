//! The data types in both vocabularies.

use jmap::DataType as Jmap;
use model::DataType;

pub(crate) fn from_jmap(data_type: Jmap) -> DataType {
    let is_it = |one: &DataType| to_jmap(*one) == data_type;
    DataType::ALL.into_iter().find(is_it).expect("both have the same types")
}

pub(crate) fn to_jmap(data_type: DataType) -> Jmap {
    match data_type {
        DataType::Mailbox => Jmap::Mailbox,
        DataType::Email => Jmap::Email,
        DataType::Identity => Jmap::Identity,
        DataType::VacationResponse => Jmap::VacationResponse,
        DataType::SieveScript => Jmap::SieveScript,
        DataType::AddressBook => Jmap::AddressBook,
        DataType::ContactCard => Jmap::ContactCard,
        DataType::Calendar => Jmap::Calendar,
        DataType::CalendarEvent => Jmap::CalendarEvent,
        DataType::ParticipantIdentity => Jmap::ParticipantIdentity,
        DataType::FileNode => Jmap::FileNode,
    }
}
