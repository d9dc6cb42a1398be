//! Mail servers: how hard they are pressed, and whether they take our credentials.

pub(crate) mod line;
pub(crate) mod sign_in_gates;
pub(crate) mod throttle;
