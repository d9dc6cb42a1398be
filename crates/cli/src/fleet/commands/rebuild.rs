//! `malle catalog rebuild`: the catalogue's backups, from the stores alone.
//!
//! The log of every mailbox in every store is read. Mailboxes whose snapshots all have a number are written at once, some thousand rows
//! in a transaction; those with a snapshot that was made without a catalogue are put aside, read again when the highest number of
//! all stores is known, and written then. A crash leaves whole transactions; the next run finds them there and goes on.

use std::sync::Arc;

use anyhow::{Context, Result};
use catalog::{Catalog, Facts, Found, FoundLog};
use futures::{StreamExt, stream};
use model::{BackupNumber, Clock, JobKind, MailboxIdentity, SystemClock};
use repository::{Error, KeyRing, MailboxDir, SnapshotInfo, Store, StoreOptions};
use serde_json::json;
use worker::BackupStore;

use crate::args::fleet::RebuildArgs;
use crate::fleet::settings::config::Config;
use crate::terminal::exit::Exit;
use crate::terminal::failure;
use crate::terminal::hint::Setup;
use crate::terminal::output::{Out, remark};

/// Mailboxes read at the same time.
const READING: usize = 32;
/// Rows written at once, or a few more: a mailbox is not torn apart, so that of two snapshots of one number the first is known.
const BATCH: usize = 2000;

/// Runs it.
pub(crate) async fn rebuild(args: &RebuildArgs, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let ring = config.ring(out)?;
    let mut stores = Vec::new();
    for store in config.stores()? {
        stores.push(Shelf::open(store).await?);
    }
    let catalog = match args.dry_run {
        true => None,
        false => Some(config.catalog("rebuild").await?),
    };
    if let Some(catalog) = &catalog {
        catalog.require_migrated().await?;
    }
    let mut rebuilding =
        Rebuilding { catalog, ring, done: Done::default(), batch: Vec::new(), logs: Vec::new() };
    let mut unnumbered = Vec::new();
    for shelf in &stores {
        let dirs =
            shelf.store.mailboxes().await.with_context(|| format!("list the store {}", shelf.of.name))?;
        unnumbered.push(rebuilding.take(shelf, dirs, Numbers::MustBeThere).await?);
    }
    rebuilding.raise().await?;
    for (shelf, dirs) in stores.iter().zip(unnumbered) {
        // What cannot be read may hold a higher number: one drawn now could be that one.
        match rebuilding.done.unreadable {
            0 => drop(rebuilding.take(shelf, dirs, Numbers::MayBeDrawn).await?),
            _ => rebuilding.done.left_out += dirs.len() as u64,
        }
    }
    rebuilding.write().await?;
    rebuilding.done.tell(args, out)
}

/// A store of the configuration, opened.
pub(crate) struct Shelf {
    pub(crate) of: BackupStore,
    pub(crate) store: Store,
}

impl Shelf {
    /// A store that is not there is an error: what was in it would be left out, and its numbers be drawn again.
    pub(crate) async fn open(of: BackupStore) -> Result<Shelf> {
        let options = StoreOptions { zone: Some(of.zone.clone()), ..StoreOptions::default() };
        let store = Store::open(Arc::clone(&of.objects), options).await;
        let store = store.with_context(|| format!("open the store {}", of.name))?;
        Ok(Shelf { of, store })
    }
}

/// What is done with a mailbox that has snapshots without a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// It is put aside.
    MustBeThere,
    /// They get one: the highest of all is known.
    MayBeDrawn,
}

/// What one mailbox's log says.
struct Read {
    dir: MailboxDir,
    highest: BackupNumber,
    found: Vec<Found>,
    log: FoundLog,
}

struct Rebuilding {
    /// `None`: nothing shall be written.
    catalog: Option<Catalog>,
    ring: KeyRing,
    done: Done,
    batch: Vec<Found>,
    logs: Vec<FoundLog>,
}

impl Rebuilding {
    /// Answers the mailboxes that were put aside.
    async fn take(
        &mut self,
        shelf: &Shelf,
        dirs: Vec<MailboxDir>,
        numbers: Numbers,
    ) -> Result<Vec<MailboxDir>> {
        let mut aside = Vec::new();
        let (ring, catalog) = (self.ring.clone(), self.catalog.clone());
        let reading = stream::iter(dirs).map(|dir| {
            let (ring, catalog) = (&ring, catalog.as_ref());
            async move { (dir, read(shelf, ring, dir, catalog).await) }
        });
        let mut reading = reading.buffer_unordered(READING);
        while let Some((dir, read)) = reading.next().await {
            let read = match read {
                Ok(read) => Ok(read?),
                Err(error) => Err(error),
            };
            match read {
                // Begun and cut off, or erased: nothing is or was there for people to see.
                Err(Error::NoMailbox | Error::Erased { .. }) => {}
                Err(error) => self.done.unreadable(dir, error),
                Ok(read) => {
                    self.done.highest = self.done.highest.max(read.highest.0);
                    match numbers {
                        Numbers::MustBeThere if read.found.iter().any(|found| found.number.is_none()) => {
                            aside.push(read.dir);
                        }
                        _ => self.add(read).await?,
                    }
                }
            }
        }
        Ok(aside)
    }

