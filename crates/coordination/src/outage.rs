//! The log says when Redis goes away and when it is back: everything goes on without it, so no error of a job does.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::CoordinationError;

/// Between two lines about one outage.
const REPEAT: Duration = Duration::from_secs(60);

/// The outage that goes on, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<Option<Since>>);

#[derive(Debug, Clone, Copy)]
struct Since {
    began: Instant,
    said: Instant,
}

impl Outage {
    /// Notes how a question to Redis ended, and writes to the log what is new of it.
    pub(crate) fn note<T>(&self, ended: &Result<T, CoordinationError>) {
        match ended {
            Ok(_) => {
                if let Some(length) = self.ends(Instant::now()) {
                    tracing::info!(seconds = length.as_secs(), "Redis answers again");
                }
            }
            Err(error) if self.is_news(Instant::now()) => {
                let error = match error.source() {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                tracing::warn!(
                    error,
                    "Redis is away: each worker keeps to its share of the mail servers' budgets"
                );
            }
            Err(_) => {}
        }
    }

    /// Whether a failure is worth a line: the first one, and one each minute.
    fn is_news(&self, now: Instant) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *since {
            Some(outage) if now - outage.said < REPEAT => false,
            Some(outage) => {
                outage.said = now;
                true
            }
            None => {
                *since = Some(Since { began: now, said: now });
                true
            }
        }
    }

    /// How long it was, if there was one.
    fn ends(&self, now: Instant) -> Option<Duration> {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(now - since.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_once_a_minute_and_its_end_once() {
        let (outage, now) = (Outage::default(), Instant::now());
        assert_eq!(outage.ends(now), None);
        let after = |seconds| now + Duration::from_secs(seconds);
        let said: Vec<u64> = (0..150).filter(|second| outage.is_news(after(*second))).collect();
        assert_eq!(said, [0, 60, 120]);
        assert_eq!(outage.ends(after(150)), Some(Duration::from_secs(150)));
        assert_eq!(outage.ends(after(151)), None);
        assert!(outage.is_news(after(152)));
    }
}
