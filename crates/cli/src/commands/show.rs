//! `malle show`: what one snapshot holds and lacks.

use model::BackupState;
use std::fmt::Display;

use anyhow::Result;
use repository::{FailureRecord, Losses, Snapshot, TypeState};
use serde::Serialize;

use super::rows::{FailureRow, TypeRow, print_failures};
use crate::args::find::ShowArgs;
use crate::mailboxes::mailbox::{self, Mailbox};
use crate::mailboxes::snapshot_row::SnapshotRow;
use crate::secrets;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::one_line;
use crate::terminal::output::{Out, Table, bytes, count, duration, minute, or_dash};

/// Failures that are named on a terminal.
const NAMED_FAILURES: usize = 100;

/// Runs it.
pub(crate) async fn run(args: &ShowArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let mailbox = mailbox::find(&store, &ring, &args.which).await?;
    let snapshot = mailbox.snapshot(args.snapshot).await?;
    let losses =
        mailbox::noting(&mailbox.repository, async { Ok(mailbox.repository.losses(&snapshot).await?) });
    let losses = losses.await?;
    let failures = match snapshot.info().summary.failures {
        0 => Vec::new(),
        _ => failures(&mailbox, &snapshot, losses).await?,
    };
    if out.json() {
        out.object(&object(&mailbox, &snapshot, losses, &failures))?;
    } else {
        print(&mailbox, &snapshot, losses, &failures, out)?;
    }
    Ok(Exit::Good)
}

/// What a partial snapshot names; of one without any row nothing is known but its log entry.
async fn failures(mailbox: &Mailbox, snapshot: &Snapshot, losses: Losses) -> Result<Vec<FailureRecord>> {
    if !losses.lacks_rows {
        return mailbox::noting(&mailbox.repository, async { Ok(snapshot.failures().await?) }).await;
    }
    let again = mailbox.repository.snapshot(Some(snapshot.info().number)).await?;
    let readable = mailbox.readable(again).await?;
    Ok(if readable.lacks_rows() { readable.failures().await? } else { Vec::new() })
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    row: SnapshotRow,
    account_id: &'a str,
    server: &'a str,
    mailbox: String,
    base: Option<u64>,
    since_listing: u32,
    segments: usize,
    types: Vec<TypeRow>,
    damaged_emails: u64,
    damaged_objects: u64,
    lacks_rows: bool,
    failed: Vec<FailureRow>,
}

/// The state of a snapshot of which something is lost is that, noted or not.
pub(super) fn row(mailbox: &Mailbox, snapshot: &Snapshot, losses: Losses) -> SnapshotRow {
    let row = mailbox.row(snapshot.info());
    if losses.is_none() { row } else { row.damaged() }
}

fn object<'a>(
    mailbox: &'a Mailbox,
    snapshot: &Snapshot,
    losses: Losses,
    failures: &[FailureRecord],
) -> Shown<'a> {
    let info = snapshot.info();
    Shown {
        row: row(mailbox, snapshot, losses),
        damaged_emails: losses.emails,
        damaged_objects: losses.objects,
        lacks_rows: losses.lacks_rows,
        account_id: mailbox.identity.account.as_str(),
        server: &mailbox.identity.server,
        mailbox: mailbox.repository.dir().to_string(),
        base: info.base.map(|base| base.0),
        since_listing: info.summary.since_listing,
        segments: info.segment_count(),
        types: info.summary.types.iter().map(TypeRow::from).collect(),
        failed: failures.iter().map(FailureRow::from).collect(),
    }
}

fn print(
    mailbox: &Mailbox,
    snapshot: &Snapshot,
    losses: Losses,
    failures: &[FailureRecord],
    out: &Out,
) -> Result<()> {
    let info = snapshot.info();
    let row = row(mailbox, snapshot, losses);
    let say = |name: &str, value: &dyn Display| out.line(format_args!("{name:<10} {value}"));
    say("snapshot", &row.name)?;
    say("account", &one_line(&row.account, 200))?;
    let (server, id) = (&mailbox.identity.server, mailbox.identity.account.as_str());
    say("server", &format_args!("{server} (account {})", one_line(id, 80)))?;
    say("time", &format_args!("{} UTC, took {}", minute(&row.time), duration(row.duration)))?;
    say("location", &or_dash(&row.location))?;
    say("state", &row.state)?;
    let (new, gone) = (row.new_emails, row.removed_emails);
    let emails = count(row.emails, "email");
    say("emails", &format_args!("{emails}, {}, {new} new, {gone} gone", bytes(row.size)))?;
    let base =
        info.base.map_or("nothing".to_owned(), |base| format!("snapshot {}", mailbox.numbers.name(base)));
    let segments = count(info.segment_count() as u64, "segment");
    say("stored", &format_args!("{} on top of {base}; {segments}", bytes(row.stored)))?;
    out.line(types(&info.summary.types))?;
    if !losses.is_none() {
        out.line(lost(losses))?;
        out.line("what of it can be read comes back; a backup fetches the rest again, if the mail server still has it")?;
    }
    if engine::state_of(info) == BackupState::Partial && !failures.is_empty() {
        out.line("could not be fetched:")?;
        print_failures(failures, NAMED_FAILURES, out)?;
    }
    Ok(())
}

/// What cannot come back, in words.
pub(super) fn lost(losses: Losses) -> String {
    let (emails, objects) = (count(losses.emails, "email"), count(losses.objects, "other object"));
    match (losses.lacks_rows, losses.emails + losses.objects) {
        (false, _) => {
            format!(
                "DAMAGED: {emails} and {objects} of this snapshot cannot be read: the store has lost or damaged them"
            )
        }
        (true, 0) => {
            "DAMAGED: a part of this snapshot's index is lost, and what it named is not known".to_owned()
        }
        (true, _) => {
            format!(
                "DAMAGED: at least {emails} and {objects} of this snapshot cannot be read: a part of its index is lost"
            )
        }
    }
}

fn types(types: &[TypeState]) -> Table<3> {
    let mut table = Table::new(["TYPE", ">COUNT", "STATUS"]);
    for row in types.iter().map(TypeRow::from) {
        let lacks = match row.not_given.as_slice() {
            [] => String::new(),
            names => format!("; the mail server does not give {}", one_line(&names.join(", "), 200)),
        };
        let view = match row.of_owner {
            Some(false) => "; subscriptions and the like are not the owner's, but of the user who signed in",
            _ => "",
        };
        let status = format!("{}{}{lacks}{view}", row.status, row.because());
        table.push([row.name.to_owned(), row.count.to_string(), status]);
    }
    table
}
