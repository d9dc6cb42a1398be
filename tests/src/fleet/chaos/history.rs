//! What happened, as triggers in the database wrote it down, and what must never happen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::AbortHandle;
use tokio_postgres::{Client, NoTls, Row};

const TRIGGERS: &str = include_str!("history.sql");

/// A client whose connection ends with it.
pub(super) struct Database {
    client: Client,
    connection: AbortHandle,
}

impl Database {
    pub(super) async fn connect(url: &str) -> Result<Database> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Database { client, connection })
    }

    pub(super) async fn query(&self, sql: &str) -> Result<Vec<Row>> {
        Ok(self.client.query(sql, &[]).await?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// From now on everything is written down.
pub(super) async fn begin(url: &str) -> Result<()> {
    Ok(Database::connect(url).await?.client.batch_execute(TRIGGERS).await?)
}

/// Ends every connection of the fleet.
pub(super) async fn terminate_connections(url: &str) -> Result<()> {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'malle-%'";
    Database::connect(url).await?.query(sql).await.map(drop)
}

/// One row of the history.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Change {
    pub(super) id: i64,
    /// Role, number and generation: `work-3.1`.
    pub(super) writer: String,
    /// `mailbox`, `job` or `backup`.
    pub(super) what: String,
    pub(super) mailbox: i64,
    pub(super) job: Option<i64>,
    /// The job's state before.
    pub(super) was: Option<String>,
    pub(super) state: Option<String>,
    /// The mailbox's, or the job's.
    pub(super) epoch: Option<i64>,
    /// The mailbox's at the moment when its job or backup changed.
    pub(super) mailbox_epoch: Option<i64>,
    pub(super) attempt: Option<i32>,
    pub(super) number: Option<i64>,
    pub(super) silent: Option<f64>,
    /// Seconds since 1970.
    pub(super) at: f64,
}

impl Change {
    fn of(row: &Row) -> Change {
        Change {
            id: row.get("id"),
            writer: row.get("writer"),
            what: row.get("what"),
            mailbox: row.get("mailbox"),
            job: row.get("job"),
            was: row.get("was"),
            state: row.get("state"),
            epoch: row.get("epoch"),
            mailbox_epoch: row.get("mailbox_epoch"),
            attempt: row.get("attempt"),
            number: row.get("number"),
            silent: row.get("silent"),
            at: row.get("at"),
        }
    }

    /// Whether a worker took a job.
    fn is_claim(&self) -> bool {
        self.what == "job" && self.runs() && !self.ran()
    }

    fn runs(&self) -> bool {
        self.state.as_deref() == Some("running")
    }

    fn ran(&self) -> bool {
        self.was.as_deref() == Some("running")
    }
}

pub(super) async fn read(database: &Database) -> Result<Vec<Change>> {
    let rows = database.query("SELECT * FROM chaos.history ORDER BY id").await?;
    let history: Vec<Change> = rows.iter().map(Change::of).collect();
    ensure!(!history.is_empty(), "nothing was written down");
    Ok(history)
}

/// Seconds from a moment, in seconds since 1970, to the next claim; `None` if there was none.
pub(super) fn until_next_claim(history: &[Change], moment: f64) -> Option<f64> {
    history.iter().filter(|change| change.is_claim()).map(|claim| claim.at - moment).find(|wait| *wait >= 0.0)
}

/// What the history was made of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) claims: usize,
    /// Jobs taken from workers that gave no sign.
    pub(super) released: usize,
    /// Rows written under a later claim than the one that drew the number: slices, retries, adoptions.
    pub(super) by_successors: usize,
}

#[derive(Debug, Clone)]
struct Claimed {
    job: i64,
    epoch: i64,
    writer: String,
}

/// Reads the history from its beginning, as far as it is as it must be.
#[derive(Default)]
struct Judge {
    silent: f64,
    epochs: BTreeMap<i64, i64>,
    /// By mailbox.
    running: BTreeMap<i64, Claimed>,
    /// By job: the number it drew and the epoch in which it did.
    numbers: BTreeMap<i64, (i64, i64)>,
    drawn: BTreeSet<i64>,
    over: BTreeSet<i64>,
    told: Told,
}

