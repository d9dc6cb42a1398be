//! The `malle` binary.
fn main() {}
