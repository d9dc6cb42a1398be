use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalog::{Address, Catalog};
use model::BackupState;
use tokio::process::{Child, Command};

use super::rebuilt::rebuilt;
use super::{Fleet, Plan, address};

/// Longer a night does not take on a machine that can do it.
const LIMIT: Duration = Duration::from_secs(3_600);
/// Backups of one mailbox that are looked at.
const MOST: u32 = 10;

/// A night of the whole fleet; what it cost, as a table. An error if in the end not every mailbox that is due has one good
/// backup, or another one has any.
pub async fn night(malle: PathBuf, plan: Plan) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let fleet = Fleet::start(malle, dir.path().to_owned(), &plan).await?;
    let due = (0..plan.mailboxes).filter(|number| !Plan::is_personal(*number)).count() as u64;
    let catalog = Catalog::connect(&catalog::Settings::new(fleet.postgres.url(), "night")).await?;

    let before = fleet.simulator.counters();
    let started = Instant::now();
    let mut producer = fleet.role("produce", 0)?;
    let mut workers: Vec<Child> =
        (1..=plan.workers).map(|number| fleet.role("work", number)).collect::<Result<_>>()?;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let open: u64 = catalog.jobs_by_state().await?.iter().map(|count| count.jobs).sum();
        let done: u64 = catalog.newest_backups().await?.iter().map(|(_, mailboxes)| mailboxes).sum();
        for role in workers.iter_mut().chain([&mut producer]) {
            ensure!(role.try_wait()?.is_none(), "a role ended: {}", logs(dir.path()));
        }
        if done >= due && open == 0 {
            break;
        }
        ensure!(started.elapsed() < LIMIT, "{done} of {due} done, {open} open: {}", logs(dir.path()));
    }
    let took = started.elapsed().as_secs_f64();
    let read = fleet.simulator.counters().since(&before);
    let memory: Vec<String> =
        workers.iter().chain([&producer]).map(|role| format!("{:.0}", peak(role).unwrap_or(0.0))).collect();

    fleet.check_silent().await?;
    let drained = Instant::now();
    for role in workers.iter_mut().chain([&mut producer]) {
        let id = role.id().context("it runs")?;
        Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
    }
    for role in workers.iter_mut().chain([&mut producer]) {
        let status = role.wait().await?;
        ensure!(status.success(), "a role ended with {status}: {}", logs(dir.path()));
    }
    let drained = drained.elapsed().as_secs_f64();
    fleet.check_silent().await?;
    let emails = exactly_once(&catalog, &plan).await?;
    let rebuilding = Instant::now();
    let rebuilt = rebuilt(&fleet, plan.mailboxes).await?;
    let rebuilding = rebuilding.elapsed().as_secs_f64();

    let per_second = |count: u64| count as f64 / took;
    Ok(format!(
        "| A night of {} mailboxes, {due} of them due; {} workers | |\n|---|---|\n\
         | seconds | {took:.0} |\n| mailboxes/s | {:.1} |\n| emails/s | {:.0} |\n\
         | requests to the mail server | {} |\n| MB from the mail server | {:.0} |\n\
         | peak memory of each worker and of the producer, MiB | {} |\n\
         | seconds from SIGTERM to the end of all | {drained:.1} |\n\
         | mailboxes with exactly one good backup | {due} |\n| others with any backup | 0 |\n\
         | rows written by `catalog rebuild` into an empty catalogue | {rebuilt} |\n\
         | seconds for that, a dry run and doing it again | {rebuilding:.1} |",
        plan.mailboxes,
        plan.workers,
        per_second(due),
        per_second(emails),
        read.requests,
        read.bytes_out as f64 / 1e6,
        memory.join(", "),
    ))
}

/// Emails backed up in all.
async fn exactly_once(catalog: &Catalog, plan: &Plan) -> Result<u64> {
    let mut emails = 0;
    for number in 0..plan.mailboxes {
        let address = address(number);
        let found = catalog.mailboxes_at(&Address::from(address.as_str())).await?;
        ensure!(found.len() == 1, "{address} stands {} times in the catalogue", found.len());
        let backups = catalog.backups_of(found[0].id, None, MOST).await?;
        let expected = usize::from(!Plan::is_personal(number));
        let good = backups.iter().filter(|backup| backup.facts.state == BackupState::Good).count();
        ensure!(
            (good, backups.len()) == (expected, expected),
            "{address} has {} backups, {good} good",
            backups.len()
        );
        emails += backups.iter().map(|backup| backup.facts.emails).sum::<u64>();
    }
    Ok(emails)
}

/// MiB.
fn peak(role: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", role.id()?)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

/// The ends of all logs.
fn logs(dir: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|end| end == "log") {
            let log = fs::read_to_string(entry.path()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(5)..].join("\n");
            text += &format!("\n{}:\n{last}\n", entry.path().display());
        }
    }
    text
}
