//! `malle restore`: a snapshot back into an account.

use std::time::Instant;

use anyhow::Result;
use engine::{
    FolderTree, KnownRestore, Mode, Planned, Predicate, Restore, RestoreId, Restored, RestoredObjects,
    Selection, SignIn,
};
use jmap::{Account, Client};
use model::{DataType, RestoreMode, SnapshotNumber, SystemClock};
use repository::{KeyRing, Repository, Snapshot, Store};

use super::asked::{Asked, readable};
use super::clean;
use super::refused::keep_refused;
use super::restored::{Done, print_planned};
use super::resume;
use crate::args::restore::{Part, RestoreArgs};
use crate::commands::find::{refuse_empty, selection};
use crate::commands::show::lost;
use crate::mailboxes::account_in_store::AccountInStore;
use crate::mailboxes::mailbox::{self, Mailbox};
use crate::mailboxes::numbers::Numbers;
use crate::secrets;
use crate::server::{Server, host};
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::output::{Out, remark};
use crate::terminal::progress;

/// A restore that needs to ask nobody anything any more, unless only what is written down says who signs in.
pub(crate) struct Prepared<'a> {
    args: &'a RestoreArgs,
    ring: KeyRing,
    server: Option<Server>,
    /// The restore to go on with.
    resume: Option<RestoreId>,
}

/// Reads the ring, the address, the credentials and the id; may ask for a password.
pub(crate) fn prepare<'a>(args: &'a RestoreArgs, out: &Out) -> Result<Prepared<'a>> {
    let ring = secrets::ring(&args.store.key, out)?;
    let resume = args.resume.as_deref().map(|id| resume::id(args, id)).transpose()?;
    let account = args.to_account.as_deref().or(args.which.account.as_deref());
    let is_named = account.is_some() || args.server.user.is_some();
    let server = match resume.is_some() && !is_named && !secrets::has_token() {
        true => None,
        false => Some(Server::prepare(&args.server, account)?),
    };
    if resume.is_none() && args.clean.is_none() {
        check(args)?;
    }
    Ok(Prepared { args, ring, server, resume })
}

/// Refuses what contradicts itself.
fn check(args: &RestoreArgs) -> Result<(), Failure> {
    let mode = args.mode.unwrap_or_default();
    if mode == RestoreMode::Exact && !args.yes && !args.dry_run {
        let what = "restore exactly: what the account has and the snapshot has not would be removed";
        return Err(Failure::usage(what, "say --yes if that is meant, or look first with --dry-run"));
    }
    if args.select.is_some() && !mode.takes_selection() {
        let what = "restore exactly and only a selection: the account would become the selection";
        return Err(Failure::usage(what, "use --mode missing or beside with --select"));
    }
    refuse_empty(args.select.as_ref())?;
    if args.select.is_some() && args.only.iter().any(|part| *part != Part::Emails) {
        let what = "restore a selection of anything but emails: --select chooses emails";
        return Err(Failure::usage(what, "leave --select or --only away"));
    }
    Ok(())
}

/// Runs it.
pub(crate) async fn run(prepared: Prepared<'_>, out: &Out) -> Result<Exit> {
    let Prepared { args, ring, server, resume } = prepared;
    // A selection that cannot be read is told before anything is looked for.
    selection(args.select.as_slice())?;
    let store = from_url::open(&args.store).await?;
    let asked = match resume {
        None => None,
        Some(id) => Some(resume::asked(args, &store, &ring, id).await?),
    };
    let server = match server {
        Some(server) => server,
        None => resume::server(args, asked.as_ref())?,
    };
    match (&args.clean, asked) {
        (Some(named), _) => clean::run(args, named, server, (&store, &ring), out).await,
        (None, Some(asked)) => Box::pin(give(args, asked, server, (&store, &ring), out)).await,
        (None, None) => {
            let asked =
                begun(args, mailbox::find_with(&store, &ring, &args.which, (&args.history).into()).await?)
                    .await?;
            Box::pin(give(args, asked, server, (&store, &ring), out)).await
        }
    }
}

