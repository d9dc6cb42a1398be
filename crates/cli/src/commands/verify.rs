//! `malle verify`: one mailbox, all snapshots or one.

use anyhow::Result;
use model::SnapshotNumber;

use super::checked::{Checked, depth};
use crate::args::VerifyArgs;
use crate::exit::Exit;
use crate::mailbox;
use crate::output::Out;
use crate::{secrets, store_url};

/// Runs it.
pub(crate) async fn run(args: &VerifyArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = store_url::open(&args.store).await?;
    let mailbox = mailbox::find(&store, &ring, &args.which).await?;
    let depth = depth(args.read_data);
    let report = mailbox.repository.check(args.snapshot.map(SnapshotNumber), depth).await?;
    let name = mailbox.name().to_owned();
    let checked = Checked::new(mailbox.repository.dir().to_string(), Some(name), report);
    checked.print(depth, out)?;
    Ok(if checked.ok { Exit::Good } else { Exit::Damage })
}
