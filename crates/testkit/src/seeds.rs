//! Which runs of a simulation there are.

use std::collections::BTreeSet;

/// Whether this is the long run, `make soak`: all cases and the large sizes.
pub fn is_soak() -> bool {
    std::env::var_os("MALLE_SOAK").is_some()
}

/// Steps from one case to the next of a list that is too long for the usual run: `usual`, or 1 in the long run. Lists of one
/// test begin at different cases, so that together they have them all.
pub fn stride(usual: usize) -> usize {
    if is_soak() { 1 } else { usual }
}

/// Seeds of the simulations: 5, with `MALLE_SOAK` 500, or as many as `MALLE_SEEDS` says, or the one that `MALLE_SEED` names.
pub fn seeds() -> BTreeSet<u64> {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse().expect("a number"));
    let usual = if is_soak() { 500 } else { 5 };
    match number("MALLE_SEED") {
        Some(seed) => BTreeSet::from([seed]),
        None => (0..number("MALLE_SEEDS").unwrap_or(usual)).collect(),
    }
}