    async fn add(&mut self, Read { found, log, .. }: Read) -> Result<()> {
        self.done.mailboxes += u64::from(!found.is_empty());
        self.done.backups += found.len() as u64;
        self.done.unnumbered += found.iter().filter(|found| found.number.is_none()).count() as u64;
        self.done.damaged +=
            found.iter().filter(|found| log.damaged.contains(&found.facts.snapshot)).count() as u64;
        self.batch.extend(found);
        self.logs.push(log);
        if self.batch.len() < BATCH { Ok(()) } else { self.write().await }
    }

    async fn write(&mut self) -> Result<()> {
        let (batch, logs) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.logs));
        if let Some(catalog) = self.catalog.as_ref().filter(|_| !logs.is_empty()) {
            let rebuilt = catalog.rebuild(&batch, &logs, SystemClock.now()).await?;
            self.done.new += rebuilt.new;
            self.done.taken.extend(rebuilt.taken);
        }
        Ok(())
    }

    async fn raise(&mut self) -> Result<()> {
        match &self.catalog {
            Some(catalog) => Ok(catalog.raise_numbers(BackupNumber(self.done.highest)).await?),
            None => Ok(()),
        }
    }
}

/// The outer error is the store's, the inner one the catalogue's.
async fn read(
    shelf: &Shelf,
    ring: &KeyRing,
    dir: MailboxDir,
    catalog: Option<&Catalog>,
) -> repository::Result<catalog::Result<Read>> {
    let repository = shelf.store.mailbox(ring, dir).await?;
    let (identity, first_name) = repository.identity().await?;
    // Before the log is read: what was a row by then must stand in it.
    let known = match catalog {
        Some(catalog) => match catalog.numbers_in(&identity, &shelf.of.name).await {
            Ok(known) => known,
            Err(error) => return Ok(Err(error)),
        },
        None => Vec::new(),
    };
    let listing = repository.listing().await?;
    let snapshots = &listing.snapshots;
    let highest = repository.highest_backup_number().await?;
    // Whoever backed it up by its id alone wrote that down as its name.
    let mut names = snapshots.iter().rev().map(|info| info.summary.account_name.as_str());
    let name = names.find(|name| *name != identity.account.as_str()).unwrap_or(&first_name);
    let hasher = repository.hasher();
    let found = |info| found(&identity, name, info, worker::facts(info, &hasher, &shelf.of));
    let found = snapshots.iter().map(found).collect();
    let position = repository.position().ok_or(Error::NoMailbox)?;
    let (store, damaged) = (shelf.of.name.clone(), listing.not_whole());
    Ok(Ok(Read { dir, highest, found, log: FoundLog { mailbox: identity, store, position, damaged, known } }))
}

fn found(identity: &MailboxIdentity, name: &str, info: &SnapshotInfo, facts: Facts) -> Found {
    let origin = &info.summary.origin;
    // A person at a terminal says what kind it is, too.
    let kind = match origin.kind.as_str() {
        // Made by a restore of the fleet, before it began.
        "safety" if origin.backup_number.is_some() => Some(JobKind::Restore),
        kind => kind.parse::<JobKind>().ok().filter(|_| !origin.job.is_empty()),
    };
    Found {
        mailbox: identity.clone(),
        address: name.into(),
        number: origin.backup_number,
        kind,
        slot_date: origin.slot.parse().ok(),
        facts,
    }
}

/// What was found and written.
#[derive(Default)]
struct Done {
    mailboxes: u64,
    backups: u64,
    new: u64,
    unnumbered: u64,
    damaged: u64,
    /// 0: none.
    highest: u64,
    taken: Vec<BackupNumber>,
    unreadable: u64,
    /// Mailboxes put aside for good.
    left_out: u64,
    worst: Option<Exit>,
}

impl Done {
    fn unreadable(&mut self, dir: MailboxDir, error: Error) {
        let (exit, line) = failure::explain(&error.into(), Setup::Fleet);
        remark(format_args!("mailbox {dir}: {line}"));
        self.unreadable += 1;
        self.worst.get_or_insert(exit);
    }

    fn tell(&self, args: &RebuildArgs, out: &Out) -> Result<Exit> {
        let Done {
            mailboxes,
            backups,
            new,
            unnumbered,
            damaged,
            highest,
            taken,
            unreadable,
            left_out,
            worst,
        } = self;
        let taken: Vec<u64> = taken.iter().map(|number| number.0).collect();
        match out.json() {
            true => out.object(&json!({
                "mailboxes": mailboxes, "backups": backups, "new": new, "unnumbered": unnumbered, "damaged": damaged,
                "highest": highest,
                "taken": taken, "unreadable": unreadable, "left_out": left_out,
                "dry_run": args.dry_run,
            }))?,
            false => {
                let written = if args.dry_run { "nothing written".to_owned() } else { format!("{new} were missing") };
                out.line(format_args!(
                    "{backups} backups of {mailboxes} mailboxes found, {written}; {unnumbered} had no number, the highest is \
                     {highest}; {damaged} are known to be damaged; {unreadable} mailboxes could not be read"
                ))?;
                if *left_out > 0 {
                    out.line(format_args!(
                        "{left_out} mailboxes with backups that have no number are left out until all can be read: what cannot \
                         may hold a higher number. Start no producer and no worker before"
                    ))?;
                }
                for number in &taken {
                    out.line(format_args!(
                        "number {number} stands in the stores twice: its backup is the first, the other has no row"
                    ))?;
                }
            }
        }
        Ok(worst.unwrap_or(Exit::Good))
    }
}
