use model::{Date, MailboxId, Plan, Schedule, Slot, Timestamp};

use crate::spread::spread;
use crate::{Budget, Calendar, Period};

/// What the catalogue knows of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whose place in the window it is.
    pub mailbox: MailboxId,
    /// What was bought.
    pub plan: Plan,
    /// Since when it is on this plan: slots that closed before are not owed.
    pub plan_since: Timestamp,
    /// The newest slot of *this plan's* schedule that has a job, in whatever state.
    pub newest_slot: Option<Date>,
    /// A scheduled backup of it is not finished: another would only wait for it.
    pub unfinished: bool,
    /// The mailbox, its server or its plan is paused.
    pub paused: bool,
    /// It has no backup yet and goes through the ramped lane ([`first_backups_admitted`](crate::first_backups_admitted)).
    pub first: bool,
}

/// A backup to be planned now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The slot it is for; the catalogue allows one job for it.
    pub slot: Slot,
    /// When it may start.
    pub run_at: Timestamp,
    /// End of the window that it is planned for; then [`Calendar::may_continue`] decides.
    pub not_after: Timestamp,
    /// How hard it may press the server.
    pub budget: Budget,
}

/// Everything about one moment that is the same for all mailboxes, so that a mailbox costs no question about time zones.
#[derive(Debug, Clone)]
pub struct Moment {
    now: Timestamp,
    tail_percent: u8,
    nightly: Begun,
    weekend: Begun,
}

/// The newest begun slot of a schedule.
#[derive(Debug, Clone, Copy)]
struct Begun {
    slot: Slot,
    closes: Timestamp,
    period: Period,
}

impl Calendar {
    /// What is due at this moment can then be asked for any number of mailboxes.
    pub fn at(&self, now: Timestamp) -> Moment {
        let begun = |schedule| {
            let slot = self.newest_begun(schedule, now);
            Begun { slot, closes: self.bounds(slot).closes, period: self.period(slot, now) }
        };
        let (nightly, weekend) = (begun(Schedule::Nightly), begun(Schedule::Weekend));
        Moment { now, tail_percent: self.settings.tail_percent, nightly, weekend }
    }
}

impl Moment {
    /// The backup that this mailbox is owed and has no job for: at most one, for the newest slot that has begun,
    /// however many were missed.
    pub fn due(&self, facts: &Facts) -> Option<Due> {
        let Begun { slot, closes, period } = match facts.plan.schedule() {
            Schedule::Nightly => self.nightly,
            Schedule::Weekend => self.weekend,
        };
        let planned = facts.newest_slot.is_some_and(|newest| newest >= slot.date);
        let owed = facts.plan_since < closes;
        // The ramp spreads first backups; one that is admitted starts at once.
        let too_early = facts.first && self.now < period.from;
        if planned || !owed || facts.unfinished || facts.paused || too_early {
            return None;
        }
        let at_once = facts.first || period.budget == Budget::Reduced;
        let place = if at_once { self.now } else { spread(facts.mailbox, period, self.tail_percent) };
        let (run_at, not_after) = (place.max(self.now), period.until);
        Some(Due { slot, run_at, not_after, budget: period.budget })
    }
}
