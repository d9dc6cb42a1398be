//! Places in flight that requests of this process hold in Redis. A place lives for seconds there and is renewed while its request is
//! under way: one that nobody holds, because its answer never came or its process died, is free again in seconds, whatever is
//! seen of it here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::token::milliseconds;
use crate::{CoordinationError, Redis};

/// How long a place lives in Redis without being renewed.
pub(crate) const LIFE: Duration = Duration::from_secs(6);
/// Between two renewals: two may get lost.
const EVERY: Duration = Duration::from_secs(2);

/// By Redis' own clock. A place that ended meanwhile is taken again: its request is still under way.
pub(crate) const KEEP: &str = "
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
";

#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<HashMap<(String, String), Instant>>);

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    name: Box<(String, String)>,
}

impl Places {
    /// A place of this key and token, renewed until it is dropped, and no longer than for `hold`.
    pub(crate) fn hold(self: &Arc<Places>, key: &str, token: &str, hold: Duration) -> Place {
        let name = Box::new((key.to_owned(), token.to_owned()));
        self.held().insert(name.as_ref().clone(), Instant::now() + hold);
        Place { places: Arc::clone(self), name }
    }

    /// Tokens to be renewed, by key.
    fn due(&self, now: Instant) -> BTreeMap<String, Vec<String>> {
        let mut due = BTreeMap::<String, Vec<String>>::new();
        for ((key, token), _) in self.held().iter().filter(|(_, ends)| **ends > now) {
            due.entry(key.clone()).or_default().push(token.clone());
        }
        due
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held().remove(&self.name);
    }
}

impl Redis {
    /// Renews what is held until the last clone of this client is gone.
    pub(crate) fn keep_places(&self) {
        let alive: Weak<Places> = Arc::downgrade(&self.places);
        let asked = self.without_places();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(places) = alive.upgrade() else { return };
                for (key, tokens) in places.due(Instant::now()) {
                    // Those of a Redis that does not answer are renewed when it does.
                    let _ = asked.renew_places(&key, &tokens).await;
                }
            }
        });
    }

    async fn renew_places(&self, key: &str, tokens: &[String]) -> Result<(), CoordinationError> {
        let mut call = self.scripts.keep.prepare_invoke();
        call.key(key).arg(milliseconds(LIFE)).arg(tokens);
        self.invoke::<u64>(&call).await.map(drop)
    }

    /// The same connection for who must not keep the places alive.
    fn without_places(&self) -> Redis {
        Redis { places: Arc::default(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_renewed_until_it_is_given_back_or_has_been_held_too_long() {
        let places = Arc::new(Places::default());
        let (one, other) = (places.hold("a", "1", LIFE), places.hold("a", "2", LIFE * 10));
        let now = Instant::now();
        let mut due = places.due(now).remove("a").expect("two of a");
        due.sort_unstable();
        assert_eq!(due, ["1", "2"]);
        assert_eq!(places.due(now + LIFE * 2)["a"], ["2"]);
        drop(other);
        assert_eq!(places.due(now)["a"], ["1"]);
        drop(one);
        assert!(places.due(now).is_empty());
    }
}
