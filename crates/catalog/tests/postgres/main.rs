//! The catalogue on a real Postgres. Each test starts a server of its own, which takes longer than most situations do: one test
//! shows several situations of one subject.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod claims;
mod completing;
mod due;
mod latency;
mod log_positions;
mod mailboxes;
mod migrations;
mod oracle;
mod outbox;
mod overview;
mod producing;
mod races;
mod reaper;
mod rebuild;
mod requests;
mod restart;
mod room;
mod running;
