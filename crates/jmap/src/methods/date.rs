//! Points in time as servers write them.

use jiff::Timestamp;

/// The longest text taken for a date, in bytes: full precision and an offset fit.
const LONGEST: usize = 48;

/// A `UTCDate` (RFC 8620 section 1.4): the server's own text, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcDate {
    seconds: i64,
    text: Box<str>,
}

impl UtcDate {
    /// Reads an RFC 3339 date-time; an offset other than `Z` is understood too.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let seconds = text.parse::<Timestamp>().ok()?.as_second();
        Some(Self { seconds, text: text.into() })
    }

    /// Reads whatever a server calls a date: an email must not be lost over it. Stalwart derives `receivedAt` of imported
    /// mail from damaged `Date` headers and writes years such as 30681, which RFC 3339 cannot; those are counted by the
    /// same calendar, anything else becomes 1970.
    #[must_use]
    pub fn parse_any(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|| Self {
            seconds: long_year(text).unwrap_or(0),
            text: text.chars().take(LONGEST).collect::<String>().into(),
        })
    }

    /// Seconds since 1970-01-01T00:00:00Z, rounded towards it.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        self.seconds
    }

    /// The text as the server wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Reads `YYYYY-MM-DDThh:mm:ssZ` with a year of any length: 400 years of the calendar repeat to the day, so the year is
/// moved into the range that the ordinary parser knows.
fn long_year(text: &str) -> Option<i64> {
    const CYCLE: i64 = 400;
    const SECONDS_IN_CYCLE: i64 = 146_097 * 86_400;
    let (year, rest) = text.get(..LONGEST.min(text.len()))?.split_once('-')?;
    let year: i64 = year.parse().ok()?;
    let near = 2000 + year.rem_euclid(CYCLE);
    let seconds = format!("{near:04}-{rest}").parse::<Timestamp>().ok()?.as_second();
    seconds.checked_add(((year - near) / CYCLE).checked_mul(SECONDS_IN_CYCLE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: Option<i64>) {
        assert_eq!(UtcDate::parse(text).map(|date| date.unix_seconds()), seconds, "{text}");
    }

    #[test]
    fn a_year_that_no_rfc_allows_is_still_counted() {
        let any = |text| UtcDate::parse_any(text).unix_seconds();
        assert_eq!(any("2026-11-22T14:25:01Z"), 1_795_357_501);
        assert_eq!(any("30681-07-31T16:52:35Z"), 906_049_990_355);
        assert_eq!(any("12026-11-22T14:25:01Z"), 1_795_357_501 + 25 * 146_097 * 86_400);
        for garbage in ["", "yesterday", "2026-13-40T99:99:99Z", "9223372036854775807-01-01T00:00:00Z"] {
            assert_eq!(any(garbage), 0, "{garbage}");
        }
    }

    #[test]
    fn dates_of_many_forms() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("2026-11-22T14:25:01Z", Some(1_795_357_501));
        check("2026-11-22T14:25:01.5Z", Some(1_795_357_501));
        check("2026-11-22T15:25:01+01:00", Some(1_795_357_501));
        check("1969-12-31T23:59:59Z", Some(-1));
        check("2026-11-22", None);
        check("2026-13-22T00:00:00Z", None);
        check("yesterday", None);
        check("", None);
        check(&"2".repeat(1000), None);
    }
}
