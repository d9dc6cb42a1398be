//! Zones and dates at which clocks do something; the windows that are tried there.

use planning::{Calendar, Outside, Settings, Window};
use proptest::prelude::*;

/// A zone and a date near which its clock jumps, or does not.
pub(crate) const PLACES: [(&str, &str); 14] = [
    ("UTC", "2026-01-01"),
    ("Asia/Kolkata", "2026-03-29"),
    ("Europe/Paris", "2026-03-29"),
    ("Europe/Paris", "2026-10-25"),
    // At midnight: 00:00 does not exist, or 23:00 to 24:00 comes twice.
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-17"),
    // At 00:01, back over midnight.
    ("America/St_Johns", "2006-10-29"),
    // Half an hour.
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Australia/Lord_Howe", "2026-04-05"),
    // Without a 30 December 2011, a Friday; without a 21 August 1993, a Saturday.
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kwajalein", "1993-08-21"),
    // Twice within five weeks.
    ("Africa/Casablanca", "2026-02-15"),
    ("Africa/Casablanca", "2026-03-22"),
    ("America/New_York", "2026-11-01"),
];

/// The usual windows, and any others.
pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let nightly = (0..1440_u16, 1..1440_u16)
        .prop_map(move |(opens, length)| format!("{}-{}", time(opens), time((opens + length) % 1440)));
    let weekend =
        (0..1440_u16, 1..1440_u16, any::<bool>()).prop_map(move |(one, length, sunday)| match sunday {
            true => format!("Sat {}-Sun {}", time(one), time(length)),
            false => {
                format!("Sat {}-Sat {}", time(one.min(1439 - 1)), time((one + length).clamp(one + 1, 1440)))
            }
        });
    let nightly = prop_oneof![Just("22:00-06:00".to_owned()), Just("00:00-24:00".to_owned()), nightly];
    let weekend = prop_oneof![Just("Sat 00:00-Sun 24:00".to_owned()), weekend];
    (nightly, weekend, prop_oneof![Just(Outside::Wait), Just(Outside::Reduced)]).prop_map(
        |(nightly, weekend, outside)| Settings {
            nightly: nightly.parse().unwrap(),
            weekend: weekend.parse().unwrap(),
            outside,
            ..Settings::default()
        },
    )
}

pub(crate) fn calendar(zone: &str, settings: Settings) -> Calendar {
    Calendar::new(settings, planning::zone(zone).unwrap()).unwrap()
}

pub(crate) fn window(text: &str) -> Window {
    text.parse().unwrap()
}
