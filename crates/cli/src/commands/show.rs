//! `malle show`: what one snapshot holds and lacks.

use model::BackupState;
use std::fmt::Display;

use anyhow::Result;
use repository::{FailureRecord, Losses, Snapshot, TypeState, TypeStatus};
use serde::Serialize;

use super::backup::{FailureRow, print_failures};
use crate::args::ShowArgs;
use crate::exit::Exit;
use crate::failure::one_line;
use crate::mailbox::{self, Mailbox};
use crate::output::{Out, SnapshotRow, Table, bytes, count, duration, minute, or_dash};
use crate::{secrets, store_url};

/// Failures that are named on a terminal.
const NAMED_FAILURES: usize = 100;

/// How well a snapshot knows one type.
#[derive(Debug, Serialize)]
pub(crate) struct TypeRow {
    #[serde(rename = "type")]
    pub(crate) name: &'static str,
    pub(crate) status: &'static str,
    pub(crate) count: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// Properties that the mail server did not give.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_given: Vec<String>,
    /// Whether what each user has of their own is the owner's; of other types nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    of_owner: Option<bool>,
}

impl From<&TypeState> for TypeRow {
    fn from(state: &TypeState) -> TypeRow {
        TypeRow {
            name: state.data_type.name(),
            status: match state.status {
                TypeStatus::Complete => "complete",
                TypeStatus::NotOffered => "not offered",
                TypeStatus::Moving => "moving",
                TypeStatus::Stale => "stale",
            },
            count: state.count,
            reason: state.reason.clone(),
            not_given: state.not_given.clone(),
            of_owner: (engine::is_each_users(state.data_type) && state.count > 0).then_some(state.of_owner),
        }
    }
}

impl TypeRow {
    /// Neither complete nor absent by nature.
    pub(crate) fn is_incomplete(&self) -> bool {
        matches!(self.status, "moving" | "stale")
    }

    /// `: the reason`, if there is one.
    pub(crate) fn because(&self) -> String {
        match one_line(&self.reason, 200) {
            reason if reason.is_empty() => reason,
            reason => format!(": {reason}"),
        }
    }
}

/// Runs it.
pub(crate) async fn run(args: &ShowArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = store_url::open(&args.store).await?;
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
