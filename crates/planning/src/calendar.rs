use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use model::{Schedule, SignedDuration, Slot, Timestamp};

use crate::zone::first_instant;
use crate::{Error, Settings, Window};

/// Settings in a time zone: which slots there are, and when.
#[derive(Debug, Clone)]
pub struct Calendar {
    pub(crate) settings: Settings,
    zone: TimeZone,
}

/// From the first instant to the one after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first instant in it.
    pub opens: Timestamp,
    /// The first instant after it.
    pub closes: Timestamp,
}

impl Calendar {
    /// Checks the settings.
    pub fn new(settings: Settings, zone: TimeZone) -> Result<Self, Error> {
        settings.check()?;
        Ok(Calendar { settings, zone })
    }

    /// When the slot's window is open. A window that a skipped hour swallows begins with the skip and keeps its length.
    pub fn bounds(&self, slot: Slot) -> Bounds {
        let window = self.window(slot.schedule);
        let at = |minutes| self.after_midnight(slot.date, i64::from(minutes));
        let (opens, closes) = (at(window.opens), at(window.closes));
        let swallowed = closes <= opens;
        Bounds { opens, closes: if swallowed { later(opens, window.length()) } else { closes } }
    }

    /// The slot whose window opened last.
    pub fn newest_begun(&self, schedule: Schedule, now: Timestamp) -> Slot {
        // A clock set back over midnight shows a date again whose next one has begun.
        let newest = self.last_named(schedule, add_days(self.zone.to_datetime(now).date(), 1));
        let mut slots = (0..5).map(|back| step(newest, -back));
        let begun = |slot: &Slot| self.exists(*slot) && self.bounds(*slot).opens <= now;
        slots.find(begun).unwrap_or(newest)
    }

    /// The slot whose window is open.
    pub fn open(&self, schedule: Schedule, now: Timestamp) -> Option<Slot> {
        let slot = self.newest_begun(schedule, now);
        (now < self.bounds(slot).closes).then_some(slot)
    }

    /// The slot after this one.
    pub fn next(&self, slot: Slot) -> Slot {
        let mut slots = (1..4).map(|ahead| step(slot, ahead));
        slots.find(|slot| self.exists(*slot)).unwrap_or(step(slot, 1))
    }

    /// The nearest night window that is not over.
    pub(crate) fn night(&self, now: Timestamp) -> Bounds {
        let newest = self.newest_begun(Schedule::Nightly, now);
        let slot = self.open(Schedule::Nightly, now).unwrap_or_else(|| self.next(newest));
        self.bounds(slot)
    }

    fn window(&self, schedule: Schedule) -> Window {
        match schedule {
            Schedule::Nightly => self.settings.nightly,
            Schedule::Weekend => self.settings.weekend,
        }
    }

    /// Whether the slot's day, or one of its two days, took place: countries have skipped dates.
    fn exists(&self, slot: Slot) -> bool {
        let days = match slot.schedule {
            Schedule::Nightly => 1,
            Schedule::Weekend => 2,
        };
        self.after_midnight(slot.date, 0) < self.after_midnight(slot.date, days * 24 * 60)
    }

    fn after_midnight(&self, date: Date, minutes: i64) -> Timestamp {
        let local = date.to_datetime(Time::midnight()).saturating_add(SignedDuration::from_mins(minutes));
        first_instant(&self.zone, local)
    }

    /// The last slot that is named by this date or an earlier one.
    fn last_named(&self, schedule: Schedule, date: Date) -> Slot {
        let date = match schedule {
            Schedule::Nightly => date,
            Schedule::Weekend => add_days(date, -i64::from(date.weekday().since(Weekday::Saturday))),
        };
        Slot { schedule, date }
    }
}

fn step(slot: Slot, by: i64) -> Slot {
    let days = match slot.schedule {
        Schedule::Nightly => 1,
        Schedule::Weekend => 7,
    };
    Slot { date: add_days(slot.date, by * days), ..slot }
}

fn add_days(date: Date, days: i64) -> Date {
    date.saturating_add(SignedDuration::from_hours(24 * days))
}

/// So much later, or the end of time.
pub(crate) fn later(instant: Timestamp, by: std::time::Duration) -> Timestamp {
    instant.checked_add(by).unwrap_or(Timestamp::MAX)
}
