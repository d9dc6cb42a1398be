//! `malle verify`: one mailbox, all snapshots or one.

use anyhow::Result;

use super::checked::{Checked, depth};
use crate::args::upkeep::VerifyArgs;
use crate::mailboxes::mailbox;
use crate::secrets;
use crate::store::from_url;
use crate::store::temporaries::Temporaries;
use crate::terminal::exit::Exit;
use crate::terminal::output::Out;

/// Runs it.
pub(crate) async fn run(args: &VerifyArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let mailbox = mailbox::find_with(&store, &ring, &args.which, (&args.history).into()).await?;
    let depth = depth(args.read_data);
    let only = args.snapshot.map(|name| mailbox.find(name)).transpose()?;
    let report = mailbox.repository.check(only, depth).await?;
    let dir = mailbox.repository.dir().to_string();
    let temporaries = Temporaries::below(from_url::directory_of(&args.store, Some(&dir))).await;
    let checked = Checked::of(&mailbox, report, temporaries).await?;
    checked.print(depth, out)?;
    Ok(match checked.ok {
        true if checked.is_empty() => Exit::NotFound,
        true => Exit::Good,
        false => Exit::Damage,
    })
}
