//! `malle repair`: makes whole again what can be, notes what is lost, and fetches it from the mail server.

use anyhow::{Context, Result};
use engine::{Backup, Report};
use model::{BackupState, SnapshotNumber, SystemClock};
use repository::{CheckReport, Depth, Error, KeyRing, Object, Origin, Store};
use serde::Serialize;

use super::check::worse;
use super::checked::{LOST, ProblemRow, is_repairable};
use super::rows::{FailureRow, print_failures};
use crate::args::upkeep::RepairArgs;
use crate::mailboxes::account_in_store::AccountInStore;
use crate::mailboxes::mailbox::{self, Mailbox};
use crate::mailboxes::numbers;
use crate::secrets;
use crate::server::{Server, host};
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::{Failure, causes, explain, one_line};
use crate::terminal::hint::Setup;
use crate::terminal::output::{Out, bytes, count, remark};
use crate::terminal::progress;

/// Failures that are named on a terminal.
const NAMED_FAILURES: usize = 100;

/// A repair that needs to ask nobody anything any more.
pub(crate) struct Prepared<'a> {
    args: &'a RepairArgs,
    ring: KeyRing,
    /// `None`: nothing is fetched.
    server: Option<Server>,
}

/// Reads the ring, and the address and the credentials if there is somebody to ask; may ask for a password.
pub(crate) fn prepare<'a>(args: &'a RepairArgs, out: &Out) -> Result<Prepared<'a>> {
    let ring = secrets::ring(&args.store.key, out)?;
    let is_asked = args.server.server.as_deref().is_some_and(|server| !server.is_empty());
    let server = match is_asked && is_one(args) {
        true => Some(Server::prepare(&args.server, args.which.account.as_deref())?),
        false => None,
    };
    if is_asked && server.is_none() {
        out.warn("no mailbox is named, so the mail server is not asked; --account names one");
    }
    Ok(Prepared { args, ring, server })
}

fn is_one(args: &RepairArgs) -> bool {
    args.which.account.is_some() || args.which.mailbox.is_some()
}

/// Runs it.
pub(crate) async fn run(prepared: Prepared<'_>, out: &Out) -> Result<Exit> {
    let Prepared { args, ring, server } = prepared;
    let store = from_url::open(&args.store).await?;
    if let Some(healed) = store.heal_copies().await? {
        out.warn(format_args!("{healed} was missing or damaged and is written again from its second copy"));
    }
    let history = (&args.history).into();
    if is_one(args) {
        let mailbox = mailbox::find_with(&store, &ring, &args.which, history).await.map_err(hopeless)?;
        let fetching = server.map(|server| (server, args.which.server_name.as_deref()));
        return Box::pin(repair(&mailbox, (&store, &ring), fetching, out)).await;
    }
    let mut worst = Exit::Good;
    for opened in mailbox::open_all_with(&store, &ring, history).await? {
        let repaired = match opened.mailbox {
            Ok(None) | Err(Error::Erased { .. }) => continue,
            Ok(Some(mailbox)) => Box::pin(repair(&mailbox, (&store, &ring), None, out)).await,
            Err(error) => Err(hopeless(error.into())),
        };
        let exit = repaired.unwrap_or_else(|error| {
            let (exit, line) = explain(&error, Setup::OneShot);
            remark(format_args!("mailbox {}: {line}", opened.dir));
            exit
        });
        worst = worse(worst, exit);
    }
    Ok(worst)
}

/// What cannot even be opened is not mended by running this again.
fn hopeless(error: anyhow::Error) -> anyhow::Error {
    let is_damage = |cause: &(dyn std::error::Error + 'static)| {
        matches!(
            cause.downcast_ref::<Error>(),
            Some(Error::Corrupt { .. } | Error::Missing { .. } | Error::KeyGone { .. })
        )
    };
    if !error.chain().any(is_damage) {
        return error;
    }
    let hint = "the store has nothing left to mend this from: put the object back from a mirror or an older version of the store";
    Failure::new(explain(&error, Setup::OneShot).0, causes(&error), hint).into()
}

