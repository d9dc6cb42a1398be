//! One claim: what goes on beside its job, and what becomes of the job when it is over.

pub(crate) mod disposition;
pub(crate) mod settle;
pub(crate) mod shown;
pub(crate) mod watch;
pub(crate) mod window;
