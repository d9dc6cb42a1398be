//! `malle diff`: what came, went, moved and was flagged between two snapshots.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use engine::{Change, Diff, DiffCounts, Fate, FolderChange, FolderTree, Pair};
use model::{DataType, EmailRecord, FolderId, SnapshotNumber};
use serde::Serialize;

use super::find::EmailFacts;
use crate::args::find::DiffArgs;
use crate::mailboxes::mailbox::{self, Mailbox};
use crate::secrets;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::one_line;
use crate::terminal::output::{Out, count, minute, or_dash};

/// Runs it.
pub(crate) async fn run(args: &DiffArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let mailbox = mailbox::find(&store, &ring, &args.which).await?;
    let comparing = Box::pin(compare(args, &mailbox, out));
    mailbox::noting(&mailbox.repository, comparing).await?;
    Ok(Exit::Good)
}

async fn compare(args: &DiffArgs, mailbox: &Mailbox, out: &Out) -> Result<()> {
    let was = mailbox.snapshot(Some(args.from)).await?;
    let now = mailbox.snapshot(Some(args.to)).await?;
    let between = [was.info().number, now.info().number];
    let mut diff = Diff::new(&mailbox.repository, was, now).await?;
    while let Some(change) = diff.next().await? {
        if !args.verbose {
            continue;
        }
        let row = ChangeRow::of(&change, diff.folders());
        match out.json() {
            true => out.object(&row)?,
            false => out.line(row.text())?,
        }
    }
    match out.json() {
        true => out.object(&Counts::of(between, diff.counts())),
        false => print(between.map(|number| mailbox.numbers.name(number)), diff.counts(), out),
    }
}

/// One change; what does not apply is left out.
#[derive(Debug, Default, Serialize)]
struct ChangeRow {
    what: Vec<&'static str>,
    #[serde(rename = "type")]
    of_type: &'static str,
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<EmailFacts>,
    #[serde(skip_serializing_if = "Sides::is_empty")]
    folders: Sides<Vec<String>>,
    #[serde(skip_serializing_if = "Sides::is_empty")]
    keywords: Sides<Vec<String>>,
    #[serde(skip_serializing_if = "Sides::is_empty")]
    path: Sides<String>,
}

/// In the first snapshot and in the second.
#[derive(Debug, Serialize)]
struct Sides<T> {
    was: Option<T>,
    now: Option<T>,
}

impl<T> Default for Sides<T> {
    fn default() -> Sides<T> {
        Sides { was: None, now: None }
    }
}

impl<T> Sides<T> {
    fn is_empty(&self) -> bool {
        self.was.is_none() && self.now.is_none()
    }
}

fn paths(folders: &[FolderId], tree: &FolderTree) -> Option<Vec<String>> {
    let path = |id: &FolderId| tree.path(id).unwrap_or_else(|| id.to_string());
    Some(folders.iter().map(path).collect())
}

impl ChangeRow {
    fn of(change: &Change, (was, now): (&FolderTree, &FolderTree)) -> ChangeRow {
        match change {
            Change::Came { email, renumbered } => {
                let what = if *renumbered { &["came", "renumbered"][..] } else { &["came"] };
                let folders = Sides { was: None, now: paths(&email.folders, now) };
                ChangeRow { folders, ..ChangeRow::of_email(email, what.to_vec()) }
            }
            Change::Went { email, renumbered } => {
                let what = if *renumbered { &["went", "renumbered"][..] } else { &["went"] };
                let folders = Sides { was: paths(&email.folders, was), now: None };
                ChangeRow { folders, ..ChangeRow::of_email(email, what.to_vec()) }
            }
            Change::Changed(pair) => ChangeRow::of_pair(pair, was, now),
            Change::Folder(folder) => ChangeRow::of_folder(folder),
            Change::Object { data_type, id, name, fate } => ChangeRow {
                what: vec![word(*fate)],
                of_type: data_type.name(),
                id: id.clone(),
                name: name.clone(),
                ..ChangeRow::default()
            },
        }
    }

    fn of_email(email: &EmailRecord, what: Vec<&'static str>) -> ChangeRow {
        let (id, email) = (email.id.to_string(), Some(email.into()));
        ChangeRow { what, of_type: "Email", id, email, ..ChangeRow::default() }
    }

    fn of_pair(pair: &Pair, was: &FolderTree, now: &FolderTree) -> ChangeRow {
        let kinds = [
            (pair.is_moved(), "moved"),
            (pair.is_flagged(), "flagged"),
            (pair.is_replaced(), "replaced"),
            (pair.is_redated(), "redated"),
        ];
        let what = kinds.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect();
        let mut row = ChangeRow::of_email(&pair.now, what);
        if pair.is_moved() {
            row.folders = Sides { was: paths(&pair.was.folders, was), now: paths(&pair.now.folders, now) };
        }
        if pair.is_flagged() {
            let (was, now) = (pair.was.keywords.clone(), pair.now.keywords.clone());
            row.keywords = Sides { was: Some(was), now: Some(now) };
        }
        row
    }

