//! `receivedAt` as a server can be told.

/// The last second of the year 9999, the last that RFC 3339 can write.
const LAST: i64 = 253_402_300_799;

/// The date to be sent; `None` for one that cannot be written (Stalwart reads dates before 1970 back as years such as 30681):
/// the server then finds one itself, as it did the first time.
pub(super) fn writable(received_at: i64) -> Option<String> {
    let date = model::Timestamp::from_second(received_at).ok()?;
    (0..=LAST).contains(&received_at).then(|| date.to_string())
}

/// Equal for dates that a restore keeps; all that cannot be written are equal to each other.
pub(super) fn comparable(received_at: i64) -> i64 {
    if (0..=LAST).contains(&received_at) { received_at } else { i64::MIN }
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
        check(-1, None);
        check(LAST + 1, None);
        check(906_038_611_200, None);
        check(i64::MIN + 1, None);
    }
}
