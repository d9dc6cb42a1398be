use crate::words::words;

words! {
    /// What a customer bought; it decides when a mailbox is backed up.
    Plan, "plan" {
        /// Once each weekend; not by hand.
        Personal = "personal",
        /// Once each night, and by hand at any time.
        Professional = "professional",
    }
}

impl Plan {
    /// The schedule that a mailbox on this plan follows.
    pub fn schedule(self) -> Schedule {
        match self {
            Plan::Personal => Schedule::Weekend,
            Plan::Professional => Schedule::Nightly,
        }
    }

    /// Whether its owner may start a backup by hand.
    pub fn allows_manual(self) -> bool {
        self == Plan::Professional
    }
}

words! {
    /// When backups are due by themselves.
    Schedule, "schedule" {
        /// Once in each night's window, named by the local date on which the window opens.
        Nightly = "nightly",
        /// Once from Saturday 00:00 to Sunday 24:00, named by the Saturday.
        Weekend = "weekend",
    }
}

/// One backup that is due: never an instant but a local date, so that neither a repeated hour nor two producers make two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Which schedule it belongs to.
    pub schedule: Schedule,
    /// The local date on which its window opens.
    pub date: jiff::civil::Date,
}
