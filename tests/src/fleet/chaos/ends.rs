//! What there must be when everything is over: in the catalogue, in the store, and in both alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use model::{BackupNumber, MailboxIdentity, SnapshotNumber};
use object_store::ObjectStore;
use repository::{Depth, KeyRing, SnapshotInfo, Store, StoreOptions};
use sim_stalwart::AccountHandle;
use tokio_postgres::Row;

use super::history::Database;
use crate::truth::assert_emails_equal;

/// Repositories that are read at the same time.
const READS: usize = 4;

/// A job that must have made its backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) id: i64,
    pub(super) mailbox: i64,
    pub(super) kind: String,
    /// Empty: asked for.
    pub(super) slot: String,
    pub(super) state: String,
    pub(super) number: Option<i64>,
    pub(super) error: String,
}

/// A row of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backup {
    pub(super) number: i64,
    pub(super) mailbox: i64,
    pub(super) job: i64,
    pub(super) snapshot: i64,
    pub(super) state: String,
}

/// What the catalogue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Catalogue {
    pub(super) jobs: Vec<Job>,
    pub(super) backups: Vec<Backup>,
}

impl Catalogue {
    pub(super) async fn read(database: &Database) -> Result<Catalogue> {
        let jobs = database.query(
            "SELECT id, mailbox, kind, coalesce(slot_date::text, '') AS slot, state, number, coalesce(error, '') AS error \
             FROM malle.jobs ORDER BY id",
        );
        let backups =
            "SELECT number, mailbox, job, snapshot, state FROM malle.backups ORDER BY mailbox, snapshot";
        Ok(Catalogue {
            jobs: jobs.await?.iter().map(job).collect(),
            backups: database.query(backups).await?.iter().map(backup).collect(),
        })
    }

    /// Whether nothing is left to do: each mailbox has its slots, and no job is unfinished.
    pub(super) fn is_calm(&self, mailboxes: usize, slot: &str) -> bool {
        let unfinished = |job: &Job| matches!(job.state.as_str(), "waiting" | "running");
        self.planned(slot) == mailboxes && !self.jobs.iter().any(unfinished)
    }

    /// Jobs for this night.
    pub(super) fn planned(&self, slot: &str) -> usize {
        self.jobs.iter().filter(|job| job.slot == slot).count()
    }

    /// Every slot of every mailbox, and every request, has exactly one good backup.
    pub(super) fn wrongs(&self, mailboxes: &[i64], slots: &[String; 2], requests: &[i64]) -> Vec<String> {
        let mut wrongs = Vec::new();
        for (mailbox, slot) in
            mailboxes.iter().flat_map(|mailbox| slots.iter().map(move |slot| (mailbox, slot)))
        {
            let jobs = self.jobs.iter().filter(|job| job.mailbox == *mailbox && job.slot == *slot).count();
            if jobs != 1 {
                wrongs.push(format!("mailbox {mailbox} has {jobs} jobs for the night of {slot}"));
            }
        }
        for request in requests.iter().filter(|request| !self.jobs.iter().any(|job| job.id == **request)) {
            wrongs.push(format!("the request that became job {request} is not there"));
        }
        for job in &self.jobs {
            let backups: Vec<_> = self.backups.iter().filter(|backup| backup.job == job.id).collect();
            // One that is not good fills no slot.
            let good: Vec<_> = backups.iter().filter(|backup| backup.state == "good").collect();
            let is_well = job.state == "done"
                && backups.iter().all(|backup| backup.mailbox == job.mailbox)
                && matches!(good[..], [only] if Some(only.number) == job.number);
            if !is_well {
                wrongs.push(format!("{job:?} has the backups {backups:?}"));
            }
        }
        let orphans = self.backups.iter().filter(|backup| !self.jobs.iter().any(|job| job.id == backup.job));
        wrongs.extend(orphans.map(|backup| format!("{backup:?} is of no job")));
        wrongs
    }
}

fn job(row: &Row) -> Job {
    Job {
        id: row.get("id"),
        mailbox: row.get("mailbox"),
        kind: row.get("kind"),
        slot: row.get("slot"),
        state: row.get("state"),
        number: row.get("number"),
        error: row.get("error"),
    }
}

