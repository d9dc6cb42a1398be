use model::Schedule;

use crate::{Error, Window};

/// What a late backup does when its own window is over and no night window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// It waits for the next night window.
    Wait,
    /// It runs at once, under a reduced share of the server's load budget.
    Reduced,
}

/// When backups are due; checked once, by [`Calendar::new`](crate::Calendar::new).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Window of the nightly schedule; late weekend work may use it too.
    pub nightly: Window,
    /// Window of the weekend schedule.
    pub weekend: Window,
    /// How much of a window's end is left free of planned starts, for what takes long or comes late.
    pub tail_percent: u8,
    /// What late work does between the windows.
    pub outside: Outside,
}

impl Settings {
    /// The largest `tail_percent`.
    pub const LONGEST_TAIL: u8 = 90;

    pub(crate) fn check(&self) -> Result<(), Error> {
        for (schedule, window) in [(Schedule::Nightly, self.nightly), (Schedule::Weekend, self.weekend)] {
            if window.schedule != schedule {
                return Err(Error::OtherSchedule { schedule, window: window.to_string() });
            }
        }
        if self.tail_percent > Self::LONGEST_TAIL {
            return Err(Error::Tail { percent: self.tail_percent });
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            nightly: Window::usual(Schedule::Nightly),
            weekend: Window::usual(Schedule::Weekend),
            tail_percent: 25,
            outside: Outside::Wait,
        }
    }
}