/// What was found in one mailbox, and what became of it.
struct Repaired<'a> {
    mailbox: &'a Mailbox,
    /// Written again from their second copies.
    healed: Vec<Object>,
    /// Noted as damaged earlier, and whole.
    sound: Vec<Object>,
    report: CheckReport,
    /// The newest snapshot lacks something that only a backup can fetch.
    is_open: bool,
    /// Something was found that stays as it is.
    is_lasting: bool,
    /// The newest snapshot names something that could not be fetched.
    is_partial: bool,
    /// The backup that fetched it.
    backup: Option<Report>,
    /// Snapshots that need something that is lost.
    lost: Vec<SnapshotNumber>,
}

/// The mail server, and its lasting name if that was said.
type Fetching<'a> = (Server, Option<&'a str>);

async fn repair(
    mailbox: &Mailbox,
    store: (&Store, &KeyRing),
    fetching: Option<Fetching<'_>>,
    out: &Out,
) -> Result<Exit> {
    let repository = &mailbox.repository;
    let healed = repository.heal_copies().await?;
    let report = repository.check(None, Depth::Data).await?;
    let known = repository.known_damage().await?;
    let sound = known.intersection(&report.whole).copied().collect();
    repository.note_sound(&sound, &SystemClock).await.context("note what is whole again")?;
    repository
        .note_damage(report.damaged.iter().copied(), &SystemClock)
        .await
        .context("note what is lost")?;
    let mut repaired = Repaired {
        mailbox,
        healed,
        sound: sound.into_iter().collect(),
        report,
        is_open: false,
        is_lasting: false,
        is_partial: false,
        backup: None,
        lost: Vec::new(),
    };
    repaired.look_again().await?;
    if let Some(fetching) = fetching.filter(|_| repaired.is_open || repaired.is_partial) {
        repaired.backup = Some(fetch(mailbox, store, fetching, out).await?);
        repaired.read_new_one().await?;
        repaired.look_again().await?;
    }
    repaired.print(out)?;
    Ok(repaired.exit())
}

/// A full backup: what is lost is stored again, as far as the mail server has it.
async fn fetch(
    mailbox: &Mailbox,
    (store, ring): (&Store, &KeyRing),
    (server, name): Fetching<'_>,
    out: &Out,
) -> Result<Report> {
    let host = host(&server.url);
    let as_owner = server.as_owner();
    let (client, account, _cancelled_when_dropped) =
        server.open(None, Some(mailbox.identity.account.as_str()), out).await?;
    if !AccountInStore::new((store, ring), &account, host, name).is_of(mailbox).await? {
        let what = format!(
            "fetch what {} has lost: this mail server's account of that id is another one",
            mailbox.describe()
        );
        return Err(Failure::usage(what, "name the mail server that the mailbox was backed up from; if its name changed, give --server-name").into());
    }
    let progress = progress::shown(out);
    let as_owner = as_owner(&account);
    let accounts_owner = engine::Owner::when_needed(&as_owner);
    let how = Backup {
        owner: Some(&accounts_owner),
        origin: Origin { kind: "manual".to_owned(), ..Origin::default() },
        full_listing: true,
        compares_store: true,
        progress: &*progress,
        clock: &SystemClock,
    };
    Ok(engine::backup(&client, &account, &mailbox.repository, &how).await?)
}

#[derive(Serialize)]
struct RepairedObject<'a> {
    mailbox: String,
    account: &'a str,
    healed: Vec<String>,
    sound: Vec<String>,
    damaged: Vec<String>,
    problems: Vec<ProblemRow>,
    /// A backup is needed to fetch what is lost, and none was made.
    open: bool,
    /// The newest snapshot names something that could not be fetched.
    partial: bool,
    /// Something was found that nothing brings back: older snapshots or log entries.
    lasting: bool,
    /// Number and state of the backup that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    failures: Vec<FailureRow>,
    damaged_snapshots: Vec<u64>,
}

