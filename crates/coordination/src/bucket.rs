use crate::BudgetRules;

/// Requests per minute as a token bucket whose burst and refill together give at most the ceiling in any minute. The script that
/// takes a share in Redis does the same; one suite tests both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Tokens it holds when full.
    pub(crate) burst: f64,
    /// Tokens that come in a millisecond.
    pub(crate) refill: f64,
}

impl Rates {
    /// At the full share.
    pub(crate) fn full(rules: &BudgetRules) -> Self {
        let per_minute = f64::from(rules.per_minute.max(2));
        let burst = (per_minute / 20.0).max(1.0);
        Self { burst, refill: (per_minute - burst) / 60_000.0 }
    }

    /// At a share of it.
    pub(crate) fn at(self, share: f64) -> Self {
        Self { burst: (self.burst * share).max(1.0), refill: self.refill * share }
    }
}

/// What is left, and when that was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    tokens: f64,
    at: u64,
}

impl Bucket {
    pub(crate) fn full(rates: Rates, now: u64) -> Self {
        Self { tokens: rates.burst, at: now }
    }

    /// Takes a token, or says in how many milliseconds there is one.
    pub(crate) fn take(&mut self, rates: Rates, now: u64) -> Result<(), f64> {
        let come = now.saturating_sub(self.at) as f64 * rates.refill;
        self.tokens = rates.burst.min(self.tokens + come);
        self.at = now;
        if self.tokens < 1.0 {
            return Err((1.0 - self.tokens) / rates.refill);
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_has_more_than_its_requests(
            per_minute in 20u32..2_000,
            share in 0.05f64..=1.0,
            steps in proptest::collection::vec(0u64..400, 1..800),
        ) {
            let rates = Rates::full(&BudgetRules::new(16, per_minute)).at(share);
            let mut bucket = Bucket::full(rates, 0);
            let mut taken = Vec::new();
            let mut now = 0;
            for step in steps {
                now += step;
                if bucket.take(rates, now).is_ok() {
                    taken.push(now);
                }
            }
            for (index, start) in taken.iter().enumerate() {
                let within = taken[index..].iter().take_while(|time| **time < start + 60_000).count();
                prop_assert!(within <= per_minute as usize, "{} in a minute", within);
            }
        }
    }

    #[test]
    fn the_wait_it_names_is_the_wait_it_takes() {
        let rates = Rates::full(&BudgetRules::new(16, 60));
        let mut bucket = Bucket::full(rates, 0);
        while bucket.take(rates, 0).is_ok() {}
        let wait = bucket.take(rates, 0).expect_err("empty");
        assert!((1_000.0..1_100.0).contains(&wait), "{wait} ms");
        assert!(bucket.take(rates, 1_000).is_err());
        assert!(bucket.take(rates, 1_060).is_ok());
    }
}
