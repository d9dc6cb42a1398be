//! `malle restore`: a snapshot back into an account.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use engine::{FolderTree, Mode, Planned, Restore, RestoreId, Selection};
use model::{DataType, SnapshotNumber, SystemClock};
use repository::KeyRing;

use super::find::selection;
use super::refused::keep_refused;
use super::restored::{Done, print_planned};
use crate::args::{Part, RestoreArgs, RestoreMode};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::mailbox;
use crate::output::{Out, remark};
use crate::owner::Owner;
use crate::server::{Server, host};
use crate::{progress, secrets, store_url};

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
    if args.select.is_some() && args.only.iter().any(|part| *part != Part::Emails) {
        let what = "restore a selection of anything but emails: --select chooses emails";
        return Err(Failure::usage(what, "leave --select or --only away").into());
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
    let mailbox = mailbox::find_with(&store, &ring, &args.which, (&args.history).into()).await?;
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
    let owner = Owner::new((&store, &ring), &account, host(&url), None);
    let is_same = owner.is_of(&mailbox).await?;
    let own = match args.mode {
        RestoreMode::Exact if !args.dry_run && !is_same => Some(owner.own().await?),
        _ => None,
    };
    let safety = match (args.mode, &own) {
        _ if args.dry_run => None,
        (RestoreMode::Exact, None) => Some(&mailbox.repository),
        (RestoreMode::Exact, Some(own)) => Some(&own.repository),
        (RestoreMode::Beside | RestoreMode::Missing, _) => None,
    };
    let reading = async { Ok(FolderTree::read(&snapshot).await?) };
    let folders = mailbox::noting(&mailbox.repository, reading).await?;
    if let Some(path) = selection.missing_folder(std::slice::from_ref(&folders)) {
        let what = format!("choose emails: snapshot {} has no folder {path:?}", snapshot.info().number);
        return Err(Failure::new(Exit::NotFound, what, "`malle show` and `malle find` name them").into());
    }
    let predicate = selection.among(&folders);
    let progress = progress::shown(out);
    let tell = |planned: &Planned<'_>| {
        if args.verbose {
            print_planned(planned, out);
        }
    };
    let how = Restore {
        mode: match args.mode {
            RestoreMode::Beside => Mode::Beside,
            RestoreMode::Missing => Mode::Missing,
            RestoreMode::Exact => Mode::Exact,
        },
        id,
        same_account: is_same,
        safety,
        types: &types(args),
        wanted: &|email| predicate.matches(email),
        dry_run: args.dry_run.then_some(&tell),
        progress: &*progress,
        clock: &SystemClock,
    };
    let restoring = async { Ok(engine::restore(&client, &account, &snapshot, &how).await?) };
    let restored = mailbox::noting(&mailbox.repository, Box::pin(restoring)).await?;
    let refused = match args.dry_run {
        true => None,
        false => keep_refused(args, &restored, &snapshot).await?,
    };
    let done = Done { args, snapshot: &snapshot, account: &account, client: &client, refused, start };
    done.print(&restored, out)?;
    let has_all_objects = restored.objects.iter().all(|objects| objects.is_whole());
    let is_whole = restored.refused.count == 0 && restored.odd_folders.is_empty() && has_all_objects;
    Ok(if is_whole { Exit::Good } else { Exit::Incomplete })
}

fn types(args: &RestoreArgs) -> Vec<DataType> {
    match (&args.select, args.only.as_slice()) {
        (Some(_), _) => Part::Emails.types().to_vec(),
        (None, []) => DataType::ALL.to_vec(),
        (None, parts) => parts.iter().flat_map(|part| part.types()).copied().collect(),
    }
}
