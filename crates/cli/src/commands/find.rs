//! `malle find`: emails by what people remember of them.

use std::ops::RangeInclusive;

use anyhow::Result;
use engine::{Found, Hit, Selection};
use model::{EmailRecord, SnapshotNumber, Timestamp};
use repository::{Error, SnapshotInfo};
use serde::Serialize;

use crate::args::find::FindArgs;
use crate::args::snapshot_name::SnapshotName;
use crate::mailboxes::mailbox::{self, Mailbox};
use crate::secrets;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::{Failure, one_line};
use crate::terminal::output::{Out, Table, bytes, count, minute, or_dash};

/// Runs it.
pub(crate) async fn run(args: &FindArgs, out: &Out) -> Result<Exit> {
    let selection = selection(&args.query)?;
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let mailbox = mailbox::find(&store, &ring, &args.which).await?;
    let snapshots = snapshots(&mailbox, args.snapshot)?;
    let limit = usize::try_from(args.limit)?;
    let finding = async { Ok(engine::find(&mailbox.repository, snapshots, &selection, limit).await?) };
    let found = mailbox::noting(&mailbox.repository, finding).await?;
    if out.json() {
        found.hits.iter().try_for_each(|hit| out.object(&HitRow::of(hit, found.total)))?;
    } else {
        print(&found, &mailbox, snapshots, out)?;
    }
    // What is in a snapshot that cannot be read was not looked at.
    Ok(if args.snapshot.is_none() { mailbox.name_unreadable() } else { Exit::Good })
}

/// Refuses a selection that is not one.
pub(super) fn refuse_empty(select: Option<&String>) -> Result<(), Failure> {
    match select.is_some_and(|query| query.trim().is_empty()) {
        true => {
            Err(Failure::usage("choose emails: --select is empty", "leave --select out to choose everything"))
        }
        false => Ok(()),
    }
}

/// Reads a query.
pub(crate) fn selection(query: &[String]) -> Result<Selection, Failure> {
    let parsed = query.join(" ").parse::<Selection>();
    parsed.map_err(|error| {
        Failure::usage(format!("read the query: {error}"), "`malle find --help` explains it with examples")
    })
}

/// One of the mailbox's snapshots, or all.
fn snapshots(mailbox: &Mailbox, name: Option<SnapshotName>) -> Result<&[SnapshotInfo]> {
    let all = mailbox.snapshots.as_slice();
    let Some(name) = name else { return Ok(all) };
    let number = mailbox.find(name)?;
    match all.iter().position(|info| info.number == number) {
        Some(at) => Ok(&all[at..=at]),
        None => {
            let has = count(all.len() as u64, "snapshot");
            Err(Error::NoSnapshot { number: number.0, has }.into())
        }
    }
}

/// An email as `find` and `diff` print it.
#[derive(Debug, Serialize)]
pub(crate) struct EmailFacts {
    pub(crate) id: String,
    pub(crate) received: String,
    pub(crate) from: String,
    to: String,
    pub(crate) subject: String,
    message_id: String,
    pub(crate) size: u64,
    keywords: Vec<String>,
    attachments: Vec<String>,
}

impl From<&EmailRecord> for EmailFacts {
    fn from(email: &EmailRecord) -> EmailFacts {
        let envelope = email.envelope.clone();
        EmailFacts {
            id: email.id.to_string(),
            received: second(email.received_at),
            from: envelope.from,
            to: envelope.to,
            subject: envelope.subject,
            message_id: envelope.message_id,
            size: email.size,
            keywords: email.keywords.clone(),
            attachments: envelope.attachments,
        }
    }
}

/// `2026-11-22T15:21:07Z`; a date out of the calendar's range becomes its end.
fn second(received_at: i64) -> String {
    let end = if received_at < 0 { Timestamp::MIN } else { Timestamp::MAX };
    format!("{:.0}", Timestamp::from_second(received_at).unwrap_or(end))
}

#[derive(Serialize)]
struct HitRow<'a> {
    #[serde(flatten)]
    email: EmailFacts,
    folders: &'a [String],
    snapshots: Vec<[u64; 2]>,
    total: u64,
}

impl<'a> HitRow<'a> {
    fn of(hit: &'a Hit, total: u64) -> HitRow<'a> {
        let snapshots = hit.snapshots.iter().map(|range| [range.start().0, range.end().0]).collect();
        HitRow { email: (&hit.email).into(), folders: &hit.folders, snapshots, total }
    }
}

fn print(found: &Found, mailbox: &Mailbox, snapshots: &[SnapshotInfo], out: &Out) -> Result<()> {
    let looked_at = count(snapshots.len() as u64, "snapshot");
    if found.hits.is_empty() {
        return out.line(format_args!("no such email in {looked_at}"));
    }
    let mut table = Table::new(["RECEIVED (UTC)", "FROM", "SUBJECT", ">SIZE", "FOLDER", "SNAPSHOTS", "ID"]);
    for hit in &found.hits {
        let email = EmailFacts::from(&hit.email);
        table.push([
            minute(&email.received),
            or_dash(&one_line(&email.from, 30)).to_owned(),
            or_dash(&one_line(&email.subject, 50)).to_owned(),
            bytes(email.size),
            one_line(&hit.folders.join(", "), 40),
            ranges(&hit.snapshots, mailbox),
            one_line(&email.id, 40),
        ]);
    }
    out.line(table)?;
    let shown = found.hits.len() as u64;
    match shown == found.total {
        true => out.line(format_args!("{} in {looked_at}", count(shown, "email"))),
        false => out.line(format_args!(
            "the {shown} newest of {} in {looked_at}; --limit shows more",
            count(found.total, "email")
        )),
    }
}

/// `3–9, 12`; between two of the fleet's numbers are those of other mailboxes, so `40…105 (3)` says how many are this one's.
fn ranges(snapshots: &[RangeInclusive<SnapshotNumber>], mailbox: &Mailbox) -> String {
    let name = |number| mailbox.numbers.name(number);
    let range = |range: &RangeInclusive<SnapshotNumber>| match (*range.start(), *range.end()) {
        (start, end) if start == end => name(start),
        (start, end) if mailbox.numbers.is_of_fleet() => {
            let among = mailbox.snapshots.iter().filter(|info| range.contains(&info.number)).count();
            format!("{}…{} ({among})", name(start), name(end))
        }
        (start, end) => format!("{start}–{end}"),
    };
    snapshots.iter().map(range).collect::<Vec<_>>().join(", ")
}
