use model::{Plan, SignedDuration, Slot, Timestamp};

use crate::Calendar;

/// A window has closed without a good backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// The first slot that nothing covers.
    pub slot: Slot,
    /// Time since its window closed.
    pub by: SignedDuration,
}

impl Calendar {
    /// Whether a mailbox is overdue, and how much. A good backup, by hand too, covers every slot whose window had
    /// opened when it began.
    pub fn overdue(
        &self,
        plan: Plan,
        plan_since: Timestamp,
        last_good: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Overdue> {
        let newest_before = |instant| self.newest_begun(plan.schedule(), instant);
        let mut slot = newest_before(plan_since);
        if self.bounds(slot).closes <= plan_since {
            slot = self.next(slot);
        }
        if let Some(good) = last_good {
            slot = slot.max(self.next(newest_before(good)));
        }
        let closes = self.bounds(slot).closes;
        (closes <= now).then(|| Overdue { slot, by: now.duration_since(closes) })
    }

    /// A mailbox whose last good backup began then or later is not overdue: the bound for a query over all of them.
    pub fn covered_since(&self, plan: Plan, now: Timestamp) -> Timestamp {
        let mut slot = self.newest_begun(plan.schedule(), now);
        if now < self.bounds(slot).closes {
            slot = self.newest_begun(plan.schedule(), earlier(self.bounds(slot).opens));
        }
        self.bounds(slot).opens
    }
}

fn earlier(instant: Timestamp) -> Timestamp {
    instant.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MIN)
}
