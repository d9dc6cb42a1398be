//! A worker that ends at each moment of a job; another one comes, and in the end everything is as if nothing had been.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use model::{BackupState, JobId, JobKind, MailboxId, MailboxIdentity};
use object_store::Result;
use serde_json::json;
use testkit::{Behaviour, Call, CallKind, Decorated};
use worker::Step;

use crate::halts::Halts;
use crate::house::{House, address, until};
use crate::room::Room;
use crate::stale::a_worker_that_slept_writes_no_row;

const EMAILS: u32 = 8;
const DESTROYED: usize = 3;
/// So many more have slices, of at least 200.
const MANY: usize = 450;

/// Every moment, and the kinds of jobs that come by it. A moment that is not listed here fails the test.
const MOMENTS: &[(Step, &[JobKind])] = &[
    (Step::TicketTaken, &[JobKind::Nightly, JobKind::Restore, JobKind::Verify]),
    (Step::Claimed, &[JobKind::Nightly, JobKind::Restore, JobKind::Verify]),
    (Step::LeaseTaken, &[JobKind::Nightly, JobKind::Restore, JobKind::Verify]),
    (Step::ServerReached, &[JobKind::Nightly, JobKind::Restore]),
    (Step::RepositoryOpened, &[JobKind::Nightly, JobKind::Restore, JobKind::Verify]),
    (Step::NumberDrawn, &[JobKind::Nightly]),
    (Step::SliceCommitted, &[JobKind::Nightly]),
    (Step::SnapshotCommitted, &[JobKind::Nightly]),
    (Step::RestoreBegun, &[JobKind::Restore]),
    (Step::GivenBack, &[JobKind::Restore]),
    (Step::RestoreReported, &[JobKind::Restore]),
    (Step::Verified, &[JobKind::Verify]),
    (Step::Completed, &[JobKind::Nightly, JobKind::Restore, JobKind::Verify]),
    (Step::LeaseReleased, &[JobKind::Nightly, JobKind::Restore, JobKind::Verify]),
    (Step::Settled, &[JobKind::Nightly, JobKind::Restore, JobKind::Verify]),
];

/// Writes to the store, of one backup, before and after each of which the worker ends; the last are more than it makes.
const WRITES: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whenever_a_worker_ends_another_brings_its_jobs_to_the_same_end() {
    let listed: Vec<Step> = MOMENTS.iter().map(|(step, _)| *step).collect();
    assert_eq!(listed, Step::ALL, "every moment is listed, in its order");
    let cases: Vec<(Step, JobKind)> =
        MOMENTS.iter().flat_map(|(step, kinds)| kinds.iter().map(|kind| (*step, *kind))).collect();
    let house = House::new(u32::try_from(cases.len()).unwrap().max(2 * WRITES), EMAILS).await;
    at_every_moment(&house, &cases).await;
    at_every_write(&house).await;
    a_worker_that_slept_writes_no_row(&house).await;
}

async fn at_every_moment(house: &House, cases: &[(Step, JobKind)]) {
    eprintln!("{} moments, {} of them by kind of job", Step::ALL.len(), cases.len());
    let room = Room::new(house, "moments").await;
    let mailboxes = room.mailboxes(0..u32::try_from(cases.len()).unwrap()).await;
    let jobs = prepare(&room, cases, &mailboxes).await;
    let halts = Halts::at(jobs.iter().zip(cases).map(|(job, (step, _))| (*job, *step)));
    let mut shift = room.plan("dies");
    let slots = &mut shift.settings.slots;
    (slots.nightly, slots.restore, slots.verify) = (100, 100, 100);
    shift.settings.times.slice = Duration::ZERO;
    shift.make_slice = Arc::new(engine::backup_slice);
    shift.steps = Some(halts.clone());
    let dies = room.start(shift);
    halts.until_all().await;
    dies.crash().await;
    let mut shift = room.plan("lives");
    shift.make_slice = Arc::new(engine::backup_slice);
    let lives = room.start(shift);
    for (n, (job, (step, kind))) in jobs.iter().zip(cases).enumerate() {
        let done = room.until_done(*job).await;
        assert!(done.attempt.0 <= 2, "{step:?} {kind}: {done:?}");
        let backups = room.backups(mailboxes[n]).await;
        let report = room.verified(mailboxes[n]).await;
        assert_eq!((backups.len(), report.snapshots), (1, 1), "{step:?} {kind}");
        assert_eq!(backups[0].facts.state, BackupState::Good);
        let account = house.sim.account(&address(u32::try_from(n).unwrap())).unwrap();
        let many = if *step == Step::SliceCommitted { MANY } else { 0 };
        assert_eq!(account.email_count(), EMAILS as usize + many, "{step:?} {kind}: each email once");
        assert_eq!(backups[0].facts.emails, account.email_count() as u64, "{step:?} {kind}");
    }
    lives.drain().await;
    assert_eq!(room.number("SELECT count(*) FROM jobs WHERE state <> 'done'").await, 0);
}

