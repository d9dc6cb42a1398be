use crate::plan::Schedule;
use crate::words::words;

words! {
    /// What a job does; each kind has a queue of its own, so that no backlog of one delays another.
    JobKind, "kind of job" {
        /// A backup somebody asked for.
        Manual = "manual",
        /// Gives a backup back.
        Restore = "restore",
        /// A backup of a professional mailbox, due by schedule.
        Nightly = "nightly",
        /// A backup of a personal mailbox, due by schedule.
        Weekend = "weekend",
        /// Reads a backup and proves it.
        Verify = "verify",
        /// Deletes what no backup needs any more.
        Prune = "prune",
        /// A restore that is only tried.
        Drill = "drill",
        /// A version of the whole infrastructure.
        Global = "global",
    }
}

impl JobKind {
    /// Whether the job makes a backup of one mailbox.
    pub fn is_backup(self) -> bool {
        matches!(self, JobKind::Manual | JobKind::Nightly | JobKind::Weekend)
    }
}

impl From<Schedule> for JobKind {
    fn from(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Nightly => JobKind::Nightly,
            Schedule::Weekend => JobKind::Weekend,
        }
    }
}

words! {
    /// Where a job stands.
    JobState, "state of a job" {
        /// It may be run from its time on: new, between two slices, or before another attempt.
        Waiting = "waiting",
        /// A worker holds it.
        Running = "running",
        /// It did what it was for.
        Done = "done",
        /// Its last attempt failed; a person looks at it, and may drive it again.
        Dead = "dead",
        /// Somebody took it back, or it lost its meaning.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// Nothing will happen to it by itself any more.
    pub fn is_finished(self) -> bool {
        matches!(self, JobState::Done | JobState::Dead | JobState::Cancelled)
    }
}
