//! Places in flight that may be taken in Redis although nobody here holds them: Redis did not answer a question, which it may have
//! granted all the same, or a report. Left alone they would be free again in seconds (`places.rs`), and a Redis that hung for a
//! moment would have used up a server's whole budget for so long. So they are freed with the next questions it answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// More than that are given up, the oldest first.
const MOST: usize = 10_000;
/// Between two attempts to free them.
const PAUSE: Duration = Duration::from_secs(1);
/// A question on a connection that was lost may be executed after the attempt to undo it: it is undone again for so long.
const LATE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Abandoned(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    /// Key, token, and since when.
    tokens: Vec<(String, String, Instant)>,
    freed: Option<Instant>,
}

impl Abandoned {
    pub(crate) fn add(&self, key: &str, token: &str) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.tokens.len() >= MOST {
            places.tokens.remove(0);
        }
        places.tokens.push((key.to_owned(), token.to_owned(), Instant::now()));
    }

    /// Tokens to be freed now, by key.
    pub(crate) fn due(&self) -> BTreeMap<String, Vec<String>> {
        let (mut places, now) = (self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        let mut due = BTreeMap::<String, Vec<String>>::new();
        if places.freed.is_some_and(|freed| now < freed + PAUSE) {
            return due;
        }
        for (key, token, _) in &places.tokens {
            due.entry(key.clone()).or_default().push(token.clone());
        }
        places.freed = (!due.is_empty()).then_some(now);
        places.tokens.retain(|(.., since)| now < *since + LATE);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_abandoned_is_freed_by_key_and_not_at_every_question() {
        let abandoned = Abandoned::default();
        assert!(abandoned.due().is_empty());
        for (key, token) in [("a", "1"), ("b", "2"), ("a", "3")] {
            abandoned.add(key, token);
        }
        let due = abandoned.due();
        assert_eq!((due["a"].join(" "), due["b"].join(" ")), ("1 3".to_owned(), "2".to_owned()));
        assert!(abandoned.due().is_empty(), "a moment ago");
    }
}
