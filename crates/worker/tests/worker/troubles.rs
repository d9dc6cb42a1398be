use std::time::Duration;

use coordination::ProgressBoard;
use model::{BackupState, Clock, JobKind, JobState, Timestamp};
use sim_stalwart::{DataType, Effect, Fault, Simulator, Target};
use telemetry::{Ending, Refusal};
use tokio::time::Instant;
use worker::MailServer;

use crate::house::{ADMIN, House, PASSWORD, Shifted, address, until};
use crate::room::{Room, client, listed};

const HANGS: Effect = Effect::Delay(Duration::from_secs(120));

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn troubles() {
    let house = House::new(4, 12).await;
    a_poisoned_job_is_buried_after_its_attempts(&house).await;
    a_server_that_asks_for_less_costs_no_attempt(&house).await;
    a_server_that_is_busy_for_long_leaves_the_slots_to_others(&house).await;
    a_partial_backup_fills_no_slot(&house).await;
    a_cancelled_job_stops(&house).await;
    draining_puts_back_without_an_attempt(&house).await;
    at_the_windows_end_work_waits_for_the_next(&house).await;
    too_long_is_a_failure(&house).await;
}

async fn a_poisoned_job_is_buried_after_its_attempts(house: &House) {
    let room = Room::new(house, "poisoned").await;
    room.catalog.list_mailboxes("gone", &[listed("a@example.net")], Timestamp::UNIX_EPOCH).await.unwrap();
    let mailbox = room.catalog.mailboxes_at(&"a@example.net".into()).await.unwrap()[0].id;
    let mut shift = room.plan("w1");
    let nobody = client("http://127.0.0.1:9");
    shift.settings.servers.push(MailServer {
        name: "gone".to_owned(),
        client: nobody,
        ..shift.settings.servers[0].clone()
    });
    let worker = room.start(shift);
    let job = room.nightly(&[mailbox]).await[0];
    let dead = room.until_state(job, JobState::Dead).await;
    let (class, text) = dead.failure.unwrap();
    assert_eq!((dead.attempt.0, class.as_str()), (3, "transient"));
    assert!(text.starts_with("mail server cannot be used: server cannot be reached"), "{text}");
    let metrics = worker.drain().await;
    assert_eq!(metrics.jobs.retries.of(JobKind::Nightly).get(), 2);
    assert_eq!(metrics.jobs.finished.of((JobKind::Nightly, Ending::Dead)).get(), 1);
    assert_eq!(metrics.servers.of("gone").failures.get(), 3);

    // Workers that died with it: nobody is left to tell.
    let job = room.request(JobKind::Manual, mailbox, None).await;
    room.sql(&format!("UPDATE jobs SET attempt = 3 WHERE id = {job}")).await;
    let worker = room.worker("w2");
    let dead = room.until_state(job, JobState::Dead).await;
    assert!(dead.failure.unwrap().1.contains("workers died"));
    worker.drain().await;
}

async fn a_partial_backup_fills_no_slot(house: &House) {
    let room = Room::new(house, "partial").await;
    let mailboxes = room.mailboxes([1, 2]).await;
    let account = |number| house.sim.account(&address(number)).unwrap();
    for number in [1, 2] {
        account(number).set_failing(DataType::SieveScript, true);
    }
    let worker = room.worker("w1");
    let jobs = room.nightly(&mailboxes).await;
    until("a partial backup", async || room.backups(mailboxes[0]).await.pop()).await;
    account(1).set_failing(DataType::SieveScript, false);
    room.until_done(jobs[0]).await;
    let backups = room.backups(mailboxes[0]).await;
    let (newest, first) = (&backups[0], backups.last().unwrap());
    assert_eq!((newest.facts.state, first.facts.state), (BackupState::Good, BackupState::Partial));
    assert!(newest.number > first.number && backups.iter().all(|backup| backup.job == Some(jobs[0])));

    // What stays partial is left at that.
    let done = room.until_done(jobs[1]).await;
    let backups = room.backups(mailboxes[1]).await;
    assert!(backups.iter().all(|backup| backup.facts.state == BackupState::Partial));
    assert_eq!((done.attempt.0, backups.len()), (3, 3));
    // By hand it is one try: whoever asked sees what came of it.
    let job = room.request(JobKind::Manual, mailboxes[1], None).await;
    assert_eq!(room.until_done(job).await.attempt.0, 1);
    account(2).set_failing(DataType::SieveScript, false);
    worker.drain().await;
}

