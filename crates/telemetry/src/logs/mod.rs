//! Lines of the log, and what is masked in them.

pub(crate) mod line;
pub(crate) mod mask;
