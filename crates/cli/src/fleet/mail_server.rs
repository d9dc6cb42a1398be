//! A mail server, as the configuration names it.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use super::source::Source;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) url: String,
    /// Who may read every account.
    #[serde(default)]
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) password: Option<Source>,
    #[serde(default)]
    pub(crate) token: Option<Source>,
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// What each user has of their own is read and written as the owner of a mailbox.
    #[serde(default = "yes")]
    pub(crate) act_as_owner: bool,
    /// Of all workers together.
    #[serde(default = "sixteen")]
    pub(crate) requests_in_flight: u32,
    #[serde(default = "thousands")]
    pub(crate) requests_per_minute: u32,
    /// The part of both that a worker has for itself while Redis cannot be asked.
    #[serde(default = "eight_workers")]
    pub(crate) workers_without_redis: NonZeroU32,
    /// The longest that one request may take.
    #[serde(default = "two_minutes")]
    pub(crate) request_seconds: u64,
    /// It is asked for its mailboxes; without it they come from lists and from the HTTP API.
    #[serde(default)]
    pub(crate) discover: Option<Discover>,
}

/// How a server is asked for its mailboxes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discover {
    pub(crate) by: Directory,
    #[serde(default = "an_hour")]
    pub(crate) every_seconds: u64,
    /// What it has not named for so long is gone: no new backups.
    #[serde(default = "a_week")]
    pub(crate) missing_for_hours: u32,
    /// A listing that would drop a larger share of the server's mailboxes is taken for one with holes.
    #[serde(default = "five")]
    pub(crate) drop_at_most_percent: u8,
}

/// Which of its interfaces.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Directory {
    /// `GET /api/principal`: Stalwart up to 0.15.
    Rest,
    /// `Principal/query`: Stalwart from 0.16 on.
    Jmap,
}

fn eight_workers() -> NonZeroU32 {
    NonZeroU32::new(8).expect("eight is more than none")
}

fn yes() -> bool {
    true
}

fn sixteen() -> u32 {
    16
}

fn two_minutes() -> u64 {
    120
}

fn thousands() -> u32 {
    6_000
}

fn an_hour() -> u64 {
    3600
}

fn a_week() -> u32 {
    24 * 7
}

fn five() -> u8 {
    5
}
