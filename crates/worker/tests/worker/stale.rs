//! A worker that sleeps while its job is given to another: what it still writes is refused.

use std::time::Duration;

use model::{JobKind, JobState};
use telemetry::Ending;
use worker::Step;

use crate::halts::Halts;
use crate::house::{House, until};
use crate::room::{Room, Shift};

/// A worker whose heart does not beat, and which hears nothing of leases.
fn sleeper(room: &Room<'_>) -> Shift {
    let mut shift = room.plan("sleeper");
    let never = Duration::from_secs(3600);
    (shift.settings.times.heartbeat, shift.settings.times.renewal) = (never, never);
    shift.is_alone = true;
    // As many as it gets: a process that stands still takes no more tickets.
    shift.settings.slots.nightly = 2;
    shift
}

pub(crate) async fn a_worker_that_slept_writes_no_row(house: &House) {
    let room = Room::new(house, "stale").await;
    let mailboxes = room.mailboxes([0, 1]).await;
    let jobs = room.nightly(&mailboxes).await;
    // One before its backup, one between the backup and its row.
    let halts = Halts::at([(jobs[0], Step::NumberDrawn), (jobs[1], Step::SnapshotCommitted)]);
    let mut shift = sleeper(&room);
    shift.steps = Some(halts.clone());
    let sleeper = room.start(shift);
    halts.until_all().await;
    let worker = room.worker("awake");
    for job in &jobs {
        let done = room.until_done(*job).await;
        assert_eq!((done.worker.as_deref(), done.attempt.0, done.epoch.unwrap().0), (Some("awake"), 2, 2));
    }
    let rows: Vec<_> = [room.backups(mailboxes[0]).await, room.backups(mailboxes[1]).await].concat();
    halts.go_on();
    let fenced = sleeper.metrics.jobs.finished.of((JobKind::Nightly, Ending::Fenced)).clone();
    until("the sleeper to be refused", async || (fenced.get() == 2).then_some(())).await;
    let after: Vec<_> = [room.backups(mailboxes[0]).await, room.backups(mailboxes[1]).await].concat();
    assert_eq!((rows.len(), &after), (2, &rows), "one row each, and those of the worker that was awake");
    for (mailbox, job) in mailboxes.iter().zip(&jobs) {
        room.verified(*mailbox).await;
        assert_eq!(room.job(*job).await.state, JobState::Done);
    }
    assert_eq!(room.verified(mailboxes[1]).await.snapshots, 1, "the sleeper's snapshot was adopted");
    sleeper.drain().await;
    worker.drain().await;
}
