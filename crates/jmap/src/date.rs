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
        Some(Self {
            seconds,
            text: text.into(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: Option<i64>) {
        assert_eq!(
            UtcDate::parse(text).map(|date| date.unix_seconds()),
            seconds,
            "{text}"
        );
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
