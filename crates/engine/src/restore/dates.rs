//! `receivedAt` as a server can be told.

/// The last second of the year 9999, the last that RFC 3339 can write.
const LAST: i64 = 253_402_300_799;

/// Seconds of 400 years.
const CYCLE: i64 = 146_097 * 86_400;

/// The date to be sent; `None` for one that cannot be written (Stalwart reads dates before 1970 back as years such as 30681):
/// the server then finds one itself, as it did the first time.
pub(super) fn writable(received_at: i64) -> Option<String> {
    let text = |seconds| Some(model::Timestamp::from_second(seconds).ok()?.to_string());
    // What is behind the last day of `Timestamp` is written as what it was 400 years earlier: the calendar repeats.
    let last_day = || Some(format!("9999{}", text(received_at - CYCLE)?.strip_prefix("9599")?));
    if is_writable(received_at) { text(received_at).or_else(last_day) } else { None }
}

/// Whether a server can be told this date.
pub(super) fn is_writable(received_at: i64) -> bool {
    (0..=LAST).contains(&received_at)
}

/// Equal for dates that a restore keeps; all that cannot be written are equal to each other.
pub(super) fn comparable(received_at: i64) -> i64 {
    if is_writable(received_at) { received_at } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(received_at: i64, expected: Option<&str>) {
        assert_eq!(writable(received_at).as_deref(), expected, "{received_at}");
        assert_eq!(comparable(received_at) == received_at, expected.is_some(), "{received_at}");
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
