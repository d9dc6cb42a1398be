//! Random operations against the catalogue and against an oracle that holds the rules in a few plain lines: a list of jobs, a
//! list of epochs, searched from front to back.

use std::time::Duration;

use catalog::{Cancel, Claim, ClaimAnswer, Error, Failure, Heartbeat, Redrive, Request, Result, Slice};
use model::{ErrorClass, JobId, JobKind, JobState, MailboxId, Plan, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio_postgres::{Client, NoTls};

use crate::room::{Room, SOON, at, nightly};

const MAILBOXES: u32 = 3;
/// Due, whatever the time is.
const LONG_AGO: Timestamp = Timestamp::UNIX_EPOCH;
const FAILURE: Failure<'_> = Failure { class: ErrorClass::Permanent, text: "no" };

#[derive(Debug, Clone)]
enum Operation {
    Due { mailbox: usize, day: i8 },
    Request { mailbox: usize, key: u8 },
    Publish,
    Claim { job: usize },
    Heartbeat { claim: usize },
    End { claim: usize, how: How },
    Cancel { job: usize },
    Redrive { job: usize },
    Release,
    Republish,
    Wait,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Progressed,
    Stalled,
    Snoozed,
    Failed,
    Buried,
    Cancelled,
    Completed,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::{Cancel, Claim, Due, End, Heartbeat, Publish, Redrive, Release, Republish, Wait};
    let how = prop::sample::select(vec![
        How::Progressed,
        How::Stalled,
        How::Snoozed,
        How::Failed,
        How::Buried,
        How::Cancelled,
        How::Completed,
    ]);
    let mailbox = 0..MAILBOXES as usize;
    // Jobs and claims are counted from the newest.
    prop_oneof![
        4 => (mailbox.clone(), 1..4_i8).prop_map(|(mailbox, day)| Due { mailbox, day }),
        2 => (mailbox, 0..4_u8).prop_map(|(mailbox, key)| Operation::Request { mailbox, key }),
        2 => Just(Publish),
        8 => (0..6_usize).prop_map(|job| Claim { job }),
        2 => (0..3_usize).prop_map(|claim| Heartbeat { claim }),
        6 => (0..3_usize, how).prop_map(|(claim, how)| End { claim, how }),
        1 => (0..6_usize).prop_map(|job| Cancel { job }),
        2 => (0..6_usize).prop_map(|job| Redrive { job }),
        1 => Just(Release),
        1 => Just(Republish),
        3 => Just(Wait),
    ]
}

#[derive(Debug, Clone)]
struct Job {
    id: JobId,
    mailbox: usize,
    slot: Option<i8>,
    key: Option<u8>,
    state: JobState,
    run_at: Timestamp,
    attempt: u64,
    slices: u32,
    epoch: Option<u64>,
    cancel: bool,
    published: bool,
    /// Put back because another job of its mailbox ran.
    behind: bool,
}

impl Job {
    fn unfinished(&self) -> bool {
        !self.state.is_finished()
    }

    /// Two of these may not be unfinished at once.
    fn like(&self, other: &Job) -> bool {
        self.mailbox == other.mailbox && self.slot.is_some() == other.slot.is_some()
    }

    fn wait(&mut self) {
        self.state = if self.cancel { JobState::Cancelled } else { JobState::Waiting };
        self.published = false;
    }
}

struct Run {
    room: Room,
    raw: Client,
    mailboxes: Vec<MailboxId>,
    jobs: Vec<Job>,
    epochs: [u64; MAILBOXES as usize],
    claims: Vec<(Claim, usize)>,
    now: Timestamp,
}

impl Run {
    async fn new() -> Run {
        let room = Room::new().await;
        let (raw, connection) = tokio_postgres::connect(&room.postgres.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        raw.batch_execute("SET search_path = malle").await.unwrap();
        Run { room, raw, mailboxes: vec![], jobs: vec![], epochs: [0; 3], claims: vec![], now: at(0) }
    }

    async fn reset(&mut self) {
        self.raw
            .batch_execute("TRUNCATE mailboxes, jobs, backups, restores, downloads CASCADE")
            .await
            .unwrap();
        self.mailboxes = self.room.mailboxes(Plan::Professional, MAILBOXES).await;
        (self.jobs, self.claims, self.epochs, self.now) = (vec![], vec![], [0; 3], at(0));
    }

    fn newest<T>(list: &[T], back: usize) -> Option<usize> {
        list.len().checked_sub(back + 1)
    }

    async fn step(&mut self, operation: &Operation) {
        match *operation {
            Operation::Due { mailbox, day } => self.due(mailbox, day).await,
            Operation::Request { mailbox, key } => self.request(mailbox, key).await,
            Operation::Publish => self.publish().await,
            Operation::Claim { job } => {
                if let Some(job) = Self::newest(&self.jobs, job) {
                    self.claim(job).await;
                }
            }
            Operation::Heartbeat { claim } => {
                if let Some(claim) = Self::newest(&self.claims, claim) {
                    self.heartbeat(claim).await;
                }
            }
            Operation::End { claim, how } => {
                if let Some(claim) = Self::newest(&self.claims, claim) {
                    self.end(claim, how).await;
                }
            }
            Operation::Cancel { job } => {
                if let Some(job) = Self::newest(&self.jobs, job) {
                    self.cancel(job).await;
                }
            }
            Operation::Redrive { job } => {
                if let Some(job) = Self::newest(&self.jobs, job) {
                    self.redrive(job).await;
                }
            }
            Operation::Release => self.release().await,
            Operation::Republish => self.republish().await,
            Operation::Wait => self.now += SOON,
        }
    }

    fn new_job(&self, id: JobId, mailbox: usize, slot: Option<i8>, key: Option<u8>) -> Job {
        let run_at = if slot.is_some() { at(100) } else { self.now };
        let (state, attempt, slices, epoch, cancel, published) =
            (JobState::Waiting, 0, 0, None, false, false);
        let behind = false;
        Job { id, mailbox, slot, key, state, run_at, attempt, slices, epoch, cancel, published, behind }
    }

    async fn due(&mut self, mailbox: usize, day: i8) {
        let new = self.new_job(JobId(0), mailbox, Some(day), None);
        let exists = |job: &Job| job.like(&new) && (job.unfinished() || job.slot == new.slot);
        let expected = u64::from(!self.jobs.iter().any(exists));
        let job = nightly(self.mailboxes[mailbox], day);
        assert_eq!(self.room.catalog.insert_due(&[job], self.now).await.unwrap(), expected);
        if expected == 1 {
            let id: i64 = self.raw.query_one("SELECT max(id) FROM jobs", &[]).await.unwrap().get(0);
            self.jobs.push(Job { id: JobId(id.cast_unsigned()), ..new });
        }
    }

    async fn request(&mut self, mailbox: usize, key: u8) {
        let text = format!("{mailbox} {key}");
        let id = Some(self.mailboxes[mailbox]);
        let request = Request {
            kind: JobKind::Manual,
            mailbox: id,
            key: &text,
            parameters: None,
            limit: None,
            traceparent: None,
            audit: None,
        };
        let requested = self.room.catalog.request(&request, self.now).await.unwrap();
        let manual = || self.jobs.iter().filter(|job| job.mailbox == mailbox && job.slot.is_none());
        let known =
            manual().find(|job| job.key == Some(key)).or_else(|| manual().find(|job| job.unfinished()));
        assert_eq!(requested.new, known.is_none());
        match known {
            Some(job) => assert_eq!(requested.job, job.id),
            None => self.jobs.push(self.new_job(requested.job, mailbox, None, Some(key))),
        }
    }

    async fn publish(&mut self) {
        let tickets = self.room.catalog.take_unpublished(99, Duration::ZERO, self.now).await.unwrap();
        self.room.catalog.mark_published(&tickets).await.unwrap();
        let mut published: Vec<_> = tickets.iter().map(|ticket| ticket.job).collect();
        let mut expected = Vec::new();
        for job in &mut self.jobs {
            if job.state == JobState::Waiting && !job.published && job.run_at <= self.now {
                job.published = true;
                expected.push(job.id);
            }
        }
        published.sort_unstable();
        expected.sort_unstable();
        assert_eq!(published, expected);
    }

    async fn claim(&mut self, at: usize) {
        let Job { id, mailbox, state, run_at, .. } = self.jobs[at];
        let answer = self.room.catalog.claim(id, "w", self.now, SOON).await.unwrap();
        let busy = self.jobs.iter().any(|job| job.mailbox == mailbox && job.state == JobState::Running);
        let job = &mut self.jobs[at];
        match state {
            JobState::Running => assert_eq!(answer, ClaimAnswer::Running),
            state if state.is_finished() => assert_eq!(answer, ClaimAnswer::Finished),
            _ if run_at > self.now => {
                assert_eq!(answer, ClaimAnswer::NotDue);
                job.published = false;
            }
            _ if busy => {
                assert_eq!(answer, ClaimAnswer::Busy);
                (job.run_at, job.published, job.behind) = (self.now + SOON, false, true);
            }
            _ => {
                let ClaimAnswer::Claimed(claimed) = answer else { panic!("{answer:?} of {job:?}") };
                self.epochs[mailbox] += 1;
                (job.state, job.attempt, job.epoch, job.behind) =
                    (JobState::Running, job.attempt + 1, Some(self.epochs[mailbox]), false);
                assert_eq!((claimed.claim.epoch.0, claimed.attempt.0), (self.epochs[mailbox], job.attempt));
                self.claims.push((claimed.claim, at));
            }
        }
    }

    fn holds(&self, claim: usize) -> bool {
        let (claim, at) = self.claims[claim];
        self.jobs[at].state == JobState::Running && self.jobs[at].epoch == Some(claim.epoch.0)
    }

    async fn heartbeat(&mut self, claim: usize) {
        let (held, (claim, at)) = (self.holds(claim), self.claims[claim]);
        match self.room.catalog.heartbeat(&claim).await {
            Ok(beat) => {
                let expected = if self.jobs[at].cancel { Heartbeat::Cancel } else { Heartbeat::GoOn };
                assert_eq!((held, beat), (true, expected));
            }
            Err(error) => assert!(!held && matches!(error, Error::Fenced), "{error:?}"),
        }
    }

    async fn end(&mut self, claim: usize, how: How) {
        let (held, (claim, at)) = (self.holds(claim), self.claims[claim]);
        let (catalog, later) = (&self.room.catalog, self.now + SOON);
        let answer: Result<()> = match how {
            How::Progressed => catalog.continue_later(&claim, later, Slice::Progressed).await.map(drop),
            How::Stalled => catalog.continue_later(&claim, later, Slice::Stalled).await.map(drop),
            How::Snoozed => catalog.snooze(&claim, later).await.map(drop),
            How::Failed => catalog.retry(&claim, later, &FAILURE).await.map(drop),
            How::Buried => catalog.bury(&claim, &FAILURE).await,
            How::Cancelled => catalog.end_cancelled(&claim).await,
            How::Completed => catalog.complete(&claim, None).await,
        };
        let job = &mut self.jobs[at];
        let again =
            matches!(how, How::Completed) && job.state == JobState::Done && job.epoch == Some(claim.epoch.0);
        match answer {
            Ok(()) => assert!(held || again, "a stale claim did {how:?}"),
            Err(error) => assert!(!held && !again && matches!(error, Error::Fenced), "{how:?}: {error:?}"),
        }
        if !held {
            return;
        }
        match how {
            How::Buried => job.state = JobState::Dead,
            How::Cancelled => job.state = JobState::Cancelled,
            How::Completed => job.state = JobState::Done,
            How::Progressed | How::Stalled | How::Snoozed | How::Failed => {
                job.wait();
                job.run_at = later;
                job.attempt = match how {
                    How::Progressed => 0,
                    How::Snoozed => job.attempt - 1,
                    _ => job.attempt,
                };
                job.slices += u32::from(matches!(how, How::Progressed));
            }
        }
        let mailbox = job.mailbox;
        self.let_next_begin(mailbox);
    }

    /// Who was put back because of a job that ended now is due, by the clock of the database.
    fn let_next_begin(&mut self, mailbox: usize) {
        let behind = |job: &&mut Job| job.mailbox == mailbox && job.behind && job.state == JobState::Waiting;
        for job in self.jobs.iter_mut().filter(behind) {
            (job.run_at, job.published, job.behind) = (LONG_AGO, false, false);
        }
    }

    async fn cancel(&mut self, at: usize) {
        let job = &mut self.jobs[at];
        let expected = match job.state {
            JobState::Waiting => Cancel::Cancelled,
            JobState::Running => Cancel::Requested,
            _ => Cancel::Over,
        };
        assert_eq!(self.room.catalog.cancel(job.id).await.unwrap(), expected);
        if expected != Cancel::Over {
            job.cancel = true;
        }
        if expected == Cancel::Cancelled {
            job.state = JobState::Cancelled;
        }
    }

    async fn redrive(&mut self, at: usize) {
        let job = self.jobs[at].clone();
        let expected = match job.state {
            JobState::Dead if self.jobs.iter().any(|other| other.like(&job) && other.unfinished()) => {
                Redrive::Superseded
            }
            JobState::Dead => Redrive::Waiting,
            _ => Redrive::NotDead,
        };
        assert_eq!(self.room.catalog.redrive(job.id, self.now).await.unwrap(), expected);
        if expected == Redrive::Waiting {
            let again = Job { attempt: 0, run_at: self.now, cancel: false, ..job };
            self.jobs[at] = Job { state: JobState::Waiting, published: false, ..again };
        }
    }

    async fn release(&mut self) {
        let released = self.room.catalog.release_stale(Duration::ZERO, 99).await.unwrap();
        let running = self.jobs.iter_mut().filter(|job| job.state == JobState::Running);
        let ended: Vec<usize> = running.map(|job| (job.wait(), job.mailbox).1).collect();
        assert_eq!(released.len(), ended.len());
        for mailbox in ended {
            self.let_next_begin(mailbox);
        }
    }

    async fn republish(&mut self) {
        let now = self.now;
        let mut again = 0;
        for kind in JobKind::ALL {
            again += self.room.catalog.republish_lost(*kind, Duration::ZERO, 99, now).await.unwrap();
        }
        let lost = self
            .jobs
            .iter_mut()
            .filter(|job| job.state == JobState::Waiting && job.published && job.run_at <= now);
        assert_eq!(again, lost.map(|job| job.published = false).count() as u64);
    }

    /// Every row is what the oracle thinks; `published_at` counts for waiting jobs only.
    async fn compare(&self) {
        for job in &self.jobs {
            let row = self.room.catalog.job(job.id).await.unwrap().expect("it is there");
            // The database's clock is behind that of the test.
            let run_at = if row.run_at < at(0) { LONG_AGO } else { row.run_at };
            assert_eq!(
                (
                    row.state,
                    run_at,
                    row.attempt.0,
                    row.slices,
                    row.cancel_requested,
                    row.epoch.map(|epoch| epoch.0)
                ),
                (job.state, job.run_at, job.attempt, job.slices, job.cancel, job.epoch),
                "{job:?}"
            );
            if job.state == JobState::Waiting {
                assert_eq!(row.published_at.is_some(), job.published, "{job:?}");
            }
        }
        for (at, id) in self.mailboxes.iter().enumerate() {
            assert_eq!(self.room.catalog.mailbox(*id).await.unwrap().unwrap().epoch.0, self.epochs[at]);
        }
    }
}

#[test]
fn any_order_of_operations_leaves_what_the_oracle_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let run = tokio::sync::Mutex::new(runtime.block_on(Run::new()));
    let cases = if std::env::var_os("MALLE_SOAK").is_some() { 2000 } else { 60 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&prop::collection::vec(operation(), 1..80), |operations| {
        runtime.block_on(async {
            let mut run = run.lock().await;
            run.reset().await;
            for operation in &operations {
                run.step(operation).await;
            }
            run.compare().await;
        });
        Ok(())
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}
