//! `malle check`: every mailbox of the store. A damaged mailbox does not keep the others from being checked.

use anyhow::Result;
use repository::{Depth, Error};

use super::checked::{Checked, depth};
use crate::args::upkeep::CheckArgs;
use crate::mailboxes::mailbox::{self, Opened};
use crate::secrets;
use crate::store::from_url;
use crate::store::temporaries::Temporaries;
use crate::terminal::exit::Exit;
use crate::terminal::failure::explain;
use crate::terminal::hint::Setup;
use crate::terminal::output::{Out, bytes, count, remark};

/// Runs it.
pub(crate) async fn run(args: &CheckArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let depth = depth(args.read_data);
    let (mut total, mut empty, mut worst) = (0, 0, Exit::Good);
    if let Some(name) = store.damaged_copy().await? {
        remark(format_args!(
            "{name} is missing or damaged; `malle repair` writes it again from its second copy"
        ));
        worst = Exit::Damage;
    }
    for opened in mailbox::open_all_with(&store, &ring, (&args.history).into()).await? {
        if let Some((checked, exit)) = check(opened, args, depth).await? {
            checked.print(depth, out)?;
            total += 1;
            empty += u64::from(checked.is_empty());
            worst = worse(worst, exit);
        }
    }
    if worst == Exit::Good && empty == total {
        worst = Exit::NotFound;
    }
    if !out.json() {
        let verdict = match worst {
            Exit::Good if empty > 0 => format!("all well; {empty} of them without a backup yet"),
            Exit::Good => "all well".to_owned(),
            Exit::NotFound => "nothing is backed up yet".to_owned(),
            Exit::Damage => "damage found".to_owned(),
            _ => "not everything could be checked".to_owned(),
        };
        out.line(format_args!("{} checked: {verdict}", count(total, "mailbox").replace("xs", "xes")))?;
        let left = Temporaries::below(from_url::directory_of(&args.store, None)).await;
        if left.count > 0 {
            let (files, size) = (count(left.count, "temporary file"), bytes(left.bytes));
            out.line(format_args!(
                "{files} ({size}) in the whole store, of writers that were cut off or are at work"
            ))?;
        }
    }
    Ok(worst)
}

/// One mailbox; `None` for a directory in which nothing has begun, or everything was erased.
async fn check(opened: Opened, args: &CheckArgs, depth: Depth) -> Result<Option<(Checked, Exit)>> {
    let dir = opened.dir.to_string();
    let checked = match opened.mailbox {
        Ok(None) | Err(Error::Erased { .. }) => return Ok(None),
        Ok(Some(mailbox)) => {
            let temporaries = Temporaries::below(from_url::directory_of(&args.store, Some(&dir))).await;
            match mailbox.repository.check(None, depth).await {
                Ok(report) => Checked::of(&mailbox, report, temporaries).await,
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    match checked {
        Ok(checked) if checked.ok => Ok(Some((checked, Exit::Good))),
        Ok(checked) => Ok(Some((checked, Exit::Damage))),
        // Without the store nothing can be said of any mailbox.
        Err(error @ Error::Store { .. }) => Err(error.into()),
        Err(error) => {
            let (exit, line) = explain(&error.into(), Setup::OneShot);
            Ok(Some((Checked::unreadable(dir, line, exit), exit)))
        }
    }
}

/// Damage outweighs what merely could not be looked at.
pub(super) fn worse(a: Exit, b: Exit) -> Exit {
    match (a, b) {
        (Exit::Damage, _) | (_, Exit::Good) => a,
        _ => b,
    }
}
