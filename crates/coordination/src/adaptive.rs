use std::time::Duration;

use crate::BudgetRules;
use crate::token::milliseconds;

/// What a request showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub latency: Duration,
}

/// How a request ended, as far as load is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server did its work, whatever it said.
    Done,
    /// More at once than the server grants one user: fewer in flight, and no pause, since it goes on with the others.
    Crowded,
    /// 429 or 503.
    Busy {
        /// `Retry-After`, if it named one.
        retry_after: Option<Duration>,
    },
    /// No answer, or another 5xx.
    Failed,
    /// It was given up before it ended, or never made: nothing is learnt.
    Abandoned,
}

/// One thousandth of a request in flight.
const MILLI: u64 = 1000;
/// Growth for as many good answers as there are slots: a quarter of a slot.
const GROWTH: u64 = 250;
/// A latency so many times the usual one is a sign of overload.
const SLOW_FACTOR: u64 = 4;
/// Each answer moves the usual latency by a sixteenth.
const MEMORY: u64 = 16;

/// How much of a server's budget may be used: additive increase, multiplicative decrease. Times are milliseconds of the clock
/// that the budget's keeper has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Adaptive {
    /// Thousandths of requests in flight.
    pub(crate) slots: u64,
    /// When it was last lowered, 0 = never.
    pub(crate) backed_off: u64,
    /// Nothing before this time.
    pub(crate) paused_until: u64,
    /// Usual latency in microseconds, 0 = not known.
    pub(crate) usual: u64,
}

impl Adaptive {
    /// Of a server that nobody knows yet, or of which Redis has lost the memory: a quarter of what is allowed.
    pub(crate) fn initial(rules: &BudgetRules) -> Self {
        let slots = u64::from(rules.ceiling) * MILLI / 4;
        Self { slots, backed_off: 0, paused_until: 0, usual: 0 }.within(rules)
    }

    /// What one request, begun at `taken` and seen to end at `now`, teaches.
    pub(crate) fn adapt(self, rules: &BudgetRules, seen: &Observation, taken: u64, now: u64) -> Self {
        let before = self.within(rules);
        match seen.outcome {
            Outcome::Busy { retry_after } => {
                let pause = milliseconds(retry_after.unwrap_or(rules.pause).min(rules.longest_pause));
                let paused_until = before.paused_until.max(now + pause);
                Self { paused_until, ..before.back_off(taken, now, 2) }.within(rules)
            }
            Outcome::Failed | Outcome::Crowded => before.back_off(taken, now, 2).within(rules),
            Outcome::Abandoned => before,
            Outcome::Done => before.learn(rules, seen.latency, taken, now).within(rules),
        }
    }

    fn learn(self, rules: &BudgetRules, latency: Duration, taken: u64, now: u64) -> Self {
        let latency = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let allowed =
            milliseconds(rules.slow).saturating_mul(1000).max(self.usual.saturating_mul(SLOW_FACTOR));
        let usual =
            if self.usual == 0 { latency } else { self.usual - self.usual / MEMORY + latency / MEMORY };
        let next = Self { usual, ..self };
        if latency > allowed {
            next.back_off(taken, now, 4)
        } else if self.backed_off > 0 && now.saturating_sub(self.backed_off) < milliseconds(rules.calm) {
            next
        } else {
            Self { slots: self.slots + GROWTH * MILLI / self.slots, ..next }
        }
    }

    /// Lowered by one part in `parts`, once for all requests that were under way together.
    fn back_off(self, taken: u64, now: u64, parts: u64) -> Self {
        if taken <= self.backed_off {
            return self;
        }
        Self { slots: self.slots - self.slots / parts, backed_off: now, ..self }
    }

    fn within(self, rules: &BudgetRules) -> Self {
        let (floor, ceiling) = rules.bounds();
        Self { slots: self.slots.clamp(floor * MILLI, ceiling * MILLI), ..self }
    }

    /// Whole requests in flight.
    pub(crate) fn in_flight(self, rules: &BudgetRules) -> u64 {
        self.within(rules).slots / MILLI
    }

    /// The part of the ceiling that is in use, above 0 and at most 1.
    pub(crate) fn share(self, rules: &BudgetRules) -> f64 {
        self.within(rules).slots as f64 / (rules.bounds().1 * MILLI) as f64
    }

