use jiff::Timestamp;

/// 0001-01-01T00:00:00Z: the earliest that RFC 3339 readers commonly take.
const EARLIEST: i64 = -62_135_596_800;
/// The last second that `jiff` knows, in December 9999.
const LATEST: i64 = 253_402_207_200;

/// A moment as text, and whether the text is another moment than the one asked for.
pub(crate) struct Dated {
    pub(crate) text: String,
    pub(crate) is_clamped: bool,
}

fn dated(seconds: i64, pattern: &str) -> Dated {
    let clamped = seconds.clamp(EARLIEST, LATEST);
    let moment = Timestamp::from_second(clamped).unwrap_or(Timestamp::UNIX_EPOCH);
    Dated { text: moment.strftime(pattern).to_string(), is_clamped: clamped != seconds }
}

/// `2026-11-22T21:33:23Z`.
pub(crate) fn rfc3339(seconds: i64) -> Dated {
    dated(seconds, "%Y-%m-%dT%H:%M:%SZ")
}

/// `Sun Nov 22 21:33:23 2026`, the date of an mbox `From ` line.
pub(crate) fn asctime(seconds: i64) -> Dated {
    dated(seconds, "%a %b %e %H:%M:%S %Y")
}

/// The modification time of files that have none of their own.
pub(crate) fn now() -> u32 {
    file_time(Timestamp::now().as_second())
}

/// What every file system and archive can keep as a modification time.
pub(crate) fn file_time(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// Seconds of an RFC 3339 text.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// Date and time in MS-DOS form, as zip has them; 1980 to 2107.
pub(crate) fn dos(seconds: u32) -> (u16, u16) {
    let moment = Timestamp::from_second(i64::from(seconds)).unwrap_or(Timestamp::UNIX_EPOCH);
    let civil = moment.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let year = u16::try_from(civil.year()).unwrap_or_default().clamp(1980, 2107) - 1980;
    let part = |value: i8| u16::try_from(value).unwrap_or_default();
    let date = (year << 9) | (part(civil.month()) << 5) | part(civil.day());
    let time = (part(civil.hour()) << 11) | (part(civil.minute()) << 5) | (part(civil.second()) / 2);
    (date, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_within_and_beyond_what_can_be_written() {
        assert_eq!(rfc3339(1_795_383_203).text, "2026-11-22T21:33:23Z");
        assert_eq!(asctime(0).text, "Thu Jan  1 00:00:00 1970");
        assert_eq!(rfc3339(-62_135_596_800).text, "0001-01-01T00:00:00Z");
        for absurd in [i64::MIN, EARLIEST - 1, LATEST + 1, 906_000_000_000, i64::MAX] {
            assert!(rfc3339(absurd).is_clamped, "{absurd}");
            assert_eq!(rfc3339(absurd).text.len(), 20, "{absurd}");
        }
        assert_eq!(seconds(&rfc3339(-5).text), Some(-5));
        assert_eq!((file_time(-5), file_time(i64::MAX)), (0, u32::MAX));
    }

    #[test]
    fn dos_dates() {
        assert_eq!(dos(0), ((1 << 5) | 1, 0));
        assert_eq!(dos(1_795_383_203), ((46 << 9) | (11 << 5) | 22, (21 << 11) | (33 << 5) | 11));
    }
}
