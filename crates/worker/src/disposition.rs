//! What becomes of a job whose work under one claim is over: the one place that decides it.

use std::time::Duration;

use catalog::{Later, Slice};
use model::{Attempt, BackupState, ErrorClass, Timestamp};
use planning::RetryPolicy;

/// Why work under way has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// Somebody else has claimed a job of the mailbox.
    Fenced,
    /// The lease ran out, or somebody else has it.
    LeaseLost,
    /// It took longer than its kind may.
    OutOfTime,
    /// Somebody wants the job cancelled.
    Cancelled,
    /// The worker shuts down.
    Draining,
    /// The window closed; there it goes on.
    WindowOver(Later),
    /// The mail server's budget is spent for longer than a slot should wait: for so long at least.
    Throttled(Duration),
}

impl Interrupt {
    /// The work may look for a good end first; after the others nothing more may be written.
    pub(crate) fn is_gentle(self) -> bool {
        match self {
            Interrupt::Cancelled
            | Interrupt::Draining
            | Interrupt::WindowOver(_)
            | Interrupt::Throttled(_) => true,
            Interrupt::Fenced | Interrupt::LeaseLost | Interrupt::OutOfTime => false,
        }
    }
}

/// How the work under one claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It did what it was for, and the catalogue knows.
    Done,
    /// The backup it made is partial, or of a mailbox that never held still; the catalogue knows of it.
    Incomplete,
    /// It ended at a boundary, by itself or because it was asked to.
    Sliced {
        /// Something was committed.
        progressed: bool,
        /// Why it was asked.
        asked: Option<Interrupt>,
    },
    /// It was dropped.
    Interrupted(Interrupt),
    /// It failed.
    Failed {
        /// What kind of error.
        class: ErrorClass,
        /// The mail server asks for less.
        throttled: bool,
    },
    /// Whether the mail server takes our credentials is not known, or it does not: the job looks again after this time.
    LooksAgain(Duration),
    /// It did not begin: its window is closed until then.
    Closed(Later),
    /// It did not begin: somebody else has the mailbox's lease.
    LeaseTaken,
    /// It did not begin: all its attempts were used up, by workers that died.
    Exhausted,
}

/// What the catalogue is told. Whatever it is, the ticket is acknowledged: the catalogue makes another one if it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Nothing: it knows.
    Completed,
    /// The next slice.
    Continue(Later, Slice),
    /// Later, no attempt used up.
    Snooze(Later),
    /// Another attempt.
    Retry(Timestamp),
    /// The job is dead.
    Bury,
    /// The job is cancelled.
    Cancel,
    /// Nothing: the job is somebody else's.
    LetGo,
}

/// Attempts at what seldom gets better by itself, and costs as much each time: data that make no sense, a backup that is not good.
const FEW: u64 = 3;

/// Whether a scheduled job whose backup came out like this makes another one: its slot wants a good one. One that is shrunk is as good as
/// the mailbox is, and for people to judge.
pub(crate) fn wants_another(state: BackupState, attempt: Attempt, retry: RetryPolicy) -> bool {
    let incomplete = matches!(state, BackupState::Partial | BackupState::Moving | BackupState::Damaged);
    incomplete && attempt.0 < FEW.min(retry.attempts.into())
}

/// What is decided by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) retry: RetryPolicy,
    pub(crate) lease_wait: Duration,
}

impl Rules {
    /// See the README for the table. `attempt` is the one that ended now, `random` any number.
    pub(crate) fn dispose(&self, ended: Ended, attempt: Attempt, now: Timestamp, random: u64) -> Disposition {
        match ended {
            Ended::Done => Disposition::Completed,
            Ended::Incomplete => self.again(attempt, None, now, random),
            Ended::Sliced { asked: Some(Interrupt::Cancelled), .. } => Disposition::Cancel,
            Ended::Sliced { progressed: true, asked } => {
                let later = match asked {
                    Some(Interrupt::WindowOver(later)) => later,
                    Some(Interrupt::Throttled(wait)) => self.throttled(Some(wait), attempt, now, random),
                    _ => now.into(),
                };
                Disposition::Continue(later, Slice::Progressed)
            }
            Ended::Sliced { progressed: false, asked: Some(asked) } | Ended::Interrupted(asked) => {
                self.interrupted(asked, attempt, now, random)
            }
            Ended::Sliced { progressed: false, asked: None } => {
                match self.retry.after_failure(attempt, None, random) {
                    Some(wait) => Disposition::Continue(after(now, wait).into(), Slice::Stalled),
                    None => Disposition::Bury,
                }
            }
            Ended::Failed { class, throttled } => self.failed(class, throttled, attempt, now, random),
            Ended::LooksAgain(wait) => Disposition::Snooze(after(now, wait).into()),
            Ended::Closed(later) => Disposition::Snooze(later),
            Ended::LeaseTaken => Disposition::Snooze(after(now, self.lease_wait).into()),
            Ended::Exhausted => Disposition::Bury,
        }
    }

