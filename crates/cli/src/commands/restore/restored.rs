//! What `malle restore` says when it is done.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use engine::{Mode, ObjectRefusal, Planned, Refusal, Restored, RestoredObjects, Share, UnremovedEmail};
use jmap::{Account, Client};
use repository::Snapshot;
use serde::Serialize;

use crate::args::restore::RestoreArgs;
use crate::mailboxes::numbers::Numbers;
use crate::terminal::failure::one_line;
use crate::terminal::output::{Out, bytes, count, duration};

/// Refusals that are named on a terminal.
const NAMED: usize = 20;

/// A restore that ended.
pub(crate) struct Done<'a> {
    pub(crate) args: &'a RestoreArgs,
    pub(crate) mode: Mode,
    pub(crate) snapshot: &'a Snapshot,
    /// What the snapshot is called.
    pub(crate) numbers: &'a Numbers,
    /// What the one is called that holds the account as it was before.
    pub(crate) safety: Option<String>,
    pub(crate) account: &'a Account,
    pub(crate) client: &'a Client,
    /// Directory of what was refused.
    pub(crate) refused: Option<PathBuf>,
    pub(crate) start: Instant,
}

#[derive(Serialize)]
struct DoneObject<'a> {
    id: &'a str,
    /// What people call it; none: the fleet gave it none.
    number: Option<u64>,
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
    lacks_rows: bool,
    unremoved: u64,
    unremoved_emails: &'a [UnremovedEmail],
    folders: u64,
    removed_folders: u64,
    odd_folders: &'a [String],
    safety: Option<u64>,
    wrapped: u64,
    wrapped_emails: Vec<RefusalRow<'a>>,
    refused: u64,
    refused_dir: Option<&'a Path>,
    refusals: Vec<RefusalRow<'a>>,
    objects: Vec<ObjectsRow<'a>>,
    shares: &'a [Share],
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

/// One item of a dry run.
#[derive(Serialize)]
struct PlannedRow<'a> {
    what: &'static str,
    r#type: &'static str,
    id: &'a str,
    name: &'a str,
}

/// A result that nobody reads any more is nobody's concern: what ends the restore is its last line.
pub(crate) fn print_planned(planned: &Planned<'_>, out: &Out) {
    let Planned { act, data_type, id, name } = *planned;
    let what = act.as_str();
    let _ = match out.json() {
        true => out.object(&PlannedRow { what, r#type: data_type.name(), id, name }),
        false => out.line(format_args!("{what} {data_type} {}  {}", one_line(id, 40), one_line(name, 120))),
    };
}

/// One type that is not Email.
#[derive(Serialize)]
struct ObjectsRow<'a> {
    r#type: &'static str,
    wanted: u64,
    restored: u64,
    changed: u64,
    removed: u64,
    refused: u64,
    left_out: Option<&'a str>,
    notes: &'a [String],
    refusals: Vec<ObjectRow<'a>>,
}

#[derive(Serialize)]
struct ObjectRow<'a> {
    id: &'a str,
    name: &'a str,
    reason: &'a str,
}

