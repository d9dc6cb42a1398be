//! When to try again.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use crate::class::Class;
use crate::error::Error;
use crate::http::config::RetryPolicy;

/// Reads `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date, which counts from `now`.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = SystemTime::from(jiff::fmt::rfc2822::parse(value).ok()?.timestamp());
    Some(date.duration_since(now).unwrap_or_default())
}

/// How long to wait after the failed attempt number `attempt` (from 1), or `None` to give up. `spent` is the time since
/// the first attempt, `random` a number from 0 to 1.
pub(crate) fn wait_before_retry(
    policy: &RetryPolicy,
    error: &Error,
    attempt: u32,
    spent: Duration,
    random: f64,
) -> Option<Duration> {
    let Class::Transient { retry_after } = error.class() else {
        return None;
    };
    if attempt >= policy.attempts {
        return None;
    }
    let doubled = policy.first_wait.saturating_mul(2_u32.saturating_pow(attempt - 1));
    let backoff = doubled.min(policy.longest_wait).mul_f64(random.clamp(0.0, 1.0).mul_add(0.5, 0.5));
    let wait = match retry_after {
        Some(asked) if asked > policy.longest_retry_after => return None,
        Some(asked) => asked.max(backoff),
        None => backoff,
    };
    (spent.saturating_add(wait) < policy.total).then_some(wait)
}

/// A number from 0 to 1 that differs between processes and calls; the standard library's hash seed is its source.
pub(crate) fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).expect("32 bits are left");
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 784_111_777;

    fn check(value: &str, seconds: Option<u64>) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("99999999999999999999999", Some(u64::MAX));
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some(10));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(0));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        for nonsense in ["", "-1", "1.5", "soon", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            check(nonsense, None);
        }
    }

    proptest! {
        #[test]
        fn any_http_date_counts_from_now(ahead in 0_u64..4_000_000_000) {
            let date = jiff::Timestamp::from_second(i64::try_from(NOW + ahead).unwrap()).unwrap();
            check(&date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(), Some(ahead));
        }

        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            let _ = retry_after(&text, SystemTime::UNIX_EPOCH);
        }

        #[test]
        fn waits_stay_within_the_policy(attempt in 1_u32..100, asked in proptest::option::of(0_u64..200), random in any::<f64>()) {
            let policy = policy();
            let error = Error::Status { status: 429, problem: None, retry_after: asked.map(Duration::from_secs) };
            let wait = wait_before_retry(&policy, &error, attempt, Duration::ZERO, random);
            prop_assert_eq!(wait.is_some(), attempt < policy.attempts && asked.is_none_or(|asked| asked <= 60));
            if let Some(wait) = wait {
                prop_assert!(wait >= Duration::from_secs(asked.unwrap_or(0)));
                prop_assert!(wait <= policy.longest_wait.max(Duration::from_secs(asked.unwrap_or(0))));
            }
        }
    }

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(3),
            longest_retry_after: Duration::from_secs(60),
            total: Duration::from_secs(100),
        }
    }

    #[test]
    fn only_transient_failures_in_time_are_tried_again() {
        let busy = Error::Status { status: 503, problem: None, retry_after: None };
        let wait = |error, attempt, spent| {
            wait_before_retry(&policy(), error, attempt, Duration::from_secs(spent), 1.0)
        };
        assert_eq!(wait(&busy, 1, 0), Some(Duration::from_millis(500)));
        assert_eq!(wait(&busy, 2, 0), Some(Duration::from_secs(1)));
        assert_eq!(wait(&busy, 4, 0), Some(Duration::from_secs(3)));
        assert_eq!(wait(&busy, 5, 0), None);
        assert_eq!(wait(&busy, 1, 100), None);
        assert_eq!(wait(&Error::Unauthorized, 1, 0), None);
        assert_eq!(wait(&Error::AnswerTooLarge { limit: 1 }, 1, 0), None);
    }
}
