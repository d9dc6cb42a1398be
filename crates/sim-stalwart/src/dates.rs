//! Seconds since 1970 as the two notations of mail.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

struct Civil {
    year: u64,
    month: u64,
    day: u64,
    weekday: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

/// Howard Hinnant's `civil_from_days`, for dates from 1970 on.
fn civil(seconds: u64) -> Civil {
    let days = seconds / 86_400;
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil {
        year: year_of_era + era * 400 + u64::from(month <= 2),
        month,
        day: of_year - (153 * shifted_month + 2) / 5 + 1,
        weekday: days % 7,
        hour: seconds / 3600 % 24,
        minute: seconds / 60 % 60,
        second: seconds % 60,
    }
}

/// `2024-02-29T12:00:01Z` (RFC 3339, UTC), as JMAP's `UTCDate`.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = civil(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `Thu, 29 Feb 2024 12:00:01 +0000` (RFC 5322).
pub(crate) fn rfc5322(seconds: u64) -> String {
    let Civil { year, month, day, weekday, hour, minute, second } = civil(seconds);
    let name = |names: &[&'static str], at: u64| {
        names.get(usize::try_from(at).unwrap_or(0)).copied().unwrap_or("???")
    };
    let (weekday, month) = (name(&DAYS, weekday), name(&MONTHS, month - 1));
    format!("{weekday}, {day} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// `Thu, 29 Feb 2024 12:00:01 GMT` (RFC 9110 §5.6.7).
pub(crate) fn http(seconds: u64) -> String {
    let text = rfc5322(seconds).replace("+0000", "GMT");
    // Here a day has two digits.
    if text.as_bytes().get(6) == Some(&b' ') { text.replacen(", ", ", 0", 1) } else { text }
}

/// Seconds of a JMAP `UTCDate` from 1970 on; none for any other notation.
pub(crate) fn parse(text: &str) -> Option<u64> {
    u64::try_from(parse_signed(text)?).ok()
}

/// Seconds of a date as Stalwart takes it in: a fraction is dropped, an offset is taken off.
pub(crate) fn parse_signed(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let of_era = shifted_year % 400;
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let days = shifted_year / 400 * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset(text.get(19..)?)?)
}

/// Seconds of `Z`, `.5Z` or `+02:00`.
fn offset(text: &str) -> Option<i64> {
    let zone = text.trim_start_matches(|char: char| char == '.' || char.is_ascii_digit());
    let sign = match zone.get(..1)? {
        "Z" => return Some(0),
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60))
}

/// What becomes of a date on arrival: one before 1970 overflows, as in Stalwart, to 30,000 years from now.
pub(crate) fn arrival(seconds: i64) -> u64 {
    /// 32548-12-04T15:30:08Z, where 1970-01-01 would be on the far side.
    const FAR: i64 = 964_977_723_008;
    u64::try_from(seconds).unwrap_or(FAR.saturating_add(seconds).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations_of_known_moments() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_709_208_001), "2024-02-29T12:00:01Z");
        assert_eq!(rfc5322(1_709_208_001), "Thu, 29 Feb 2024 12:00:01 +0000");
        assert_eq!(http(1_709_208_001), "Thu, 29 Feb 2024 12:00:01 GMT");
        assert_eq!(http(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn parsing_undoes_writing() {
        for seconds in [0, 86_399, 951_782_400, 1_709_208_001, 4_102_444_800] {
            assert_eq!(parse(&rfc3339(seconds)), Some(seconds));
        }
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn arrival_is_read_as_stalwart_reads_it() {
        for (given, kept) in [
            ("2024-02-29T12:00:01+02:00", "2024-02-29T10:00:01Z"),
            ("2024-02-29T12:00:01.5Z", "2024-02-29T12:00:01Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
            ("1969-12-31T23:59:00Z", "32548-12-04T15:29:08Z"),
        ] {
            assert_eq!(parse_signed(given).map(arrival).map(rfc3339).as_deref(), Some(kept), "{given}");
        }
    }
}
