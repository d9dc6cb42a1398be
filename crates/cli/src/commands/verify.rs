//! `malle verify`: one mailbox, all snapshots or one.

use anyhow::Result;

use super::checked::{Checked, depth};
use crate::args::VerifyArgs;
use crate::exit::Exit;
use crate::mailbox;
use crate::output::Out;
use crate::temporaries::Temporaries;
use crate::{secrets, store_url};

/// Runs it.
pub(crate) async fn run(args: &VerifyArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = store_url::open(&args.store).await?;
    let mailbox = mailbox::find_with(&store, &ring, &args.which, (&args.history).into()).await?;
    let depth = depth(args.read_data);
    let only = args.snapshot.map(|name| mailbox.find(name)).transpose()?;
    let report = mailbox.repository.check(only, depth).await?;
    let dir = mailbox.repository.dir().to_string();
    let temporaries = Temporaries::below(store_url::directory_of(&args.store, Some(&dir))).await;
    let checked = Checked::of(&mailbox, report, temporaries).await?;
    checked.print(depth, out)?;
    Ok(match checked.ok {
        true if checked.is_empty() => Exit::NotFound,
        true => Exit::Good,
        false => Exit::Damage,
    })
}
