//! `receivedAt` as a server can be told.

/// The last second of the year 9999, the last that RFC 3339 can write.
const LAST: i64 = 253_402_300_799;

/// Seconds of 400 years.
const CYCLE: i64 = 146_097 * 86_400;

/// Days from 1970 to what Stalwart 0.16 adds to dates before that, and seconds of the last day: 2^63 seconds.
const FAR: (i64, i64) = (106_751_991_167_300, 55_808);
/// Of the year it keeps the last sixteen bits: 32548 for 292277026596.
const FAR_YEARS: i64 = 292_276_994_048;
/// The first second of the year 1.
const FIRST: i64 = -62_135_596_800;
const DAY: i64 = 86_400;

/// The date that is sent with an email; `None`: nobody knows it, and the server takes the present time.
pub(in crate::restore) fn sent(received_at: i64) -> Option<String> {
    let early = || {
        let meant = if received_at < 0 { received_at } else { before_1970(received_at)? };
        let is_early = (FIRST..0).contains(&meant);
        is_early.then(|| model::Timestamp::from_second(meant).ok().map(|date| date.to_string()))?
    };
    writable(received_at).or_else(early)
}

/// What a date means that Stalwart 0.16 shows for one before 1970 (tried with a thousand of them, from 1500 on).
fn before_1970(shown: i64) -> Option<i64> {
    let (year, day) = civil(shown.div_euclid(DAY));
    let days = days_of(year.checked_add(FAR_YEARS)?, day).checked_sub(FAR.0)?;
    days.checked_mul(DAY)?.checked_add(shown.rem_euclid(DAY) - FAR.1)
}

/// Days since 1970-01-01 as a year that begins in March, and the day of that year (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    (era * 400 + year, day - (365 * year + year / 4 - year / 100))
}

/// The other way round.
fn days_of(year: i64, day: i64) -> i64 {
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + 365 * year + year / 4 - year / 100 + day - 719_468
}

/// The date as RFC 3339 writes it and servers keep it; `None` for one that cannot be written (Stalwart reads dates before 1970 back as
/// years such as 30681).
pub(in crate::restore) fn writable(received_at: i64) -> Option<String> {
    let text = |seconds| Some(model::Timestamp::from_second(seconds).ok()?.to_string());
    // What is behind the last day of `Timestamp` is written as what it was 400 years earlier: the calendar repeats.
    let last_day = || Some(format!("9999{}", text(received_at - CYCLE)?.strip_prefix("9599")?));
    if is_writable(received_at) { text(received_at).or_else(last_day) } else { None }
}

/// Whether a server can be told this date.
pub(in crate::restore) fn is_writable(received_at: i64) -> bool {
    (0..=LAST).contains(&received_at)
}

/// Equal for dates that a restore keeps; all that cannot be written are equal to each other.
pub(in crate::restore) fn comparable(received_at: i64) -> i64 {
    if is_writable(received_at) { received_at } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(received_at: i64, expected: Option<&str>) {
        assert_eq!(writable(received_at).as_deref(), expected, "{received_at}");
        assert_eq!(comparable(received_at) == received_at, expected.is_some(), "{received_at}");
    }

    /// As Stalwart 0.16.19 shows what it was told.
    #[test]
    fn dates_before_1970() {
        let shown = |year, day, seconds| days_of(year, day) * DAY + seconds;
        // Days of years that begin in March: 278 is the 4th of December, 66 the 6th of May.
        for (shown, expected) in [
            (shown(32_548, 278, 55_807), "1969-12-31T23:59:59Z"),
            (shown(32_539, 66, 14_704), "1960-06-01T12:34:56Z"),
            (shown(32_478, 279, 55_808), "1900-01-01T00:00:00Z"),
            (shown(30_579, 280, 55_808), "0001-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
        ] {
            assert_eq!(sent(shown).as_deref(), Some(expected), "{shown}");
        }
        for nobodys in [LAST + 1, 990_000_000_000, i64::MAX, i64::MIN] {
            assert_eq!(sent(nobodys), None, "{nobodys}");
        }
    }

    #[test]
    fn what_rfc_3339_can_write() {
        check(0, Some("1970-01-01T00:00:00Z"));
        check(1_700_000_000, Some("2023-11-14T22:13:20Z"));
        check(LAST, Some("9999-12-31T23:59:59Z"));
        check(LAST - 86_400, Some("9999-12-30T23:59:59Z"));
        check(LAST - 2 * 86_400, Some("9999-12-29T23:59:59Z"));
        check(-1, None);
        check(LAST + 1, None);
        check(906_038_611_200, None);
        check(i64::MIN + 1, None);
    }
}
