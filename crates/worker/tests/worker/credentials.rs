//! The password of the fleet's own user changes in the night.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use coordination::SignIns;
use jmap::{Credentials, Renewal};
use model::{JobKind, JobState};
use sim_stalwart::{Effect, Fault, Target};
use tokio::time::{Instant, sleep};

use crate::house::{ADMIN, House, PASSWORD, until};
use crate::room::{Room, SERVER};

const MAILBOXES: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// A file that the password stands in.
#[derive(Debug, Clone, Default)]
struct PasswordFile(Arc<Mutex<String>>);

impl PasswordFile {
    fn write(&self, password: &str) {
        password.clone_into(&mut self.0.lock().unwrap());
    }
}

impl Renewal for PasswordFile {
    fn renewed(&self) -> Option<Credentials> {
        Some(Credentials::basic(ADMIN, self.0.lock().unwrap().clone()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_changed_password_is_shown_to_the_server_a_few_times_and_everything_goes_on_when_it_is_mended() {
    let house = House::new(MAILBOXES + 1, 3).await;
    let room = Room::new(&house, "credentials").await;
    let mailboxes = room.mailboxes(0..MAILBOXES + 1).await;
    let file = PasswordFile::default();
    file.write(PASSWORD);
    let start = |name| {
        let mut plan = room.plan(name);
        plan.settings.servers[0].client.renewal = Some(Arc::new(file.clone()));
        room.start(plan)
    };
    let workers = ["w1", "w2"].map(start);
    let ask = async || {
        room.sql("UPDATE jobs SET request_key = NULL").await;
        let mut jobs = Vec::new();
        for mailbox in &mailboxes[1..] {
            jobs.push(room.request(JobKind::Manual, *mailbox, None).await);
        }
        jobs
    };
    for job in ask().await {
        room.until_done(job).await;
    }
    // Longer than credentials that were taken are taken for good.
    sleep(Duration::from_secs(6)).await;
    let before = house.sim.counters();
    assert!(house.sim.set_password(ADMIN, "another one"));
    let jobs = ask().await;
    let waiting = "SELECT count(*) FROM jobs WHERE state = 'waiting' AND attempt = 0 AND epoch IS NOT NULL";
    until("all jobs wait", async || (room.number(waiting).await == i64::from(MAILBOXES)).then_some(())).await;
    sleep(Duration::from_secs(4)).await;
    let refused = house.sim.counters().since(&before).unauthorized;
    assert!((1..=3).contains(&refused), "{refused} refusals reached the server");
    let is_told = workers.iter().any(|worker| worker.metrics.servers.of(SERVER).sign_in_refused.get() == 1);
    assert!(is_told, "somebody says so");

    file.write("another one");
    for job in &jobs {
        let done = until("everything goes on", async || {
            Some(room.job(*job).await).filter(|job| job.state.is_finished())
        });
        let job = done.await;
        assert_eq!((job.state, job.attempt.0), (JobState::Done, 1), "no attempt was used up");
        assert_eq!(job.failure, None, "a job that is done shows no old failure");
    }
    let refused = house.sim.counters().since(&before).unauthorized;
    assert!(refused <= 3, "{refused} refusals reached the server");
    for worker in &workers {
        let refused = &worker.metrics.servers.of(SERVER).sign_in_refused;
        until("each worker shows that it is over", async || (refused.get() == 0).then_some(())).await;
    }

    // It changes again, and nobody mends it within the first 10 s: the second refusal is in force for a minute.
    assert!(house.sim.set_password(ADMIN, "a third one"));
    sleep(Duration::from_secs(6)).await;
    room.request(JobKind::Manual, mailboxes[0], None).await;
    let refusal = async || room.redis().refusal(SERVER).await.filter(|refusal| refusal.left > FIRST_PAUSE);
    until("it is refused again", refusal).await;
    for worker in workers {
        worker.drain().await;
    }
    // A worker that begins now never knew the old password: what it reads was not refused.
    file.write("a third one");
    let late = start("w3");
    room.sql("UPDATE jobs SET request_key = NULL").await;
    let job = room.request(JobKind::Manual, mailboxes[1], None).await;
    let begun = Instant::now();
    room.until_done(job).await;
    assert!(begun.elapsed() < Duration::from_secs(40), "it waited for the refusal's end");
    late.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_password_that_changes_under_running_jobs_costs_what_was_under_way() {
    let house = House::new(MAILBOXES, 40).await;
    let room = Room::new(&house, "credentials_midst").await;
    let file = PasswordFile::default();
    file.write(PASSWORD);
    let worker = {
        let mut plan = room.plan("w1");
        plan.settings.slots.manual = MAILBOXES.try_into().unwrap();
        plan.settings.servers[0].client.renewal = Some(Arc::new(file.clone()));
        room.start(plan)
    };
    house.sim.faults().add(Fault::new(Target::Any, Effect::Delay(Duration::from_millis(300))));
    let mut jobs = Vec::new();
    for mailbox in room.mailboxes(0..MAILBOXES).await {
        jobs.push(room.request(JobKind::Manual, mailbox, None).await);
    }
    // Each is past its session, and none is done.
    let at_work = async || (house.sim.counters().calls_of("Mailbox/get") >= MAILBOXES.into()).then_some(());
    until("all jobs are at work", at_work).await;
    let before = house.sim.counters();
    assert!(house.sim.set_password(ADMIN, "another one"));
    let waiting = "SELECT count(*) FROM jobs WHERE state = 'waiting' AND attempt = 0 AND epoch IS NOT NULL";
    until("all jobs wait", async || (room.number(waiting).await == i64::from(MAILBOXES)).then_some(())).await;
    // All that were sent before the first refusal came back were under way at once; one more tells a sign-in from a route.
    let counters = house.sim.counters().since(&before);
    let (refused, most) = (counters.unauthorized, counters.peak_concurrency);
    assert!(refused <= most + 1, "{refused} refusals, {most} requests were under way at most");
    file.write("another one");
    for job in jobs {
        room.until_done(job).await;
    }
    worker.drain().await;
}
