use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use catalog::RateLimit;
use model::forms::{
    MOST, MOST_DAYS, MOST_SECONDS, Nested, count, days, days_counted, required, seconds, text,
};
use model::{SignedDuration, settings};

use crate::calendars::Calendars;
use crate::directory::Rules;
use crate::error::Error;
use crate::secret::Secret;

settings! {
    /// Everything a producer is told; what it talks to is handed over in [`Parts`](crate::Parts).
    #[derive(Debug, Clone)]
    pub struct Settings {
        /// When backups are due.
        pub plan: PlanSettings = PlanSettings::default(), "plan": Nested;
        /// How tickets are published.
        pub outbox: OutboxSettings = OutboxSettings::default(), "producer": Nested;
        /// What is done about dead workers and lost tickets.
        pub reaper: ReaperSettings = ReaperSettings::default(), "producer": Nested;
        /// What people and programs may ask for.
        pub requests: RequestSettings = RequestSettings::default(), "producer": Nested;
        /// The HTTP API; `None`: this producer serves none.
        pub api: Option<ApiSettings> = None;
        /// How often the metrics of the fleet are looked up.
        pub watch: WatchSettings = WatchSettings::default(), "producer": Nested;
    }
}

impl Settings {
    /// The usual settings for a service in this time zone, without an HTTP API.
    pub fn new(time_zone: impl Into<String>) -> Settings {
        Settings { plan: PlanSettings::new(time_zone), ..Settings::default() }
    }

    /// What is wrong with them; a producer refuses to begin with it.
    ///
    /// # Errors
    /// Windows or a time zone that cannot be used, an HTTP API without a token, a token that can be guessed.
    pub fn check(&self) -> Result<(), Error> {
        Calendars::new(self.plan.calendar, &self.plan.time_zone)?;
        self.api.as_ref().map_or(Ok(()), ApiSettings::check)
    }
}

/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 32;

settings! {
    /// When backups are due.
    #[derive(Debug, Clone)]
    pub struct PlanSettings {
        /// Windows, tail, and what late work does.
        pub calendar: planning::Settings = planning::Settings::default(), "plan": Nested;
        /// The time zone of mailboxes without one of their own.
        pub time_zone: String = String::new(), "time_zone": required(text("an IANA name like Europe/Paris", time_zone));
        /// Between two rounds over all mailboxes.
        pub every: Duration = Duration::from_secs(60), "producer.plan_every_seconds": seconds(1..=MOST_SECONDS);
        /// Mailboxes read and written at once.
        pub page: u32 = 5000;
        /// First backups admitted per server in any hour, by all producers together.
        pub first_backups_per_hour: u32 = 500, "plan.first_backups_per_hour": count(1..=MOST);
        /// Each mailbox's newest backup is read again every so many days; 0: only when somebody asks for it.
        pub verify_days: Option<NonZeroU16> = NonZeroU16::new(30), "plan.verify_days": days_counted(0..=u16::MAX.into());
        /// Backups of a mailbox that is gone are kept for so long; then `malle mailbox expired` names it, and they are not read again.
        /// Nothing deletes them yet. 0: they are kept for ever.
        pub keep_gone: Option<SignedDuration> = None, "plan.keep_gone_days": days(0..=u16::MAX.into());
    }
}

fn time_zone(name: &str) -> Result<String, String> {
    planning::zone(name).map(|_| name.to_owned()).map_err(|error| error.to_string())
}

impl PlanSettings {
    /// The usual windows in this time zone.
    pub fn new(time_zone: impl Into<String>) -> PlanSettings {
        PlanSettings { time_zone: time_zone.into(), ..PlanSettings::default() }
    }
}

