//! The real binary against a simulated server and stores on the disk: what people see, and what it must never do.

#![expect(clippy::print_stdout, reason = "what was measured is shown")]

mod beginning;
mod careless_store;
mod damage_matrix;
mod documents;
mod door;
mod everyday;
mod exported;
mod exporting;
mod exporting_much;
mod finding;
mod fleet;
mod giving_back;
mod goes_on;
mod home;
mod hung;
mod interrupted_export;
mod keys;
mod killed;
mod killed_restore;
mod lost_objects;
mod measured;
mod memory;
mod million;
mod numbered;
mod platform;
mod private_authority;
mod reindexed;
mod remembered;
mod repaired;
mod secrets;
mod signals;
mod store;
mod tutorial;
mod wrong_settings;
mod wrong_use;
