use model::{MailboxId, Slot, Timestamp};

use crate::spread::spread;
use crate::{Bounds, Calendar, Outside};

/// How much of a server's load budget a backup may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// What the server is given at night or on the weekend.
    Full,
    /// What it is given in between, by [`Outside::Reduced`].
    Reduced,
}

/// A time in which the backup of a slot may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Not before.
    pub from: Timestamp,
    /// Then a worker asks again, at the next slice boundary.
    pub until: Timestamp,
    /// How hard it may press the server.
    pub budget: Budget,
}

/// What a worker does between two slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, until this time at least.
    Continue {
        /// Then it asks again.
        until: Timestamp,
        /// How hard it may press the server.
        budget: Budget,
    },
    /// It stops, and goes on then; no attempt is used up.
    Pause {
        /// When the continuation is due.
        run_at: Timestamp,
    },
}

impl Calendar {
    /// When the slot's backup may run: in its own window; if that is over, in any night window, and in between as
    /// [`Outside`] says. The period is the one that `now` is in, or the next.
    pub fn period(&self, slot: Slot, now: Timestamp) -> Period {
        let full = |window: Bounds| Period { from: window.opens, until: window.closes, budget: Budget::Full };
        let own = self.bounds(slot);
        if now < own.closes {
            return full(own);
        }
        let night = self.night(now);
        if self.settings.outside == Outside::Reduced && now < night.opens {
            return Period { from: own.closes, until: night.opens, budget: Budget::Reduced };
        }
        full(night)
    }

    /// Whether a backup under way goes on. Asked at every slice boundary; what pauses is spread over the next window.
    pub fn may_continue(&self, mailbox: MailboxId, slot: Slot, now: Timestamp) -> Verdict {
        let period = self.period(slot, now);
        if period.from <= now {
            return Verdict::Continue { until: period.until, budget: period.budget };
        }
        Verdict::Pause { run_at: spread(mailbox, period, self.settings.tail_percent) }
    }
}
