use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalog::{Address, Catalog};
use sim_stalwart::{AccountSpec, Advice, Limits, RateLimit, Simulator, Sizes};
use tokio::process::Child;

use super::{AGENT, AGENT_PASSWORD, Fleet, Plan, address, professional};

/// Mailboxes that must not notice the others, and what each holds.
const SMALL: u32 = 500;
const EMAILS: u32 = 30;
/// Emails of one other mailbox on the same server.
const BIG: u32 = 500_000;
/// Mailboxes of a server that answers 20 requests a minute.
const THROTTLED: u32 = 50;
const RATE: RateLimit =
    RateLimit { requests: 20, window: Duration::from_secs(60), advice: Advice::RetryAfter };
/// What each request takes, so that waiting and not this machine's two cores sets the pace.
const LATENCY: Duration = Duration::from_millis(300);
const LIMIT: Duration = Duration::from_secs(900);

/// What the small ones took.
struct Took {
    seconds: f64,
    /// Of all cores, percent.
    cpu: f64,
    /// What became of the others, for people.
    others: String,
}

/// Five hundred small mailboxes alone, and beside a big one and a throttled server, as a table. An error if that takes more
/// than 1.5 times as long, or if the machine was so busy that it says nothing.
pub async fn fairness(malle: PathBuf) -> Result<String> {
    let alone = small_ones(malle.clone(), false).await?;
    let beside = small_ones(malle, true).await?;
    let ratio = beside.seconds / alone.seconds;
    let table = format!(
        "| {SMALL} mailboxes of {EMAILS} emails, {} ms a request | s | CPU |\n|---|---|---|\n\
         | alone | {:.1} | {:.0} % |\n| beside one of {BIG} emails and {THROTTLED} of a throttled server | {:.1} | {:.0} % |\n\
         | ratio, at most 1.5 | {ratio:.2} | |\n\nWhen the last small one was done: {}.",
        LATENCY.as_millis(),
        alone.seconds,
        alone.cpu,
        beside.seconds,
        beside.cpu,
        beside.others
    );
    ensure!(alone.cpu < 70.0 && beside.cpu < 70.0, "too busy a machine to tell\n{table}");
    ensure!(ratio <= 1.5, "unfair\n{table}");
    Ok(table)
}

async fn small_ones(malle: PathBuf, with_others: bool) -> Result<Took> {
    let dir = tempfile::tempdir()?;
    let plan = Plan { mailboxes: SMALL, emails: EMAILS, workers: 3, slots: 12, has_own_broker: false };
    let limits = Limits { max_concurrent_requests: 256, ..Limits::default() };
    let mut mails = Simulator::builder().impersonator(AGENT, AGENT_PASSWORD).limits(limits).latency(LATENCY);
    for number in 0..SMALL {
        mails =
            mails.account(AccountSpec::new(address(number), "unused").emails(EMAILS).sizes(Sizes::light()));
    }
    let big = address(SMALL);
    if with_others {
        mails = mails.account(AccountSpec::new(&big, "unused").emails(BIG).sizes(Sizes::tiny()));
    }
    let slices = [("MALLE__WORKER__SLICE_SECONDS", "20")];
    let fleet = Fleet::empty(malle, dir.path().to_owned(), &plan, mails.start().await?, &slices).await?;
    let throttled = if with_others { Some(throttled_server(&fleet).await?) } else { None };
    let listed = (0..SMALL + u32::from(with_others)).map(address);
    fleet.import(&professional(&fleet.simulator, listed)?).await?;

    let catalog = Catalog::connect(&catalog::Settings::new(fleet.postgres.url(), "fairness")).await?;
    let (began, busy_before) = (Instant::now(), cpu_times()?);
    let _producer = fleet.role("produce", 0)?;
    let mut workers: Vec<Child> =
        (1..=plan.workers).map(|number| fleet.role("work", number)).collect::<Result<_>>()?;
    let mut pending: Vec<String> = (0..SMALL).map(address).collect();
    while !pending.is_empty() {
        ensure!(began.elapsed() < LIMIT, "{} of {SMALL} are not done", pending.len());
        for role in &mut workers {
            ensure!(role.try_wait()?.is_none(), "a worker ended");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        let mut left = Vec::new();
        for address in pending {
            if backups(&catalog, &address).await?.is_empty() {
                left.push(address);
            }
        }
        pending = left;
    }
    let seconds = began.elapsed().as_secs_f64();
    let (busy, all) = cpu_times()?;
    let cpu = 100.0 * (busy - busy_before.0) as f64 / (all - busy_before.1) as f64;
    let mut others = String::new();
    if let Some(throttled) = throttled {
        let state = if backups(&catalog, &big).await?.is_empty() { "under way" } else { "done" };
        let counters = throttled.counters();
        write!(
            others,
            "the big one was {state}, the throttled server had refused {} of {} requests",
            counters.refused, counters.requests
        )?;
        ensure!(counters.refused > 0, "no server was throttled");
    }
    Ok(Took { seconds, cpu, others })
}

/// Another server with mailboxes, listed and configured.
async fn throttled_server(fleet: &Fleet) -> Result<Simulator> {
    let limits = Limits { rate: Some(RATE), ..Limits::default() };
    let mut mails = Simulator::builder().seed(2).impersonator(AGENT, AGENT_PASSWORD).limits(limits);
    let addresses = || (0..THROTTLED).map(|number| format!("late{number}@example.org"));
    for address in addresses() {
        mails = mails.account(AccountSpec::new(address, "unused").emails(EMAILS));
    }
    let mails = mails.start().await?;
    let config = fleet.launcher.dir().join("malle.toml");
    let password = fleet.launcher.dir().join("agent");
    writeln!(
        File::options().append(true).open(config)?,
        "[[servers]]\nname = \"throttled\"\nurl = {:?}\nuser = {AGENT:?}\npassword = {{ file = {password:?} }}",
        mails.url()
    )?;
    let list = fleet.launcher.dir().join("throttled.csv");
    fs::write(&list, professional(&mails, addresses())?)?;
    let list = list.to_str().context("a path in UTF-8")?;
    fleet.run(&["mailbox", "import", list, "--server", "throttled"]).await?;
    Ok(mails)
}

async fn backups(catalog: &Catalog, address: &str) -> Result<Vec<catalog::Backup>> {
    let found = catalog.mailboxes_at(&Address::from(address)).await?;
    let mailbox = found.first().context("it is listed")?.id;
    Ok(catalog.backups_of(mailbox, None, 2).await?)
}

/// Time that the cores worked, and all of their time, in hundredths of a second.
fn cpu_times() -> Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("a line for all cores")?;
    let times: Vec<u64> =
        line.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
    let [_, _, _, idle, waiting, ..] = times[..] else { anyhow::bail!("a line of the kernel's: {line}") };
    let all: u64 = times.iter().sum();
    Ok((all - idle - waiting, all))
}
