use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets something be said at most once in a while, with the sum of what was left unsaid.
#[derive(Debug)]
pub(crate) struct Sparingly {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    unsaid: u64,
}

impl Sparingly {
    pub(crate) fn new(every: Duration) -> Self {
        Sparingly { every, state: Mutex::default() }
    }

    /// Adds to the sum, and gives it out if it is time to say it.
    pub(crate) fn add(&self, count: u64, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid += count;
        if state.last.is_some_and(|last| now.duration_since(last) < self.every) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_later_ones_together() {
        let sparingly = Sparingly::new(Duration::from_secs(60));
        let start = Instant::now();
        let add = |seconds| sparingly.add(5, start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 59, 60, 61].map(add), [Some(5), None, None, Some(15), None]);
    }
}
