//! The password of the fleet's own user changes in the night.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use coordination::SignIns;
use jmap::{Credentials, Renewal};
use model::{JobKind, JobState};
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

    // Nobody mends it within the first 10 s: the second refusal is in force for a minute.
    let refusal = async || room.redis().refusal(SERVER).await.filter(|refusal| refusal.left > FIRST_PAUSE);
    until("it is refused again", refusal).await;
    file.write("another one");
    // A worker that begins now never knew the old password: what it reads was not refused.
    let late = start("w3");
    let fresh = room.request(JobKind::Manual, mailboxes[0], None).await;
    let begun = Instant::now();
    room.until_done(fresh).await;
    assert!(begun.elapsed() < Duration::from_secs(40), "it waited for the refusal's end");
    for job in &jobs {
        let done = until("everything goes on", async || {
            Some(room.job(*job).await).filter(|job| job.state.is_finished())
        });
        let job = done.await;
        assert_eq!((job.state, job.attempt.0), (JobState::Done, 1), "no attempt was used up");
        assert_eq!(job.failure, None, "a job that is done shows no old failure");
    }
    let refused = house.sim.counters().since(&before).unauthorized;
    assert!(refused <= 5, "{refused} refusals reached the server");
    for worker in workers.into_iter().chain([late]) {
        let refused = &worker.metrics.servers.of(SERVER).sign_in_refused;
        until("each worker shows that it is over", async || (refused.get() == 0).then_some(())).await;
        worker.drain().await;
    }
}