    /// As it stands in Redis.
    pub(crate) fn text(self) -> String {
        let Self { slots, backed_off, paused_until, usual } = self;
        format!("{slots} {backed_off} {paused_until} {usual}")
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { slots: next()?, backed_off: next()?, paused_until: next()?, usual: next()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DONE: Outcome = Outcome::Done;
    const BUSY: Outcome = Outcome::Busy { retry_after: None };

    fn rules() -> BudgetRules {
        BudgetRules { floor: 2, ..BudgetRules::new(16, 1000) }
    }

    fn at(slots: u64) -> Adaptive {
        Adaptive { slots: slots * MILLI, backed_off: 0, paused_until: 0, usual: 0 }
    }

    fn seen(outcome: Outcome, latency_ms: u64) -> Observation {
        Observation { outcome, latency: Duration::from_millis(latency_ms) }
    }

    #[test]
    fn requests_that_were_under_way_together_lower_it_once() {
        let first = at(16).adapt(&rules(), &seen(BUSY, 5), 100, 200);
        assert_eq!((first.slots, first.backed_off), (8_000, 200));
        let second = first.adapt(&rules(), &seen(BUSY, 5), 150, 210);
        assert_eq!((second.slots, second.backed_off), (8_000, 200));
        let later = second.adapt(&rules(), &seen(BUSY, 5), 201, 300);
        assert_eq!((later.slots, later.backed_off), (4_000, 300));
    }

    #[test]
    fn what_was_abandoned_teaches_nothing() {
        assert_eq!(at(4).adapt(&rules(), &seen(Outcome::Abandoned, 9_999), 100, 200), at(4));
    }

    #[test]
    fn retry_after_pauses_everybody_but_never_for_longer_than_allowed() {
        let pause = |retry_after| {
            let busy = Outcome::Busy { retry_after };
            at(16).adapt(&rules(), &seen(busy, 5), 100, 200).paused_until - 200
        };
        assert_eq!(pause(Some(Duration::from_secs(7))), 7_000);
        assert_eq!(pause(Some(Duration::MAX)), milliseconds(rules().longest_pause));
        assert_eq!(pause(None), milliseconds(rules().pause));
        let longer = Adaptive { paused_until: 1_000_000, ..at(16) };
        assert_eq!(longer.adapt(&rules(), &seen(BUSY, 5), 100, 200).paused_until, 1_000_000);
    }

    #[test]
    fn one_too_many_at_once_lowers_it_without_a_pause() {
        let crowded = at(16).adapt(&rules(), &seen(Outcome::Crowded, 5), 100, 200);
        assert_eq!((crowded.slots, crowded.paused_until), (8_000, 0));
    }

    #[test]
    fn latency_far_above_the_usual_lowers_it_by_a_quarter() {
        let usual = Adaptive { usual: 1_000_000, ..at(16) };
        assert_eq!(usual.adapt(&rules(), &seen(DONE, 4_001), 100, 200).slots, 12_000);
        assert_eq!(usual.adapt(&rules(), &seen(DONE, 3_999), 100, 200).slots, 16_000);
        let quick = Adaptive { usual: 1_000, ..at(16) };
        let slow = milliseconds(rules().slow);
        assert_eq!(
            quick.adapt(&rules(), &seen(DONE, slow), 100, 200).slots,
            16_000,
            "four times a trifle is a trifle"
        );
    }

    #[test]
    fn a_server_that_stays_slow_becomes_usual_and_is_used_again() {
        let mut state = Adaptive { usual: 1_000_000, ..at(16) };
        for step in 0..2_000 {
            let now = 10_000 * (step + 1);
            state = state.adapt(&rules(), &seen(DONE, 10_000), now - 5_000, now);
        }
        assert_eq!(state.slots, 16_000);
    }

    #[test]
    fn it_does_not_grow_before_it_was_calm_for_a_while() {
        let backed_off = Adaptive { backed_off: 1_000, ..at(4) };
        let calm = milliseconds(rules().calm);
        assert_eq!(backed_off.adapt(&rules(), &seen(DONE, 1), 1_001, 1_000 + calm - 1).slots, 4_000);
        assert!(backed_off.adapt(&rules(), &seen(DONE, 1), 1_001, 1_000 + calm).slots > 4_000);
    }

    #[test]
    fn from_the_floor_it_needs_hundreds_of_good_answers_to_the_ceiling() {
        let mut state = at(2);
        let mut answers = 0;
        while state.slots < 16_000 {
            state = state.adapt(&rules(), &seen(DONE, 1), 1_000_000, 1_000_000);
            answers += 1;
        }
        assert!((300..1000).contains(&answers), "{answers} answers");
    }

    #[test]
    fn text_comes_back_and_other_text_does_not() {
        let state = Adaptive { slots: 1, backed_off: 2, paused_until: 3, usual: 4 };
        assert_eq!(Adaptive::parse(&state.text()), Some(state));
        for other in ["", "1 2 3", "a b c d", "1 2 3 -4"] {
            assert_eq!(Adaptive::parse(other), None);
        }
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            4 => Just(Outcome::Done),
            1 => any::<Option<u32>>().prop_map(|s| Outcome::Busy { retry_after: s.map(|s| Duration::from_secs(s.into())) }),
            1 => Just(Outcome::Failed),
            1 => Just(Outcome::Crowded),
            1 => Just(Outcome::Abandoned),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_it_stays_between_floor_and_ceiling(
            start in 0u64..100_000,
            events in proptest::collection::vec((outcomes(), 0u64..100_000, 0u64..60_000), 0..200),
        ) {
            let rules = rules();
            let mut state = Adaptive { slots: start, ..at(0) };
            let mut now = 1_000;
            for (outcome, latency, step) in events {
                let taken = now;
                now += step;
                let next = state.adapt(&rules, &seen(outcome, latency), taken, now);
                prop_assert!((2..=16).contains(&next.in_flight(&rules)));
                prop_assert!(next.share(&rules) > 0.0 && next.share(&rules) <= 1.0);
                prop_assert!(next.paused_until <= now.max(state.paused_until) + milliseconds(rules.longest_pause));
                if outcome != Outcome::Done {
                    prop_assert!(next.in_flight(&rules) <= state.in_flight(&rules), "trouble never raises it");
                }
                state = next;
            }
        }
    }
}
