//! `malle export`: a snapshot as files that other programs read.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use engine::{Export, Exported, Loss, Source};
use export::{Options, Output, Target, Topic};
use model::{BackupState, DataType};
use repository::{Losses, Snapshot};
use serde::Serialize;

use super::find::{refuse_empty, selection};
use super::show::{lost, row};
use crate::args::export::ExportArgs;
use crate::args::export::ExportFormat;
use crate::mailboxes::mailbox::{self, Mailbox};
use crate::secrets;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::{Failure, one_line};
use crate::terminal::output::{Out, bytes, count, duration};
use crate::terminal::progress;

/// Losses that are named on a terminal.
const NAMED: usize = 20;
/// Endings of what people may expect and do not get.
const FOREIGN: [&str; 14] = [
    ".7z", ".bz2", ".eml", ".gz", ".mbox", ".pst", ".rar", ".sqlite", ".tar", ".tbz2", ".tgz", ".txz", ".xz",
    ".zst",
];

/// Runs it.
pub(crate) async fn run(args: &ExportArgs, out: &Out) -> Result<Exit> {
    let start = Instant::now();
    refuse_empty(args.select.as_ref())?;
    if (args.split.is_some() || args.thunderbird) && args.format != ExportFormat::Mbox {
        let what = "write files of this format like that: --split and --thunderbird are about mbox";
        return Err(Failure::usage(what, "use --format mbox, or leave them away").into());
    }
    if args.source_url.is_some() && args.format != ExportFormat::Vandelay {
        let what = "write where a file of this format comes from: --source-url is about vandelay";
        return Err(Failure::usage(what, "use --format vandelay, or leave it away").into());
    }
    let place = Place::of(&args.to)?;
    let selection = args.select.as_ref().map(|query| selection(std::slice::from_ref(query))).transpose()?;
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let mailbox = mailbox::find(&store, &ring, &args.which).await?;
    let snapshot = mailbox.snapshot(args.snapshot).await?;
    let snapshot = mailbox.readable(snapshot).await?;
    if engine::state_of(snapshot.info()) == BackupState::Partial {
        let number = mailbox.numbers.name(snapshot.info().number);
        out.warn(format_args!(
            "snapshot {number} is partial: what it lacks is not exported; `malle show --snapshot {number}` names it"
        ));
    }
    let losses = async { Ok(mailbox.repository.losses(&snapshot).await?) };
    let losses = mailbox::noting(&mailbox.repository, losses).await?;
    if !losses.is_none() {
        out.warn(lost(losses));
    }
    let state = row(&mailbox, &snapshot, losses).state;
    let progress = progress::shown(out);
    let how = Export {
        format: args.format.into(),
        target: place.target,
        options: Options {
            split: args.split,
            thunderbird: args.thunderbird,
            portable_names: args.portable_names,
        },
        spool: &place.parent,
        selection: selection.as_ref(),
        source: source(args, &mailbox).await,
        about: about(args, &mailbox, &snapshot, (state, losses)),
        progress: &*progress,
    };
    let exporting = async { Ok(engine::export(&snapshot, how).await?) };
    let exported = mailbox::noting(&mailbox.repository, exporting).await?;
    mailbox::note(&mailbox.repository, exported.damaged.iter().copied()).await;
    drop(progress);
    let done =
        Done { args, mailbox: &mailbox, snapshot: &snapshot, state, seconds: start.elapsed().as_secs_f64() };
    done.print(&exported, out)?;
    // One of the formats limits the size of an email.
    let lacks = |topic| exported.report.notes.contains_key(&topic);
    let is_whole = exported.lost.count == 0
        && !snapshot.lacks_rows()
        && !lacks(Topic::TooLarge)
        && !lacks(Topic::NoContent)
        && !lacks(Topic::Lacking);
    Ok(if is_whole { Exit::Good } else { Exit::Incomplete })
}

/// Where `vandelay import` goes on. The store keeps the server's name, which is its host unless it was named otherwise.
/// An export without it lacks nothing; only `vandelay import` then begins from nothing.
async fn source(args: &ExportArgs, mailbox: &Mailbox) -> Option<Source> {
    if args.format != ExportFormat::Vandelay {
        return None;
    }
    let (identity, _) = mailbox.repository.identity().await.ok()?;
    let is_host = identity.server.contains(['.', ':']) || identity.server == "localhost";
    let named = is_host.then(|| format!("https://{}", identity.server));
    let url = args.source_url.clone().or(named);
    url.map(|url| Source { url, account_id: identity.account.to_string() })
}

/// What REPORT.txt begins with.
fn about(
    args: &ExportArgs,
    mailbox: &Mailbox,
    snapshot: &Snapshot,
    (state, losses): (&str, Losses),
) -> Vec<String> {
    let info = snapshot.info();
    let name = mailbox.numbers.name(info.number);
    let of = format!("It is of snapshot {name} of {}, taken {} ({state}).", mailbox.name(), info.finished);
    let selected =
        args.select.as_ref().map(|query| format!("Of that, only the emails that this selects: {query}"));
    let lacking = snapshot.lacks_rows().then(|| {
        let (emails, objects) = (count(losses.emails, "email"), count(losses.objects, "other object"));
        format!(
            "A part of the index of this snapshot is lost: at least {emails} and {objects} are not here, and what that part replaced or \
             removed is here as it was before."
        )
    });
    std::iter::once(of).chain(lacking).chain(selected).collect()
}