impl Repaired<'_> {
    /// What is so now.
    async fn look_again(&mut self) -> Result<()> {
        let repository = &self.mailbox.repository;
        let listing = repository.listing().await?;
        let made = self.backup.as_ref().map(|report| report.number);
        self.is_partial =
            listing.snapshots.last().is_some_and(|newest| engine::state_of(newest) == BackupState::Partial);
        self.is_open = match made {
            None => is_repairable(repository, &self.report).await?,
            Some(_) => !listing.is_newest_whole(),
        };
        self.lost = listing.damaged.into_iter().collect();
        // A new snapshot does without what the others need, and takes nothing away from them.
        let lacks = self.report.lacks_entries() || !self.lost.is_empty();
        self.is_lasting = lacks || (made.is_none() && !self.report.problems.is_empty());
        Ok(())
    }

    /// The new snapshot grew from what could not all be looked at before: rows that were lost may have named what is damaged.
    async fn read_new_one(&mut self) -> Result<()> {
        let repository = &self.mailbox.repository;
        let Some(made) = self.backup.as_ref().map(|report| report.number) else { return Ok(()) };
        let report = repository.check(Some(made), Depth::Data).await?;
        if report.is_harmful() {
            repository.note_damage(report.damaged.iter().copied(), &SystemClock).await?;
            self.report.damaged.extend(report.damaged);
            self.report.problems.extend(report.problems);
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        let is_good = self.backup.as_ref().is_none_or(|report| report.state == BackupState::Good);
        match self.is_open {
            true => Exit::Damage,
            false if self.is_lasting || self.is_partial || !is_good => Exit::Incomplete,
            false => Exit::Good,
        }
    }

    fn print(&self, out: &Out) -> Result<()> {
        if out.json() {
            return out.object(&self.object());
        }
        let (report, name) = (&self.report, one_line(self.mailbox.name(), 200));
        let found = match report.problems.len() as u64 {
            0 => "nothing is damaged".to_owned(),
            problems => count(problems, "problem"),
        };
        out.line(format_args!("{name}: {} read, {found}", bytes(report.bytes_read)))?;
        for problem in &report.problems {
            ProblemRow::of(problem.clone(), &self.mailbox.numbers).print(out)?;
        }
        for object in &self.healed {
            out.line(format_args!("  healed: {} is written again from its copy", object.relative()))?;
        }
        for object in &self.sound {
            out.line(format_args!("  {} was noted as damaged and is whole", object.relative()))?;
        }
        self.print_end(out)
    }

    fn print_end(&self, out: &Out) -> Result<()> {
        if let Some(report) = &self.backup {
            out.line(format_args!(
                "  snapshot {} is {}: {} fetched again, {} could not be had",
                numbers::of_handmade(report.number, report.is_of_fleet),
                report.state.as_str(),
                bytes(report.fetched_bytes),
                count(report.failures.len() as u64, "object"),
            ))?;
            print_failures(&report.failures, NAMED_FAILURES, out)?;
            if self.is_open {
                out.line("  something that it needs is damaged, too: run `malle repair` again")?;
            }
        } else if self.is_open {
            out.line(
                "  noted: the next `malle backup` fetches what is lost, or `malle repair --account … --server …` at once",
            )?;
        } else if self.is_partial {
            out.line("  the newest snapshot is partial: `malle show` names what could not be fetched, and each backup tries again")?;
        }
        if self.is_lasting && !self.is_open {
            out.line(format_args!("  {LOST}"))?;
        }
        match self.lost.as_slice() {
            [] => Ok(()),
            lost => {
                let names: Vec<String> =
                    lost.iter().map(|number| self.mailbox.numbers.name(*number)).collect();
                out.line(format_args!("  damaged snapshots: {}", one_line(&names.join(", "), 500)))
            }
        }
    }

    fn object(&self) -> RepairedObject<'_> {
        let names = |objects: &[Object]| objects.iter().map(Object::relative).collect();
        let damaged: Vec<Object> = self.report.damaged.iter().copied().collect();
        RepairedObject {
            mailbox: self.mailbox.repository.dir().to_string(),
            account: self.mailbox.name(),
            healed: names(&self.healed),
            sound: names(&self.sound),
            damaged: names(&damaged),
            problems: self
                .report
                .problems
                .iter()
                .cloned()
                .map(|problem| ProblemRow::of(problem, &self.mailbox.numbers))
                .collect(),
            open: self.is_open,
            partial: self.is_partial,
            lasting: self.is_lasting,
            snapshot: self.backup.as_ref().map(|report| report.number.0),
            state: self.backup.as_ref().map(|report| report.state.as_str()),
            failures: self.backup.iter().flat_map(|report| &report.failures).map(FailureRow::from).collect(),
            damaged_snapshots: self.lost.iter().map(|number| number.0).collect(),
        }
    }
}
