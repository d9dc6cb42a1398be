mod authorize;
mod backups;
mod body;
mod jobs;
mod mailboxes;
mod pauses;
mod problem;
mod requests;
mod server;

pub use server::{Api, openapi};
