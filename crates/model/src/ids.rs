use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The id as the server wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                $name(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                $name(id.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id! {
    /// A JMAP account id, unique on its server only.
    AccountId
}
text_id! {
    /// A JMAP Email id, unique in its account only.
    EmailId
}
text_id! {
    /// The JMAP id of a folder (JMAP's Mailbox), unique in its account only.
    FolderId
}
number! {
    /// A snapshot of one mailbox: the number of the log entry that committed it.
    SnapshotNumber
}
number! {
    /// The fleet-wide number people give to support.
    BackupNumber
}

number! {
    /// A mailbox in the catalogue.
    MailboxId
}
number! {
    /// A job in the catalogue.
    JobId
}
number! {
    /// Fencing token of a mailbox: one higher with every claim, so that what an earlier claim still writes is refused.
    Epoch
}
number! {
    /// How often a job was claimed; the first is 1.
    Attempt
}

/// Which mailbox a repository belongs to. Never an address: an address can be renamed, or given to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MailboxIdentity {
    /// The server's lasting name, for instance `mail.example.org`.
    pub server: String,
    /// The account's id on that server.
    pub account: AccountId,
    /// Counts re-creations under the same id; the first is 0.
    pub incarnation: u32,
}

/// Content address of a blob: the BLAKE3 hash of its bytes under the mailbox's own hash key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
