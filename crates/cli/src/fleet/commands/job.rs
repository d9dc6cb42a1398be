use std::vec::IntoIter;

use anyhow::Result;
use catalog::{Address, Catalog, Job, Redrive};
use model::{Clock, JobId, JobKind, SystemClock};
use serde_json::{Value, json};

use crate::args::fleet::{ConfigFile, DeadList, JobCommand, JobDrop, JobPicks};
use crate::fleet::settings::config::Config;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::one_line;
use crate::terminal::output::{Out, remark};

/// Jobs that the catalogue is asked for at once.
const PAGE: u32 = 500;
/// Characters of a failure in a table.
const LONGEST: usize = 200;

/// `malle job dead|redrive|drop`.
pub(crate) async fn job(command: &JobCommand, out: &Out) -> Result<Exit> {
    match command {
        JobCommand::Dead(args) => list(args, out).await,
        JobCommand::Redrive(args) => redrive(args, out).await,
        JobCommand::Drop(args) => drop_them(args, out).await,
    }
}

async fn catalog(config: &ConfigFile) -> Result<Catalog> {
    let catalog = Config::load(config.config.as_deref())?.catalog("job").await?;
    catalog.require_migrated().await?;
    Ok(catalog)
}

async fn list(args: &DeadList, out: &Out) -> Result<Exit> {
    let catalog = catalog(&args.config).await?;
    let mut dead = Dead::new(&catalog, args.kind);
    for _ in 0..args.limit {
        let Some(job) = dead.next().await? else { break };
        match out.json() {
            true => out.object(&shown(&job))?,
            false => out.line(line(&job))?,
        }
    }
    Ok(Exit::Good)
}

async fn redrive(args: &JobPicks, out: &Out) -> Result<Exit> {
    let catalog = catalog(&args.config).await?;
    let mut tally = Tally::default();
    if args.all {
        let mut dead = Dead::new(&catalog, args.kind);
        while let Some(job) = dead.next().await? {
            tally.add(redriven(&catalog, job.id).await?);
        }
    }
    for id in &args.jobs {
        tally.add(redriven(&catalog, JobId(*id)).await?);
    }
    tally.say("redriven", out)
}

async fn redriven(catalog: &Catalog, id: JobId) -> Result<bool> {
    let became = catalog.redrive(id, SystemClock.now()).await?;
    match became {
        Redrive::Waiting => (),
        Redrive::NotDead => not_dead(id),
        Redrive::Superseded => remark(format_args!(
            "job {id} is still dead: a newer one does its work; `malle job drop {id}` if that is enough"
        )),
    }
    Ok(became == Redrive::Waiting)
}

async fn drop_them(args: &JobDrop, out: &Out) -> Result<Exit> {
    let catalog = catalog(&args.config).await?;
    let actor = format!("cli {}", from_url::writer());
    let mut tally = Tally::default();
    for id in args.jobs.iter().copied().map(JobId) {
        let dropped = catalog.drop_dead(id, &actor, SystemClock.now()).await?;
        if !dropped {
            not_dead(id);
        }
        tally.add(dropped);
    }
    tally.say("dropped", out)
}

fn not_dead(id: JobId) {
    remark(format_args!("there is no dead job {id}; `malle job dead` lists them"));
}

/// For how many it went as it was asked.
#[derive(Default)]
struct Tally {
    done: usize,
    left: usize,
}

impl Tally {
    fn add(&mut self, done: bool) {
        match done {
            true => self.done += 1,
            false => self.left += 1,
        }
    }

    fn say(&self, what: &str, out: &Out) -> Result<Exit> {
        match out.json() {
            true => out.object(&json!({ what: self.done }))?,
            false => out.line(format_args!("{} {what}", self.done))?,
        }
        Ok(if self.left == 0 { Exit::Good } else { Exit::Incomplete })
    }
}

/// Dead jobs by kind and number, asked for by the page.
struct Dead<'a> {
    catalog: &'a Catalog,
    kinds: IntoIter<JobKind>,
    kind: Option<JobKind>,
    after: Option<JobId>,
    page: IntoIter<Job>,
}

impl<'a> Dead<'a> {
    fn new(catalog: &'a Catalog, only: Option<JobKind>) -> Self {
        let mut kinds = only.map_or_else(|| JobKind::ALL.to_vec(), |kind| vec![kind]).into_iter();
        Dead { catalog, kind: kinds.next(), kinds, after: None, page: Vec::new().into_iter() }
    }

    async fn next(&mut self) -> Result<Option<Job>> {
        while let Some(kind) = self.kind {
            if let Some(job) = self.page.next() {
                self.after = Some(job.id);
                return Ok(Some(job));
            }
            self.page = self.catalog.dead_jobs(kind, self.after, PAGE).await?.into_iter();
            if self.page.len() == 0 {
                (self.kind, self.after) = (self.kinds.next(), None);
            }
        }
        Ok(None)
    }
}

fn line(job: &Job) -> String {
    let mailbox = job.address.as_ref().map_or("-", Address::as_str);
    let at = job.finished_at.map(|at| format!("{at:.0}")).unwrap_or_default();
    let why = job.failure.as_ref().map(|(class, text)| format!("{class}: {text}")).unwrap_or_default();
    format!("{:<8}  {:<8}  {mailbox:<24}  {at:<20}  {}", job.id.0, job.kind, one_line(&why, LONGEST))
}

fn shown(job: &Job) -> Value {
    let (class, error) = job.failure.clone().unzip();
    json!({
        "job": job.id.0, "kind": job.kind.as_str(), "mailbox": job.mailbox.map(|mailbox| mailbox.0),
        "address": job.address.as_ref().map(Address::as_str), "class": class,
        "error": error, "at": job.finished_at.map(|at| at.to_string()), "attempts": job.attempt.0, "worker": job.worker,
    })
}
