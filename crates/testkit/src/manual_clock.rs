//! A clock that stands still until a test turns its hands.

use std::sync::{Mutex, PoisonError};

use model::{Clock, SignedDuration, Timestamp};

/// See the module.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> ManualClock {
        ManualClock(Mutex::new(now))
    }

    /// Stands at this second since 1970.
    pub fn at_second(second: i64) -> ManualClock {
        ManualClock::at(Timestamp::from_second(second).expect("a second of the calendar"))
    }

    /// Turns the hands, backwards too.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(by).expect("within the calendar");
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
