mod authorize;
mod backups;
mod body;
mod jobs;
mod mailboxes;
mod pauses;
mod problem;
mod server;
mod wishes;

pub use server::{Api, openapi};
