use std::sync::Arc;

use anyhow::Result;
use engine::{KnownRestore, Mode, RestoreId};
use model::DataType;
use repository::Snapshot;

use crate::mailboxes::mailbox::Mailbox;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;

/// What is restored, and to whom.
pub(crate) struct Asked {
    pub(crate) id: RestoreId,
    pub(crate) mailbox: Mailbox,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) mode: Mode,
    pub(crate) types: Vec<DataType>,
    pub(crate) select: Option<String>,
    pub(crate) grant_shares: bool,
    pub(crate) wrap_refused: bool,
    /// As it is written down; `None`: it begins now.
    pub(crate) known: Option<KnownRestore>,
}

/// The snapshot as far as its rows can be read. An account that became that exactly would lose what the others name.
pub(crate) async fn readable(mailbox: &Mailbox, snapshot: Snapshot, is_exact: bool) -> Result<Arc<Snapshot>> {
    let snapshot = mailbox.readable(snapshot).await?;
    if snapshot.lacks_rows() && is_exact {
        let name = mailbox.numbers.name(snapshot.info().number);
        let what =
            format!("make the account exactly as snapshot {name}: what the lost part named would be removed");
        let hint =
            "use --mode missing or beside, or restore another snapshot exactly (`malle list` shows them)";
        return Err(Failure::new(Exit::Damage, what, hint).into());
    }
    Ok(Arc::new(snapshot))
}
