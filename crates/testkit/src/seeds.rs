//! Which runs of a simulation there are.

use std::collections::BTreeSet;

/// Seeds of the simulations: 8, with `MALLE_SOAK` 500, or as many as `MALLE_SEEDS` says, or the one that `MALLE_SEED` names.
pub fn seeds() -> BTreeSet<u64> {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse().expect("a number"));
    let usual = if std::env::var_os("MALLE_SOAK").is_some() { 500 } else { 8 };
    match number("MALLE_SEED") {
        Some(seed) => BTreeSet::from([seed]),
        None => (0..number("MALLE_SEEDS").unwrap_or(usual)).collect(),
    }
}
