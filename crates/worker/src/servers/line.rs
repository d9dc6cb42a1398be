//! Where this worker's jobs queue for a budget. One asks its keeper at a time, in the order in which they came: of many that ask
//! whenever they like, the one that has just given a share back gets it again, and a newcomer waits for seconds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coordination::BudgetRules;
use tokio::sync::{MutexGuard, Notify};
use tokio::time::timeout;

/// One for each budget.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<HashMap<String, Arc<Line>>>);

impl Lines {
    pub(crate) fn of(&self, budget: &str) -> Arc<Line> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lines.entry(budget.to_owned()).or_default())
    }
}

/// The queue for one budget, and what its server was seen to grant.
#[derive(Debug, Default)]
pub(crate) struct Line {
    head: tokio::sync::Mutex<()>,
    given_back: Notify,
    /// Requests in flight that the session grants one user; 0: no session was read yet.
    granted: AtomicU32,
    /// It refused one for being too many. To some users it grants more than it says, so that the number alone means nothing.
    insists: AtomicBool,
}

impl Line {
    /// Waits until nobody is before us.
    pub(crate) async fn head(&self) -> MutexGuard<'_, ()> {
        self.head.lock().await
    }

    /// Waits for so long, or until a share was given back here.
    pub(crate) async fn wait(&self, time: Duration) {
        // Either way the keeper is asked again.
        let _ = timeout(time, self.given_back.notified()).await;
    }

    pub(crate) fn given_back(&self) {
        self.given_back.notify_one();
    }

    /// What the session says.
    pub(crate) fn grants(&self, requests: usize) {
        self.granted.store(u32::try_from(requests).unwrap_or(u32::MAX), Relaxed);
    }

    /// A request was one too many.
    pub(crate) fn insists(&self) {
        self.insists.store(true, Relaxed);
    }

    /// The budget's rules, within what the server insists on.
    pub(crate) fn within(&self, rules: BudgetRules) -> BudgetRules {
        match self.granted.load(Relaxed) {
            granted @ 1.. if self.insists.load(Relaxed) => {
                BudgetRules { ceiling: rules.ceiling.min(granted), ..rules }
            }
            _ => rules,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_grants_counts_once_the_server_insists_on_it() {
        let (line, rules) = (Line::default(), BudgetRules::new(16, 1000));
        line.grants(4);
        assert_eq!(line.within(rules).ceiling, 16);
        line.insists();
        assert_eq!(line.within(rules).ceiling, 4);
        assert_eq!(line.within(BudgetRules::new(2, 1000)).ceiling, 2, "what is configured is never passed");
    }
}
