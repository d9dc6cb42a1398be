use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::adaptive::{Adaptive, Observation, Outcome};
use crate::bucket::Rates;
use crate::budget::POLL;
use crate::redis::places::LIFE;
use crate::token::{milliseconds, random};
use crate::{Budget, BudgetRules, CoordinationError, Memory, Permit, Redis, Share};

/// Three keys a server: who is in flight (a sorted set of `client/token` by their end), what the budget knows (a hash), who waits (a hash).
pub(crate) const TAKE: &str = include_str!("take.lua");

/// Frees the place; replaces the rule's text if it is the expected one or Redis has lost it. Answer: replaced or not, the text that stands.
pub(crate) const REPORT: &str = "
redis.call('ZREM', KEYS[1], ARGV[1])
local rule = redis.call('HGET', KEYS[2], 'rule')
if rule and rule ~= ARGV[2] then return {0, rule} end
redis.call('HSET', KEYS[2], 'rule', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {1, ARGV[3]}
";

/// A server that nobody asked for so long begins anew.
const FORGET: Duration = Duration::from_secs(24 * 3600);
/// A bad answer is worth trying again, against so many others that were quicker.
const TRIES: usize = 16;
/// A good one is, too: what it was granted under is old by as many answers as came meanwhile, so that the first try hardly ever counts.
const GOOD_TRIES: usize = 4;

impl Redis {
    fn budget_keys(&self, server: &str) -> [String; 3] {
        ["flight", "state", "waiting"].map(|part| self.key("budget", &format!("{server}:{part}")))
    }

    async fn take_shared(
        &self,
        server: &str,
        rules: &BudgetRules,
    ) -> Result<Result<Permit, u64>, CoordinationError> {
        let (token, since) = (format!("{}/{}", self.name, random()), Instant::now());
        let initial = Adaptive::initial(rules);
        let (floor, ceiling) = rules.bounds();
        let Rates { burst, refill } = Rates::full(rules);
        let keys = self.budget_keys(server);
        let mut call = self.scripts.take.prepare_invoke();
        call.key(&keys[..]);
        call.arg(&token).arg(milliseconds(rules.hold.min(LIFE))).arg(initial.text());
        call.arg(floor * 1000).arg(ceiling * 1000).arg(burst).arg(refill);
        call.arg(milliseconds(POLL)).arg(milliseconds(FORGET)).arg(&*self.name);
        let answer: Result<(bool, u64, String, u64), _> = self.invoke_if_awake(&call).await;
        let (granted, wait, rule, taken) = answer.inspect_err(|error| {
            if !matches!(error, CoordinationError::Asleep) {
                self.abandoned.add(&keys[0], &token);
            }
        })?;
        self.free_abandoned().await;
        if !granted {
            return Ok(Err(wait));
        }
        let seen = Adaptive::parse(&rule).unwrap_or(initial);
        let place = Some(Box::new(self.places.hold(&keys[0], &token, rules.hold)));
        let token = token.into_boxed_str();
        let (server, rules) = (server.to_owned(), *rules);
        Ok(Ok(Permit { server, rules, token, seen, taken, since, local: false, place }))
    }

    /// Redis answers again: what it gave to nobody is given back.
    async fn free_abandoned(&self) {
        for (key, tokens) in self.abandoned.due() {
            // If it fails they are due again, or end by themselves.
            let _ = self.query::<u64>(redis::cmd("ZREM").arg(key).arg(tokens)).await;
        }
    }

    /// The rule is applied here; Redis only takes the result if nobody was quicker.
    async fn teach(&self, permit: &Permit, seen: &Observation) -> Result<(), CoordinationError> {
        let mut before = permit.seen;
        let tries = match seen.outcome {
            Outcome::Abandoned => 1,
            Outcome::Done => GOOD_TRIES,
            Outcome::Crowded | Outcome::Busy { .. } | Outcome::Failed => TRIES,
        };
        for _ in 0..tries {
            let after = before.adapt(&permit.rules, seen, permit.taken, permit.now());
            let mut call = self.scripts.report.prepare_invoke();
            call.key(&self.budget_keys(&permit.server)[..2]);
            call.arg(&*permit.token).arg(before.text()).arg(after.text()).arg(milliseconds(FORGET));
            let (replaced, rule): (bool, String) = self.invoke_if_awake(&call).await?;
            if replaced {
                break;
            }
            before = Adaptive::parse(&rule).unwrap_or(before);
        }
        Ok(())
    }
}

#[async_trait]
impl Budget for Redis {
    async fn try_take(&self, server: &str, rules: &BudgetRules) -> Share {
        match self.take_shared(server, rules).await {
            Ok(Ok(permit)) => Share::Granted(permit),
            Ok(Err(wait)) => Share::Wait(Duration::from_millis(wait.max(1))),
            Err(_) => match self.local.try_take(server, &rules.alone()).await {
                Share::Granted(permit) => Share::Granted(Permit { local: true, ..permit }),
                wait => wait,
            },
        }
    }

    async fn report(&self, mut permit: Permit, seen: Observation) {
        // Renewed no more, before Redis is told.
        permit.place = None;
        if permit.local {
            return Memory::report(&self.local, permit, seen).await;
        }
        // The next answer teaches the same.
        if self.teach(&permit, &seen).await.is_err() {
            self.abandoned.add(&self.budget_keys(&permit.server)[0], &permit.token);
        }
    }
}
