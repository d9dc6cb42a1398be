//! `malle backup`: one snapshot of one account.

use std::time::{Duration, Instant};

use anyhow::Result;
use engine::{Backup, Ended, Report, Slice};
use futures::{StreamExt, stream};
use jmap::{Account, Batch, Client};
use model::{BackupState, MailboxIdentity, SystemClock};
use repository::{Error, KeyRing, Origin, Store};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::kept::Kept;
use super::rows::{FailureRow, TypeRow, print_failures};
use crate::args::backup::BackupArgs;
use crate::mailboxes::account_in_store::{AccountInStore, Held};
use crate::mailboxes::numbers;
use crate::secrets;
use crate::server::{AsOwner, Server, host};
use crate::signals::Signals;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::{Failure, one_line};
use crate::terminal::output::{Out, bytes, count, duration, remark};
use crate::terminal::progress;

/// Mailboxes that are tried before a ring is called the wrong one.
const RING_TRIALS: usize = 64;
const TRIALS_IN_FLIGHT: usize = 8;
/// When told to stop, emails that are under way are waited for, then for no answer of the mail server any more. A little longer
/// than the engine waits by itself.
const PATIENCE: Duration = Duration::from_secs(4);
/// Failures that are named; the snapshot holds them all.
const NAMED_FAILURES: usize = 20;

/// A backup that needs to ask nobody anything any more.
pub(crate) struct Prepared<'a> {
    args: &'a BackupArgs,
    ring: KeyRing,
    server: Server,
}

/// Reads the ring, the address and the credentials; may ask for a password.
pub(crate) fn prepare<'a>(args: &'a BackupArgs, out: &Out) -> Result<Prepared<'a>> {
    let ring = secrets::ring(&args.store.key, out)?;
    let server = Server::prepare(&args.server, args.account.as_deref())?;
    Ok(Prepared { args, ring, server })
}

/// Runs it. At a signal it commits what came, then ends; at a second one it ends at once.
pub(crate) async fn run(prepared: Prepared<'_>, out: &Out) -> Result<Exit> {
    let mut signals = Signals::catch()?;
    let (stop, answers) = (CancellationToken::new(), prepared.server.cancel());
    let kept = Kept::behind(progress::shown(out));
    let mut work = Box::pin(back_up_until(prepared, out, &stop, &kept));
    let signal = tokio::select! {
        ended = &mut work => return conclude(ended, &kept, None),
        signal = signals.next() => signal,
    };
    if !kept.has_begun() {
        return conclude(Ok(None), &kept, Some(signal));
    }
    out.warn("told to stop: what came is being kept; a second signal ends this at once");
    stop.cancel();
    let impatience = async {
        tokio::time::sleep(PATIENCE).await;
        answers.cancel();
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = &mut work => ended,
        _ = signals.next() => Ok(None),
        () = impatience => Ok(None),
    };
    conclude(ended, &kept, Some(signal))
}

/// `ended` holds nothing if there is no snapshot because a signal came.
fn conclude(ended: Result<Option<Exit>>, kept: &Kept, signal: Option<Exit>) -> Result<Exit> {
    match (ended, signal) {
        (Ok(Some(exit)), _) => Ok(exit),
        (Err(error), Some(signal)) if is_cancelled(&error) => Ok(stopped(signal, kept)),
        (Err(error), _) => Err(kept.explain(error)),
        (Ok(None), signal) => Ok(stopped(signal.unwrap_or(Exit::Interrupted), kept)),
    }
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(jmap::Error::Cancelled)))
}

fn stopped(signal: Exit, kept: &Kept) -> Exit {
    let now = match kept.text() {
        Some(kept) => format!("{kept} that came are kept and the next run goes on from there"),
        None => "nothing came that could be kept".to_owned(),
    };
    remark(format_args!("stopped by a signal; nothing that was backed up before is lost; {now}"));
    signal
}

