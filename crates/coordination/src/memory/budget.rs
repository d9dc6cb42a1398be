use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::adaptive::{Adaptive, Observation};
use crate::bucket::{Bucket, Rates};
use crate::budget::POLL;
use crate::token::{milliseconds, random};
use crate::{Budget, BudgetRules, Memory, Permit, Share};

pub(crate) type Servers = HashMap<String, Server>;

#[derive(Debug)]
pub(crate) struct Server {
    adaptive: Adaptive,
    bucket: Bucket,
    /// Token and when it ends.
    in_flight: HashMap<String, u64>,
}

impl Server {
    fn new(rules: &BudgetRules, now: u64) -> Self {
        let adaptive = Adaptive::initial(rules);
        let bucket = Bucket::full(Rates::full(rules).at(adaptive.share(rules)), now);
        Self { adaptive, bucket, in_flight: HashMap::new() }
    }

    /// Grants a place for `token`, or says how many milliseconds to wait.
    fn take(&mut self, rules: &BudgetRules, token: &str, now: u64) -> Result<(), f64> {
        if self.adaptive.paused_until > now {
            return Err((self.adaptive.paused_until - now) as f64);
        }
        self.in_flight.retain(|_, end| *end > now);
        if self.in_flight.len() as u64 >= self.adaptive.in_flight(rules) {
            return Err(milliseconds(POLL) as f64);
        }
        self.bucket.take(Rates::full(rules).at(self.adaptive.share(rules)), now)?;
        self.in_flight.insert(token.to_owned(), now + milliseconds(rules.hold));
        Ok(())
    }
}

impl Memory {
    /// Milliseconds of its own clock, never 0.
    fn now(&self) -> u64 {
        1 + milliseconds(self.origin.elapsed())
    }
}

#[async_trait]
impl Budget for Memory {
    async fn try_take(&self, server: &str, rules: &BudgetRules) -> Share {
        let (taken, since, token) = (self.now(), Instant::now(), random());
        let servers = &mut self.state().servers;
        let state = servers.entry(server.to_owned()).or_insert_with(|| Server::new(rules, taken));
        match state.take(rules, &token, taken) {
            Ok(()) => {
                let (server, seen, rules) = (server.to_owned(), state.adaptive, *rules);
                let token = token.into_boxed_str();
                Share::Granted(Permit { server, rules, token, seen, taken, since, local: false, place: None })
            }
            Err(wait) => Share::Wait(Duration::from_secs_f64(wait.max(1.0) / 1000.0)),
        }
    }

    async fn report(&self, permit: Permit, seen: Observation) {
        let now = self.now();
        if let Some(state) = self.state().servers.get_mut(&permit.server) {
            state.in_flight.remove(&*permit.token);
            state.adaptive = state.adaptive.adapt(&permit.rules, &seen, permit.taken, now);
        }
    }
}
