//! What is to go wrong, when, and how often.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::effect::Effect;
use crate::rng::Rng;

/// What a fault strikes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Every request.
    Any,
    /// Requests whose path begins so.
    Path(String),
    /// The session object.
    Session,
    /// API requests.
    Api,
    /// Downloads.
    Download,
    /// Uploads by URL.
    Upload,
    /// Requests of CalDAV.
    CalDav,
    /// Calls of this method, such as `Blob/get`; faults of the wire strike the request that holds the call. Requests of
    /// CalDAV and CardDAV are calls of `CalDAV/PROPFIND`, `CalDAV/calendar-query`, `CardDAV/addressbook-multiget`,
    /// `CardDAV/PUT` and so on.
    Method(String),
}

impl Target {
    /// Calls of a method by name.
    pub fn method(name: impl Into<String>) -> Self {
        Self::Method(name.into())
    }

    fn strikes_path(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Path(prefix) => path.starts_with(prefix.as_str()),
            Self::Session => path == "/jmap/session" || path == "/.well-known/jmap",
            Self::Api => path == "/jmap" || path == "/jmap/",
            Self::Download => path.starts_with("/jmap/download/"),
            Self::Upload => path.starts_with("/jmap/upload/"),
            Self::CalDav => {
                path == "/dav/cal" || path.starts_with("/dav/cal/") || path == "/.well-known/caldav"
            }
            Self::Method(_) => false,
        }
    }
}

/// A rule: what it strikes, when, and what happens. Without more it strikes every time.
#[derive(Clone, Debug)]
pub struct Fault {
    target: Target,
    effect: Arc<Effect>,
    skip: u64,
    times: u64,
    chance: Option<(u32, Rng)>,
}

impl Fault {
    /// A rule that strikes its target every time.
    #[must_use]
    pub fn new(target: Target, effect: Effect) -> Self {
        Self { target, effect: Arc::new(effect), skip: 0, times: u64::MAX, chance: None }
    }

    /// A rule that strikes one HTTP request: the `number`th from now, 0 being the next, whatever it asks for. With
    /// an effect on calls, the `number`th call.
    #[must_use]
    pub fn at_request(number: u64, effect: Effect) -> Self {
        Self::new(Target::Any, effect).after(number).times(1)
    }

    /// Spares the first `count` that match.
    #[must_use]
    pub const fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Strikes at most so often.
    #[must_use]
    pub const fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Strikes `per_mille` of a thousand that match, chosen by a seed.
    #[must_use]
    pub const fn chance(mut self, per_mille: u32, seed: u64) -> Self {
        self.chance = Some((per_mille, Rng::new(seed)));
        self
    }

    fn draw(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let drawn = self.chance.as_mut().is_none_or(|(per_mille, rng)| rng.chance(*per_mille));
        let strikes = drawn && self.times > 0;
        self.times -= u64::from(strikes);
        strikes
    }
}

/// Names a rule that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(usize);

/// The rules in force, in the order they were added.
#[derive(Debug, Default)]
pub struct Faults {
    any: AtomicBool,
    rules: Mutex<Vec<Placed>>,
}

#[derive(Debug)]
struct Placed {
    /// None once it is removed.
    fault: Option<Fault>,
    struck: u64,
}

impl Faults {
    /// Adds a rule.
    pub fn add(&self, fault: Fault) -> FaultId {
        self.any.store(true, Relaxed);
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.push(Placed { fault: Some(fault), struck: 0 });
        FaultId(rules.len() - 1)
    }

    /// Ends a rule; [`Self::struck`] still answers.
    pub fn remove(&self, id: FaultId) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(placed) = rules.get_mut(id.0) {
            placed.fault = None;
        }
    }

    /// Ends all rules.
    pub fn clear(&self) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.iter_mut().for_each(|placed| placed.fault = None);
        self.any.store(false, Relaxed);
    }

    /// How often a rule has struck: a test of a fault that never happened tests nothing.
    pub fn struck(&self, id: FaultId) -> u64 {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.get(id.0).map_or(0, |placed| placed.struck)
    }

    fn drawn(&self, strikes: impl Fn(&Fault) -> bool) -> Vec<Arc<Effect>> {
        if !self.any.load(Relaxed) {
            return Vec::new();
        }
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let draw = |placed: &mut Placed| {
            let fault = placed.fault.as_mut().filter(|fault| strikes(fault))?;
            let effect = fault.draw().then(|| Arc::clone(&fault.effect))?;
            placed.struck += 1;
            Some(effect)
        };
        rules.iter_mut().filter_map(draw).collect()
    }

    /// Effects on an HTTP request; `methods` are the names of the calls it holds.
    pub(crate) fn for_request(&self, path: &str, methods: &[String]) -> Vec<Arc<Effect>> {
        let holds = |target: &Target| match target {
            Target::Method(name) => methods.contains(name),
            other => other.strikes_path(path),
        };
        let before = |fault: &Fault| {
            matches!(*fault.effect, Effect::Before(_)) && !matches!(fault.target, Target::Method(_))
        };
        self.drawn(|fault| (fault.effect.strikes_requests() || before(fault)) && holds(&fault.target))
    }

    /// The pace at which a request's body is to be read.
    pub(crate) fn pace(&self, path: &str) -> Option<(usize, Duration)> {
        let slow = |fault: &Fault| matches!(*fault.effect, Effect::SlowRead { .. });
        let effects = self.drawn(|fault| slow(fault) && fault.target.strikes_path(path));
        effects.iter().find_map(|effect| match **effect {
            Effect::SlowRead { bytes, pause } => Some((bytes, pause)),
            _ => None,
        })
    }

    /// Runs the closures that wait for a call of CalDAV or CardDAV by name.
    pub(crate) fn before_dav(&self, call: &str) {
        let waits = |fault: &Fault| match (&fault.target, &*fault.effect) {
            (Target::Method(name), Effect::Before(_)) => name == call,
            _ => false,
        };
        run(&self.drawn(waits));
    }

    /// Effects on one method call. Those that run a closure have run when this returns.
    pub(crate) fn for_call(&self, method: &str) -> Vec<Arc<Effect>> {
        let strikes = |fault: &Fault| match (&fault.target, &*fault.effect) {
            (_, effect) if effect.strikes_requests() || matches!(effect, Effect::SlowRead { .. }) => false,
            (Target::Method(name), _) => name == method,
            (Target::Any | Target::Api, effect) => !matches!(effect, Effect::Before(_)),
            _ => false,
        };
        let effects = self.drawn(strikes);
        run(&effects);
        effects
    }
}

/// Runs the closures among the effects, outside of any lock.
pub(crate) fn run(effects: &[Arc<Effect>]) {
    for effect in effects {
        if let Effect::Before(action) = &**effect {
            action();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(fault: Fault) -> Vec<bool> {
        let faults = Faults::default();
        faults.add(fault);
        (0..6).map(|_| !faults.for_call("Blob/get").is_empty()).collect()
    }

    #[test]
    fn rules_strike_when_they_should() {
        let fault = || Fault::new(Target::method("Blob/get"), Effect::ShortData);
        assert_eq!(strikes(fault()), [true; 6]);
        assert_eq!(strikes(fault().after(2).times(1)), [false, false, true, false, false, false]);
        assert_eq!(strikes(fault().chance(0, 1)), [false; 6]);
        assert_eq!(strikes(Fault::new(Target::method("Email/get"), Effect::ShortData)), [false; 6]);
    }
}