/// Everything from connecting to printing the result; `None`: it paused because it was told to stop.
async fn back_up_until(
    prepared: Prepared<'_>,
    out: &Out,
    stop: &CancellationToken,
    kept: &Kept,
) -> Result<Option<Exit>> {
    let start = Instant::now();
    let Prepared { args, ring, server } = prepared;
    let url = server.url.clone();
    let (name, id) = (args.account.as_deref(), args.account_id.as_deref());
    let as_owner = server.as_owner();
    let (client, account, _cancelled_when_dropped) = server.open(name, id, out).await?;
    let as_owner = as_owner(&account);
    let store = from_url::open_to_write(&args.store).await?;
    let in_store = AccountInStore::new((&store, &ring), &account, host(&url), args.server_name.as_deref());
    let slice =
        Slice { length: Duration::MAX, stop: stop.clone(), keep: Some(Duration::from_secs(args.keep_every)) };
    kept.begin();
    let Made { identity, held, is_first, ended } =
        Box::pin(back_up(args, out, &in_store, (&client, &as_owner), (&slice, kept))).await?;
    in_store.remember_name();
    let Ended::Done(report) = ended else { return Ok(None) };
    let done = Done {
        report: &report,
        account: &account,
        identity: &identity,
        is_first,
        location: store.zone(),
        mailbox: held.repository.dir().to_string(),
        counters: client.counters(),
        seconds: start.elapsed().as_secs_f64(),
    };
    done.print(out)?;
    let is_good = report.state == BackupState::Good;
    Ok(Some(if is_good { Exit::Good } else { Exit::Incomplete }))
}

/// A backup that came to its end, or to the end of a slice.
struct Made {
    identity: MailboxIdentity,
    held: Held,
    /// The mailbox's history begins with it.
    is_first: bool,
    ended: Ended,
}

