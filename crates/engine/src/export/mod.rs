//! Writes a snapshot into files that other programs read.

mod request;
mod run;
mod wanted;
mod writing;

pub use request::{Export, Exported, Loss, Losses, Source};
pub use run::export;
