//! `malle restore`: a snapshot back into an account.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use engine::{FolderTree, Mode, Refusal, Restore, RestoreId, Restored, Selection};
use jmap::{Account, Client};
use model::{MailboxIdentity, SnapshotNumber, SystemClock};
use repository::{KeyRing, Repository, Snapshot, Store};
use serde::Serialize;

use super::find::selection;
use crate::args::{RestoreArgs, RestoreMode};
use crate::exit::Exit;
use crate::failure::{Failure, one_line};
use crate::mailbox::{self, Mailbox};
use crate::output::{Out, bytes, count, duration, remark};
use crate::server::{Server, host};
use crate::{progress, secrets, store_url};

/// Refusals that are named on a terminal.
const NAMED: usize = 20;

/// A restore that needs to ask nobody anything any more.
pub(crate) struct Prepared<'a> {
    args: &'a RestoreArgs,
    ring: KeyRing,
    server: Server,
    selection: Selection,
    id: RestoreId,
}

/// Reads the ring, the address, the credentials and the id; may ask for a password.
pub(crate) fn prepare<'a>(args: &'a RestoreArgs, out: &Out) -> Result<Prepared<'a>> {
    let ring = secrets::ring(&args.store.key, out)?;
    let account = args.to_account.as_deref().or(args.which.account.as_deref());
    let server = Server::prepare(&args.server, account)?;
    if args.mode == RestoreMode::Exact && !args.yes && !args.dry_run {
        let what = "restore exactly: what the account has and the snapshot has not would be removed";
        return Err(Failure::usage(what, "say --yes if that is meant, or look first with --dry-run").into());
    }
    if args.mode == RestoreMode::Exact && args.select.is_some() {
        let what = "restore exactly and only a selection: the account would become the selection";
        return Err(Failure::usage(what, "use --mode missing or beside with --select").into());
    }
    let selection = selection(args.select.as_slice())?;
    let id = match &args.resume {
        None => RestoreId::random(),
        Some(id) => RestoreId::parse(id).ok_or_else(|| {
            Failure::usage("read --resume: it is no restore's id", "8 lower-case letters and digits")
        })?,
    };
    Ok(Prepared { args, ring, server, selection, id })
}

/// Runs it.
pub(crate) async fn run(prepared: Prepared<'_>, out: &Out) -> Result<Exit> {
    let start = Instant::now();
    let Prepared { args, ring, server, selection, id } = prepared;
    let store = store_url::open(&args.store).await?;
    let mailbox = mailbox::find(&store, &ring, &args.which).await?;
    let snapshot = Arc::new(mailbox.repository.snapshot(args.snapshot.map(SnapshotNumber)).await?);
    let name =
        args.to_account.as_deref().or(args.which.account.as_deref().filter(|_| args.to_account_id.is_none()));
    let url = server.url.clone();
    let (client, account, _cancelled_when_dropped) =
        server.open(name, args.to_account_id.as_deref(), out).await?;
    if !args.dry_run {
        // Even with --quiet: without the id nobody can go on.
        remark(format_args!("restore {id}: if it is cut off, go on with --resume {id}"));
    }
    let is_same = is_same(&mailbox, &host(&url), &account);
    let safety = match args.mode {
        RestoreMode::Exact if is_same => Some(mailbox.repository.clone()),
        RestoreMode::Exact => Some(own_mailbox(&store, &ring, &host(&url), &account).await?),
        RestoreMode::Beside | RestoreMode::Missing => None,
    };
    let folders = FolderTree::read(&snapshot).await?;
    if let Some(path) = selection.missing_folder(std::slice::from_ref(&folders)) {
        let what = format!("choose emails: snapshot {} has no folder {path:?}", snapshot.info().number);
        return Err(Failure::new(Exit::NotFound, what, "`malle show` and `malle find` name them").into());
    }
    let predicate = selection.among(&folders);
    let progress = progress::shown(out);
    let how = Restore {
        mode: match args.mode {
            RestoreMode::Beside => Mode::Beside,
            RestoreMode::Missing => Mode::Missing,
            RestoreMode::Exact => Mode::Exact,
        },
        id,
        same_account: is_same,
        safety: safety.as_ref(),
        wanted: &|email| predicate.matches(email),
        dry_run: args.dry_run,
        progress: &*progress,
        clock: &SystemClock,
    };
    let restored = engine::restore(&client, &account, &snapshot, &how).await?;
    let refused = keep_refused(args, &restored, &snapshot).await?;
    let done = Done { args, snapshot: &snapshot, account: &account, client: &client, refused, start };
    done.print(&restored, out)?;
    let is_whole = restored.refused.count == 0 && restored.odd_folders.is_empty();
    Ok(if is_whole { Exit::Good } else { Exit::Incomplete })
}

fn is_same(mailbox: &Mailbox, host: &str, account: &Account) -> bool {
    mailbox.identity.server == host && mailbox.identity.account.as_str() == account.id.as_str()
}

/// Where the account that is given something is backed up itself.
async fn own_mailbox(store: &Store, ring: &KeyRing, server: &str, account: &Account) -> Result<Repository> {
    let (server, id) = (server.to_owned(), account.id.as_str().into());
    let identity = MailboxIdentity { server, account: id, incarnation: 0 };
    Ok(store.create_mailbox(ring, &identity, &account.name).await?)
}

