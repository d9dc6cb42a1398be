//! Places in flight that requests of this process hold in Redis. A place lives for seconds there and is renewed while its request is
//! under way: one that nobody holds, because its answer never came or its process died, is free again in seconds, whatever is
//! seen of it here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::time::MissedTickBehavior;

use crate::token::milliseconds;
use crate::{CoordinationError, Redis};

/// How long a place lives in Redis without being renewed.
pub(crate) const LIFE: Duration = Duration::from_secs(8);
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

    fn keys(&self) -> BTreeSet<String> {
        self.held().keys().map(|(key, _)| key.clone()).collect()
    }

    /// Tokens of this key to be renewed.
    fn due(&self, key: &str, now: Instant) -> BTreeSet<String> {
        let held = self.held();
        let due = held.iter().filter(|((of, _), ends)| of == key && **ends > now);
        due.map(|((_, token), _)| token.clone()).collect()
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
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(places) = alive.upgrade() else { return };
                let renewing = places.keys().into_iter().map(|key| asked.keep(&places, key));
                join_all(renewing.collect::<Vec<_>>()).await;
            }
        });
    }

    async fn keep(&self, places: &Places, key: String) {
        let tokens = places.due(&key, Instant::now());
        // Those of a Redis that does not answer are renewed when it does.
        let _ = self.renew_places(&key, &tokens).await;
        let held = places.due(&key, Instant::now());
        self.free_places(&key, tokens.difference(&held)).await;
    }

    /// Those that were given back meanwhile may have been taken again by the renewal.
    async fn free_places(&self, key: &str, tokens: impl Iterator<Item = &String>) {
        let tokens: Vec<&String> = tokens.collect();
        if !tokens.is_empty() {
            // If it fails they end by themselves.
            let _ = self.query_if_awake::<u64>(redis::cmd("ZREM").arg(key).arg(tokens)).await;
        }
    }

    async fn renew_places(&self, key: &str, tokens: &BTreeSet<String>) -> Result<(), CoordinationError> {
        if tokens.is_empty() {
            return Ok(());
        }
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
        let due = |at| places.due("a", at).into_iter().collect::<Vec<_>>();
        assert_eq!(due(now), ["1", "2"]);
        assert_eq!(due(now + LIFE * 2), ["2"]);
        drop(other);
        assert_eq!(due(now), ["1"]);
        drop(one);
        assert!(due(now).is_empty() && places.keys().is_empty());
    }
}
