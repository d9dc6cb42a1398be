//! Capabilities and the data types they bring.

use std::fmt;

/// A capability this client knows, named by its URN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(&'static str);

impl Capability {
    /// RFC 8620.
    pub const CORE: Self = Self("urn:ietf:params:jmap:core");
    /// RFC 8621: mailboxes, emails.
    pub const MAIL: Self = Self("urn:ietf:params:jmap:mail");
    /// RFC 8621: identities.
    pub const SUBMISSION: Self = Self("urn:ietf:params:jmap:submission");
    /// RFC 8621: the vacation responder.
    pub const VACATION_RESPONSE: Self = Self("urn:ietf:params:jmap:vacationresponse");
    /// RFC 9661.
    pub const SIEVE: Self = Self("urn:ietf:params:jmap:sieve");
    /// RFC 9404: many blobs in one request.
    pub const BLOB: Self = Self("urn:ietf:params:jmap:blob");
    /// RFC 9610.
    pub const CONTACTS: Self = Self("urn:ietf:params:jmap:contacts");
    /// draft-ietf-jmap-calendars.
    pub const CALENDARS: Self = Self("urn:ietf:params:jmap:calendars");
    /// RFC 9670: the directory.
    pub const PRINCIPALS: Self = Self("urn:ietf:params:jmap:principals");
    /// draft-ietf-jmap-filenode.
    pub const FILE_NODE: Self = Self("urn:ietf:params:jmap:filenode");

    /// The URN, as in `using` and in the session's maps.
    #[must_use]
    pub const fn urn(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a type offers beyond `/get`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offers {
    Get,
    Changes,
    Query,
    ChangesAndQuery,
}

macro_rules! data_types {
    ($($(#[$doc:meta])* $name:ident: $capability:ident, $offers:ident;)*) => {
        /// A kind of object an account holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DataType {
            $($(#[$doc])* $name,)*
        }

        impl DataType {
            /// Every type, folders before what refers to them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The type's name in the RFC, the part of a method's name before the slash.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The capability that a request must name to use it.
            #[must_use]
            pub const fn capability(self) -> Capability {
                match self { $(Self::$name => Capability::$capability,)* }
            }

            const fn offers(self) -> Offers {
                match self { $(Self::$name => Offers::$offers,)* }
            }

            /// `Foo/get`, which every type has.
            #[must_use]
            pub const fn get_method(self) -> &'static str {
                match self { $(Self::$name => concat!(stringify!($name), "/get"),)* }
            }

            /// `Foo/query`, whether or not the type has it.
            pub(crate) const fn query_method(self) -> &'static str {
                match self { $(Self::$name => concat!(stringify!($name), "/query"),)* }
            }

            /// `Foo/set`, which every type has.
            pub(crate) const fn set_method(self) -> &'static str {
                match self { $(Self::$name => concat!(stringify!($name), "/set"),)* }
            }

            /// `Foo/changes`, whether or not the type has it.
            pub(crate) const fn changes_method(self) -> &'static str {
                match self { $(Self::$name => concat!(stringify!($name), "/changes"),)* }
            }
        }
    };
}

data_types! {
    /// A folder.
    Mailbox: MAIL, ChangesAndQuery;
    /// An email.
    Email: MAIL, ChangesAndQuery;
    /// An address to send from.
    Identity: SUBMISSION, Changes;
    /// The vacation responder: one object, id `singleton`.
    VacationResponse: VACATION_RESPONSE, Get;
    /// A filter script; its text is a blob.
    SieveScript: SIEVE, Query;
    /// A folder of contacts.
    AddressBook: CONTACTS, Changes;
    /// A contact.
    ContactCard: CONTACTS, ChangesAndQuery;
    /// A calendar.
    Calendar: CALENDARS, Changes;
    /// An event.
    CalendarEvent: CALENDARS, ChangesAndQuery;
    /// Who the account is in invitations. The draft has `/changes`; Stalwart has neither it nor a state.
    ParticipantIdentity: CALENDARS, Get;
    /// A file or a directory.
    FileNode: FILE_NODE, ChangesAndQuery;
}

impl DataType {
    /// Whether `/changes` is worth asking; where not, compare two `/get`s.
    #[must_use]
    pub const fn has_changes(self) -> bool {
        matches!(self.offers(), Offers::Changes | Offers::ChangesAndQuery)
    }

    /// Whether `/query` lists the ids; where not, `/get` without ids lists the objects.
    #[must_use]
    pub const fn has_query(self) -> bool {
        matches!(self.offers(), Offers::Query | Offers::ChangesAndQuery)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
