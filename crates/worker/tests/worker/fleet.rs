use std::collections::BTreeSet;
use std::time::Duration;

use model::{BackupState, JobId, JobKind, MailboxId};
use sim_stalwart::{Effect, Fault, Target};
use tokio::time::Instant;

use crate::house::{House, until};
use crate::room::{Room, Running, SERVER};

const MAILBOXES: u32 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_workers_and_a_hundred_mailboxes() {
    let house = House::with_own_broker(MAILBOXES, 12).await;
    while_redis_comes_and_goes(&house).await;
    while_postgres_and_the_broker_are_killed(&house).await;
}

async fn while_redis_comes_and_goes(house: &House) {
    let room = Room::new(house, "redis").await;
    let mailboxes = room.mailboxes(0..MAILBOXES).await;
    let jobs = room.nightly(&mailboxes).await;
    let started = Instant::now();
    let workers = [room.worker("w1"), room.worker("w2")];
    let done = async || room.number("SELECT count(*) FROM jobs WHERE state = 'done'").await;
    until("a quarter", async || (done().await >= 25).then_some(())).await;
    house.redis.lock().await.flush().await.unwrap();
    until("a half", async || (done().await >= 50).then_some(())).await;
    house.redis.lock().await.stop();
    until("three quarters", async || (done().await >= 75).then_some(())).await;
    house.redis.lock().await.restart().await.unwrap();
    for job in &jobs {
        room.until_done(*job).await;
    }
    eprintln!("{MAILBOXES} mailboxes by two workers: {:.1} s", started.elapsed().as_secs_f32());
    one_good_backup_each(&room, &mailboxes, &jobs).await;
    let (mut good, mut losses, mut unshared) = (0, 0, 0);
    for worker in workers {
        let metrics = worker.drain().await;
        let of_this = metrics.backups.backups.of(BackupState::Good).get();
        eprintln!("of these by one of them: {of_this}");
        assert!(of_this > 0, "both worked");
        good += of_this;
        losses += metrics.jobs.lease_losses.get();
        unshared += metrics.servers.of(SERVER).unshared.get();
        assert_eq!(metrics.jobs.running.of(JobKind::Nightly).get(), 0);
    }
    assert!(unshared > 0, "while Redis was away there was no shared budget");
    // A lease that was lost in the very moment of the end leaves a backup that nobody counted.
    assert!(
        good <= u64::from(MAILBOXES) && good + losses >= u64::from(MAILBOXES),
        "{good} and {losses} lost leases"
    );
}

async fn one_good_backup_each(room: &Room<'_>, mailboxes: &[MailboxId], jobs: &[JobId]) {
    let mut numbers = BTreeSet::new();
    for (mailbox, job) in mailboxes.iter().zip(jobs) {
        let [backup] = &room.backups(*mailbox).await[..] else { panic!("one backup of mailbox {mailbox}") };
        assert_eq!((backup.facts.state, backup.job), (BackupState::Good, Some(*job)));
        assert!(numbers.insert(backup.number), "a number twice");
        assert_eq!(room.verified(*mailbox).await.snapshots, 1);
    }
}

/// In the middle of a night; every request takes a while, so that many jobs are under way.
async fn while_postgres_and_the_broker_are_killed(house: &House) {
    // Without it a crash would lose what was committed a moment before: the servers of tests are set up for speed.
    house.sql(&format!("ALTER ROLE {} SET synchronous_commit = on", testkit::postgres::USER)).await;
    let room = Room::new(house, "killed").await;
    let mailboxes = room.mailboxes(0..MAILBOXES).await;
    let jobs = room.nightly(&mailboxes).await;
    let slow = Fault::new(Target::Api, Effect::Delay(Duration::from_millis(200)));
    let slow = house.sim.faults().add(slow);
    let workers = [room.worker("w1"), room.worker("w2")];
    let begun = |workers: &[Running]| {
        workers.iter().map(|worker| worker.metrics.jobs.slices.of(JobKind::Nightly).get()).sum::<u64>()
    };
    until("some to be done", async || (begun(&workers) >= 15).then_some(())).await;
    house.postgres.lock().await.restart().await.unwrap();
    // On a busy machine the whole night may be over by now.
    let more = (begun(&workers) + 15).min(u64::from(MAILBOXES));
    until("some more to be done", async || (begun(&workers) >= more).then_some(())).await;
    house.rabbit.lock().await.restart().await.unwrap();
    house.sim.faults().remove(slow);
    let started = Instant::now();
    for job in &jobs {
        room.until_done(*job).await;
    }
    eprintln!("done {:.1} s after the broker came back", started.elapsed().as_secs_f32());
    one_good_backup_each(&room, &mailboxes, &jobs).await;
    for worker in workers {
        worker.drain().await;
    }
}
