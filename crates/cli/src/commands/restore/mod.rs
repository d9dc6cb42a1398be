//! `malle restore`: a snapshot back into an account.

mod asked;
mod clean;
mod refused;
mod restored;
mod resume;
mod run;

pub(crate) use run::{prepare, run};
