use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use catalog::RateLimit;
use model::SignedDuration;
use serde::Deserialize;

use crate::calendars::Calendars;
use crate::directory::Rules;
use crate::error::Error;
use crate::secret::Secret;

/// Everything a producer is told; what it talks to is handed over in [`Parts`](crate::Parts).
#[derive(Debug, Clone)]
pub struct Settings {
    /// When backups are due.
    pub plan: PlanSettings,
    /// How tickets are published.
    pub outbox: OutboxSettings,
    /// What is done about dead workers and lost tickets.
    pub reaper: ReaperSettings,
    /// What people and programs may ask for.
    pub requests: RequestSettings,
    /// The HTTP API; `None`: this producer serves none.
    pub api: Option<ApiSettings>,
    /// How often the metrics of the fleet are looked up.
    pub watch: WatchSettings,
}

impl Settings {
    /// The usual settings for a service in this time zone, without an HTTP API.
    pub fn new(time_zone: impl Into<String>) -> Settings {
        Settings {
            plan: PlanSettings::new(time_zone),
            outbox: OutboxSettings::default(),
            reaper: ReaperSettings::default(),
            requests: RequestSettings::default(),
            api: None,
            watch: WatchSettings::default(),
        }
    }

    /// What is wrong with them; a producer refuses to begin with it.
    ///
    /// # Errors
    /// Windows or a time zone that cannot be used, an HTTP API without a token, a token that can be guessed.
    pub fn check(&self) -> Result<(), Error> {
        Calendars::new(&self.plan)?;
        self.api.as_ref().map_or(Ok(()), ApiSettings::check)
    }
}

/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 32;

/// When backups are due.
#[derive(Debug, Clone)]
pub struct PlanSettings {
    /// Windows, tail, and what late work does.
    pub calendar: planning::Settings,
    /// The service's time zone, IANA: that of mailboxes without one of their own.
    pub time_zone: String,
    /// The wait between two rounds over all mailboxes.
    pub every: Duration,
    /// Mailboxes read and written at once.
    pub page: u32,
    /// First backups admitted per server in any hour, by all producers together.
    pub first_backups_per_hour: u32,
    /// Each mailbox's newest backup is read again every so many days; `None`: only when somebody asks for it.
    pub verify_days: Option<NonZeroU16>,
    /// How long backups of a mailbox that is gone are kept; `None`: for ever. Nothing is deleted here: they are not read again any more.
    pub keep_gone: Option<SignedDuration>,
}

impl PlanSettings {
    /// The usual windows in this time zone, a round each minute, 500 first backups an hour, verifications every 30 days.
    pub fn new(time_zone: impl Into<String>) -> PlanSettings {
        PlanSettings {
            calendar: planning::Settings::default(),
            time_zone: time_zone.into(),
            every: Duration::from_secs(60),
            page: 5000,
            first_backups_per_hour: 500,
            verify_days: NonZeroU16::new(30),
            keep_gone: None,
        }
    }
}

/// How tickets are published.
#[derive(Debug, Clone)]
pub struct OutboxSettings {
    /// The wait for the next look when nothing is due: what a manual backup waits at most before its ticket leaves.
    pub every: Duration,
    /// Tickets of each kind taken at once.
    pub batch: u32,
    /// How long taken tickets are kept from others: longer than publishing a batch takes.
    pub hold: Duration,
    /// The wait after the first failure; doubled with each further one.
    pub first_wait: Duration,
    /// The longest such wait.
    pub longest_wait: Duration,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        OutboxSettings {
            every: Duration::from_millis(250),
            batch: 1000,
            hold: Duration::from_secs(60),
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(15),
        }
    }
}

/// What is done about dead workers and lost tickets.
#[derive(Debug, Clone)]
pub struct ReaperSettings {
    /// The wait between two rounds.
    pub every: Duration,
    /// A running job whose heart has not beaten for so long waits again: several times the workers' heartbeat.
    pub silent: Duration,
    /// A ticket published so long ago, whose job still waits, is taken for lost if the broker has fewer than it should.
    pub lost_after: Duration,
    /// How long jobs that ended well are kept: longer than the longest outage that shall be caught up.
    pub keep_finished: Duration,
    /// How long dead jobs are kept that nobody redrives or drops.
    pub keep_dead: Duration,
    /// How long the audit log goes back.
    pub keep_audit: Duration,
    /// Jobs changed in one round by each of the three at most.
    pub limit: u32,
}

impl Default for ReaperSettings {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        ReaperSettings {
            every: Duration::from_secs(15),
            silent: Duration::from_secs(120),
            lost_after: HOUR / 2,
            keep_finished: HOUR * 24 * 60,
            keep_dead: HOUR * 24 * 400,
            keep_audit: HOUR * 24 * 400,
            limit: 1000,
        }
    }
}