async fn a_server_that_asks_for_less_costs_no_attempt(house: &House) {
    let room = Room::new(house, "throttled").await;
    let mailbox = room.mailboxes([0]).await[0];
    let busy = Effect::Status { code: 429, retry_after: Some(1) };
    house.sim.faults().add(Fault::new(Target::Api, busy).times(4));
    let worker = room.worker("w1");
    let job = room.nightly(&[mailbox]).await[0];
    let done = room.until_done(job).await;
    assert_eq!((done.attempt.0, done.failure), (1, None), "more refusals than attempts");
    let metrics = worker.drain().await;
    assert_eq!(metrics.jobs.snoozes.of(JobKind::Nightly).get(), 4);
    assert_eq!(metrics.servers.of("mail").refused(Refusal::TooMany).get(), 4);
}

async fn a_server_that_is_busy_for_long_leaves_the_slots_to_others(house: &House) {
    let room = Room::new(house, "busy").await;
    let busy = Simulator::builder().admin(ADMIN, PASSWORD).start().await.unwrap();
    busy.faults().add(Fault::new(Target::Any, Effect::Status { code: 503, retry_after: Some(60) }));
    let theirs: Vec<_> = (0..6).map(|n| listed(&address(n))).collect();
    room.catalog.list_mailboxes("busy", &theirs, room.clock.now()).await.unwrap();
    let mut busy_ones = Vec::new();
    for listed in &theirs {
        busy_ones.push(room.catalog.mailboxes_at(&listed.address).await.unwrap()[0].id);
    }
    let mut shift = room.plan("w1");
    shift.settings.slots.nightly = 2;
    let there = MailServer {
        name: "busy".to_owned(),
        client: client(&busy.url()),
        ..shift.settings.servers[0].clone()
    };
    shift.settings.servers.push(there);
    let stuck = room.nightly(&busy_ones).await;
    let quick = room.mailboxes([0, 1, 2, 3]).await;
    let quick = room.nightly(&quick).await;
    let worker = room.start(shift);
    let started = Instant::now();
    for job in quick {
        room.until_done(job).await;
    }
    eprintln!("others' mailboxes were done after {:.2} s", started.elapsed().as_secs_f32());
    assert!(started.elapsed() < Duration::from_secs(20), "far below what the busy server asked for");
    until("the busy server's jobs to be put back", async || {
        let running = "SELECT count(*) FROM jobs WHERE state = 'running'";
        (room.number(running).await == 0).then_some(())
    })
    .await;
    let asked = busy.counters().requests;
    assert!(asked <= 8, "once it asked for less it was left alone: {asked} requests");
    for job in stuck {
        let job = room.job(job).await;
        assert_eq!((job.state, job.attempt.0, job.failure), (JobState::Waiting, 0, None));
    }
    let metrics = worker.drain().await;
    assert!(metrics.jobs.snoozes.of(JobKind::Nightly).get() >= 6);
    assert!(metrics.servers.of("busy").refused(Refusal::Unavailable).get() >= 1);
}

async fn a_cancelled_job_stops(house: &House) {
    let room = Room::new(house, "cancelled").await;
    let mailbox = room.mailboxes([1]).await[0];
    let hangs = house.sim.faults().add(Fault::new(Target::method("Blob/get"), HANGS));
    let worker = room.worker("w1");
    let job = room.nightly(&[mailbox]).await[0];
    until("a job on the board", async || {
        room.board().all().await.unwrap().pop().filter(|entry| entry.job == job)
    })
    .await;
    until("it to ask for emails", async || (house.sim.faults().struck(hangs) > 0).then_some(())).await;
    room.catalog.cancel(job).await.unwrap();
    let started = Instant::now();
    room.until_state(job, JobState::Cancelled).await;
    eprintln!("cancelled after {:.2} s", started.elapsed().as_secs_f32());
    house.sim.faults().remove(hangs);
    assert!(room.backups(mailbox).await.is_empty());
    until("the board to be empty", async || room.board().all().await.unwrap().is_empty().then_some(())).await;
    let metrics = worker.drain().await;
    assert_eq!(metrics.jobs.finished.of((JobKind::Nightly, Ending::Cancelled)).get(), 1);
}

