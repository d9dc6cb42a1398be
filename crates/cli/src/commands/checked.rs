//! What `verify` and `check` say of one mailbox.

use anyhow::Result;
use repository::{CheckReport, Depth, Problem, Repository};
use serde::Serialize;

use crate::mailboxes::mailbox::{self, Mailbox};
use crate::mailboxes::numbers::Numbers;
use crate::store::temporaries::Temporaries;
use crate::terminal::exit::Exit;
use crate::terminal::failure::one_line;
use crate::terminal::output::{Out, bytes, count};

/// One mailbox's result, in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    pub(crate) mailbox: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    pub(crate) ok: bool,
    snapshots: u64,
    emails: u64,
    blobs: u64,
    packs: u64,
    bytes_read: u64,
    unreferenced: u64,
    unreferenced_bytes: u64,
    /// Files of a store in a directory that writers left, or that one is at work on.
    temporaries: u64,
    temporary_bytes: u64,
    /// Records of restores that do not open.
    damaged_records: Vec<String>,
    problems: Vec<ProblemRow>,
    /// `malle repair` can do something about it.
    repairable: bool,
    #[serde(skip)]
    is_opened: bool,
    /// Log entries are lost, which may have named what nothing refers to now.
    #[serde(skip)]
    lacks_entries: bool,
}

/// A problem, in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ProblemRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<u64>,
    /// What people call it.
    #[serde(skip)]
    name: Option<String>,
    what: String,
}

impl ProblemRow {
    pub(crate) fn of(problem: Problem, numbers: &Numbers) -> ProblemRow {
        let Problem { snapshot, what } = problem;
        let name = snapshot.map(|snapshot| numbers.name(snapshot));
        ProblemRow { snapshot: snapshot.map(|number| number.0), name, what }
    }

    pub(crate) fn print(&self, out: &Out) -> Result<()> {
        let what = one_line(&self.what, 500);
        match &self.name {
            Some(name) => out.line(format_args!("  snapshot {name}: {what}")),
            None => out.line(format_args!("  {what}")),
        }
    }
}

/// Whether `malle repair` can do something about what was found in a mailbox: write a copy, note damage, fetch what the newest
/// snapshot lacks. What only older ones lack is lost for good.
pub(crate) async fn is_repairable(repository: &Repository, report: &CheckReport) -> repository::Result<bool> {
    if report.problems.is_empty() {
        return Ok(false);
    }
    let listing = repository.listing().await?;
    let newest = listing.snapshots.last().map(|newest| newest.number);
    let is_newest = |problem: &Problem| problem.snapshot.is_some() && problem.snapshot == newest;
    Ok(report.lacks_copies()
        || report.harms_slices()
        || !listing.is_newest_whole()
        || report.problems.iter().any(is_newest)
        || !report.damaged.is_subset(&repository.known_damage().await?))
}

/// What is said of damage about which nothing can be done any more.
pub(crate) const LOST: &str = "the newest snapshot is whole; what is named here is lost for good: older snapshots that need it stay \
     damaged, and what lost log entries said is gone";

impl Checked {
    /// What was found in a mailbox; notes damage for the next backup.
    pub(crate) async fn of(
        mailbox: &Mailbox,
        report: CheckReport,
        temporaries: Temporaries,
    ) -> repository::Result<Checked> {
        let repository = &mailbox.repository;
        mailbox::note(repository, report.damaged.iter().copied()).await;
        let repairable = is_repairable(repository, &report).await?;
        let (dir, name) = (repository.dir().to_string(), mailbox.name().to_owned());
        let checked = Checked::new(dir, Some(name), (report, &mailbox.numbers), temporaries);
        Ok(Checked { repairable, ..checked })
    }

    fn new(
        mailbox: String,
        account: Option<String>,
        (report, numbers): (CheckReport, &Numbers),
        temporaries: Temporaries,
    ) -> Checked {
        let row = |problem| ProblemRow::of(problem, numbers);
        let lacks_entries = report.lacks_entries();
        let problems: Vec<ProblemRow> = report.problems.into_iter().map(row).collect();
        Checked {
            mailbox,
            account,
            ok: problems.is_empty(),
            snapshots: report.snapshots,
            emails: report.emails,
            blobs: report.blobs,
            packs: report.packs,
            bytes_read: report.bytes_read,
            unreferenced: report.unreferenced,
            unreferenced_bytes: report.unreferenced_bytes,
            temporaries: temporaries.count,
            temporary_bytes: temporaries.bytes,
            damaged_records: report.damaged_records,
            problems,
            repairable: false,
            is_opened: true,
            lacks_entries,
        }
    }

    /// A mailbox that could not even be opened.
    pub(crate) fn unreadable(mailbox: String, what: String, exit: Exit) -> Checked {
        let none = (CheckReport::default(), &Numbers::default());
        let mut checked = Checked::new(mailbox, None, none, Temporaries::default());
        checked.ok = false;
        checked.is_opened = false;
        checked.repairable = exit == Exit::Damage;
        checked.problems.push(ProblemRow { snapshot: None, name: None, what });
        checked
    }

    /// No snapshot is there: nothing can come back.
    pub(crate) fn is_empty(&self) -> bool {
        self.ok && self.snapshots == 0
    }

    pub(crate) fn print(&self, depth: Depth, out: &Out) -> Result<()> {
        if out.json() {
            return out.object(self);
        }
        let name = self.account.as_deref().unwrap_or(&self.mailbox);
        let verdict = match (self.ok, self.is_opened) {
            (true, _) if self.snapshots == 0 => "nothing is backed up yet",
            (true, _) => "all well",
            (false, true) => "DAMAGED",
            (false, false) => "NOT CHECKED",
        };
        let read = match depth {
            Depth::Structure => "structure only, data not read".to_owned(),
            Depth::Data => format!("{} read", bytes(self.bytes_read)),
        };
        out.line(format_args!(
            "{}: {verdict}; {}, {}, {}, {}; {read}",
            one_line(name, 200),
            count(self.snapshots, "snapshot"),
            count(self.emails, "email"),
            count(self.blobs, "blob"),
            count(self.packs, "pack"),
        ))?;
        for problem in &self.problems {
            problem.print(out)?;
        }
        if self.unreferenced > 0 {
            let (left, size) = (count(self.unreferenced, "object"), bytes(self.unreferenced_bytes));
            let why = match self.lacks_entries {
                true => "as far as the log can be read: of a lost entry, or left by runs that were cut off",
                false => {
                    "left by runs that were cut off, or of entries that an accepted history has not; harmless"
                }
            };
            out.line(format_args!("  {left} ({size}) that nothing refers to, {why}"))?;
        }
        if self.temporaries > 0 {
            let (left, size) = (count(self.temporaries, "temporary file"), bytes(self.temporary_bytes));
            out.line(format_args!(
                "  {left} ({size}) of writers that were cut off or are at work; harmless"
            ))?;
        }
        for record in &self.damaged_records {
            out.line(format_args!(
                "  {record} is damaged: a restore that was cut off and has no other record must be begun again; no snapshot needs it"
            ))?;
        }
        match (self.ok, self.repairable) {
            (true, _) => Ok(()),
            (false, true) => out.line("  `malle repair` makes whole what can be, and says what is lost"),
            (false, false) if self.is_opened => out.line(format_args!("  {LOST}")),
            (false, false) => Ok(()),
        }
    }
}

/// How deep `--read-data` goes.
pub(crate) fn depth(read_data: bool) -> Depth {
    if read_data { Depth::Data } else { Depth::Structure }
}
