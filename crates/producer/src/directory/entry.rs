use std::fmt;

use model::mail_address::domain_to_ascii;
use serde::Deserialize;

/// A mailbox as a list or a server names it. What is `None` leaves what is known as it is. `Debug` shows no address.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its address.
    pub address: String,
    /// Its JMAP account id, if the list knows it; without it the address tells which mailbox is meant.
    #[serde(default)]
    pub account: Option<String>,
    /// `personal` or `professional`; without it the rules decide, unless somebody gave one before.
    #[serde(default)]
    pub plan: Option<String>,
    /// Where its backups shall go.
    #[serde(default)]
    pub zone: Option<String>,
    /// IANA name of the owner's time zone.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Whose customer the owner is; for the rules, and for tokens of the API that are bound to tenants.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The groups it is a member of, for the rules: addresses, or a list's own words.
    #[serde(default)]
    pub groups: Option<Vec<String>>,
    /// Whose it is, for the rules.
    #[serde(default)]
    pub kind: Option<MailboxKind>,
    /// What it leaves out of tenant, groups and kind the mailbox does not have: a server names it. A list may just not know.
    #[serde(skip)]
    pub is_whole: bool,
}

/// Whose a mailbox is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailboxKind {
    /// One person's.
    #[default]
    Individual,
    /// A group's: its members share it.
    Group,
}

impl MailboxKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            MailboxKind::Individual => "individual",
            MailboxKind::Group => "group",
        }
    }
}

impl Entry {
    /// The part after the `@`, in lower case and ASCII.
    pub(crate) fn domain(&self) -> Option<String> {
        self.address.rsplit_once('@').map(|(_, domain)| domain_to_ascii(domain))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("plan", &self.plan).finish_non_exhaustive()
    }
}