impl Done<'_> {
    pub(crate) fn print(&self, restored: &Restored, out: &Out) -> Result<()> {
        if out.json() {
            return out.object(&self.object(restored));
        }
        let (r, snapshot) = (restored, self.numbers.name(self.snapshot.info().number));
        let account = one_line(&self.account.name, 200);
        if self.args.dry_run {
            let (wanted, present) = (count(r.wanted, "email"), r.present);
            out.line(format_args!(
                "of snapshot {snapshot}, {wanted}: {present} in {account} already, {} to be restored; {} to be made",
                r.open,
                count(r.folders, "folder"),
            ))?;
            if self.mode == Mode::Exact {
                out.line(format_args!(
                    "{} to get the folders and keywords of the snapshot again, {} and {} to be removed",
                    count(r.relabelled, "email"),
                    count(r.removed, "email"),
                    count(r.removed_folders, "folder"),
                ))?;
            }
            return self.print_objects(r, out);
        }
        out.line(format_args!(
            "restored {} of snapshot {snapshot} to {account} ({}), {} there already, {} made, {} did not come back; {}, {}",
            count(r.restored, "email"),
            bytes(r.bytes),
            r.present,
            count(r.folders, "folder"),
            r.refused.count,
            count(self.client.counters().requests, "request"),
            duration(self.start.elapsed().as_secs_f64()),
        ))?;
        if let Some(safety) = &self.safety {
            out.line(format_args!(
                "{} with the folders and keywords of the snapshot again, {} and {} removed; snapshot {safety} is {account} as it \
                 was before",
                count(r.relabelled, "email"),
                count(r.removed, "email"),
                count(r.removed_folders, "folder"),
            ))?;
        }
        if let Some(folder) = &r.folder {
            out.line(format_args!("they are in the folder {folder:?}"))?;
        }
        self.print_objects(r, out)?;
        self.print_refusals(r, out)
    }

    /// One line a type of which the snapshot has something, or the account lost something.
    fn print_objects(&self, restored: &Restored, out: &Out) -> Result<()> {
        for of in restored.objects.iter().filter(|of| of.wanted + of.removed > 0 || !of.is_whole()) {
            let there = of.wanted.saturating_sub(of.restored + of.changed + of.refused_count);
            let (to_be, refused) =
                if self.args.dry_run { ("to be ", "cannot come back") } else { ("", "did not come back") };
            out.line(format_args!(
                "  {}: {} of {} {to_be}restored, {there} there already, {} {to_be}changed, {} {to_be}removed, {} {refused}",
                of.data_type, of.restored, of.wanted, of.changed, of.removed, of.refused_count
            ))?;
            let refusals = of.refused.iter().map(|refusal| format!("{}: {}", refusal.name, refusal.reason));
            let notes = of.left_out.iter().chain(&of.notes).cloned().chain(refusals);
            for note in notes.take(NAMED) {
                out.line(format_args!("    {}", one_line(&note, 200)))?;
            }
        }
        self.print_shares(&restored.shares, out)
    }

    fn print_shares(&self, shares: &[Share], out: &Out) -> Result<()> {
        for share in shares.iter().take(NAMED) {
            let what = match (&share.refusal, share.granted) {
                (Some(refusal), _) => format!("not shared again: {}", one_line(refusal, 200)),
                (None, true) => "shared again".to_owned(),
                (None, false) => "not shared again".to_owned(),
            };
            let (name, others) = (one_line(&share.name, 120), count(share.people, "other"));
            if share.exposed {
                let r#type = &share.r#type;
                out.line(format_args!(
                    "  {type} {name:?} goes into one that the account shares with {others}, who could not see it before"
                ))?;
                continue;
            }
            if share.since {
                out.line(format_args!(
                    "  {} {name:?} is shared with {others} since: that stays",
                    share.r#type
                ))?;
                continue;
            }
            out.line(format_args!("  {} {name:?} was shared with {others}: {what}", share.r#type))?;
        }
        let rest = shares.len().saturating_sub(NAMED);
        if rest > 0 {
            out.line(format_args!("  {rest} more were shared with others; --json names them all"))?;
        }
        if shares
            .iter()
            .any(|share| !share.granted && !share.since && !share.exposed && share.refusal.is_none())
        {
            out.line("  what was shared is not shared again by itself; --grant-shares does it, for the snapshot's own account")?;
        }
        Ok(())
    }

    fn print_refusals(&self, restored: &Restored, out: &Out) -> Result<()> {
        for odd in restored.odd_folders.iter().take(NAMED) {
            out.line(format_args!("  folder {}", one_line(odd, 200)))?;
        }
        let wrapped = &restored.wrapped;
        if wrapped.count > 0 {
            out.line(format_args!(
                "  {} refused by the mail server came back as attachments (original.eml) of emails with a note:",
                count(wrapped.count, "email"),
            ))?;
        }
        for refusal in wrapped.named.iter().take(NAMED) {
            let subject = one_line(&refusal.email.envelope.subject, 80);
            out.line(format_args!("    {subject:?}: {}", one_line(&refusal.reason, 200)))?;
        }
        for refusal in restored.refused.named.iter().take(NAMED) {
            let subject = one_line(&refusal.email.envelope.subject, 80);
            out.line(format_args!("  did not come back: {subject:?}: {}", one_line(&refusal.reason, 200)))?;
        }
        if restored.unremoved.count > 0 {
            out.line(format_args!(
                "  {} would have been removed and stayed, because the store cannot give them back:",
                count(restored.unremoved.count, "email"),
            ))?;
        }
        for email in restored.unremoved.named.iter().take(NAMED) {
            let (subject, reason) = (one_line(&email.subject, 80), one_line(&email.reason, 200));
            out.line(format_args!("    {subject:?}: {reason}"))?;
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
            number: self.numbers.number(self.snapshot.info().number),
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
            lacks_rows: restored.lacks_rows,
            unremoved: restored.unremoved.count,
            unremoved_emails: &restored.unremoved.named,
            folders: restored.folders,
            removed_folders: restored.removed_folders,
            odd_folders: &restored.odd_folders,
            safety: restored.safety.map(|number| number.0),
            wrapped: restored.wrapped.count,
            wrapped_emails: restored.wrapped.named.iter().map(row).collect(),
            refused: restored.refused.count,
            refused_dir: self.refused.as_deref(),
            refusals: restored.refused.named.iter().map(row).collect(),
            objects: restored.objects.iter().map(objects_row).collect(),
            shares: &restored.shares,
            duration: (self.start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            requests: counters.requests,
            retries: counters.retries,
        }
    }
}

fn objects_row(of: &RestoredObjects) -> ObjectsRow<'_> {
    fn row(refusal: &ObjectRefusal) -> ObjectRow<'_> {
        ObjectRow { id: &refusal.id, name: &refusal.name, reason: &refusal.reason }
    }
    ObjectsRow {
        r#type: of.data_type.name(),
        wanted: of.wanted,
        restored: of.restored,
        changed: of.changed,
        removed: of.removed,
        refused: of.refused_count,
        left_out: of.left_out.as_deref(),
        notes: &of.notes,
        refusals: of.refused.iter().map(row).collect(),
    }
}
