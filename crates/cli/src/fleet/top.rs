use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use catalog::Catalog;
use coordination::{Progress, ProgressBoard, Redis};
use model::{Clock, JobKind, JobState, SystemClock, Timestamp};
use queue::{Broker, Depth};
use serde_json::json;

use super::config::Config;
use crate::exit::Exit;
use crate::fleet_args::TopArgs;
use crate::output::{Out, bytes};

const EVERY: Duration = Duration::from_secs(2);
/// Running jobs that are shown, those that run longest.
const SHOWN: usize = 25;
const CLEAR: &str = "\x1b[2J\x1b[H";

/// `malle top`: queues, jobs and what is running, anew every two seconds.
pub(crate) async fn top(args: &TopArgs, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let (catalog, broker, redis) = (config.catalog("top").await?, config.broker("top")?, config.redis()?);
    let again = !args.once && !out.json() && std::io::stdout().is_terminal();
    let mut before: Option<Look> = None;
    loop {
        let look = Look::take(&catalog, &broker, &redis).await?;
        match out.json() {
            true => out.object(&look.json())?,
            false => {
                let clear = if again { CLEAR } else { "" };
                out.line(format_args!("{clear}{}", look.text(before.as_ref())))?;
            }
        }
        if !again {
            return Ok(Exit::Good);
        }
        before = Some(look);
        tokio::time::sleep(EVERY).await;
    }
}

/// The fleet at one moment. What cannot be asked is left out and said.
struct Look {
    at: Timestamp,
    jobs: Vec<(JobKind, JobState, u64)>,
    oldest: Vec<(JobKind, Timestamp)>,
    depths: Result<Vec<Depth>, String>,
    running: Result<Vec<Progress>, String>,
}

impl Look {
    async fn take(catalog: &Catalog, broker: &Broker, redis: &Redis) -> Result<Look> {
        let at = SystemClock.now();
        let jobs = catalog.jobs_by_state().await?;
        let mut running = redis.all().await.map_err(|error| error.to_string());
        if let Ok(running) = &mut running {
            running.sort_by_key(|one| one.started);
        }
        Ok(Look {
            at,
            jobs: jobs.into_iter().map(|count| (count.kind, count.state, count.jobs)).collect(),
            oldest: catalog.oldest_due(at).await?,
            depths: broker.depths().await.map_err(|error| error.to_string()),
            running,
        })
    }

    fn jobs(&self, kind: JobKind, state: JobState) -> u64 {
        self.jobs.iter().filter(|(k, s, _)| (*k, *s) == (kind, state)).map(|(.., jobs)| jobs).sum()
    }

    /// Seconds that the oldest due job has waited.
    fn wait(&self, kind: JobKind) -> Option<i64> {
        let oldest = self.oldest.iter().find(|(k, _)| *k == kind)?;
        Some(self.at.duration_since(oldest.1).as_secs())
    }

    fn queued(&self, kind: JobKind) -> Option<u64> {
        let queue = queue::queue_of(kind);
        let depths = self.depths.as_ref().ok()?;
        depths.iter().find(|depth| depth.queue == queue).map(|depth| u64::from(depth.ready))
    }

    fn text(&self, before: Option<&Look>) -> String {
        let mut text = format!("malle top · {}\n\n", self.at.strftime("%Y-%m-%d %H:%M:%S UTC"));
        let _ = writeln!(
            text,
            "{:<9} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "KIND", "WAITING", "QUEUED", "RUNNING", "DEAD", "OLDEST DUE"
        );
        let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        for kind in JobKind::ALL.iter().copied() {
            let [waiting, running, dead] =
                [JobState::Waiting, JobState::Running, JobState::Dead].map(|state| self.jobs(kind, state));
            let wait = self.wait(kind).map_or_else(|| "-".to_owned(), |wait| format!("{wait} s"));
            if waiting + running + dead > 0 || self.queued(kind).is_none_or(|queued| queued > 0) {
                let queued = number(self.queued(kind));
                let _ = writeln!(
                    text,
                    "{kind:<9} {waiting:>9} {queued:>9} {running:>9} {dead:>9} {wait:>10}",
                    kind = kind.as_str()
                );
            }
        }
        if let Err(error) = &self.depths {
            let _ = writeln!(text, "queues: {error}");
        }
        match &self.running {
            Err(error) => drop(writeln!(text, "\nrunning jobs: {error}")),
            Ok(running) => self.running_text(running, before, &mut text),
        }
        text
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

    fn json(&self) -> serde_json::Value {
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
            let counts = json!({
                "waiting": of(JobState::Waiting), "running": of(JobState::Running), "dead": of(JobState::Dead),
                "queued": self.queued(*kind), "oldest_due_seconds": self.wait(*kind),
            });
            (kind.as_str().to_owned(), counts)
        });
        json!({ "at": self.at.to_string(), "jobs": jobs.collect::<serde_json::Map<_, _>>(), "running": running.ok() })
    }
}
