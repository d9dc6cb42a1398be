//! The real binary against a simulated server and stores on the disk: what people see, and what it must never do.

mod everyday;
mod home;
mod keys;
mod secrets;
mod signals;
mod store;
mod wrong_use;