/// The backup itself. A mailbox that was never backed up is made first; one that is known costs no extra request.
async fn back_up(
    args: &BackupArgs,
    out: &Out,
    in_store: &AccountInStore<'_>,
    (client, as_owner): (&Client, &AsOwner<'_>),
    (slice, kept): (&Slice, &Kept),
) -> Result<Made> {
    let accounts_owner = engine::Owner::when_needed(as_owner);
    let how = Backup {
        owner: Some(&accounts_owner),
        origin: Origin { kind: "manual".to_owned(), ..Origin::default() },
        full_listing: args.full,
        compares_store: true,
        progress: kept,
        clock: &SystemClock,
    };
    let (identity, held) = in_store.mailbox((&args.history).into()).await?;
    match held {
        Some(held) => {
            match engine::backup_slice(client, in_store.account, &held.repository, &how, slice).await {
                // Only the key is there: a first backup was cut off before its log began.
                Err(engine::Error::Repository(Error::NoMailbox)) => {}
                ended => return Ok(Made { identity, held, is_first: false, ended: ended? }),
            }
        }
        None if args.new_ring => {}
        None => refuse_foreign_ring(in_store.store, in_store.ring).await?,
    }
    if !args.new_history {
        in_store.refuse_second_history(&identity).await?;
    }
    refuse_unreadable(client, in_store.account).await?;
    announce(in_store, &identity, out)?;
    let held = in_store.begin(&identity).await?;
    let ended = engine::backup_slice(client, in_store.account, &held.repository, &how, slice).await?;
    Ok(Made { identity, held, is_first: true, ended })
}

/// Nothing is begun in the store for an account that the user may not read.
async fn refuse_unreadable(client: &Client, account: &Account) -> Result<()> {
    let mut batch = Batch::new(&account.id);
    let folders = batch.state(jmap::DataType::Mailbox);
    match client.call(&batch).await?.take(folders) {
        Err(source) if source.denies_account() => {
            Err(engine::Error::Server { what: "the account", source }.into())
        }
        _ => Ok(()),
    }
}

/// Says that a history begins: whoever expected an old one to go on stops here.
fn announce(in_store: &AccountInStore<'_>, identity: &MailboxIdentity, out: &Out) -> Result<()> {
    match out.json() {
        true => Ok(()),
        false => out.line(format_args!(
            "first backup of {} on {}: a new history begins",
            one_line(&in_store.account.name, 200),
            identity.server
        )),
    }
}

/// With a ring made by mistake, a mailbox looks as if it had never been backed up. A store whose mailboxes the ring does
/// not open tells; one mailbox that opens is enough.
async fn refuse_foreign_ring(store: &Store, ring: &KeyRing) -> Result<()> {
    let dirs = store.mailboxes().await?;
    let mut trials = stream::iter(dirs.into_iter().take(RING_TRIALS))
        .map(|dir| store.mailbox(ring, dir))
        .buffer_unordered(TRIALS_IN_FLIGHT);
    let mut foreign = None;
    while let Some(trial) = trials.next().await {
        match trial {
            Ok(_) => return Ok(()),
            Err(error @ Error::WrongKey { .. }) => foreign = Some(error),
            Err(Error::NoMailbox) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match foreign {
        None => Ok(()),
        Some(error) => {
            let what = format!(
                "begin a mailbox in this store: the key ring opens none of those already in it: {error}"
            );
            let hint = "use their ring, or say --new-ring if it is meant so";
            Err(Failure::new(Exit::Key, what, hint).into())
        }
    }
}

struct Done<'a> {
    report: &'a Report,
    account: &'a Account,
    identity: &'a MailboxIdentity,
    is_first: bool,
    location: &'a str,
    mailbox: String,
    counters: jmap::Counters,
    seconds: f64,
}

#[derive(Serialize)]
struct DoneObject<'a> {
    /// What people call it; none: the fleet gave it none.
    number: Option<u64>,
    snapshot: u64,
    state: &'static str,
    first: bool,
    account: &'a str,
    account_id: &'a str,
    server: &'a str,
    mailbox: &'a str,
    location: &'a str,
    emails: u64,
    size: u64,
    new_emails: u64,
    removed_emails: u64,
    stored: u64,
    fetched: u64,
    healed: u64,
    /// Emails that were there before and that an earlier malle had indexed otherwise.
    renewed: u64,
    found_damage: bool,
    duration: f64,
    requests: u64,
    bytes_sent: u64,
    bytes_received: u64,
    retries: u64,
    types: Vec<TypeRow>,
    failures: Vec<FailureRow>,
}

impl Done<'_> {
    fn print(&self, out: &Out) -> Result<()> {
        if out.json() {
            return out.object(&self.object());
        }
        let r = self.report;
        out.line(format_args!(
            "snapshot {} of {}: {}, {} ({}), {} new, {} gone; {} fetched in {}, {} stored, {}",
            numbers::of_handmade(r.number, r.is_of_fleet),
            one_line(&self.account.name, 200),
            r.state.as_str(),
            count(r.emails, "email"),
            bytes(r.email_bytes),
            r.new_emails,
            r.removed_emails,
            bytes(r.fetched_bytes),
            count(self.counters.requests, "request"),
            bytes(r.stored_bytes),
            duration(self.seconds),
        ))?;
        if r.healed > 0 {
            let healed = count(r.healed, "item");
            out.line(format_args!(
                "the store had lost {healed} that the mail server still has; stored again"
            ))?;
        }
        if r.renewed > 0 {
            let renewed = count(r.renewed, "email");
            out.line(format_args!(
                "{renewed} of an earlier malle indexed again; `malle reindex` does all of them at once"
            ))?;
        }
        if r.found_damage {
            out.line("older snapshots may need what the store has lost: `malle check` says which")?;
        }
        print_incomplete(&r.types.iter().map(TypeRow::from).collect::<Vec<_>>(), out)?;
        for state in r.types.iter().filter(|state| !state.not_given.is_empty()) {
            let (name, names) = (state.data_type, one_line(&state.not_given.join(", "), 200));
            out.line(format_args!("  {name}: the mail server does not give {names}"))?;
        }
        print_failures(&r.failures, NAMED_FAILURES, out)?;
        match r.state {
            BackupState::Shrunk => out.line("shrunk: more than half of the emails of the snapshot before are gone; if that was not intended, restore from the snapshot before"),
            BackupState::Moving => out.line("moving: the mailbox changed all the time; the next backup catches up"),
            BackupState::Partial => out.line("partial: what is named above is tried again next time"),
            // Damage is found later.
            BackupState::Good | BackupState::Damaged => Ok(()),
        }
    }

    fn object(&self) -> DoneObject<'_> {
        let (r, c) = (self.report, self.counters);
        DoneObject {
            number: (!r.is_of_fleet).then_some(r.number.0),
            snapshot: r.number.0,
            state: r.state.as_str(),
            first: self.is_first,
            account: &self.account.name,
            account_id: self.account.id.as_str(),
            server: &self.identity.server,
            mailbox: &self.mailbox,
            location: self.location,
            emails: r.emails,
            size: r.email_bytes,
            new_emails: r.new_emails,
            removed_emails: r.removed_emails,
            stored: r.stored_bytes,
            fetched: r.fetched_bytes,
            healed: r.healed,
            renewed: r.renewed,
            found_damage: r.found_damage,
            duration: (self.seconds * 1000.0).round() / 1000.0,
            requests: c.requests,
            bytes_sent: c.bytes_sent,
            bytes_received: c.bytes_received,
            retries: c.retries,
            types: r.types.iter().map(TypeRow::from).collect(),
            failures: r.failures.iter().map(FailureRow::from).collect(),
        }
    }
}

/// The types that are not as they should be.
fn print_incomplete(types: &[TypeRow], out: &Out) -> Result<()> {
    for row in types.iter().filter(|row| row.is_incomplete()) {
        let (name, status) = (row.name, row.status);
        out.line(format_args!("  {name}: {status}{}", row.because()))?;
    }
    Ok(())
}