settings! {
    /// How tickets are published.
    #[derive(Debug, Clone)]
    pub struct OutboxSettings {
        /// The wait for the next look when nothing is due: what a manual backup waits at most before its ticket leaves.
        pub every: Duration = Duration::from_millis(250);
        /// Tickets of each kind taken at once.
        pub batch: u32 = 1000;
        /// Tickets that a producer is publishing are not touched by others for so long: longer than publishing a batch takes.
        pub hold: Duration = Duration::from_secs(60), "producer.hold_seconds": seconds(1..=MOST_SECONDS);
        /// The wait after the first failure; doubled with each further one.
        pub first_wait: Duration = Duration::from_millis(250);
        /// The longest such wait.
        pub longest_wait: Duration = Duration::from_secs(15);
    }
}

/// An hour in seconds.
const HOUR: u64 = 3_600;

settings! {
    /// What is done about dead workers and lost tickets.
    #[derive(Debug, Clone)]
    pub struct ReaperSettings {
        /// Between two rounds that look for dead workers and lost tickets.
        pub every: Duration = Duration::from_secs(15), "producer.reap_every_seconds": seconds(1..=MOST_SECONDS);
        /// A job whose worker gave no sign for so long goes to another. At least three heartbeats (`worker.heartbeat_seconds`, which
        /// has to be the same in both roles' files): one may be late, and one be lost.
        pub silent: Duration = Duration::from_secs(120), "producer.silent_seconds": seconds(1..=MOST_SECONDS);
        /// A ticket so old, whose job still waits, is published again if the broker has fewer than it should.
        pub lost_after: Duration = Duration::from_secs(HOUR / 2), "producer.lost_after_seconds": seconds(1..=MOST_SECONDS);
        /// How long jobs that ended well are kept: longer than the longest outage that is to be caught up.
        pub keep_finished: Duration = Duration::from_secs(60 * 24 * HOUR);
        /// How long the audit log goes back, and how long dead jobs are kept that nobody redrives or drops.
        pub keep_audit: Duration = Duration::from_secs(400 * 24 * HOUR), "producer.keep_audit_days": days(1..=MOST_DAYS);
        /// Jobs changed in one round by each of the three at most.
        pub limit: u32 = 1000;
    }
}

settings! {
    /// What people and programs may ask for.
    #[derive(Debug, Clone)]
    pub struct RequestSettings {
        /// Backups by hand of one mailbox in any hour.
        pub limit: RateLimit = hourly(const { NonZeroU32::new(6).expect("not zero") }),
            "producer.manual_per_hour": count(1..=MOST).becoming(hourly, |limit| limit.requests);
        /// Requests from the queue that are worked on at once.
        pub slots: NonZeroU16 = const { NonZeroU16::new(8).expect("not zero") };
    }
}

fn hourly(requests: NonZeroU32) -> RateLimit {
    RateLimit { requests, interval: SignedDuration::from_hours(1) }
}

settings! {
    /// How many connections to the HTTP API are open at once.
    #[derive(Debug, Clone, Copy)]
    pub struct Connections {
        /// Connections to the HTTP API at once.
        pub all: usize = 512, "producer.connections": count(1..=MOST);
        /// Of these from one address; behind a proxy all come from the proxy's.
        pub of_one_address: usize = 64, "producer.connections_per_address": count(1..=MOST);
    }
}

/// The HTTP API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where it listens; inside the platform's network, behind whatever ends TLS.
    pub listen: SocketAddr,
    /// Who may use it.
    pub tokens: Vec<ApiToken>,
    /// Connections that are open at once.
    pub connections: Connections,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

settings! {
    /// How often the metrics of the fleet are looked up, and whether the role can work.
    #[derive(Debug, Clone)]
    pub struct WatchSettings {
        /// Whether Postgres and RabbitMQ are there.
        pub ready: Duration = Duration::from_secs(2);
        /// What an index answers.
        pub every: Duration = Duration::from_secs(15);
        /// Between two looks at every mailbox, for metrics.
        pub every_mailbox: Duration = Duration::from_secs(120), "producer.watch_every_seconds": seconds(1..=MOST_SECONDS);
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
        let connections = Connections::default();
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
