//! Changes are applied until nothing that may have been read too late is named again.
//!
//! What is read while the account may change under it is right once a whole round of changes names nothing that was read since the
//! state before: it then is as the server had it at the state between the two rounds.

use std::collections::BTreeSet;

use jmap::{Id, State};

use crate::server::account::Delta;

/// Rounds before a type counts as moving.
const ROUNDS: usize = 12;

/// What is brought up to date.
pub(crate) trait Follow {
    type Error;

    /// Everything between `since` and now; `None`: the server cannot tell.
    async fn changes(&mut self, since: &State) -> Result<Option<Delta>, Self::Error>;

    /// Reads what changed. Returns the ids that were read, or are gone.
    async fn apply(&mut self, delta: &Delta) -> Result<BTreeSet<Id>, Self::Error>;

    /// Whether the server has contradicted itself about something, which its changes may still explain.
    fn is_open(&self) -> bool;
}

/// How following the changes ended.
pub(crate) enum Followed {
    /// What was read is as it was at this state.
    Settled(State),
    /// Something changed in each round.
    Moving(State),
    /// The server has no history since this state.
    Untold(State),
}

/// Applies the changes since a state. `read`: what may have been read too late for it; `None`: nothing was read yet.
pub(crate) async fn follow<F: Follow>(
    it: &mut F,
    mut since: State,
    mut read: Option<BTreeSet<Id>>,
) -> Result<Followed, F::Error> {
    for _ in 0..ROUNDS {
        let Some(delta) = it.changes(&since).await? else { return Ok(Followed::Untold(since)) };
        let is_late = it.is_open() || read.as_ref().is_none_or(|read| delta.touches(read));
        if delta.is_empty() || !is_late {
            return Ok(Followed::Settled(since));
        }
        read = Some(it.apply(&delta).await?);
        since = delta.to;
    }
    Ok(Followed::Moving(since))
}