/// One job each; what is given back and verified is backed up before.
async fn prepare(room: &Room<'_>, cases: &[(Step, JobKind)], mailboxes: &[MailboxId]) -> Vec<JobId> {
    let early = room.worker("early");
    let mut jobs = Vec::new();
    let sliced = cases.iter().position(|(step, _)| *step == Step::SliceCommitted).unwrap();
    let sliced = room.house.sim.account(&address(u32::try_from(sliced).unwrap())).unwrap();
    for number in 0..MANY {
        sliced.deliver(format!("Subject: {number}\r\n\r\nHello\r\n"), &[], &[]);
    }
    for (n, ((_, kind), mailbox)) in cases.iter().zip(mailboxes).enumerate() {
        if *kind != JobKind::Nightly {
            let manual = room.request(JobKind::Manual, *mailbox, None).await;
            jobs.push((n, manual));
        }
    }
    for (n, manual) in jobs {
        room.until_done(manual).await;
        let account = room.house.sim.account(&address(u32::try_from(n).unwrap())).unwrap();
        if cases[n].1 == JobKind::Restore {
            account.emails().iter().take(DESTROYED).for_each(|email| assert!(account.destroy(&email.id)));
        }
    }
    early.drain().await;
    let mut asked = Vec::new();
    for ((_, kind), mailbox) in cases.iter().zip(mailboxes) {
        asked.push(match kind {
            JobKind::Nightly => room.nightly(&[*mailbox]).await[0],
            JobKind::Restore => {
                let number = room.backups(*mailbox).await[0].number.0;
                let order = json!({"number": number, "mode": "missing"});
                room.request(JobKind::Restore, *mailbox, Some(&order)).await
            }
            kind => room.request(*kind, *mailbox, None).await,
        });
    }
    asked
}

/// Stands still at the n-th write below a directory, before or after it, as the world does for a process that is killed.
struct Freeze {
    places: Vec<Place>,
}

struct Place {
    directory: String,
    at: u32,
    writes: AtomicU32,
    is_after: bool,
    frozen: Mutex<Option<Call>>,
}

impl fmt::Debug for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Freeze").finish_non_exhaustive()
    }
}

impl Freeze {
    fn place(&self, call: &Call) -> Option<&Place> {
        let is_write = matches!(call.kind, CallKind::Put | CallKind::Create);
        self.places.iter().find(|place| is_write && call.path.as_ref().contains(&place.directory))
    }

    async fn stop(&self, place: &Place, call: &Call) {
        *place.frozen.lock().unwrap() = Some(call.clone());
        std::future::pending().await
    }
}

#[async_trait]
impl Behaviour for Freeze {
    async fn before(&self, call: &Call) -> Result<()> {
        if let Some(place) = self.place(call) {
            let is_now = place.writes.fetch_add(1, SeqCst) + 1 == place.at;
            if is_now && !place.is_after {
                self.stop(place, call).await;
            }
        }
        Ok(())
    }

    async fn after(&self, call: &Call, _received: u64) -> Result<()> {
        if let Some(place) = self.place(call)
            && place.is_after
            && place.writes.load(SeqCst) >= place.at
        {
            self.stop(place, call).await;
        }
        Ok(())
    }
}

async fn at_every_write(house: &House) {
    let room = Room::new(house, "writes").await;
    let mailboxes = room.mailboxes(0..2 * WRITES).await;
    let place = |n: u32| {
        let account = house.sim.account(&address(n)).unwrap().id().as_str().into();
        let identity = MailboxIdentity { server: "mail".to_owned(), account, incarnation: 0 };
        Place {
            directory: room.ring.directory(&identity).to_string(),
            at: n / 2 + 1,
            writes: AtomicU32::new(0),
            is_after: n % 2 == 1,
            frozen: Mutex::default(),
        }
    };
    let freeze = Arc::new(Freeze { places: (0..2 * WRITES).map(place).collect() });
    let mut shift = room.plan("dies");
    shift.settings.stores[0].objects = Arc::new(Decorated::new(room.objects(), freeze.clone()));
    shift.settings.slots.nightly = 100;
    let dies = room.start(shift);
    let jobs = room.nightly(&mailboxes).await;
    let still = |place: &Place| place.frozen.lock().unwrap().is_some();
    until("every job to stand still or to end", async || {
        for (job, place) in jobs.iter().zip(&freeze.places) {
            if !still(place) && !room.job(*job).await.state.is_finished() {
                return None;
            }
        }
        Some(())
    })
    .await;
    let frozen = freeze.places.iter().filter(|place| still(place)).count();
    eprintln!("{frozen} of {} places before and after writes came", freeze.places.len());
    for place in freeze.places.iter().filter(|place| place.is_after) {
        if let Some(call) = &*place.frozen.lock().unwrap() {
            eprintln!("  write {}: {}", place.at, call.path.as_ref().rsplit('/').nth(1).unwrap_or_default());
        }
    }
    assert!(frozen > 6, "a backup writes more than three objects");
    dies.crash().await;
    let lives = room.worker("lives");
    for (job, mailbox) in jobs.iter().zip(&mailboxes) {
        room.until_done(*job).await;
        let backups = room.backups(*mailbox).await;
        assert_eq!((backups.len(), backups[0].facts.state), (1, BackupState::Good));
        assert_eq!(
            room.verified(*mailbox).await.snapshots,
            1,
            "what was committed is adopted, not made again"
        );
    }
    lives.drain().await;
}
