use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalog::{Address, Catalog, Job};
use model::{BackupState, JobId, JobState};
use sim_stalwart::{AccountSpec, Effect, Fault, Limits, Simulator, Sizes, Target};
use tokio::process::Child;

use super::launcher::{ended_within, signal};
use super::{AGENT, AGENT_PASSWORD, Fleet, Plan, address, professional};

const MAILBOXES: u32 = 4;
const WORKERS: usize = 2;
/// Of each mailbox; none is so long that it would be downloaded by a request of its own.
const EMAILS: u32 = 2_400;
/// Emails in one request.
const BATCH: usize = 20;
/// What one such request takes: a mailbox takes ten seconds.
const LATENCY: Duration = Duration::from_millis(600);
/// `worker.grace_seconds`.
const GRACE: Duration = Duration::from_secs(8);
const LIMIT: Duration = Duration::from_secs(120);

/// How often each blob was handed out.
type Fetched = Arc<Mutex<BTreeMap<String, u32>>>;

/// SIGTERM to all workers in the middle of their slices, then new workers; what happened, as a table. An error unless all were gone
/// within the grace, no attempt was counted, and nothing was fetched twice.
pub async fn drain(malle: PathBuf) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let (simulator, fetched) = simulator().await?;
    let plan =
        Plan { mailboxes: MAILBOXES, emails: EMAILS, workers: WORKERS, slots: 3, has_own_broker: false };
    let grace = GRACE.as_secs().to_string();
    let settings = [("MALLE__WORKER__GRACE_SECONDS", grace.as_str())];
    let fleet = Fleet::empty(malle, dir.path().to_owned(), &plan, simulator, &settings).await?;
    fleet.import(&professional(&fleet.simulator, (0..MAILBOXES).map(address))?).await?;
    let catalog = Catalog::connect(&catalog::Settings::new(fleet.postgres.url(), "drain")).await?;

    let producer = fleet.role("produce", 0)?;
    let mut workers: Vec<Child> =
        (1..=WORKERS).map(|number| fleet.role("work", number)).collect::<Result<_>>()?;
    until("every mailbox to be in the middle of it", async || {
        let running = jobs(&catalog).await?.iter().filter(|job| job.state == JobState::Running).count();
        Ok(running == MAILBOXES as usize && begun(&fetched) == MAILBOXES as usize)
    })
    .await?;
    let drained = Instant::now();
    for worker in &workers {
        signal(worker, "-TERM").await?;
    }
    for worker in &mut workers {
        let status = ended_within(worker, GRACE.saturating_sub(drained.elapsed())).await?;
        ensure!(status.success(), "a worker ended with {status}");
    }
    let drained = drained.elapsed();
    let before = total(&fetched);
    for job in jobs(&catalog).await? {
        ensure!(job.state == JobState::Waiting, "{job:?} does not wait");
        ensure!((job.attempt.0, job.slices) == (0, 1), "{job:?} has another attempt, or another slice");
    }

    let workers: Vec<Child> =
        (1..=WORKERS).map(|number| fleet.role("work", number)).collect::<Result<_>>()?;
    until("every mailbox to be done", async || {
        Ok(jobs(&catalog).await?.iter().all(|job| job.state == JobState::Done))
    })
    .await?;
    let after = total(&fetched);
    for number in 0..MAILBOXES {
        let found = catalog.mailboxes_at(&Address::from(address(number).as_str())).await?;
        let backups = catalog.backups_of(found.first().context("it is listed")?.id, None, 10).await?;
        let [only] = &backups[..] else { anyhow::bail!("{} has {} backups", address(number), backups.len()) };
        ensure!(only.facts.state == BackupState::Good && only.facts.emails == u64::from(EMAILS), "{only:?}");
    }
    for job in jobs(&catalog).await? {
        ensure!((job.attempt.0, job.failure.is_none()) == (1, true), "{job:?} failed in between");
    }
    let fetched = fetched.lock().unwrap_or_else(PoisonError::into_inner);
    let twice = fetched.values().filter(|times| **times != 1).count();
    ensure!(twice == 0, "{twice} of {} blobs were fetched more than once", fetched.len());
    drop((workers, producer));
    Ok(format!(
        "| SIGTERM under load: {MAILBOXES} backups of {EMAILS} emails in {WORKERS} workers | |\n|---|---|\n\
         | seconds until all workers were gone; grace {} | {:.1} |\n| attempts counted | 0 |\n\
         | blobs fetched before, by the next workers, twice | {before}, {}, {twice} |",
        GRACE.as_secs(),
        drained.as_secs_f64(),
        after - before,
    ))
}

/// Slow, and counting what it hands out.
async fn simulator() -> Result<(Simulator, Fetched)> {
    let limits = Limits { max_objects_in_get: BATCH, max_concurrent_requests: 64, ..Limits::default() };
    let mut builder = Simulator::builder().seed(1).limits(limits).impersonator(AGENT, AGENT_PASSWORD);
    for number in 0..MAILBOXES {
        let spec = AccountSpec::new(address(number), "unused").bare().emails(EMAILS).sizes(Sizes::light());
        builder = builder.account(spec);
    }
    let (simulator, fetched) = (builder.start().await?, Fetched::default());
    let seen = Arc::clone(&fetched);
    let count = Effect::distort(move |answer| {
        let account = answer["accountId"].as_str().unwrap_or_default().to_owned();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in answer["list"].as_array().into_iter().flatten() {
            *seen.entry(format!("{account} {}", blob["id"])).or_default() += 1;
        }
    });
    simulator.faults().add(Fault::new(Target::method("Blob/get"), count));
    simulator.faults().add(Fault::new(Target::method("Blob/get"), Effect::Delay(LATENCY)));
    Ok((simulator, fetched))
}

fn total(fetched: &Fetched) -> u32 {
    fetched.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
}

/// Mailboxes of which anything was handed out.
fn begun(fetched: &Fetched) -> usize {
    let fetched = fetched.lock().unwrap_or_else(PoisonError::into_inner);
    fetched.keys().filter_map(|blob| blob.split(' ').next()).collect::<BTreeSet<_>>().len()
}

/// They are numbered from 1.
async fn jobs(catalog: &Catalog) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for id in 1..=u64::from(MAILBOXES) {
        jobs.extend(catalog.job(JobId(id)).await?);
    }
    Ok(jobs)
}

async fn until(what: &str, mut is: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let since = Instant::now();
    while !is().await? {
        ensure!(since.elapsed() < LIMIT, "waited for {what} too long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
