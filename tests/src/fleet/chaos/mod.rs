//! The fleet while everything under it breaks: processes are killed and stopped, services are stopped, emptied and restarted, the
//! mail server pushes back. Which faults, when, is a pure function of a seed; every change of jobs, epochs and backups is written
//! down by triggers, and the whole history is judged in the end, together with what lies in the store.

mod ends;
mod history;
mod people;
mod roles;
mod run;
mod schedule;
mod services;

pub use run::chaos;
pub use schedule::Schedule;
