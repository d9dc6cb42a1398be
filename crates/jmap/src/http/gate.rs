//! How many requests are in flight: a bound that shrinks when the server asks for less and grows back slowly.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Several refusals within this time are one: they answer requests that were in flight together.
const ONE_REFUSAL: Duration = Duration::from_secs(1);

/// One more request in flight after this time without a refusal.
const GROWTH: Duration = Duration::from_secs(10);

/// Lets requests pass, at most so many at once.
#[derive(Debug)]
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The configured bound.
    most: usize,
    /// The present bound, from 1 to `most`.
    bound: usize,
    /// Permits to be taken away as soon as they come back.
    debt: usize,
    last_change: Instant,
    last_refusal: Option<Instant>,
    /// Nobody passes before: the server named a time.
    closed_until: Option<Instant>,
}

/// The right to have one request in flight.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let state = State {
            most,
            bound: most,
            debt: 0,
            last_change: Instant::now(),
            last_refusal: None,
            closed_until: None,
        };
        Arc::new(Self { permits: Arc::new(Semaphore::new(most)), state: Mutex::new(state) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present bound.
    pub(crate) fn bound(&self) -> usize {
        self.state().bound
    }

    /// Sets a new most, as when a session's limit becomes known.
    pub(crate) fn set_most(&self, most: usize) {
        let mut state = self.state();
        let was_throttled = state.bound < state.most;
        state.most = most.clamp(1, Semaphore::MAX_PERMITS);
        let bound = if was_throttled { state.bound.min(state.most) } else { state.most };
        self.set_bound(&mut state, bound);
    }

    /// Waits for a place, and for the time the server named.
    pub(crate) async fn pass(self: &Arc<Self>) -> Pass {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let pass = Pass { gate: Arc::clone(self), permit: Some(permit) };
        loop {
            let closed_until = self.state().closed_until;
            match closed_until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return pass,
            }
        }
    }

    /// A request went well: perhaps one more may be in flight.
    pub(crate) fn succeeded(&self) {
        let mut state = self.state();
        if state.bound < state.most && state.last_change.elapsed() >= GROWTH {
            let bound = state.bound + 1;
            self.set_bound(&mut state, bound);
        }
    }

    /// The server asked for less: half as many in flight, and nobody before the time it named.
    pub(crate) fn refused(&self, wait: Option<Duration>) {
        let mut state = self.state();
        let now = Instant::now();
        if let Some(until) = wait.and_then(|wait| now.checked_add(wait)) {
            state.closed_until = state.closed_until.max(Some(until));
        }
        if state.last_refusal.is_none_or(|last| now.duration_since(last) >= ONE_REFUSAL) {
            state.last_refusal = Some(now);
            let bound = (state.bound / 2).max(1);
            self.set_bound(&mut state, bound);
        }
    }

    fn set_bound(&self, state: &mut State, bound: usize) {
        if bound < state.bound {
            let surplus = state.bound - bound;
            state.debt += surplus - self.permits.forget_permits(surplus);
        } else {
            let more = bound - state.bound;
            let forgiven = more.min(state.debt);
            state.debt -= forgiven;
            self.permits.add_permits(more - forgiven);
        }
        state.bound = bound;
        state.last_change = Instant::now();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if state.debt > 0 {
            state.debt -= 1;
            self.permit.take().expect("taken only here").forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn free(gate: &Arc<Gate>) -> usize {
        let mut passes = Vec::new();
        while let Some(pass) = gate.pass().now_or_never() {
            passes.push(pass);
        }
        passes.len()
    }

    #[tokio::test(start_paused = true)]
    async fn the_bound_halves_once_per_refusal_and_grows_back() {
        let gate = Gate::new(8);
        assert_eq!(free(&gate), 8);
        let passes: Vec<_> = futures::future::join_all((0..8).map(|_| gate.pass())).await;
        gate.refused(None);
        gate.refused(None);
        assert_eq!(gate.bound(), 4);
        drop(passes);
        assert_eq!(free(&gate), 4);
        tokio::time::advance(ONE_REFUSAL).await;
        for _ in 0..5 {
            gate.refused(None);
            tokio::time::advance(ONE_REFUSAL).await;
        }
        assert_eq!(free(&gate), 1);
        for _ in 0..20 {
            tokio::time::advance(GROWTH).await;
            gate.succeeded();
            gate.succeeded();
        }
        assert_eq!(free(&gate), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn growth_while_permits_are_owed_forgives_the_debt() {
        let gate = Gate::new(4);
        let passes: Vec<_> = futures::future::join_all((0..4).map(|_| gate.pass())).await;
        gate.refused(None);
        tokio::time::advance(GROWTH).await;
        gate.succeeded();
        assert_eq!(gate.bound(), 3);
        drop(passes);
        assert_eq!(free(&gate), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_passes_before_the_time_the_server_named() {
        let gate = Gate::new(4);
        gate.refused(Some(Duration::from_secs(7)));
        assert_eq!(free(&gate), 0);
        let before = Instant::now();
        let _pass = gate.pass().await;
        assert_eq!(before.elapsed(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_limit_lowers_the_bound() {
        let gate = Gate::new(8);
        gate.set_most(2);
        assert_eq!(free(&gate), 2);
        gate.set_most(5);
        assert_eq!(free(&gate), 5);
    }
}
