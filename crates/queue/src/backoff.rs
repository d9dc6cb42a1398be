use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Wait before the attempt that follows `failures` failed ones: doubled each time up to `longest`, then shortened by up to
/// a half at random, so that a fleet does not come back all at once.
pub(crate) fn wait(failures: u32, first: Duration, longest: Duration, random: u64) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let full = first.saturating_mul(2u32.saturating_pow(doublings)).min(longest);
    let share = u32::try_from(random % 1000).expect("below 1000");
    full - full / 2000 * share
}

/// The standard library's random seed of hash maps; good enough for jitter.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_lose_at_most_half() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        let check = |failures, random, expected: u64| {
            let expected = Duration::from_millis(expected);
            assert_eq!(wait(failures, first, longest, random), expected, "after {failures} failures");
        };
        check(0, 7, 0);
        check(1, 0, 100);
        check(2, 0, 200);
        check(7, 0, 6_400);
        check(8, 0, 10_000);
        check(u32::MAX, 0, 10_000);
        check(8, 500, 7_500);
        for random in 0..2000 {
            assert!(wait(8, first, longest, random) > longest / 2);
        }
    }
}