/// What it was made of, or everything in it that must never happen. A worker must have been silent for so long before its job
/// is given to another.
pub(super) fn judge(history: &[Change], silent: Duration) -> Result<Told, Vec<String>> {
    let mut judge = Judge { silent: silent.as_secs_f64(), ..Judge::default() };
    let mut wrongs = Vec::new();
    for change in history {
        let judged = match change.what.as_str() {
            "mailbox" => judge.mailbox(change),
            "job" => judge.job(change),
            _ => judge.backup(change),
        };
        if let Err(error) = judged {
            wrongs.push(format!("{error}: {change:?}"));
        }
    }
    if wrongs.is_empty() { Ok(judge.told) } else { Err(wrongs) }
}

impl Judge {
    fn mailbox(&mut self, change: &Change) -> Result<()> {
        let epoch = change.epoch.unwrap_or_default();
        let before = self.epochs.insert(change.mailbox, epoch).unwrap_or_default();
        ensure!(epoch == before + 1, "an epoch went from {before} to {epoch}");
        Ok(())
    }

    fn job(&mut self, change: &Change) -> Result<()> {
        let job = change.job.unwrap_or_default();
        ensure!(!self.over.contains(&job), "a job that was over changed");
        if matches!(change.state.as_deref(), Some("done" | "cancelled")) {
            self.over.insert(job);
        }
        let held = self.running.get(&change.mailbox).filter(|held| held.job == job).cloned();
        match (change.ran(), change.runs()) {
            (false, true) => self.claim(job, change),
            (true, true) => {
                self.is_theirs(change, held.as_ref())?;
                self.number(job, change)
            }
            (true, false) => {
                self.running.remove(&change.mailbox);
                if change.writer.starts_with("produce") {
                    return self.release(change);
                }
                self.is_theirs(change, held.as_ref())
            }
            (false, false) => Ok(()),
        }
    }

    fn claim(&mut self, job: i64, change: &Change) -> Result<()> {
        self.told.claims += 1;
        let (epoch, writer) = (change.epoch.unwrap_or_default(), change.writer.clone());
        let before = self.running.insert(change.mailbox, Claimed { job, epoch, writer });
        ensure!(before.is_none(), "two jobs of a mailbox run at once, the other one is {before:?}");
        let newest = self.epochs.get(&change.mailbox).copied();
        ensure!(newest == Some(epoch), "a claim is not of the mailbox's newest epoch {newest:?}");
        Ok(())
    }

    /// Only who holds the claim writes about the job.
    fn is_theirs(&self, change: &Change, held: Option<&Claimed>) -> Result<()> {
        let held = held.map(|held| (held.epoch, held.writer.as_str()));
        let writes = (change.epoch.unwrap_or_default(), change.writer.as_str());
        ensure!(held == Some(writes), "a stale writer: the claim is {held:?}");
        Ok(())
    }

    fn release(&mut self, change: &Change) -> Result<()> {
        self.told.released += 1;
        let silent = change.silent.unwrap_or_default();
        ensure!(change.state.as_deref() == Some("waiting"), "a producer ended a job that ran");
        ensure!(silent >= self.silent, "a job was taken from a worker that was silent for {silent} s only");
        Ok(())
    }

    fn number(&mut self, job: i64, change: &Change) -> Result<()> {
        let Some(number) = change.number else { return Ok(()) };
        if let Some((drawn, _)) = self.numbers.get(&job) {
            ensure!(*drawn == number, "a job had the number {drawn} before");
            return Ok(());
        }
        ensure!(self.drawn.insert(number), "a number was drawn twice");
        self.numbers.insert(job, (number, change.epoch.unwrap_or_default()));
        Ok(())
    }

