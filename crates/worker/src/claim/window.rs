//! When scheduled work may run.

use std::time::Duration;

use catalog::{Later, Mailbox};
use model::{JobKind, MailboxId, Schedule, Slot, Timestamp};
use planning::{Budget, Calendar, Verdict, zone};
use tokio::time::Instant;

use crate::settings::Settings;

/// The time a job has, as its window says.
#[derive(Debug, Clone)]
pub(crate) enum Window {
    /// Somebody asked for it: any time.
    Always,
    /// It runs until then.
    Open { until: Timestamp, budget: Budget, slot: ScheduledSlot },
    /// It goes on then.
    Closed(Later),
}

/// A mailbox's slot in the calendar of its time zone.
#[derive(Debug, Clone)]
pub(crate) struct ScheduledSlot {
    calendar: Calendar,
    mailbox: MailboxId,
    slot: Slot,
}

impl Window {
    pub(crate) fn of(
        settings: &Settings,
        kind: JobKind,
        date: Option<model::Date>,
        mailbox: &Mailbox,
        now: Timestamp,
    ) -> Window {
        let Some(slot) = slot(kind, date) else { return Window::Always };
        let own = mailbox.time_zone.as_deref().and_then(|name| zone(name).ok());
        let own = own.unwrap_or_else(|| settings.time_zone.clone());
        let calendar = Calendar::new(settings.windows, own).expect("the settings were checked");
        let slot = ScheduledSlot { calendar, mailbox: mailbox.id, slot };
        match slot.calendar.may_continue(mailbox.id, slot.slot, now) {
            Verdict::Continue { until, budget } => Window::Open { until, budget, slot },
            Verdict::Pause { run_at } => Window::Closed(slot.from(run_at)),
        }
    }

    /// When the job has to stop, and whose window it is.
    pub(crate) fn closes(&self, now: Timestamp) -> Option<(Instant, ScheduledSlot)> {
        match self {
            Window::Open { until, slot, .. } => {
                let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                Some((Instant::now() + left, slot.clone()))
            }
            Window::Always | Window::Closed(_) => None,
        }
    }

    /// How hard the job may press the mail server.
    pub(crate) fn budget(&self) -> Budget {
        match self {
            Window::Open { budget, .. } => *budget,
            Window::Always | Window::Closed(_) => Budget::Full,
        }
    }
}

impl ScheduledSlot {
    /// When work goes on that a closing window interrupts now.
    pub(crate) fn goes_on(&self, now: Timestamp) -> Later {
        match self.calendar.may_continue(self.mailbox, self.slot, now) {
            Verdict::Continue { .. } => self.from(now),
            Verdict::Pause { run_at } => self.from(run_at),
        }
    }

    fn from(&self, run_at: Timestamp) -> Later {
        Later { run_at, deadline: Some(self.calendar.period(self.slot, run_at).until) }
    }
}

fn slot(kind: JobKind, date: Option<model::Date>) -> Option<Slot> {
    let schedule = match kind {
        JobKind::Nightly => Schedule::Nightly,
        JobKind::Weekend => Schedule::Weekend,
        _ => return None,
    };
    date.map(|date| Slot { schedule, date })
}
