//! `malle restore --resume`: reads the restore's parameters from the store and refuses options that would change them.

use anyhow::Result;
use engine::{KnownRestore, Mode, RestoreId};
use repository::{KeyRing, Store};

use super::asked::{Asked, readable};
use crate::args::restore::RestoreArgs;
use crate::mailboxes::mailbox::{self, Mailbox};
use crate::server::{Server, host, server_url};
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;

/// Parses the id and refuses options that the record already fixes.
pub(crate) fn id(args: &RestoreArgs, text: &str) -> Result<RestoreId, Failure> {
    if let [word, ..] = args.words()[..] {
        let what = format!(
            "go on with restore {text} and take {word} for it: what a restore is was written down when it began"
        );
        return Err(Failure::usage(
            what,
            format!("say --resume {text} alone, or begin a new restore without it"),
        ));
    }
    RestoreId::parse(text).ok_or_else(|| {
        Failure::usage("read --resume: it is no restore's id", "8 lower-case letters and digits")
    })
}

/// What is written down of the restore.
pub(crate) async fn asked(args: &RestoreArgs, store: &Store, ring: &KeyRing, id: RestoreId) -> Result<Asked> {
    let Some((mailbox, known)) = find(store, ring, args, &id).await? else {
        let what = format!("go on with restore {id}: nothing of that name was begun in this store");
        let hint = "check the id, --store and --account; what was never begun has changed nothing: begin a new restore \
            without --resume";
        return Err(Failure::new(Exit::NotFound, what, hint).into());
    };
    let parameters = known.parameters();
    let named = host(&server_url(args.server.server.as_deref())?);
    if named != parameters.server {
        let what = format!("go on with restore {id} on {named}: it was begun on {}", parameters.server);
        return Err(Failure::usage(what, "name that one with --server").into());
    }
    let snapshot = known.snapshot(&mailbox.repository).await?;
    let snapshot =
        readable(&mailbox, snapshot, parameters.mode == Mode::Exact && !known.is_finished()).await?;
    Ok(Asked {
        id,
        snapshot,
        mode: parameters.mode,
        types: parameters.data_types(),
        select: parameters.select.clone(),
        grant_shares: parameters.grant_shares,
        wrap_refused: parameters.wrap_refused,
        known: Some(known),
        mailbox,
    })
}

/// The mailbox that is named, or each of the store's in turn.
async fn find(
    store: &Store,
    ring: &KeyRing,
    args: &RestoreArgs,
    id: &RestoreId,
) -> Result<Option<(Mailbox, KnownRestore)>> {
    let (which, history) = (&args.which, (&args.history).into());
    if which.account.is_some() || which.mailbox.is_some() {
        let mailbox = mailbox::find_with(store, ring, which, history).await?;
        let known = KnownRestore::find(&mailbox.repository, id).await?;
        return Ok(known.map(|known| (mailbox, known)));
    }
    for opened in mailbox::open_all_with(store, ring, history).await? {
        let Some(mailbox) = opened.of_ring()? else { continue };
        if let Some(known) = KnownRestore::find(&mailbox.repository, id).await? {
            return Ok(Some((mailbox, known)));
        }
    }
    Ok(None)
}

/// The mail server, with the restore's account signing in: nobody else is named.
pub(crate) fn server(args: &RestoreArgs, asked: Option<&Asked>) -> Result<Server> {
    let known = asked.and_then(|asked| asked.known.as_ref());
    Server::prepare(&args.server, known.map(|known| known.parameters().account_name.as_str()))
}
