//! Every error of every crate as people read it, in `errors.snapshot.txt`.

mod fleet;
mod libraries;
mod rendered;
mod sample;
mod source;
