//! What the end-to-end tests and the benchmark share: a repository and a client in one call, real mail, comparison with the
//! truth.

mod bed;
mod corpus;
mod import;
mod plain;
pub mod truth;

use std::collections::BTreeSet;

pub use bed::Bed;
pub use corpus::{Message, attachment, attachments, real_mail};
pub use import::{Importer, Letter};
pub use plain::Plain;
pub use truth::{assert_emails_equal, assert_is_now, assert_objects_equal, assert_was_once};

/// Seeds of the simulations: 20, or as many as `MALLE_SEEDS` says, or the one that `MALLE_SEED` names.
pub fn seeds() -> BTreeSet<u64> {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse().expect("a number"));
    match number("MALLE_SEED") {
        Some(seed) => BTreeSet::from([seed]),
        None => (0..number("MALLE_SEEDS").unwrap_or(20)).collect(),
    }
}