/// What the arguments ask for.
async fn begun(args: &RestoreArgs, mailbox: Mailbox) -> Result<Asked> {
    let snapshot = mailbox.snapshot(args.snapshot).await?;
    let snapshot = readable(&mailbox, snapshot, args.mode == Some(RestoreMode::Exact)).await?;
    if mailbox.damaged.contains(&snapshot.info().number) {
        let name = mailbox.numbers.name(snapshot.info().number);
        remark(format_args!(
            "snapshot {name} needs what the store is known to have lost: what of that the account has not itself does not come back"
        ));
    }
    Ok(Asked {
        id: RestoreId::random(),
        mailbox,
        snapshot,
        mode: args.mode.unwrap_or_default(),
        types: types(args),
        select: args.select.clone(),
        grant_shares: args.grant_shares,
        wrap_refused: args.wrap_refused,
        known: None,
    })
}

/// What was shared is shared again for the snapshot's own account alone.
fn may_share(is_asked: bool, is_same: bool, account: &Account) -> Result<(), Failure> {
    if !is_asked || is_same {
        return Ok(());
    }
    let what =
        format!("share again in {}: the snapshot is not of this account of this mail server", account.name);
    let hint =
        "leave --grant-shares away; what is to be shared there is for the owner of that account to share";
    Err(Failure::usage(what, hint))
}

async fn give(
    args: &RestoreArgs,
    asked: Asked,
    server: Server,
    (store, ring): (&Store, &KeyRing),
    out: &Out,
) -> Result<Exit> {
    let (start, name) = (Instant::now(), host(&server.url));
    let Asked { id, mailbox, snapshot, mode, types, select, grant_shares, wrap_refused, known } = asked;
    let (client, account, owner_client, _guard) = open(args, known.as_ref(), server, &types, out).await?;
    let in_store = AccountInStore::new((store, ring), &account, name.clone(), None);
    let is_same = match &known {
        Some(known) => known.parameters().same_account,
        None => in_store.is_of(&mailbox).await?,
    };
    may_share(grant_shares, is_same, &account)?;
    let needs_own = mode == Mode::Exact && !args.dry_run && !is_same;
    let own = if needs_own { Some(in_store.own().await?) } else { None };
    let undo = own.as_ref().map_or(&mailbox.repository, |own| &own.repository);
    let safety = (mode == Mode::Exact && !args.dry_run).then_some(undo);
    let reading = async { Ok(FolderTree::read(&snapshot).await?) };
    let folders = mailbox::noting(&mailbox.repository, reading).await?;
    let selection = chosen(select.as_deref(), &mailbox, &snapshot, &folders)?;
    let predicate = selection.among(&folders);
    if select.is_some() && known.is_none() {
        mailbox::noting(&mailbox.repository, assert_selects_any(&predicate, &snapshot, &mailbox.numbers))
            .await?;
    }
    let progress = progress::shown(out);
    let tell = |planned: &Planned<'_>| {
        if args.verbose {
            print_planned(planned, out);
        }
    };
    let how = Restore {
        mode,
        id,
        owner: owner_client.as_ref(),
        under_way: engine::UNDER_WAY,
        same_account: is_same,
        records: &mailbox.repository,
        server: &name,
        select: select.as_deref(),
        safety,
        register: None,
        grant_shares,
        wrap_refused,
        types: &types,
        wanted: &|email| predicate.matches(email),
        dry_run: args.dry_run.then_some(&tell),
        progress: &*progress,
        clock: &SystemClock,
    };
    if !args.dry_run {
        engine::begin_restore(&client, &account, &snapshot, &how).await?;
        announce(&how.id, known.as_ref());
    }
    let restoring = async { Ok(engine::restore(&client, &account, &snapshot, &how).await?) };
    let restored = mailbox::noting(&mailbox.repository, Box::pin(restoring)).await?;
    let refused = if args.dry_run { None } else { keep_refused(args, &restored, &snapshot).await? };
    let done = Done {
        args,
        mode,
        snapshot: &snapshot,
        numbers: &mailbox.numbers,
        safety: named(restored.safety, safety).await?,
        account: &account,
        client: &client,
        refused,
        start,
    };
    remark_on_subscriptions(args, &restored, &account, owner_client.as_ref());
    done.print(&restored, out)?;
    let is_all_there = !args.dry_run || is_all_there(&mailbox, &snapshot).await?;
    Ok(if is_all_there && restored.is_whole() { Exit::Good } else { Exit::Incomplete })
}

/// Whether the store holds all of the snapshot; says what it lacks.
async fn is_all_there(mailbox: &Mailbox, snapshot: &Snapshot) -> Result<bool> {
    let losses = async { Ok(mailbox.repository.losses(snapshot).await?) };
    let losses = mailbox::noting(&mailbox.repository, losses).await?;
    if !losses.is_none() {
        remark(format_args!(
            "{}; what of them cannot be read and is not in the account will not come back",
            lost(losses)
        ));
    }
    Ok(losses.is_none())
}

