//! Every format in every container: what is written comes back, others can read it, and nothing hostile gets out.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail anywhere, and says where it was"
)]

mod calendars;
mod conformance;
mod hostile;
mod hostile_names;
mod mailbox;
mod memory;
mod others;
mod place;
