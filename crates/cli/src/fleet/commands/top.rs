use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result};
use catalog::{Catalog, Overdue};
use coordination::{Progress, ProgressBoard, Redis, SignIns};
use model::{Clock, JobKind, JobState, Plan, SignedDuration, SystemClock, Timestamp};
use planning::Calendar;
use queue::{Broker, Depth};
use serde_json::{Map, Value, json};

use crate::args::fleet::TopArgs;
use crate::fleet::settings::config::Config;
use crate::terminal::exit::Exit;
use crate::terminal::failure;
use crate::terminal::hint::Setup;
use crate::terminal::output::{Out, bytes};

const EVERY: Duration = Duration::from_secs(2);
/// Between two counts of what is overdue, which look at every mailbox.
const COUNT_EVERY: SignedDuration = SignedDuration::from_secs(30);
/// Running jobs that are shown, those that run longest; and as many workers.
const SHOWN: usize = 25;

/// `malle top`: queues, workers, what is overdue and what is running, anew every two seconds.
pub(crate) async fn top(args: &TopArgs, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let (windows, zone) = config.calendar()?;
    let eyes = Eyes {
        catalog: config.catalog("top").await?,
        broker: config.broker("top")?,
        redis: config.redis()?,
        calendar: Calendar::new(windows, zone)?,
        servers: config.servers.iter().map(|server| server.name.clone()).collect(),
    };
    let again = !args.once && !out.json() && std::io::stdout().is_terminal();
    let mut before: Option<Look> = None;
    loop {
        match eyes.look(before.as_ref()).await {
            Ok(look) => {
                match out.json() {
                    true => out.object(&look.json())?,
                    false if again => out.screen(look.text(before.as_ref()))?,
                    false => out.line(look.text(before.as_ref()))?,
                }
                before = Some(look);
            }
            Err(error) if again => {
                let (_, why) = failure::explain(&error, Setup::Fleet);
                out.screen(format_args!("{}\n{why}; it is tried again", title(SystemClock.now())))?;
            }
            Err(error) => return Err(error),
        }
        if !again {
            return Ok(Exit::Good);
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn title(at: Timestamp) -> String {
    format!("malle top · {}\n", at.strftime("%Y-%m-%d %H:%M:%S UTC"))
}

/// Who is asked.
struct Eyes {
    catalog: Catalog,
    broker: Broker,
    redis: Redis,
    calendar: Calendar,
    servers: Vec<String>,
}

impl Eyes {
    async fn look(&self, before: Option<&Look>) -> Result<Look> {
        let at = SystemClock.now();
        let mut running = self.redis.all().await.map_err(|error| error.to_string());
        if let Ok(running) = &mut running {
            running.sort_by_key(|one| one.started);
        }
        let asked = async {
            let jobs = self.catalog.jobs_by_state().await?;
            Ok::<_, catalog::Error>((
                jobs,
                self.catalog.oldest_due(at).await?,
                self.overdue(at, before).await?,
            ))
        };
        let (jobs, oldest, overdue) = asked.await.context("ask Postgres")?;
        Ok(Look {
            at,
            jobs: jobs.into_iter().map(|count| (count.kind, count.state, count.jobs)).collect(),
            oldest,
            overdue,
            depths: self.broker.depths().await.map_err(|error| error.to_string()),
            running,
            refusing: self.refusing().await,
        })
    }

    /// Mail servers that refuse our credentials, and after which time they are tried again.
    async fn refusing(&self) -> Vec<(String, Duration)> {
        let mut refusing = Vec::new();
        for server in &self.servers {
            if let Some(refusal) = self.redis.refusal(server).await {
                refusing.push((server.clone(), refusal.left));
            }
        }
        refusing
    }

    /// As of when, and how many mailboxes.
    async fn overdue(
        &self,
        at: Timestamp,
        before: Option<&Look>,
    ) -> catalog::Result<(Timestamp, Vec<Overdue>)> {
        if let Some(Look { overdue, .. }) = before
            && at.duration_since(overdue.0) < COUNT_EVERY
        {
            return Ok(overdue.clone());
        }
        let since: Vec<_> =
            Plan::ALL.iter().map(|plan| (*plan, self.calendar.covered_since(*plan, at))).collect();
        Ok((at, self.catalog.overdue(&since).await?))
    }
}

/// The fleet at one moment. What the broker and Redis cannot be asked is left out and said.
struct Look {
    at: Timestamp,
    jobs: Vec<(JobKind, JobState, u64)>,
    oldest: Vec<(JobKind, Timestamp)>,
    overdue: (Timestamp, Vec<Overdue>),
    depths: Result<Vec<Depth>, String>,
    running: Result<Vec<Progress>, String>,
    refusing: Vec<(String, Duration)>,
}

/// A worker that runs jobs; of others only their queues know.
#[derive(Debug, Default, PartialEq, Eq)]
struct Busy {
    jobs: u64,
    /// Bytes a second; `None`: nothing to compare with.
    rate: Option<u64>,
}

impl Look {
    fn jobs(&self, kind: JobKind, state: JobState) -> u64 {
        self.jobs.iter().filter(|(k, s, _)| (*k, *s) == (kind, state)).map(|(.., jobs)| jobs).sum()
    }

    /// Seconds that the oldest due job has waited.
    fn wait(&self, kind: JobKind) -> Option<i64> {
        let oldest = self.oldest.iter().find(|(k, _)| *k == kind)?;
        Some(self.at.duration_since(oldest.1).as_secs())
    }

    fn depth(&self, kind: JobKind) -> Option<&Depth> {
        let queue = queue::queue_of(kind);
        self.depths.as_ref().ok()?.iter().find(|depth| depth.queue == queue)
    }

    fn overdue(&self, plan: Plan) -> Overdue {
        let none = Overdue { plan, mailboxes: 0, paused: 0 };
        self.overdue.1.iter().find(|late| late.plan == plan).copied().unwrap_or(none)
    }

    fn workers(&self, before: Option<&Look>) -> BTreeMap<&str, Busy> {
        let mut workers = BTreeMap::<&str, Busy>::new();
        for one in self.running.iter().flatten() {
            let busy = workers.entry(&one.worker).or_default();
            busy.jobs += 1;
            if let Some(rate) = before.and_then(|before| self.rate(one, before)) {
                *busy.rate.get_or_insert(0) += rate;
            }
        }
        workers
    }

    fn text(&self, before: Option<&Look>) -> String {
        let mut text = title(self.at) + "\n";
        self.kinds_text(&mut text);
        let late = Plan::ALL.iter().map(|plan| match self.overdue(*plan) {
            Overdue { plan, mailboxes, paused: 0 } => format!("{plan} {mailboxes}"),
            Overdue { plan, mailboxes, paused } => format!("{plan} {mailboxes} (and {paused} paused)"),
        });
        let _ = writeln!(text, "\nOVERDUE  {}", late.collect::<Vec<_>>().join(", "));
        for (server, left) in &self.refusing {
            let _ = writeln!(
                text,
                "\n{server} refuses our credentials; they are tried again in {} s, or when their file changes",
                left.as_secs()
            );
        }
        match &self.running {
            Err(error) => drop(writeln!(text, "\nworkers and running jobs: {error}")),
            Ok(running) => {
                self.workers_text(before, &mut text);
                self.running_text(running, before, &mut text);
            }
        }
        text
    }

    fn kinds_text(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "{:<9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "KIND", "WAITING", "QUEUED", "CONSUMERS", "RUNNING", "DEAD", "OLDEST DUE"
        );
        let number = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        for kind in JobKind::ALL.iter().copied() {
            let [waiting, running, dead] =
                [JobState::Waiting, JobState::Running, JobState::Dead].map(|state| self.jobs(kind, state));
            let wait = self.wait(kind).map_or_else(|| "-".to_owned(), |wait| format!("{wait} s"));
            let depth = self.depth(kind);
            if waiting + running + dead > 0 || depth.is_none_or(|depth| depth.ready + depth.consumers > 0) {
                let queued = number(depth.map(|depth| depth.ready));
                let consumers = number(depth.map(|depth| depth.consumers));
                let _ = writeln!(
                    text,
                    "{kind:<9} {waiting:>9} {queued:>9} {consumers:>9} {running:>9} {dead:>9} {wait:>10}"
                );
            }
        }
        match &self.depths {
            Err(error) => drop(writeln!(text, "queues: {error}")),
            Ok(_)
                if JobKind::ALL
                    .iter()
                    .all(|kind| self.depth(*kind).is_none_or(|depth| depth.consumers == 0)) =>
            {
                let _ = writeln!(text, "no worker takes anything: none runs, or none reaches the broker");
            }
            Ok(_) => (),
        }
    }

    fn workers_text(&self, before: Option<&Look>, text: &mut String) {
        let workers = self.workers(before);
        let _ = writeln!(text, "\n{:>9} {:>10} WORKER", "JOBS", "RATE/s");
        for (worker, Busy { jobs, rate }) in workers.iter().take(SHOWN) {
            let _ = writeln!(text, "{jobs:>9} {:>10} {worker}", rate.map_or_else(|| "-".to_owned(), bytes));
        }
        if workers.len() > SHOWN {
            let _ = writeln!(text, "and {} more", workers.len() - SHOWN);
        }
    }

    fn running_text(&self, running: &[Progress], before: Option<&Look>, text: &mut String) {
        let _ = writeln!(
            text,
            "\n{:<8} {:<8} {:<8} {:<12} {:>17} {:>10} {:>10} {:>7} WORKER",
            "JOB", "KIND", "MAILBOX", "PHASE", "EMAILS", "READ", "RATE/s", "SINCE"
        );
        for one in running.iter().take(SHOWN) {
            let expected = one.emails_expected.map_or_else(|| "?".to_owned(), |emails| emails.to_string());
            let emails = format!("{} / {expected}", one.emails_done);
            let since = format!("{} s", self.at.duration_since(one.started).as_secs());
            let rate = before.and_then(|before| self.rate(one, before));
            let rate = rate.map_or_else(|| "-".to_owned(), bytes);
            let _ = writeln!(
                text,
                "{:<8} {:<8} {:<8} {:<12} {emails:>17} {:>10} {rate:>10} {since:>7} {}",
                one.job.0,
                one.kind.as_str(),
                one.mailbox.0,
                one.phase,
                bytes(one.bytes),
                one.worker,
            );
        }
        if running.len() > SHOWN {
            let _ = writeln!(text, "and {} more", running.len() - SHOWN);
        }
    }

    /// Bytes a second since the look before.
    fn rate(&self, one: &Progress, before: &Look) -> Option<u64> {
        let known = before.running.as_ref().ok()?.iter().find(|known| known.job == one.job)?;
        let seconds = u64::try_from(self.at.duration_since(before.at).as_secs()).ok()?.max(1);
        Some(one.bytes.saturating_sub(known.bytes) / seconds)
    }

    fn json(&self) -> Value {
        let running = self.running.as_ref().map(|running| {
            let one = |one: &Progress| {
                json!({
                    "job": one.job.0, "kind": one.kind.as_str(), "mailbox": one.mailbox.0, "phase": one.phase,
                    "emails": one.emails_done, "expected": one.emails_expected, "bytes": one.bytes,
                    "worker": one.worker, "started": one.started.to_string(),
                })
            };
            running.iter().map(one).collect::<Vec<_>>()
        });
        let jobs = JobKind::ALL.iter().map(|kind| {
            let of = |state| self.jobs(*kind, state);
            let depth = self.depth(*kind);
            let counts = json!({
                "waiting": of(JobState::Waiting), "running": of(JobState::Running), "dead": of(JobState::Dead),
                "queued": depth.map(|depth| depth.ready), "consumers": depth.map(|depth| depth.consumers),
                "oldest_due_seconds": self.wait(*kind),
            });
            (kind.as_str().to_owned(), counts)
        });
        let overdue = Plan::ALL.iter().map(|plan| {
            let Overdue { plan, mailboxes, paused } = self.overdue(*plan);
            (plan.as_str().to_owned(), json!({ "mailboxes": mailboxes, "paused": paused }))
        });
        let workers = self.running.is_ok().then(|| {
            let workers = self.workers(None).into_iter();
            workers.map(|(name, busy)| (name.to_owned(), busy.jobs.into())).collect::<Map<_, _>>()
        });
        let refusing = self.refusing.iter().map(|(server, left)| (server.clone(), left.as_secs().into()));
        json!({
            "at": self.at.to_string(), "jobs": jobs.collect::<Map<_, _>>(), "overdue": overdue.collect::<Map<_, _>>(),
            "workers": workers, "running": running.ok(),
            "sign_ins_refused": refusing.collect::<Map<_, _>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use model::{JobId, MailboxId};

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("of the calendar")
    }

    fn progress(job: u64, worker: &str, bytes: u64) -> Progress {
        Progress {
            job: JobId(job),
            kind: JobKind::Nightly,
            mailbox: MailboxId(job),
            phase: "fetch".to_owned(),
            emails_done: 5,
            emails_expected: None,
            bytes,
            worker: worker.to_owned(),
            started: second(0),
        }
    }

    fn look(at: i64, running: Vec<Progress>, consumers: u32) -> Look {
        let depth = Depth { queue: queue::queue_of(JobKind::Nightly), ready: 7, consumers };
        Look {
            at: second(at),
            jobs: vec![(JobKind::Nightly, JobState::Dead, 1)],
            oldest: vec![(JobKind::Nightly, second(0))],
            overdue: (second(0), vec![Overdue { plan: Plan::Personal, mailboxes: 3, paused: 2 }]),
            depths: Ok(vec![depth]),
            running: Ok(running),
            refusing: vec![("mail".to_owned(), Duration::from_secs(720))],
        }
    }

    fn words(text: &str, line: &str) -> Vec<String> {
        let found = text.lines().find(|found| found.contains(line));
        let found = found.unwrap_or_else(|| panic!("no {line} in\n{text}"));
        found.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn queues_workers_and_what_is_overdue_are_shown() {
        let before = look(2, vec![progress(1, "one", 1000), progress(2, "one", 0)], 2);
        let running = vec![progress(1, "one", 5000), progress(2, "one", 2000), progress(3, "two", 9)];
        let now = look(4, running, 2);
        let text = now.text(Some(&before));
        assert_eq!(words(&text, "nightly")[..7], ["nightly", "0", "7", "2", "0", "1", "4"]);
        assert_eq!(
            words(&text, "OVERDUE")[1..],
            ["personal", "3", "(and", "2", "paused),", "professional", "0"]
        );
        let busy = |jobs, rate| Busy { jobs, rate };
        let workers = BTreeMap::from([("one", busy(2, Some(3000))), ("two", busy(1, None))]);
        assert_eq!(now.workers(Some(&before)), workers);
        assert_eq!(words(&text, "refuses our credentials")[..2], ["mail", "refuses"]);
        assert!(!text.contains("no worker"), "{text}");
        assert!(look(4, Vec::new(), 0).text(None).contains("no worker takes anything"));
    }

    #[test]
    fn programs_are_told_the_same() {
        let told = look(4, vec![progress(1, "one", 1), progress(2, "one", 2)], 2).json();
        assert_eq!((&told["jobs"]["nightly"]["consumers"], &told["workers"]["one"]), (&json!(2), &json!(2)));
        assert_eq!(told["sign_ins_refused"], json!({ "mail": 720 }));
        assert_eq!(told["overdue"]["personal"], json!({ "mailboxes": 3, "paused": 2 }));
    }
}