async fn draining_puts_back_without_an_attempt(house: &House) {
    let room = Room::new(house, "drained").await;
    let mailboxes = room.mailboxes([0, 1, 2]).await;
    let hangs = house.sim.faults().add(Fault::new(Target::method("Blob/get"), HANGS));
    let worker = room.worker("w1");
    let jobs = room.nightly(&mailboxes).await;
    until("all to run", async || (worker.metrics.jobs.running.of(JobKind::Nightly).get() == 3).then_some(()))
        .await;
    until("them to ask for emails", async || (house.sim.faults().struck(hangs) >= 3).then_some(())).await;
    let started = Instant::now();
    worker.drain().await;
    eprintln!("drained after {:.2} s", started.elapsed().as_secs_f32());
    assert!(started.elapsed() < Duration::from_secs(4), "within the grace");
    for job in &jobs {
        let job = room.job(*job).await;
        assert_eq!((job.state, job.attempt.0, job.failure), (JobState::Waiting, 0, None));
    }
    house.sim.faults().remove(hangs);
    let worker = room.worker("w2");
    for job in jobs {
        assert_eq!(room.until_done(job).await.attempt.0, 1);
    }
    worker.drain().await;
}

async fn at_the_windows_end_work_waits_for_the_next(house: &House) {
    let room = Room::at(house, "closing", Shifted::beginning("2026-11-21T05:59:55Z")).await;
    let mailbox = room.mailboxes([3]).await[0];
    let hangs = house.sim.faults().add(Fault::new(Target::method("Blob/get"), HANGS));
    let worker = room.worker("w1");
    let job = room.nightly(&[mailbox]).await[0];
    let (opens, closes) = ("2026-11-21T22:00Z".parse().unwrap(), "2026-11-22T06:00Z".parse().unwrap());
    let later = until("the window to close", async || {
        Some(room.job(job).await).filter(|job| job.state == JobState::Waiting && job.run_at >= opens)
    })
    .await;
    assert_eq!((later.attempt.0, later.deadline, later.failure), (0, Some(closes), None));
    house.sim.faults().remove(hangs);
    // By day it does not begin at all.
    room.sql(&format!("UPDATE jobs SET run_at = '2026-11-21T06:00Z', published_at = NULL WHERE id = {job}"))
        .await;
    let later =
        until("it to be put back", async || Some(room.job(job).await).filter(|job| job.run_at >= opens))
            .await;
    assert_eq!((later.state, later.attempt.0), (JobState::Waiting, 0));
    let metrics = worker.drain().await;
    assert_eq!(metrics.jobs.pauses.of(JobKind::Nightly).get(), 2);
    assert!(room.backups(mailbox).await.is_empty(), "it stays overdue");
}

async fn too_long_is_a_failure(house: &House) {
    let room = Room::new(house, "too_long").await;
    let mailbox = room.mailboxes([0]).await[0];
    let hangs = house.sim.faults().add(Fault::new(Target::method("Blob/get"), HANGS).times(1));
    let mut shift = room.plan("w1");
    shift.settings.limits.backup = Duration::from_secs(2);
    let worker = room.start(shift);
    let job = room.nightly(&[mailbox]).await[0];
    let done = room.until_done(job).await;
    assert_eq!((done.attempt.0, done.failure), (2, None));
    assert_eq!(house.sim.faults().struck(hangs), 1);
    let log = String::from_utf8_lossy(&crate::house::LOG.text()).into_owned();
    assert!(log.contains("it took longer than it may"));
    worker.drain().await;
}
