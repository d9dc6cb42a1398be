use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a role knows about itself: whether it can work (ready) and whether it still moves (live).
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    checks: BTreeMap<&'static str, Checked>,
    /// By name and number: two loops may have one name.
    loops: BTreeMap<(&'static str, u64), Ticked>,
    next_loop: u64,
}

#[derive(Debug)]
struct Checked {
    result: Result<(), &'static str>,
    at: Instant,
    valid_for: Duration,
}

#[derive(Debug)]
struct Ticked {
    at: Instant,
    limit: Duration,
}

/// Names the results of one check.
#[derive(Debug)]
pub struct Check {
    health: Health,
    name: &'static str,
}

/// Says that a loop still goes round. Dropped without [`Watchdog::finish`], as by a panic, it counts as stuck.
#[derive(Debug)]
pub struct Watchdog {
    health: Health,
    key: (&'static str, u64),
}

impl Health {
    /// Adds a check, which fails until its first result; a result older than `valid_for` counts as none.
    pub fn check(&self, name: &'static str, valid_for: Duration) -> Check {
        let checked = Checked { result: Err("not checked yet"), at: Instant::now(), valid_for };
        self.state().checks.insert(name, checked);
        Check { health: self.clone(), name }
    }

    /// Adds a loop that has to tick within the limit, from now on. Several of one name each have to.
    pub fn watchdog(&self, name: &'static str, limit: Duration) -> Watchdog {
        let mut state = self.state();
        let key = (name, state.next_loop);
        state.next_loop += 1;
        state.loops.insert(key, Ticked { at: Instant::now(), limit });
        Watchdog { health: self.clone(), key }
    }

    /// The checks that fail at this time, and why; ready if there are none.
    pub fn failing(&self, now: Instant) -> BTreeMap<&'static str, &'static str> {
        let state = self.state();
        let failing = state.checks.iter().filter_map(|(name, checked)| {
            let stale = now.saturating_duration_since(checked.at) > checked.valid_for;
            let reason = checked.result.err().or(stale.then_some("last result is too old"))?;
            Some((*name, reason))
        });
        failing.collect()
    }

    /// The loops that should have ticked by this time, and how long ago they did; live if there are none.
    pub fn stuck(&self, now: Instant) -> BTreeMap<&'static str, Duration> {
        let state = self.state();
        let since = |ticked: &Ticked| now.saturating_duration_since(ticked.at);
        let mut stuck = BTreeMap::new();
        for ((name, _), ticked) in state.loops.iter().filter(|(_, ticked)| since(ticked) > ticked.limit) {
            let longest = stuck.entry(*name).or_default();
            *longest = since(ticked).max(*longest);
        }
        stuck
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// It works.
    pub fn passed(&self) {
        self.set(Ok(()));
    }

    /// It does not. The reason is a constant, so that nothing secret gets into the answer.
    pub fn failed(&self, reason: &'static str) {
        self.set(Err(reason));
    }

    fn set(&self, result: Result<(), &'static str>) {
        if let Some(checked) = self.health.state().checks.get_mut(self.name) {
            (checked.result, checked.at) = (result, Instant::now());
        }
    }
}

impl Watchdog {
    /// The loop went round.
    pub fn tick(&self) {
        if let Some(ticked) = self.health.state().loops.get_mut(&self.key) {
            ticked.at = Instant::now();
        }
    }

    /// The loop ends on purpose.
    pub fn finish(self) {
        self.health.state().loops.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn ready_when_every_check_passed_lately() {
        let health = Health::default();
        assert!(health.failing(Instant::now()).is_empty());
        let (store, broker) = (health.check("store", LIMIT), health.check("broker", LIMIT * 10));
        store.passed();
        assert_eq!(health.failing(Instant::now()), BTreeMap::from([("broker", "not checked yet")]));
        broker.passed();
        assert!(health.failing(Instant::now()).is_empty());
        let later = Instant::now() + LIMIT * 2;
        assert_eq!(health.failing(later), BTreeMap::from([("store", "last result is too old")]));
        store.failed("cannot be reached");
        drop(store);
        assert_eq!(health.failing(later), BTreeMap::from([("store", "cannot be reached")]));
    }

    #[test]
    fn live_while_every_loop_ticks_and_not_after_one_died() {
        let health = Health::default();
        let (consumer, reaper) = (health.watchdog("consumer", LIMIT), health.watchdog("reaper", LIMIT * 10));
        let later = Instant::now() + LIMIT * 2;
        assert_eq!(health.stuck(later).into_keys().collect::<Vec<_>>(), ["consumer"]);
        drop(reaper);
        consumer.finish();
        assert!(health.stuck(later).is_empty());
        assert_eq!(health.stuck(later + LIMIT * 10).into_keys().collect::<Vec<_>>(), ["reaper"]);
    }

    #[test]
    fn of_two_loops_with_one_name_each_has_to_tick() {
        let health = Health::default();
        let (first, second) = (health.watchdog("directory", LIMIT), health.watchdog("directory", LIMIT));
        let later = Instant::now() + LIMIT * 2;
        second.finish();
        assert_eq!(health.stuck(later).into_keys().collect::<Vec<_>>(), ["directory"]);
        first.finish();
        assert!(health.stuck(later).is_empty());
    }
}
