//! The log says when Redis goes away and when it is back: everything goes on without it, so no error of a job does.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::CoordinationError;

/// Between two lines about one outage.
const REPEAT: Duration = Duration::from_secs(60);

/// Whether an outage goes on, and when one was told last.
#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    /// The outage that goes on was told.
    is_told: bool,
    told: Option<Instant>,
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
                let mut text = error.to_string();
                let mut source = error.source();
                while let Some(cause) = source {
                    text = format!("{text}: {cause}");
                    source = cause.source();
                }
                tracing::warn!(
                    error = text,
                    "Redis does not answer as it should: meanwhile each worker keeps to its share of the mail servers' budgets"
                );
            }
            Err(_) => {}
        }
    }

    /// Whether a failure is worth a line: at most one each minute is, however often it comes and goes.
    fn is_news(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.began.get_or_insert(now);
        let is_news = state.told.is_none_or(|told| now - told >= REPEAT);
        if is_news {
            (state.is_told, state.told) = (true, Some(now));
        }
        is_news
    }

    /// How long the outage was, if one was told.
    fn ends(&self, now: Instant) -> Option<Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = state.began.take()?;
        std::mem::take(&mut state.is_told).then(|| now - began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_a_minute_and_its_end_once() {
        let (outage, now) = (Outage::default(), Instant::now());
        assert_eq!(outage.ends(now), None);
        let after = |seconds| now + Duration::from_secs(seconds);
        let said: Vec<u64> = (0..150).filter(|second| outage.is_news(after(*second))).collect();
        assert_eq!(said, [0, 60, 120]);
        assert_eq!(outage.ends(after(150)), Some(Duration::from_secs(150)));
        assert_eq!(outage.ends(after(151)), None);
        // It comes and goes.
        for second in 152..180 {
            assert!(!outage.is_news(after(second)), "{second}");
            assert_eq!(outage.ends(after(second)), None, "{second}");
        }
        assert!(outage.is_news(after(181)));
    }
}
