use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use model::Schedule;

use crate::Error;

const DAY: u16 = 24 * 60;

/// When backups of a schedule may run, in local time: `22:00-06:00` for nights, `Sat 00:00-Sun 24:00` for weekends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub(crate) schedule: Schedule,
    /// Minutes after the midnight with which the slot's date begins.
    pub(crate) opens: u16,
    /// Likewise; more than `opens`, at most a day more for nights, at most two days for weekends.
    pub(crate) closes: u16,
}

impl Window {
    /// What the window is if nothing is set.
    pub fn usual(schedule: Schedule) -> Window {
        let (opens, closes) = match schedule {
            Schedule::Nightly => (22 * 60, DAY + 6 * 60),
            Schedule::Weekend => (0, 2 * DAY),
        };
        Window { schedule, opens, closes }
    }

    /// How long it is on a day without a change of the clock.
    pub fn length(self) -> Duration {
        Duration::from_secs(60 * u64::from(self.closes - self.opens))
    }
}

impl FromStr for Window {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = if text.trim_start().starts_with(|first: char| first.is_ascii_alphabetic()) {
            weekend(text)
        } else {
            nightly(text)
        };
        parsed.map_err(|why| Error::Window { text: text.to_owned(), why })
    }
}

fn nightly(text: &str) -> Result<Window, &'static str> {
    const FORM: &str = "write it like 22:00-06:00";
    let (opens, closes) = text.split_once('-').ok_or(FORM)?;
    let (opens, closes) = (time(opens, FORM)?, time(closes, FORM)?);
    if opens == DAY {
        return Err("it opens at 24:00: write 00:00");
    }
    match closes {
        _ if closes == opens => Err("it is empty: a whole day is 00:00-24:00"),
        _ if closes < opens => Ok(Window { schedule: Schedule::Nightly, opens, closes: closes + DAY }),
        _ => Ok(Window { schedule: Schedule::Nightly, opens, closes }),
    }
}

fn weekend(text: &str) -> Result<Window, &'static str> {
    const FORM: &str = "write it like Sat 00:00-Sun 24:00";
    let (opens, closes) = text.split_once('-').ok_or(FORM)?;
    let (opens, closes) = (day_and_time(opens, FORM)?, day_and_time(closes, FORM)?);
    if opens >= DAY {
        return Err("a weekend window opens on Saturday, before 24:00");
    }
    if closes <= opens {
        return Err("it ends before it begins, or is empty");
    }
    Ok(Window { schedule: Schedule::Weekend, opens, closes })
}

fn day_and_time(text: &str, form: &'static str) -> Result<u16, &'static str> {
    let (day, text) = text.trim().split_once(' ').ok_or(form)?;
    match day {
        "Sat" => time(text, form),
        "Sun" => Ok(DAY + time(text, form)?),
        _ => Err("a weekend is Sat and Sun"),
    }
}

/// Minutes after midnight.
fn time(text: &str, form: &'static str) -> Result<u16, &'static str> {
    let number = |digits: &str| {
        let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        two.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = text.trim().split_once(':').ok_or(form)?;
    match (number(hour).ok_or(form)?, number(minute).ok_or(form)?) {
        (24, 0) => Ok(DAY),
        (hour @ 0..24, minute @ 0..60) => Ok(hour * 60 + minute),
        _ => Err("times go from 00:00 to 24:00"),
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The end of a day, not the beginning of the next.
        let closes = (self.closes - 1) % DAY + 1;
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        match self.schedule {
            Schedule::Nightly => write!(f, "{}-{}", time(self.opens), time(closes)),
            Schedule::Weekend => {
                let day = if self.closes > DAY { "Sun" } else { "Sat" };
                write!(f, "Sat {}-{day} {}", time(self.opens), time(closes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, schedule: Schedule, hours: f64, written: &str) {
        let window: Window = text.parse().unwrap();
        assert_eq!((window.schedule, window.to_string().as_str()), (schedule, written), "{text}");
        assert_eq!(window.length().as_secs_f64() / 3600.0, hours, "{text}");
    }

    #[test]
    fn windows_within_a_day_over_midnight_and_over_the_weekend() {
        check("22:00-06:00", Schedule::Nightly, 8.0, "22:00-06:00");
        check(" 01:30 - 05:00 ", Schedule::Nightly, 3.5, "01:30-05:00");
        check("22:00-00:00", Schedule::Nightly, 2.0, "22:00-24:00");
        check("00:00-24:00", Schedule::Nightly, 24.0, "00:00-24:00");
        check("Sat 00:00-Sun 24:00", Schedule::Weekend, 48.0, "Sat 00:00-Sun 24:00");
        check("Sat 06:00 - Sat 24:00", Schedule::Weekend, 18.0, "Sat 06:00-Sat 24:00");
        check("Sat 20:00-Sun 08:15", Schedule::Weekend, 12.25, "Sat 20:00-Sun 08:15");
    }

    #[test]
    fn what_is_no_window_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Window>().unwrap_err().to_string();
        assert_eq!(
            refused("22:00-22:00"),
            "\"22:00-22:00\" is no window: it is empty: a whole day is 00:00-24:00"
        );
        assert!(refused("22:00-46:00").ends_with("times go from 00:00 to 24:00"));
        assert!(refused("22:00-05:60").ends_with("times go from 00:00 to 24:00"));
        assert!(refused("24:00-06:00").ends_with("it opens at 24:00: write 00:00"));
        for text in ["", "22:00", "22-06", "22:00–06:00", "+2:00-06:00", "22:000-06:00", "2:00-06:00"] {
            assert!(refused(text).ends_with("write it like 22:00-06:00"), "{text}");
        }
        assert!(refused("Sun 00:00-Sun 24:00").ends_with("opens on Saturday, before 24:00"));
        assert!(refused("Sat 12:00-Sat 12:00").ends_with("ends before it begins, or is empty"));
        assert!(refused("Fri 12:00-Sun 12:00").ends_with("a weekend is Sat and Sun"));
        assert!(refused("Sat-Sun").ends_with("write it like Sat 00:00-Sun 24:00"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(weekend: bool, opens in 0..DAY, length in 1..=2 * DAY) {
            let (schedule, closes) = if weekend { (Schedule::Weekend, (opens + length).min(2 * DAY)) } else { (Schedule::Nightly, opens + (length % DAY).max(1)) };
            let window = Window { schedule, opens, closes };
            prop_assert_eq!(window.to_string().parse::<Window>(), Ok(window));
        }

        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            let _ = text.parse::<Window>();
        }
    }
}
