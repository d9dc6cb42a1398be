//! A mail server, as the configuration names it.

use std::path::PathBuf;
use std::time::Duration;

use coordination::BudgetRules;
use model::forms::{
    MOST, MOST_HOURS, MOST_SECONDS, Nested, count, flag, hours, name, optional, path, percent, required,
    seconds, text, words,
};
use model::settings::Tables;
use model::{SignedDuration, settings};

use super::source::{Source, secret};
use crate::server::server_url;

settings! {
    /// A mail server.
    #[derive(Debug, Clone)]
    pub(crate) struct Server {
        /// Repositories and metrics know the server by this name. It stays for good.
        pub(crate) name: String = String::new(), "name": required(name("a name"));
        /// Its address.
        pub(crate) url: String = String::new(), "url": required(text("a URL like https://mail.example.org, without a user", |text| {
            server_url(Some(text)).map(|_| text.to_owned()).map_err(|_| String::new())
        }));
        /// Who may read every account: `malle config check` names each permission that is lacking.
        pub(crate) user: Option<String> = None, "user": optional(name("the name of a user"));
        /// Where the user's password stands.
        pub(crate) password: Option<Source> = None, "password": optional(secret());
        /// Where a token stands that signs in instead of user and password.
        pub(crate) token: Option<Source> = None, "token": optional(secret());
        /// Certificates in PEM that are trusted beside the system's.
        pub(crate) ca_file: Option<PathBuf> = None, "ca_file": optional(path());
        /// Subscriptions of folders, names of calendars and address books are each user's own: they are read and written as owner%user
        /// with our password (Stalwart 0.16). `false` where that is not wanted, or where the server has no such thing (0.15) and takes
        /// it for a wrong password: then they are what our own user has.
        pub(crate) act_as_owner: bool = true, "act_as_owner": flag();
        pub(crate) budget: BudgetRules = BudgetRules::default(), "servers": Nested;
        /// While Redis is away each worker has this fraction of both budgets to itself: as many as there are workers.
        pub(crate) workers_without_redis: u32 = 8, "workers_without_redis": count(1..=MOST);
        /// How the server is asked for its mailboxes. Without it they come from lists and from the HTTP API.
        pub(crate) discover: Option<Discover> = None, "discover": Tables::One;
    }
}

settings! {
    /// How a server is asked for its mailboxes.
    #[derive(Debug, Clone)]
    pub(crate) struct Discover {
        /// Which of its interfaces is asked: `rest` up to Stalwart 0.15, `jmap` from 0.16 on; for rules that name tenants or groups the
        /// user needs the permissions `sysAccountGet` and `sysTenantGet`.
        pub(crate) by: Directory = Directory::Rest, "by": required(words(&[Directory::Rest, Directory::Jmap], Directory::as_str));
        /// Between two listings.
        pub(crate) every: Duration = Duration::from_secs(3_600), "every_seconds": seconds(1..=MOST_SECONDS);
        /// What the server has not named for so long is gone: no new backups, those there stay. 0: at once.
        pub(crate) missing_for: SignedDuration = SignedDuration::from_hours(168), "missing_for_hours": hours(0..=MOST_HOURS);
        /// A listing that would drop a larger share of the server's mailboxes is not believed.
        pub(crate) drop_at_most_percent: u8 = 5, "drop_at_most_percent": percent(0..=100);
    }
}

/// Which of a server's interfaces names its mailboxes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Directory {
    /// `GET /api/principal`: Stalwart up to 0.15.
    Rest,
    /// `Principal/query`: Stalwart from 0.16 on.
    Jmap,
}

impl Directory {
    /// The word for it in the configuration.
    fn as_str(self) -> &'static str {
        match self {
            Directory::Rest => "rest",
            Directory::Jmap => "jmap",
        }
    }
}