/// What people and programs may ask for.
#[derive(Debug, Clone)]
pub struct RequestSettings {
    /// Requests of one kind for one mailbox.
    pub limit: RateLimit,
    /// Requests from the queue that are worked on at once.
    pub slots: NonZeroU16,
}

impl Default for RequestSettings {
    /// Six an hour.
    fn default() -> Self {
        let six = NonZeroU32::new(6).expect("not zero");
        RequestSettings {
            limit: RateLimit { requests: six, interval: SignedDuration::from_hours(1) },
            slots: NonZeroU16::new(8).expect("not zero"),
        }
    }
}

/// The HTTP API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where it listens; inside the platform's network, behind whatever ends TLS.
    pub listen: SocketAddr,
    /// Who may use it.
    pub tokens: Vec<ApiToken>,
    /// Connections at once, and from one address.
    pub connections: (usize, usize),
    /// Which plan mailboxes have that are listed without one.
    pub rules: Rules,
    /// Names of the mail servers; mailboxes of others are refused.
    pub servers: Vec<String>,
    /// Zones of the stores; mailboxes for others are refused.
    pub zones: Vec<String>,
}

impl ApiSettings {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let short = |token: &&ApiToken| token.secret.expose().len() < SHORTEST_TOKEN;
        match self.tokens.iter().find(short) {
            Some(ApiToken { name, .. }) => {
                Err(Error::WeakToken { name: name.clone(), least: SHORTEST_TOKEN })
            }
            None if self.tokens.is_empty() => Err(Error::NoToken),
            None => self.check_names(),
        }
    }

    /// Names stand before keys and in the audit log.
    fn check_names(&self) -> Result<(), Error> {
        let (mut names, mut secrets) = (BTreeSet::new(), BTreeSet::new());
        for ApiToken { name, secret, .. } in &self.tokens {
            let is_word = !name.is_empty() && !name.contains(char::is_whitespace);
            if !is_word || !names.insert(name) || !secrets.insert(secret.expose()) {
                return Err(Error::TokenName { name: name.clone() });
            }
        }
        Ok(())
    }
}

/// A bearer token.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// Whose; written into the audit log.
    pub name: String,
    /// At least 32 characters, random.
    pub secret: Secret,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// Whose mailboxes it may be used for; `None`: everybody's.
    pub tenants: Option<BTreeSet<String>>,
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at mailboxes, backups, jobs and pauses.
    Read,
    /// Ask for backups.
    Backup,
    /// Ask for restores.
    Restore,
    /// Say which mailboxes there are.
    Directory,
    /// Cancel and redrive jobs, verify, pause.
    Operate,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 5] =
        [Scope::Read, Scope::Backup, Scope::Restore, Scope::Directory, Scope::Operate];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Backup => "backup",
            Scope::Restore => "restore",
            Scope::Directory => "directory",
            Scope::Operate => "operate",
        }
    }
}

/// How often the metrics of the fleet are looked up, and whether the role can work.
#[derive(Debug, Clone)]
pub struct WatchSettings {
    /// Whether Postgres and RabbitMQ are there.
    pub ready: Duration,
    /// What an index answers.
    pub every: Duration,
    /// What needs a look at every mailbox.
    pub every_mailbox: Duration,
}

impl Default for WatchSettings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        WatchSettings { ready: seconds(2), every: seconds(15), every_mailbox: seconds(120) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tokens: &[&str]) -> Result<(), Error> {
        let token = |text: &&str| ApiToken {
            name: "panel".to_owned(),
            secret: Secret::new(*text),
            scopes: Scope::ALL.into(),
            tenants: None,
        };
        let tokens = tokens.iter().map(token).collect();
        let listen = ([127, 0, 0, 1], 0).into();
        let (rules, servers, zones) = (Rules::default(), Vec::new(), Vec::new());
        let connections = (9, 9);
        let api = Some(ApiSettings { listen, tokens, connections, rules, servers, zones });
        Settings { api, ..Settings::new("Europe/Paris") }.check()
    }

    #[test]
    fn an_api_needs_tokens_that_cannot_be_guessed() {
        let good = "0123456789abcdef0123456789abcdef";
        assert!(check(&[good]).is_ok());
        assert!(matches!(check(&[]), Err(Error::NoToken)));
        assert!(matches!(check(&[good, &good[1..]]), Err(Error::WeakToken { name, .. }) if name == "panel"));
        assert!(Settings::new("Europe/Paris").check().is_ok(), "no API, no tokens");
        assert!(matches!(Settings::new("Europe/Nowhere").check(), Err(Error::Plan(_))));
    }
}