fn backup(row: &Row) -> Backup {
    Backup {
        number: row.get("number"),
        mailbox: row.get("mailbox"),
        job: row.get("job"),
        snapshot: row.get("snapshot"),
        state: row.get("state"),
    }
}

/// A mailbox of the catalogue, and what the mail server holds of it.
pub(super) struct Owner {
    pub(super) mailbox: i64,
    pub(super) account: AccountHandle,
}

/// What lies in the store of all mailboxes.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) bytes: u64,
    /// Snapshots that a writer committed after another one had made the backup: no row names them.
    pub(super) late: usize,
    pub(super) wrongs: Vec<String>,
}

/// Reads every byte of every repository, compares its log with the catalogue's rows, and the newest snapshot with the mailbox.
pub(super) async fn read_store(
    objects: Arc<dyn ObjectStore>,
    ring: KeyRing,
    owners: Vec<Owner>,
    catalogue: &Catalogue,
) -> Result<Stored> {
    let store = Store::open(objects, StoreOptions::default()).await?;
    let mut all = Stored::default();
    let mut reading = stream::iter(owners)
        .map(|owner| {
            let rows: Vec<Backup> =
                catalogue.backups.iter().filter(|row| row.mailbox == owner.mailbox).cloned().collect();
            let (store, ring) = (store.clone(), ring.clone());
            // A comparison that fails panics: in a task of its own that is an answer.
            tokio::spawn(async move { read_mailbox(&store, &ring, &owner, &rows).await })
        })
        .buffer_unordered(READS);
    while let Some(read) = reading.next().await {
        let read = read.context("a snapshot is not what the mailbox was")??;
        all.bytes += read.bytes;
        all.late += read.late;
        all.wrongs.extend(read.wrongs);
    }
    Ok(all)
}

async fn read_mailbox(store: &Store, ring: &KeyRing, owner: &Owner, rows: &[Backup]) -> Result<Stored> {
    let (server, account) = ("simulated".to_owned(), owner.account.id().as_str().into());
    let identity = MailboxIdentity { server, account, incarnation: 0 };
    let repository = store.mailbox(ring, ring.directory(&identity)).await?;
    let report = repository.check(None, Depth::Data).await?;
    let snapshots = repository.snapshots().await?;
    let (mut wrongs, late) = compare(rows, &snapshots);
    wrongs.extend(report.problems.iter().map(|problem| format!("in the store: {problem:?}")));
    if let Some(newest) = rows.last() {
        let newest = SnapshotNumber(newest.snapshot.unsigned_abs());
        assert_emails_equal(&repository.snapshot(Some(newest)).await?, &owner.account).await;
    }
    let wrongs = wrongs.into_iter().map(|wrong| format!("mailbox {}: {wrong}", owner.mailbox)).collect();
    Ok(Stored { bytes: report.bytes_read, late, wrongs })
}

/// What differs between rows and log, and how many snapshots came too late for a row. Such a one carries the number of a row.
fn compare(rows: &[Backup], snapshots: &[SnapshotInfo]) -> (Vec<String>, usize) {
    let (mut wrongs, mut late) = (Vec::new(), 0);
    let by_snapshot: BTreeMap<u64, &Backup> =
        rows.iter().map(|row| (row.snapshot.unsigned_abs(), row)).collect();
    for row in rows {
        if !snapshots.iter().any(|info| info.number.0 == row.snapshot.unsigned_abs()) {
            wrongs.push(format!("no snapshot for {row:?}"));
        }
    }
    for info in snapshots {
        let origin = &info.summary.origin;
        let says = |row: &Backup| {
            origin.backup_number == Some(BackupNumber(row.number.unsigned_abs()))
                && origin.job == row.job.to_string()
        };
        match by_snapshot.get(&info.number.0) {
            Some(row) if says(row) => {}
            Some(row) => wrongs.push(format!("snapshot {} says {origin:?} and not {row:?}", info.number)),
            None if rows.iter().any(says) => late += 1,
            None => wrongs.push(format!("snapshot {} of {origin:?} has no row", info.number)),
        }
    }
    (wrongs, late)
}
