//! What is to go wrong, when, and how often.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

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
    /// Calls of this method, such as `Blob/get`; faults of the wire strike the request that holds the call.
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
            Self::Method(_) => false,
        }
    }
}

/// Which shape the arguments of a response take instead of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The arguments are a string.
    Text,
    /// The arguments are an empty object.
    Empty,
    /// Every list is an object.
    ListsAsObjects,
    /// Every list is null.
    ListsAsNull,
    /// Every element of every list is a number.
    ElementsAsNumbers,
}

/// Ids that a careful client must not trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddId {
    /// 300 characters, where the RFC allows 255.
    Long,
    /// `../../../etc/passwd`
    Path,
    /// Quotes and a backslash.
    Quotes,
    /// NUL, newline, escape.
    Control,
    /// No character at all.
    Empty,
}

/// What happens. The first group strikes requests, the second the responses to method calls.
#[derive(Clone)]
pub enum Effect {
    /// The answer comes this much later.
    Delay(Duration),
    /// The body comes in small pieces with pauses between.
    Drip {
        /// Size of a piece.
        bytes: usize,
        /// Pause after each.
        pause: Duration,
    },
    /// After the body, blanks without end (which JSON allows), one KiB at a time.
    NeverEnding {
        /// Pause after each KiB.
        pause: Duration,
    },
    /// The connection is reset (RST) after this many bytes of the answer, head included.
    Reset {
        /// 0: before anything was answered.
        after: u64,
    },
    /// The connection is closed (FIN) after this many bytes of the answer, head included, although
    /// `Content-Length` said more.
    Truncate {
        /// Bytes that still go out.
        after: u64,
    },
    /// `Content-Length` differs from the body by this much. More: the connection closes before the end. Less:
    /// the client sees the beginning of the body as if it were all.
    ContentLength {
        /// Added to the true length.
        add: i64,
    },
    /// An HTTP status with a problem document instead of an answer.
    Status {
        /// Such as 500, 503, 429.
        code: u16,
        /// Seconds in a `Retry-After`.
        retry_after: Option<u64>,
    },
    /// A redirect (307) to this URL.
    Redirect(String),
    /// The body is cut in half, with the right `Content-Length`: not JSON.
    InvalidJson,
    /// This many blanks before the body.
    Huge {
        /// Size of the padding.
        bytes: u64,
    },

    /// The call is answered by an error of this type, such as `serverFail` or `serverUnavailable`.
    MethodError(Cow<'static, str>),
    /// The arguments have another shape.
    WrongShape(Shape),
    /// The answer names another account.
    WrongAccount,
    /// The first element of every list comes twice.
    DuplicateIds,
    /// The first id of every list is replaced.
    OddIds(OddId),
    /// A list holds an element that was not asked for: a copy of the first under another id.
    Unasked,
    /// The first element of every list is missing and no `notFound` tells.
    Omitted,
    /// The first element of `list` is in `notFound` instead: it vanished between listing and reading.
    Vanished,
    /// `size` is wrong by this much in every element.
    LyingSize {
        /// Added to the true size, never below nought.
        add: i64,
    },
    /// The data of a blob is only its first half; `size` stays.
    ShortData,
    /// The arguments of the answer are changed by a closure.
    Distort(Arc<dyn Fn(&mut Value) + Send + Sync>),

    /// A closure runs before the request or the call is served: change the account at just this moment.
    Before(Arc<dyn Fn() + Send + Sync>),
}

impl Effect {
    /// A method error of this type.
    pub fn method_error(kind: impl Into<Cow<'static, str>>) -> Self {
        Self::MethodError(kind.into())
    }

    /// A closure that runs before the request or call is served.
    pub fn before(action: impl Fn() + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(action))
    }

    /// A closure that changes the arguments of a response.
    pub fn distort(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Distort(Arc::new(change))
    }

    const fn strikes_requests(&self) -> bool {
        matches!(
            self,
            Self::Delay(_)
                | Self::Drip { .. }
                | Self::NeverEnding { .. }
                | Self::Reset { .. }
                | Self::Truncate { .. }
                | Self::ContentLength { .. }
                | Self::Status { .. }
                | Self::Redirect(_)
                | Self::InvalidJson
                | Self::Huge { .. }
        )
    }
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.strikes_requests() { "Effect on a request" } else { "Effect on a call" })
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

    /// Effects on one method call. Those that run a closure have run when this returns.
    pub(crate) fn for_call(&self, method: &str) -> Vec<Arc<Effect>> {
        let strikes = |fault: &Fault| match (&fault.target, &*fault.effect) {
            (_, effect) if effect.strikes_requests() => false,
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
