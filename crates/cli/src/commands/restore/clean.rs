//! `malle restore --clean`: folders that restores left in an account are taken away.

use anyhow::Result;
use engine::{KnownRestore, Leftover, RestoreId};
use jmap::{Account, Client};
use model::ErrorClass;
use repository::{KeyRing, Repository, Store};
use serde::Serialize;

use crate::args::restore::RestoreArgs;
use crate::mailboxes::mailbox;
use crate::server::Server;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::output::{Out, count, remark};

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    state: &'static str,
    folders: usize,
    emails: u64,
    removed: bool,
}

/// How far a restore is that left a folder.
enum State {
    /// Finished, or given up.
    Over,
    /// Cut off, or under way at this moment.
    Open(Box<(Repository, KnownRestore)>),
    /// Nothing is written down of it in this store.
    Unknown,
    /// What is written down of it cannot be read.
    Unreadable,
}

impl State {
    fn word(&self) -> &'static str {
        match self {
            State::Over => "over",
            State::Open(_) => "not finished",
            State::Unknown => "unknown",
            State::Unreadable => "its record is damaged",
        }
    }
}

/// Lists what restores left, and removes what belongs to those that are over, or to the named one.
pub(crate) async fn run(
    args: &RestoreArgs,
    named: &str,
    server: Server,
    (store, ring): (&Store, &KeyRing),
    out: &Out,
) -> Result<Exit> {
    if let Some(word) = args.words().into_iter().find(|word| !word.starts_with("--to-account")) {
        let what = format!("clean up after restores and take {word} for it: --clean restores nothing");
        return Err(Failure::usage(what, "leave one of them away").into());
    }
    let named = match named {
        "" => None,
        id => Some(RestoreId::parse(id).ok_or_else(|| {
            Failure::usage("read --clean: it is no restore's id", "8 lower-case letters and digits")
        })?),
    };
    let which = args.which.account.as_deref().filter(|_| args.to_account_id.is_none());
    let name = args.to_account.as_deref().or(which);
    let (client, account, _guard) = server.open(name, args.to_account_id.as_deref(), out).await?;
    let left = engine::leftovers(&client, &account).await?;
    if let Some(named) = named.as_ref().filter(|named| left.iter().all(|left| left.id != **named)) {
        let what = format!("clean up after restore {named}: it has left no folder in {}", account.name);
        return Err(Failure::new(Exit::NotFound, what, "--clean without an id lists what there is").into());
    }
    if left.is_empty() && !out.json() {
        out.line(format_args!("no restore has left a folder in {}", account.name))?;
    }
    let mut is_left = false;
    let known = repositories(store, ring).await?;
    for leftover in &left {
        let is_named = named.as_ref() == Some(&leftover.id);
        let state = state(&known, &leftover.id).await?;
        let removed = (named.is_none() && matches!(state, State::Over)) || is_named;
        let word = state.word();
        if removed {
            remove(&client, &account, leftover, state).await?;
        }
        is_left |= !removed && named.is_none();
        print(leftover, word, removed, out)?;
    }
    Ok(if is_left { Exit::Incomplete } else { Exit::Good })
}

async fn repositories(store: &Store, ring: &KeyRing) -> Result<Vec<Repository>> {
    let opened = mailbox::open_all(store, ring).await?;
    let mut repositories = Vec::new();
    for opened in opened {
        repositories.extend(opened.of_ring()?.map(|mailbox| mailbox.repository));
    }
    Ok(repositories)
}

async fn state(repositories: &[Repository], id: &RestoreId) -> Result<State> {
    for repository in repositories {
        match KnownRestore::find(repository, id).await {
            Ok(None) => {}
            Ok(Some(known)) if known.is_finished() || known.is_given_up() => return Ok(State::Over),
            Ok(Some(known)) => return Ok(State::Open(Box::new((repository.clone(), known)))),
            // Nobody can go on with it.
            Err(error) if matches!(error.class(), ErrorClass::Corrupt) => return Ok(State::Unreadable),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(State::Unknown)
}

/// First nobody may go on with it, then its folders go.
async fn remove(client: &Client, account: &Account, leftover: &Leftover, state: State) -> Result<()> {
    if let State::Open(open) = state {
        let (repository, known) = *open;
        known.give_up(&repository, &leftover.id).await?;
    }
    Ok(engine::clear_leftover(client, account, &leftover.id).await?)
}

fn print(leftover: &Leftover, state: &'static str, removed: bool, out: &Out) -> Result<()> {
    let Leftover { id, folders, emails } = leftover;
    if out.json() {
        return out.object(&Row { id: id.as_str(), state, folders: *folders, emails: *emails, removed });
    }
    let what = if removed { "removed" } else { "left" };
    out.line(format_args!(
        "restore {id} ({state}): {what}, {} with {}",
        count(*folders as u64, "folder"),
        count(*emails, "email")
    ))?;
    if removed && *emails > 0 {
        remark(format_args!(
            "the emails stay where the restore had put them: in their own folders, or below the folder \"Restored …\" whose name \
             ends with {id}; delete that folder if it is not wanted"
        ));
    }
    if !removed {
        remark(format_args!(
            "restore {id} is not known to be over: go on with it by --resume {id}, or give it up by --clean {id}"
        ));
    }
    Ok(())
}