/// Something came back of which each user has something of their own, and nobody could sign in as the owner.
fn remark_on_subscriptions(
    args: &RestoreArgs,
    restored: &Restored,
    account: &Account,
    owner: Option<&Client>,
) {
    if args.dry_run || account.is_personal || owner.is_some() {
        return;
    }
    if restored.folders > 0 {
        remark(
            "the folders that came back are not subscribed by their owner, whom we could not sign in as: some mail programs \
             do not show them until they are",
        );
    }
    let is_each_users = |objects: &&RestoredObjects| engine::is_each_users(objects.data_type);
    if restored.objects.iter().filter(is_each_users).any(|objects| objects.restored > 0) {
        remark(
            "calendars and address books that came back may have no name and no colour for their owner, whom we could not sign in as",
        );
    }
}

/// What the backup of the account as it was before is called, if one was made.
async fn named(safety: Option<SnapshotNumber>, made_in: Option<&Repository>) -> Result<Option<String>> {
    let (Some(safety), Some(repository)) = (safety, made_in) else { return Ok(None) };
    Ok(Some(Numbers::of(&repository.snapshots().await?).name(safety)))
}

/// Signs in at the account that is written down, or that the arguments name; as its owner, too, if something comes back of which each user has something of their own.
async fn open(
    args: &RestoreArgs,
    known: Option<&KnownRestore>,
    server: Server,
    types: &[DataType],
    out: &Out,
) -> Result<(Client, Account, Option<Client>, impl Drop + use<>)> {
    let (name, id) = match known {
        Some(known) => (None, Some(known.parameters().account.as_str())),
        None => {
            let which = args.which.account.as_deref().filter(|_| args.to_account_id.is_none());
            (args.to_account.as_deref().or(which), args.to_account_id.as_deref())
        }
    };
    let as_owner = server.as_owner();
    let (client, account, guard) = server.open(name, id, out).await?;
    let is_needed = types.iter().any(|of_type| engine::is_each_users(*of_type));
    let owner = match is_needed && engine::may_act_as_owners(&client) {
        true => as_owner(&account).sign_in().await?,
        false => None,
    };
    Ok((client, account, owner, guard))
}

/// Says how to go on. Even with --quiet: without the id nobody can.
fn announce(id: &RestoreId, known: Option<&KnownRestore>) {
    match known {
        Some(known) if known.is_finished() => {
            remark(format_args!("restore {id}: it is finished; nothing is done now, and this is its report"));
        }
        _ => remark(format_args!(
            "restore {id}: if it is cut off, `malle restore --resume {id}` goes on with it (name the same store, keys, mail \
             server and user)"
        )),
    }
}

/// The selection, whose folders the snapshot must have.
fn chosen(
    select: Option<&str>,
    mailbox: &Mailbox,
    snapshot: &Snapshot,
    folders: &FolderTree,
) -> Result<Selection> {
    let selection = selection(&select.map(str::to_owned).into_iter().collect::<Vec<_>>())?;
    match selection.missing_folder(std::slice::from_ref(folders)) {
        None => Ok(selection),
        Some(path) => {
            let name = mailbox.numbers.name(snapshot.info().number);
            let what = format!("choose emails: snapshot {name} has no folder {path:?}");
            Err(Failure::new(Exit::NotFound, what, "`malle find` names the folder of each email it finds")
                .into())
        }
    }
}

/// A selection of nothing is a mistake, and it is told before anything is written down.
async fn assert_selects_any(predicate: &Predicate, snapshot: &Snapshot, numbers: &Numbers) -> Result<()> {
    if predicate.finds_any(snapshot).await? {
        return Ok(());
    }
    let what = format!(
        "choose emails: no email of snapshot {} matches --select",
        numbers.name(snapshot.info().number)
    );
    Err(Failure::new(Exit::NotFound, what, "`malle find` shows what a selection chooses").into())
}

fn types(args: &RestoreArgs) -> Vec<DataType> {
    match (&args.select, args.only.as_slice()) {
        (Some(_), _) => Part::Emails.types().to_vec(),
        (None, []) => DataType::ALL.to_vec(),
        (None, parts) => parts.iter().flat_map(|part| part.types()).copied().collect(),
    }
}