    fn backup(&mut self, change: &Change) -> Result<()> {
        let job = change.job.unwrap_or_default();
        ensure!(change.runs(), "a backup of a job that does not run");
        ensure!(change.epoch == change.mailbox_epoch, "a backup of an epoch that is over");
        let held = self.running.get(&change.mailbox).filter(|held| held.job == job);
        self.is_theirs(change, held)?;
        let drawn = self.numbers.get(&job).copied();
        ensure!(drawn.map(|drawn| drawn.0) == change.number, "a backup has another number than its job");
        self.told.by_successors += usize::from(drawn.map(|drawn| drawn.1) != change.epoch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Duration = Duration::from_secs(4);

    fn raised(epoch: i64) -> Change {
        let (what, epoch) = ("mailbox".to_owned(), Some(epoch));
        Change { what, mailbox: 1, epoch, writer: "work-2.1".into(), ..Change::default() }
    }

    fn job(writer: &str, was: &str, state: &str, epoch: i64) -> Change {
        Change {
            writer: writer.to_owned(),
            what: "job".to_owned(),
            mailbox: 1,
            job: Some(9),
            was: Some(was.to_owned()),
            state: Some(state.to_owned()),
            epoch: Some(epoch),
            mailbox_epoch: Some(epoch),
            ..Change::default()
        }
    }

    fn drawn(number: i64, change: Change) -> Change {
        Change { number: Some(number), ..change }
    }

    fn backup(writer: &str, epoch: i64) -> Change {
        Change { what: "backup".to_owned(), was: None, ..drawn(5, job(writer, "", "running", epoch)) }
    }

    /// A worker dies, the reaper gives the job to another, which makes the backup.
    fn good() -> Vec<Change> {
        let silent = Some(4.2);
        vec![
            raised(1),
            job("work-2.1", "waiting", "running", 1),
            drawn(5, job("work-2.1", "running", "running", 1)),
            Change { silent, ..drawn(5, job("produce-0.1", "running", "waiting", 1)) },
            raised(2),
            drawn(5, job("work-3.1", "waiting", "running", 2)),
            backup("work-3.1", 2),
            drawn(5, job("work-3.1", "running", "done", 2)),
        ]
    }

    fn check(expected: &str, spoil: impl FnOnce(&mut Vec<Change>)) {
        let mut history = good();
        spoil(&mut history);
        let wrongs = judge(&history, SILENT).expect_err(expected);
        assert!(wrongs.iter().any(|wrong| wrong.contains(expected)), "{expected}: {wrongs:#?}");
    }

    #[test]
    fn a_good_history_is_told() {
        let told = Told { claims: 2, released: 1, by_successors: 1 };
        assert_eq!(judge(&good(), SILENT), Ok(told));
    }

    #[test]
    fn whatever_must_never_happen_is_found() {
        check("an epoch went from 1 to 1", |h| h[4].epoch = Some(1));
        check("not of the mailbox's newest epoch", |h| drop(h.remove(4)));
        check("two jobs of a mailbox", |h| {
            h[3] = raised(2);
            h[4] = Change { job: Some(8), ..job("work-3.1", "waiting", "running", 2) };
        });
        check("silent for 1 s only", |h| h[3].silent = Some(1.0));
        check("a producer ended a job", |h| h[3].state = Some("dead".into()));
        check("a stale writer", |h| h[6].writer = "work-2.1".into());
        check("a stale writer", |h| h[7].writer = "work-2.1".into());
        check("a stale writer", |h| h.insert(6, drawn(5, job("work-2.1", "running", "waiting", 2))));
        check("of an epoch that is over", |h| h[6].epoch = Some(1));
        check("does not run", |h| h[6].state = Some("waiting".into()));
        check("another number than its job", |h| h[6].number = Some(6));
        check("had the number 5 before", |h| h.insert(6, drawn(6, job("work-3.1", "running", "running", 2))));
        check("that was over changed", |h| h.push(job("work-2.1", "done", "done", 2)));
        check("drawn twice", |h| {
            let other = |change: Change| Change { job: Some(10), mailbox: 2, ..change };
            h.push(other(raised(1)));
            h.push(other(job("work-2.1", "waiting", "running", 1)));
            h.push(drawn(5, other(job("work-2.1", "running", "running", 1))));
        });
    }
}
