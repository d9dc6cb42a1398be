//! What the end-to-end tests share: a repository in memory, a client, a backup in one call, comparison with the truth.

mod bed;
mod truth;

pub use bed::Bed;
pub use truth::{assert_emails_equal, assert_objects_equal};
