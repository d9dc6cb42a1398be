//! A clock on the wall, read minute by minute; slow, and knows no rule but the one in the README.

use std::collections::BTreeMap;

use model::{Date, Schedule, SignedDuration, Slot, Timestamp};
use planning::{Bounds, Settings, TimeZone, Window};

pub(crate) const MINUTE: SignedDuration = SignedDuration::from_mins(1);
pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// All slots of two to four weeks around a date.
pub(crate) struct Oracle {
    pub(crate) slots: BTreeMap<Slot, Bounds>,
    /// What may be asked about: further out the walk knows too little.
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// Minute, and what the clock shows, as minutes since some midnight.
type Walk = Vec<(Timestamp, i64)>;

impl Oracle {
    pub(crate) fn new(zone: &TimeZone, around: Date, settings: &Settings) -> Oracle {
        let middle = zone.to_timestamp(around.at(0, 0, 0, 0)).unwrap();
        let (start, end) = (middle - DAY * 16, middle + DAY * 16);
        let first_date = zone.to_datetime(start).date();
        let mut walk = Walk::new();
        let mut minute = start;
        while minute < end {
            let shown = zone.to_datetime(minute);
            let since = shown.duration_since(first_date.at(0, 0, 0, 0));
            walk.push((minute, since.as_mins()));
            minute += MINUTE;
        }
        let mut slots = BTreeMap::new();
        for day in 2..30_i64 {
            let date = first_date + DAY * i32::try_from(day).unwrap();
            let mut add = |schedule, window: Window, days: i64| {
                let took_place =
                    walk.iter().any(|(_, shown)| (day..day + days).contains(&shown.div_euclid(1440)));
                if took_place {
                    slots.insert(Slot { schedule, date }, bounds(&walk, day, window));
                }
            };
            add(Schedule::Nightly, settings.nightly, 1);
            if date.weekday() == jiff::civil::Weekday::Saturday {
                add(Schedule::Weekend, settings.weekend, 2);
            }
        }
        Oracle { slots, from: middle - DAY * 5, until: middle + DAY * 9 }
    }

    pub(crate) fn newest_begun(&self, schedule: Schedule, now: Timestamp) -> Slot {
        let begun = |(slot, bounds): &(&Slot, &Bounds)| slot.schedule == schedule && bounds.opens <= now;
        *self.slots.iter().filter(begun).map(|(slot, _)| slot).max().expect("the walk began weeks before")
    }
}

/// From the first minute at which the clock shows the opening time or later to the first at which it shows the closing
/// time or later.
fn bounds(walk: &Walk, day: i64, window: Window) -> Bounds {
    let (opens, closes) = minutes(window);
    let first = |time| walk.iter().find(|(_, shown)| *shown >= day * 1440 + time).expect("within the walk").0;
    let (opens_at, closes_at) = (first(opens), first(closes));
    if closes_at > opens_at {
        return Bounds { opens: opens_at, closes: closes_at };
    }
    Bounds { opens: opens_at, closes: opens_at + MINUTE * i32::try_from(closes - opens).unwrap() }
}

/// Opening and closing in minutes after the slot's midnight, read from what a person wrote.
fn minutes(window: Window) -> (i64, i64) {
    let text = window.to_string();
    let mut days = 0;
    let mut ends = text.split('-').map(|end| {
        let (day, time) = end.split_once(' ').unwrap_or(("", end));
        days = i64::from(day == "Sun");
        let (hour, minute) = time.split_once(':').unwrap();
        days * 1440 + hour.parse::<i64>().unwrap() * 60 + minute.parse::<i64>().unwrap()
    });
    let (opens, closes) = (ends.next().unwrap(), ends.next().unwrap());
    (opens, if closes <= opens { closes + 1440 } else { closes })
}