    fn of_folder(folder: &FolderChange) -> ChangeRow {
        let what = match (folder.is_renamed, folder.is_moved) {
            (true, true) => vec!["renamed", "moved"],
            (true, false) => vec!["renamed"],
            (false, true) => vec!["moved"],
            (false, false) => vec![word(folder.fate())],
        };
        let path = Sides { was: folder.was.clone(), now: folder.now.clone() };
        ChangeRow { what, of_type: "Folder", id: folder.id.to_string(), path, ..ChangeRow::default() }
    }

    /// For people.
    fn text(&self) -> String {
        let what = self.what.join(", ");
        let subject = match (&self.email, self.path.is_empty()) {
            (Some(email), _) => {
                let (from, subject) = (one_line(&email.from, 30), one_line(&email.subject, 50));
                format!("{}  {}  {}", minute(&email.received), or_dash(&from), or_dash(&subject))
            }
            (None, false) => either(&self.path, |path| one_line(path, 80)),
            (None, true) => or_dash(&one_line(&self.name, 80)).to_owned(),
        };
        let mut text = format!("{what}: {} {}  {subject}", self.of_type, one_line(&self.id, 40));
        if !self.folders.is_empty() {
            text.push_str("  in ");
            text.push_str(&either(&self.folders, |paths| one_line(&paths.join(", "), 80)));
        }
        if let (Some(was), Some(now)) = (&self.keywords.was, &self.keywords.now) {
            text.push_str("  ");
            text.push_str(&one_line(&difference(was, now), 200));
        }
        text
    }
}

/// `what it was → what it is`, or the only one there is.
fn either<T>(sides: &Sides<T>, show: impl Fn(&T) -> String) -> String {
    match (&sides.was, &sides.now) {
        (Some(was), Some(now)) => match (show(was), show(now)) {
            (was, now) if was == now => now,
            (was, now) => format!("{was} → {now}"),
        },
        (one, other) => one.as_ref().or(other.as_ref()).map(show).unwrap_or_default(),
    }
}

/// `+$seen -$flagged`
fn difference(was: &[String], now: &[String]) -> String {
    let (was, now) = (BTreeSet::from_iter(was), BTreeSet::from_iter(now));
    let added = now.difference(&was).map(|keyword| format!("+{keyword}"));
    let removed = was.difference(&now).map(|keyword| format!("-{keyword}"));
    added.chain(removed).collect::<Vec<_>>().join(" ")
}

/// People say folder where JMAP says Mailbox.
fn name(data_type: DataType) -> &'static str {
    if data_type == DataType::Mailbox { "Folder" } else { data_type.name() }
}

fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Created => "created",
        Fate::Removed => "removed",
        Fate::Changed => "changed",
    }
}

#[derive(Serialize)]
struct Counts {
    what: &'static str,
    from: u64,
    to: u64,
    came: u64,
    went: u64,
    renumbered: u64,
    moved: u64,
    flagged: u64,
    replaced: u64,
    redated: u64,
    folders_renamed: u64,
    folders_moved: u64,
    /// By type, then fate.
    objects: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

impl Counts {
    fn of([from, to]: [SnapshotNumber; 2], counts: &DiffCounts) -> Counts {
        let mut objects = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((data_type, fate), number) in &counts.objects {
            objects.entry(name(*data_type)).or_default().insert(word(*fate), *number);
        }
        Counts {
            what: "counts",
            from: from.0,
            to: to.0,
            came: counts.came,
            went: counts.went,
            renumbered: counts.renumbered,
            moved: counts.moved,
            flagged: counts.flagged,
            replaced: counts.replaced,
            redated: counts.redated,
            folders_renamed: counts.folders_renamed,
            folders_moved: counts.folders_moved,
            objects,
        }
    }
}

fn print([from, to]: [String; 2], counts: &DiffCounts, out: &Out) -> Result<()> {
    if *counts == DiffCounts::default() {
        return out.line(format_args!("nothing differs between snapshots {from} and {to}"));
    }
    out.line(format_args!("from snapshot {from} to {to}:"))?;
    let emails = [
        (counts.came, "came"),
        (counts.went, "went"),
        (counts.renumbered, "renumbered (the same bytes under a new id)"),
        (counts.moved, "moved to other folders"),
        (counts.flagged, "flagged (read, starred, labelled, or no longer)"),
        (counts.replaced, "replaced (other bytes under the same id)"),
        (counts.redated, "given another date of receipt"),
    ];
    for (number, what) in emails.into_iter().filter(|(number, _)| *number > 0) {
        out.line(format_args!("  {} {what}", count(number, "email")))?;
    }
    let folders = [(counts.folders_renamed, "renamed"), (counts.folders_moved, "moved")];
    for (number, what) in folders.into_iter().filter(|(number, _)| *number > 0) {
        out.line(format_args!("  {} {what}", count(number, "folder")))?;
    }
    for ((data_type, fate), number) in &counts.objects {
        out.line(format_args!("  {}: {number} {}", name(*data_type), word(*fate)))?;
    }
    Ok(())
}
