//! The data types and the capabilities that offer them.

use std::collections::BTreeSet;

/// A JMAP data type that the simulator serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// RFC 8621 §2: a folder.
    Mailbox,
    /// RFC 8621 §4.
    Email,
    /// RFC 8621 §6.
    Identity,
    /// RFC 8621 §8; at most one, called `singleton`.
    VacationResponse,
    /// RFC 9661.
    SieveScript,
    /// RFC 9610.
    AddressBook,
    /// RFC 9610.
    ContactCard,
    /// draft-ietf-jmap-calendars.
    Calendar,
    /// draft-ietf-jmap-calendars.
    CalendarEvent,
    /// draft-ietf-jmap-calendars; the server keeps no state for it.
    ParticipantIdentity,
    /// draft-ietf-jmap-filenode.
    FileNode,
}

impl DataType {
    /// Every type, in an order in which references point backwards.
    pub const ALL: [Self; 11] = [
        Self::Mailbox,
        Self::Email,
        Self::Identity,
        Self::VacationResponse,
        Self::SieveScript,
        Self::AddressBook,
        Self::ContactCard,
        Self::Calendar,
        Self::CalendarEvent,
        Self::ParticipantIdentity,
        Self::FileNode,
    ];

    /// The name in method calls, such as `Mailbox`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mailbox => "Mailbox",
            Self::Email => "Email",
            Self::Identity => "Identity",
            Self::VacationResponse => "VacationResponse",
            Self::SieveScript => "SieveScript",
            Self::AddressBook => "AddressBook",
            Self::ContactCard => "ContactCard",
            Self::Calendar => "Calendar",
            Self::CalendarEvent => "CalendarEvent",
            Self::ParticipantIdentity => "ParticipantIdentity",
            Self::FileNode => "FileNode",
        }
    }

    /// The capability that a request has to name to use this type.
    #[must_use]
    pub const fn capability(self) -> Capability {
        match self {
            Self::Mailbox | Self::Email => Capability::Mail,
            Self::Identity => Capability::Submission,
            Self::VacationResponse => Capability::VacationResponse,
            Self::SieveScript => Capability::Sieve,
            Self::AddressBook | Self::ContactCard => Capability::Contacts,
            Self::Calendar | Self::CalendarEvent | Self::ParticipantIdentity => Capability::Calendars,
            Self::FileNode => Capability::FileNode,
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) const fn has_changes(self) -> bool {
        !matches!(self, Self::SieveScript | Self::VacationResponse)
    }

    pub(crate) const fn has_query(self) -> bool {
        matches!(
            self,
            Self::Mailbox
                | Self::Email
                | Self::SieveScript
                | Self::ContactCard
                | Self::CalendarEvent
                | Self::FileNode
        )
    }
}

/// Something a server may offer in its session object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is what the URN that `urn` returns stands for")]
pub enum Capability {
    Core,
    Mail,
    Submission,
    VacationResponse,
    Sieve,
    Blob,
    Quota,
    WebSocket,
    Principals,
    Contacts,
    Calendars,
    FileNode,
    Registry,
}

impl Capability {
    const ALL: [Self; 13] = [
        Self::Core,
        Self::Mail,
        Self::Submission,
        Self::VacationResponse,
        Self::Sieve,
        Self::Blob,
        Self::Quota,
        Self::WebSocket,
        Self::Principals,
        Self::Contacts,
        Self::Calendars,
        Self::FileNode,
        Self::Registry,
    ];

    /// The URN that names it in `capabilities` and `using`.
    #[must_use]
    pub const fn urn(self) -> &'static str {
        match self {
            Self::Core => "urn:ietf:params:jmap:core",
            Self::Mail => "urn:ietf:params:jmap:mail",
            Self::Submission => "urn:ietf:params:jmap:submission",
            Self::VacationResponse => "urn:ietf:params:jmap:vacationresponse",
            Self::Sieve => "urn:ietf:params:jmap:sieve",
            Self::Blob => "urn:ietf:params:jmap:blob",
            Self::Quota => "urn:ietf:params:jmap:quota",
            Self::WebSocket => "urn:ietf:params:jmap:websocket",
            Self::Principals => "urn:ietf:params:jmap:principals",
            Self::Contacts => "urn:ietf:params:jmap:contacts",
            Self::Calendars => "urn:ietf:params:jmap:calendars",
            Self::FileNode => "urn:ietf:params:jmap:filenode",
            Self::Registry => "urn:stalwart:jmap",
        }
    }

    pub(crate) fn of_urn(urn: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.urn() == urn)
    }
}

/// What a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities(BTreeSet<Capability>);

impl Capabilities {
    /// As the engine of Stalwart 0.15 in our tests: all but contacts, calendars, files, web sockets and management objects.
    #[must_use]
    pub fn v0_15() -> Self {
        let newer = [
            Capability::Contacts,
            Capability::Calendars,
            Capability::FileNode,
            Capability::WebSocket,
            Capability::Registry,
        ];
        newer.into_iter().fold(Self::v0_16(), Self::without)
    }

    /// As Stalwart 0.16: everything.
    #[must_use]
    pub fn v0_16() -> Self {
        Self(Capability::ALL.into_iter().collect())
    }

    /// The same without one: a server that stops offering something.
    #[must_use]
    pub fn without(mut self, capability: Capability) -> Self {
        self.0.remove(&capability);
        self
    }

    /// The same with one more.
    #[must_use]
    pub fn with(mut self, capability: Capability) -> Self {
        self.0.insert(capability);
        self
    }

    /// Whether it is offered.
    #[must_use]
    pub fn offers(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Capability> + '_ {
        self.0.iter().copied()
    }
}