/// Where it goes.
struct Place {
    target: Target,
    /// The directory it will lie in.
    parent: PathBuf,
}

impl Place {
    /// By the ending of the name: an archive or a directory.
    fn of(to: &Path) -> Result<Place, Failure> {
        let name = to.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_directory = to.to_string_lossy().ends_with('/');
        let target = if is_directory {
            Target::Folder(to.to_owned())
        } else if name.ends_with(".tar.zst") {
            Target::TarZst(Output::File(to.to_owned()))
        } else if name.ends_with(".zip") {
            Target::Zip(Output::File(to.to_owned()))
        } else if let Some(ending) = FOREIGN.iter().find(|ending| name.ends_with(**ending)) {
            let what = format!("write {}: `{ending}` is no kind of file that is written", to.display());
            let hint = "let --to end in .tar.zst or .zip, or name a directory (with a slash at its end if it shall be \
                called like that)";
            return Err(Failure::usage(what, hint));
        } else {
            Target::Folder(to.to_owned())
        };
        let parent = match to.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if !parent.is_dir() {
            let what = format!("write {}: there is no directory {}", to.display(), parent.display());
            return Err(Failure::usage(what, "make it first, or name another place with --to"));
        }
        Ok(Place { target, parent })
    }
}

struct Done<'a> {
    args: &'a ExportArgs,
    mailbox: &'a Mailbox,
    snapshot: &'a Snapshot,
    state: &'static str,
    seconds: f64,
}

#[derive(Serialize)]
struct DoneObject<'a> {
    number: Option<u64>,
    snapshot: u64,
    state: &'static str,
    account: &'a str,
    format: &'static str,
    to: String,
    selected: bool,
    lacks_rows: bool,
    emails: u64,
    bytes: u64,
    folders: u64,
    objects: u64,
    notes: Vec<NoteRow>,
    lost: u64,
    losses: Vec<LossRow<'a>>,
    duration: f64,
}

#[derive(Serialize)]
struct NoteRow {
    what: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct LossRow<'a> {
    r#type: &'static str,
    id: &'a str,
    name: &'a str,
    reason: &'a str,
}

impl Done<'_> {
    fn print(&self, exported: &Exported, out: &Out) -> Result<()> {
        let object = self.object(exported);
        if out.json() {
            return out.object(&object);
        }
        let others = match object.selected {
            true => "nothing else, because of --select".to_owned(),
            false => format!("{} of other types", count(object.objects, "object")),
        };
        out.line(format_args!(
            "exported {} ({}) of snapshot {} in {}, {others}, as {} to {}; {}",
            count(object.emails, "email"),
            bytes(object.bytes),
            self.mailbox.numbers.name(self.snapshot.info().number),
            count(object.folders, "folder"),
            object.format,
            self.args.to.display(),
            duration(object.duration),
        ))?;
        if !object.notes.is_empty() {
            let all = object.notes.iter().map(|note| note.count).sum();
            out.line(format_args!(
                "not everything is as it was; {} in {}:",
                count(all, "note"),
                self.report()
            ))?;
        }
        for NoteRow { what, count } in &object.notes {
            out.line(format_args!("  {count:>7}  {what}"))?;
        }
        for LossRow { r#type, id, name, reason } in object.losses.iter().take(NAMED) {
            let (name, reason) = (one_line(name, 80), one_line(reason, 200));
            out.line(format_args!("  lost: {type} {} {name:?}: {reason}", one_line(id, 40)))?;
        }
        let more = object.lost.saturating_sub(NAMED as u64);
        if more > 0 {
            out.line(format_args!("  lost: and {more} more"))?;
        }
        match object.lost {
            0 => Ok(()),
            lost => out.line(format_args!(
                "the backup has lost {}; `malle verify --read-data` says what else is damaged, another snapshot \
                 may have it",
                count(lost, "object")
            )),
        }
    }

    /// Where REPORT.txt is.
    fn report(&self) -> String {
        match self.args.to.is_dir() {
            true => self.args.to.join("REPORT.txt").display().to_string(),
            false => "REPORT.txt, in the archive".to_owned(),
        }
    }

    fn object<'a>(&'a self, exported: &'a Exported) -> DoneObject<'a> {
        let (report, info) = (&exported.report, self.snapshot.info());
        let folders = report.objects.get(&DataType::Mailbox).copied().unwrap_or_default();
        let note =
            |(topic, note): (&Topic, &export::Note)| NoteRow { what: topic.heading(), count: note.count };
        let loss = |loss: &'a Loss| LossRow {
            r#type: loss.data_type.name(),
            id: &loss.id,
            name: &loss.name,
            reason: &loss.reason,
        };
        DoneObject {
            number: self.mailbox.numbers.number(info.number),
            snapshot: info.number.0,
            state: self.state,
            account: self.mailbox.name(),
            format: report.format.name(),
            to: self.args.to.display().to_string(),
            selected: self.args.select.is_some(),
            lacks_rows: self.snapshot.lacks_rows(),
            emails: report.emails,
            bytes: report.bytes,
            folders,
            objects: report.objects.values().sum::<u64>() - folders,
            notes: report.notes.iter().map(note).collect(),
            lost: exported.lost.count,
            losses: exported.lost.named.iter().map(loss).collect(),
            duration: (self.seconds * 1000.0).round() / 1000.0,
        }
    }
}
