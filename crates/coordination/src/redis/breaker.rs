//! A Redis that hangs costs each question a whole time-out. What can do without an answer asks it only now and then until it
//! has answered again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two questions to a Redis that did not answer the last one.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Option<Instant>>);

impl Breaker {
    /// Whether it is asked now. While it hangs, one question is let through each time; the others wait for what comes of that.
    pub(crate) fn lets_through(&self, now: Instant) -> bool {
        let mut closed_until = self.closed_until();
        match *closed_until {
            Some(until) if now < until => false,
            Some(_) => {
                *closed_until = Some(now + PAUSE);
                true
            }
            None => true,
        }
    }

    pub(crate) fn hung(&self, now: Instant) {
        *self.closed_until() = Some(now + PAUSE);
    }

    pub(crate) fn answered(&self) {
        *self.closed_until() = None;
    }

    fn closed_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_at_a_time_finds_out_whether_it_answers_again() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        assert!(breaker.lets_through(now) && breaker.lets_through(now));
        breaker.hung(now);
        assert!(!breaker.lets_through(now));
        let later = now + PAUSE;
        assert!(breaker.lets_through(later) && !breaker.lets_through(later), "one of them");
        breaker.answered();
        assert!(breaker.lets_through(later));
    }
}