    fn interrupted(&self, by: Interrupt, attempt: Attempt, now: Timestamp, random: u64) -> Disposition {
        match by {
            Interrupt::Fenced => Disposition::LetGo,
            // A Redis that comes and goes is not the job's fault.
            Interrupt::LeaseLost => Disposition::Snooze(after(now, self.lease_wait).into()),
            Interrupt::OutOfTime => self.again(attempt, None, now, random),
            Interrupt::Cancelled => Disposition::Cancel,
            Interrupt::Draining => Disposition::Snooze(now.into()),
            Interrupt::WindowOver(later) => Disposition::Snooze(later),
            Interrupt::Throttled(wait) => {
                Disposition::Snooze(self.throttled(Some(wait), attempt, now, random))
            }
        }
    }

    fn failed(
        &self,
        class: ErrorClass,
        throttled: bool,
        attempt: Attempt,
        now: Timestamp,
        random: u64,
    ) -> Disposition {
        match class {
            ErrorClass::Transient { retry_after } if throttled => {
                Disposition::Snooze(self.throttled(retry_after, attempt, now, random))
            }
            ErrorClass::Transient { retry_after } => self.again(attempt, retry_after, now, random),
            // Credentials are mended by people, a lying server or proxy recovers, another writer has won and is done.
            ErrorClass::Auth | ErrorClass::Fenced => self.again(attempt, None, now, random),
            ErrorClass::Corrupt if attempt.0 < FEW => self.again(attempt, None, now, random),
            ErrorClass::Corrupt | ErrorClass::Permanent => Disposition::Bury,
            // The process is ending: nobody asked this job in particular.
            ErrorClass::Cancelled => Disposition::Snooze(now.into()),
        }
    }

    fn throttled(&self, asked: Option<Duration>, attempt: Attempt, now: Timestamp, random: u64) -> Later {
        let times = u32::try_from(attempt.0).unwrap_or(u32::MAX);
        after(now, self.retry.after_throttling(times, asked, random)).into()
    }

    fn again(
        &self,
        attempt: Attempt,
        retry_after: Option<Duration>,
        now: Timestamp,
        random: u64,
    ) -> Disposition {
        match self.retry.after_failure(attempt, retry_after, random) {
            Some(wait) => Disposition::Retry(after(now, wait)),
            None => Disposition::Bury,
        }
    }
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const NEXT_NIGHT: Later = Later { run_at: Timestamp::MAX, deadline: Some(Timestamp::MAX) };

    fn rules() -> Rules {
        let seconds = Duration::from_secs;
        let retry = RetryPolicy {
            attempts: 4,
            first_wait: seconds(60),
            longest_wait: seconds(3600),
            longest_retry_after: seconds(7200),
        };
        Rules { retry, lease_wait: seconds(15) }
    }

    fn in_seconds(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("of the calendar")
    }

    fn check(ended: Ended, attempt: u64, expected: Disposition) {
        assert_eq!(
            rules().dispose(ended, Attempt(attempt), NOW, 0),
            expected,
            "{ended:?}, attempt {attempt}"
        );
    }

    fn failed(class: ErrorClass) -> Ended {
        Ended::Failed { class, throttled: false }
    }