/// Writes what the server refuses into files; where they are.
async fn keep_refused(
    args: &RestoreArgs,
    restored: &Restored,
    snapshot: &Snapshot,
) -> Result<Option<PathBuf>> {
    if restored.refused.count == 0 {
        return Ok(None);
    }
    let dir = match &args.refused {
        Some(dir) => dir.clone(),
        None => PathBuf::from(format!("malle-refused-{}", restored.id)),
    };
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let mut number = 0;
    for refusal in &restored.refused.named {
        keep(refusal, snapshot, &dir, &mut number)
            .await
            .with_context(|| format!("write into {}", dir.display()))?;
    }
    Ok(Some(dir))
}

/// Writes one email under the next free number: another restore's files stay. Nobody else may read it.
async fn keep(refusal: &Refusal, snapshot: &Snapshot, dir: &Path, number: &mut u32) -> Result<()> {
    let Some(blob) = refusal.blob else { return Ok(()) };
    let mut file = loop {
        *number += 1;
        let path = dir.join(format!("{number:05}.eml"));
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => break opened?,
        }
    };
    let mut pieces = snapshot.blob_reader(&blob).await?;
    while let Some(piece) = pieces.next().await? {
        file.write_all(&piece)?;
    }
    Ok(())
}

struct Done<'a> {
    args: &'a RestoreArgs,
    snapshot: &'a Snapshot,
    account: &'a Account,
    client: &'a Client,
    /// Directory of the refused emails.
    refused: Option<PathBuf>,
    start: Instant,
}

#[derive(Serialize)]
struct DoneObject<'a> {
    id: &'a str,
    snapshot: u64,
    account: &'a str,
    account_id: &'a str,
    dry_run: bool,
    folder: Option<&'a str>,
    wanted: u64,
    present: u64,
    open: u64,
    restored: u64,
    bytes: u64,
    relabelled: u64,
    removed: u64,
    folders: u64,
    removed_folders: u64,
    odd_folders: &'a [String],
    safety: Option<u64>,
    refused: u64,
    refused_dir: Option<&'a Path>,
    refusals: Vec<RefusalRow<'a>>,
    duration: f64,
    requests: u64,
    retries: u64,
}

#[derive(Serialize)]
struct RefusalRow<'a> {
    id: &'a str,
    subject: &'a str,
    message_id: &'a str,
    size: u64,
    reason: &'a str,
}

impl Done<'_> {
    fn print(&self, restored: &Restored, out: &Out) -> Result<()> {
        if out.json() {
            return out.object(&self.object(restored));
        }
        let (r, snapshot) = (restored, self.snapshot.info().number);
        let account = one_line(&self.account.name, 200);
        if self.args.dry_run {
            let (wanted, present) = (count(r.wanted, "email"), r.present);
            return out.line(format_args!(
                "of snapshot {snapshot}, {wanted}: {present} in {account} already, {} to be restored",
                r.open
            ));
        }
        out.line(format_args!(
            "restored {} of snapshot {snapshot} to {account} ({}), {} there already, {} made, {} refused; {}, {}",
            count(r.restored, "email"),
            bytes(r.bytes),
            r.present,
            count(r.folders, "folder"),
            r.refused.count,
            count(self.client.counters().requests, "request"),
            duration(self.start.elapsed().as_secs_f64()),
        ))?;
        if let Some(safety) = r.safety {
            out.line(format_args!(
                "{} got their folders and keywords back, {} and {} were too much; as it was before, {account} is \
                 snapshot {safety}",
                count(r.relabelled, "email"),
                count(r.removed, "email"),
                count(r.removed_folders, "folder"),
            ))?;
        }
        if let Some(folder) = &r.folder {
            out.line(format_args!("they are in the folder {folder:?}"))?;
        }
        self.print_refusals(r, out)
    }

    fn print_refusals(&self, restored: &Restored, out: &Out) -> Result<()> {
        for odd in restored.odd_folders.iter().take(NAMED) {
            out.line(format_args!("  folder {}", one_line(odd, 200)))?;
        }
        for refusal in restored.refused.named.iter().take(NAMED) {
            let subject = one_line(&refusal.email.envelope.subject, 80);
            out.line(format_args!("  refused: {subject:?}: {}", one_line(&refusal.reason, 200)))?;
        }
        match &self.refused {
            Some(dir) => {
                let (kept, all) = (restored.refused.named.len() as u64, restored.refused.count);
                let rest = if kept < all { " (the first of them; the backup holds them all)" } else { "" };
                out.line(format_args!("  what was refused is kept in {}{rest}", dir.display()))
            }
            None => Ok(()),
        }
    }

    fn object<'a>(&'a self, restored: &'a Restored) -> DoneObject<'a> {
        let counters = self.client.counters();
        let row = |refusal: &'a Refusal| RefusalRow {
            id: refusal.email.id.as_str(),
            subject: &refusal.email.envelope.subject,
            message_id: &refusal.email.envelope.message_id,
            size: refusal.email.size,
            reason: &refusal.reason,
        };
        DoneObject {
            id: restored.id.as_str(),
            snapshot: self.snapshot.info().number.0,
            account: &self.account.name,
            account_id: self.account.id.as_str(),
            dry_run: self.args.dry_run,
            folder: restored.folder.as_deref(),
            wanted: restored.wanted,
            present: restored.present,
            open: restored.open,
            restored: restored.restored,
            bytes: restored.bytes,
            relabelled: restored.relabelled,
            removed: restored.removed,
            folders: restored.folders,
            removed_folders: restored.removed_folders,
            odd_folders: &restored.odd_folders,
            safety: restored.safety.map(|number| number.0),
            refused: restored.refused.count,
            refused_dir: self.refused.as_deref(),
            refusals: restored.refused.named.iter().map(row).collect(),
            duration: (self.start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            requests: counters.requests,
            retries: counters.retries,
        }
    }
}
