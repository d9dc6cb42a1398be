#![doc = include_str!("../README.md")]

mod api;
mod asking;
mod backoff;
mod calendars;
mod directory;
mod error;
mod planner;
mod publisher;
mod reaper;
mod refusal;
mod requests;
mod role;
mod secret;
mod settings;
mod verifier;
mod watch;

pub use api::{Api, openapi};
pub use asking::{Asker, Asking, BackupName, ReadSelection, RestoreRequest};
pub use directory::{
    BadLine, Directory, DirectoryError, Disappeared, Entry, Imported, List, Listing, ListingError,
    MailboxKind, OnBadLines, Page, Rule, Rules, Sight, StalwartCredentials, StalwartJmap, StalwartRest,
    discover, import, read_csv, read_json_lines,
};
pub use error::Error;
pub use planner::{Planner, Round};
pub use publisher::{Publisher, Sent};
pub use reaper::{Reaped, Reaper};
pub use refusal::Refusal;
pub use requests::serve_requests;
pub use role::{Parts, run};
pub use secret::Secret;
pub use settings::{
    ApiSettings, ApiToken, Connections, OutboxSettings, PlanSettings, ReaperSettings, RequestSettings, Scope,
    Settings, WatchSettings,
};
pub use verifier::Verifier;
pub use watch::Watch;
