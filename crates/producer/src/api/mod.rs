mod authorize;
mod backups;
mod body;
mod jobs;
mod mailboxes;
mod pauses;
mod principal;
mod problem;
mod requests;
mod server;
mod shared;

pub use server::{Api, openapi};
