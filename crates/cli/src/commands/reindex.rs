//! `malle reindex`: reads senders, subjects and names of attachments again that an earlier malle read otherwise.

use anyhow::Result;
use engine::{Reindex, Reindexed};
use model::SystemClock;
use repository::{Error, Object};
use serde::Serialize;

use super::check::worse;
use crate::args::upkeep::ReindexArgs;
use crate::mailboxes::mailbox::{self, Mailbox, noting};
use crate::secrets;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::{explain, one_line};
use crate::terminal::hint::Setup;
use crate::terminal::output::{Out, bytes, count, remark};
use crate::terminal::progress;

/// Raw bytes of emails that one snapshot renews: minutes of reading from a bucket.
const PIECE: u64 = 8 << 30;

/// Reindexes one mailbox or all.
pub(crate) async fn run(args: &ReindexArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let history = (&args.history).into();
    if args.which.account.is_some() || args.which.mailbox.is_some() {
        let mailbox = mailbox::find_with(&store, &ring, &args.which, history).await?;
        return reindex(&mailbox, out).await;
    }
    let (mut worst, mut seen, mut empty) = (Exit::Good, 0, 0);
    for opened in mailbox::open_all_with(&store, &ring, history).await? {
        let ended = match opened.mailbox {
            Ok(None) | Err(Error::Erased { .. }) => continue,
            Ok(Some(mailbox)) => reindex(&mailbox, out).await,
            Err(error) => Err(error.into()),
        };
        seen += 1;
        match ended {
            Ok(Exit::NotFound) => empty += 1,
            Ok(exit) => worst = worse(worst, exit),
            Err(error) => {
                let (exit, line) = explain(&error, Setup::OneShot);
                remark(format_args!("mailbox {}: {line}", opened.dir));
                worst = worse(worst, exit);
            }
        }
    }
    Ok(if worst == Exit::Good && empty == seen { Exit::NotFound } else { worst })
}

async fn reindex(mailbox: &Mailbox, out: &Out) -> Result<Exit> {
    let shown = progress::shown(out);
    let how = Reindex { piece: PIECE, progress: &*shown, clock: &SystemClock };
    let work = async { Ok(engine::reindex(&mailbox.repository, &how).await?) };
    let done = noting(&mailbox.repository, work).await?;
    drop(shown);
    print(mailbox, &done, out)?;
    let history = mailbox.name_unreadable();
    Ok(match done.damaged {
        0 if history != Exit::Good => history,
        0 if mailbox.snapshots.is_empty() => Exit::NotFound,
        0 => Exit::Good,
        _ => Exit::Damage,
    })
}

/// What was done with one mailbox, in JSON.
#[derive(Serialize)]
struct ReindexedRow<'a> {
    mailbox: String,
    account: &'a str,
    /// Rows of emails that were looked at.
    emails: u64,
    /// Those that were made again.
    renewed: u64,
    /// Those that stay as they are, because the bytes of their emails are damaged or lost.
    skipped: u64,
    /// Bytes added to the store.
    stored: u64,
    /// The snapshots that were made, by their own numbers.
    snapshots: Vec<u64>,
    /// Packs that could not be read.
    damaged: Vec<String>,
}

fn print(mailbox: &Mailbox, done: &Reindexed, out: &Out) -> Result<()> {
    if out.json() {
        return out.object(&ReindexedRow {
            mailbox: mailbox.repository.dir().to_string(),
            account: mailbox.name(),
            emails: done.emails,
            renewed: done.renewed,
            skipped: done.damaged,
            stored: done.stored_bytes,
            snapshots: done.snapshots.iter().map(|number| number.0).collect(),
            damaged: done.damage.iter().map(Object::relative).collect(),
        });
    }
    let name = one_line(mailbox.name(), 200);
    if mailbox.snapshots.is_empty() {
        let what = if mailbox.unreadable.is_empty() { "is backed up yet" } else { "can be read" };
        return out.line(format_args!("{name}: nothing {what}"));
    }
    let (emails, renewed) = (count(done.emails, "email"), done.renewed);
    out.line(format_args!("{name}: {emails} looked at, {renewed} of them indexed again"))?;
    if !done.snapshots.is_empty() {
        let made: Vec<String> = done.snapshots.iter().map(|number| mailbox.numbers.name(*number)).collect();
        let stored = bytes(done.stored_bytes);
        out.line(format_args!("  made snapshot {} ({stored} stored)", one_line(&made.join(", "), 500)))?;
    }
    for object in &done.damage {
        out.line(format_args!("  {} is damaged or missing", object.relative()))?;
    }
    match done.damaged {
        0 => Ok(()),
        skipped => out.line(format_args!(
            "  {} skipped, whose bytes are damaged or lost: the next `malle backup` fetches them again, or `malle repair --account … \
             --server …` at once",
            count(skipped, "email")
        )),
    }
}