    fn transient(seconds: Option<u64>) -> ErrorClass {
        ErrorClass::Transient { retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn failures_are_tried_again_while_there_are_attempts() {
        for class in [transient(None), ErrorClass::Auth, ErrorClass::Fenced] {
            check(failed(class), 1, Disposition::Retry(in_seconds(30)));
            check(failed(class), 3, Disposition::Retry(in_seconds(120)));
            check(failed(class), 4, Disposition::Bury);
        }
        check(failed(ErrorClass::Corrupt), 2, Disposition::Retry(in_seconds(60)));
        check(failed(ErrorClass::Corrupt), 3, Disposition::Bury);
        check(failed(transient(Some(600))), 1, Disposition::Retry(in_seconds(600)));
        check(failed(ErrorClass::Permanent), 1, Disposition::Bury);
        check(failed(ErrorClass::Cancelled), 4, Disposition::Snooze(NOW.into()));
        check(Ended::Exhausted, 5, Disposition::Bury);
    }

    #[test]
    fn a_backup_that_is_not_good_is_made_again_a_few_times() {
        let wants = |state, attempt| wants_another(state, Attempt(attempt), rules().retry);
        for state in [BackupState::Partial, BackupState::Moving, BackupState::Damaged] {
            assert_eq!([1, 2, 3].map(|attempt| wants(state, attempt)), [true, true, false]);
            let once = RetryPolicy { attempts: 1, ..rules().retry };
            assert!(!wants_another(state, Attempt(1), once), "then nobody would take the job again");
        }
        for state in [BackupState::Good, BackupState::Shrunk] {
            assert!(!wants(state, 1));
        }
        check(Ended::Incomplete, 2, Disposition::Retry(in_seconds(60)));
    }

    #[test]
    fn a_server_that_asks_for_less_costs_no_attempt() {
        for attempt in [1, 3, 100] {
            let ended = Ended::Failed { class: transient(Some(5400)), throttled: true };
            check(ended, attempt, Disposition::Snooze(in_seconds(5400).into()));
        }
        let ended = Ended::Failed { class: transient(None), throttled: true };
        check(ended, 1, Disposition::Snooze(in_seconds(30).into()));
        for attempt in [1, 12] {
            let ended = Ended::LooksAgain(Duration::from_secs(60));
            check(ended, attempt, Disposition::Snooze(in_seconds(60).into()));
        }
        let spent = Interrupt::Throttled(Duration::from_secs(600));
        check(Ended::Interrupted(spent), 3, Disposition::Snooze(in_seconds(600).into()));
        let sliced = Ended::Sliced { progressed: true, asked: Some(spent) };
        check(sliced, 3, Disposition::Continue(in_seconds(600).into(), Slice::Progressed));
    }

    #[test]
    fn slices_go_on_at_once_unless_they_were_asked_to_stop() {
        let sliced = |progressed, asked| Ended::Sliced { progressed, asked };
        let (cancelled, draining) = (Some(Interrupt::Cancelled), Some(Interrupt::Draining));
        let window = Some(Interrupt::WindowOver(NEXT_NIGHT));
        let progressed = |later| Disposition::Continue(later, Slice::Progressed);
        check(sliced(true, None), 3, progressed(NOW.into()));
        check(sliced(true, draining), 3, progressed(NOW.into()));
        check(sliced(true, window), 3, progressed(NEXT_NIGHT));
        check(sliced(false, draining), 3, Disposition::Snooze(NOW.into()));
        check(sliced(false, window), 3, Disposition::Snooze(NEXT_NIGHT));
        for progress in [true, false] {
            check(sliced(progress, cancelled), 3, Disposition::Cancel);
        }
    }

    #[test]
    fn slices_that_got_nowhere_use_attempts_up() {
        let ended = Ended::Sliced { progressed: false, asked: None };
        check(ended, 1, Disposition::Continue(in_seconds(30).into(), Slice::Stalled));
        check(ended, 4, Disposition::Bury);
    }

    #[test]
    fn what_was_interrupted_is_put_back_and_what_was_taken_over_is_left_alone() {
        check(Ended::Interrupted(Interrupt::Fenced), 1, Disposition::LetGo);
        check(Ended::Interrupted(Interrupt::LeaseLost), 3, Disposition::Snooze(in_seconds(15).into()));
        check(Ended::Interrupted(Interrupt::Cancelled), 3, Disposition::Cancel);
        check(Ended::Interrupted(Interrupt::Draining), 3, Disposition::Snooze(NOW.into()));
        check(Ended::Interrupted(Interrupt::WindowOver(NEXT_NIGHT)), 3, Disposition::Snooze(NEXT_NIGHT));
        check(Ended::Interrupted(Interrupt::OutOfTime), 1, Disposition::Retry(in_seconds(30)));
        check(Ended::Interrupted(Interrupt::OutOfTime), 4, Disposition::Bury);
    }

    #[test]
    fn what_did_not_begin_waits_without_a_failure() {
        check(Ended::Done, 1, Disposition::Completed);
        check(Ended::Closed(NEXT_NIGHT), 3, Disposition::Snooze(NEXT_NIGHT));
        check(Ended::LeaseTaken, 3, Disposition::Snooze(in_seconds(15).into()));
    }
}
