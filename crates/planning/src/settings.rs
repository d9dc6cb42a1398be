use model::Schedule;
use model::forms::{percent, text, words};
use model::settings;

use crate::{Error, Window};

/// What a late backup does when its own window is over and no night window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// It waits for the next night window.
    Wait,
    /// It runs at once, under a reduced share of the server's load budget.
    Reduced,
}

impl Outside {
    /// The word for it in the configuration.
    fn as_str(self) -> &'static str {
        match self {
            Outside::Wait => "wait",
            Outside::Reduced => "reduced",
        }
    }
}

settings! {
    /// When backups are due; checked once, by [`Calendar::new`](crate::Calendar::new).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Settings {
        /// When nightly backups may run, in the mailbox's local time. Late weekend work may use it, too.
        pub nightly: Window = Window::usual(Schedule::Nightly),
            "plan.nightly": text("a window of a night, written like 22:00-06:00", |text| window(text, Schedule::Nightly));
        /// When weekend backups may run.
        pub weekend: Window = Window::usual(Schedule::Weekend),
            "plan.weekend": text("a window of a weekend, written like Sat 00:00-Sun 24:00", |text| window(text, Schedule::Weekend));
        /// What late work does between the windows: it waits for the next night, or runs by day under a fourth of the budget.
        pub outside: Outside = Outside::Wait, "plan.outside": words(&[Outside::Wait, Outside::Reduced], Outside::as_str);
        /// The share of a window's end in which nothing new is planned: it is left for what takes long or comes late. A longer
        /// one would leave no time to start in.
        pub tail_percent: u8 = 25, "plan.tail_percent": percent(0..=Settings::LONGEST_TAIL.into());
    }
}

fn window(text: &str, schedule: Schedule) -> Result<Window, String> {
    let window: Window = text.parse().map_err(|error: Error| error.to_string())?;
    if window.schedule == schedule {
        Ok(window)
    } else {
        Err(Error::OtherSchedule { schedule, window: window.to_string() }.to_string())
    }
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
