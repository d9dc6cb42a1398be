//! One restore: attempts until nothing is open.

use std::sync::Arc;
use std::time::Duration;

use jmap::{Account, Client};
use model::{DataType, ErrorClass};
use repository::Snapshot;

use crate::error::{Error, Result};
use crate::letters::Letters;
use crate::restore::folders::{self, Map};
use crate::restore::held::Held;
use crate::restore::import::Import;
use crate::restore::ledger::{Ledger, Mark};
use crate::restore::report::{Refusal, Refusals, Restored};
use crate::restore::request::{Mode, Restore};
use crate::restore::staging::{Phase, Staging};
use crate::restore::target::{Folder, Target};

/// Attempts in a row that brought nothing back.
const IDLE_ATTEMPTS: u32 = 6;
/// Before the second attempt, doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Gives the wanted emails of a snapshot back to an account.
///
/// Whatever breaks in the middle, it may be called again with the same id, by this or another process, and goes on: no
/// email comes twice. What the server refuses is in the report.
pub async fn restore(
    client: &Client,
    account: &Account,
    snapshot: &Arc<Snapshot>,
    how: &Restore<'_>,
) -> Result<Restored> {
    let target = Target { client, account };
    let ledger = Ledger::open(snapshot, how.wanted).await?;
    let mut work = Work { target, snapshot, how, ledger, refused: Refusals::default(), bytes: 0, folders: 0 };
    if how.dry_run {
        work.look_around(None).await?;
        return Ok(work.report());
    }
    let (mut idle, mut before) = (0, 0);
    loop {
        let error = match work.attempt().await {
            Ok(()) => return Ok(work.report()),
            Err(error) => error,
        };
        let restored = work.ledger.count(Mark::Restored);
        idle = if restored > before { 0 } else { idle + 1 };
        before = restored;
        let may_pass =
            matches!(error, Error::Unsettled { .. }) || matches!(error.class(), ErrorClass::Transient { .. });
        if !may_pass || idle == IDLE_ATTEMPTS {
            return Err(error);
        }
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(idle)).await;
    }
}

struct Work<'a> {
    target: Target<'a>,
    snapshot: &'a Arc<Snapshot>,
    how: &'a Restore<'a>,
    ledger: Ledger,
    refused: Refusals,
    bytes: u64,
    folders: u64,
}

impl Work<'_> {
    async fn attempt(&mut self) -> Result<()> {
        let mut staging = Staging::begin(self.target, &self.how.id).await?;
        self.look_around(Some(&staging)).await?;
        let map = self.map().await?;
        self.folders += map.made;
        if staging.phase() == Phase::Importing {
            self.import(&map, &staging).await?;
        }
        self.how.progress.phase("finishing");
        staging.finish(&map.home).await
    }

    /// Finds out what the account holds already.
    async fn look_around(&mut self, staging: Option<&Staging<'_>>) -> Result<()> {
        self.how.progress.phase("comparing");
        let hasher = self.snapshot.hasher();
        let folder = staging.map(|staging| &staging.folder);
        if let Some(folder) = folder {
            let held = Held::list(self.target, &hasher, Some(folder), None).await?;
            if held.len() > 0 {
                held.mark_restored(self.target, self.snapshot, &mut self.ledger).await?;
            }
        }
        if self.how.mode == Mode::Missing {
            let held = Held::list(self.target, &hasher, None, folder).await?;
            let same = self.how.same_account;
            held.mark_present(self.target, self.snapshot, &mut self.ledger, same).await?;
        }
        Ok(())
    }

    async fn map(&self) -> Result<Map> {
        let folders: Vec<Folder> = self
            .snapshot
            .objects_of(DataType::Mailbox)
            .await?
            .iter()
            .filter_map(|object| serde_json::from_slice(&object.json).ok())
            .collect();
        match self.how.mode {
            Mode::Beside => folders::beside(self.target, &folders, &self.folder_name()).await,
            Mode::Missing => folders::missing(self.target, &folders).await,
        }
    }

    /// The folder beside everything else: when, which snapshot, which restore.
    fn folder_name(&self) -> String {
        let info = self.snapshot.info();
        let day = info.finished.strftime("%Y-%m-%d");
        format!("Restored {day} (#{} {})", info.number, self.how.id)
    }

    async fn import(&mut self, map: &Map, staging: &Staging<'_>) -> Result<()> {
        self.how.progress.phase("importing");
        self.how.progress.expect(self.ledger.count(Mark::Open));
        let open = self.ledger.positions(Mark::Open);
        let letters = Letters::new(self.snapshot, |position, _| open[position]).await?;
        let import = Import { target: self.target, snapshot: self.snapshot, map, staging };
        let (ledger, refused, bytes) = (&mut self.ledger, &mut self.refused, &mut self.bytes);
        let progress = self.how.progress;
        import
            .run(letters, |outcome| {
                progress.advance(1, outcome.email.size);
                match outcome.refusal {
                    None => {
                        ledger.set(outcome.position, Mark::Restored);
                        *bytes += outcome.email.size;
                    }
                    Some(reason) => {
                        ledger.set(outcome.position, Mark::Refused);
                        let blob = Some(outcome.email.blob);
                        refused.add(Refusal { email: outcome.email, blob, reason });
                    }
                }
            })
            .await
    }

    fn report(self) -> Restored {
        let unwanted = self.ledger.count(Mark::Unwanted);
        Restored {
            folder: (self.how.mode == Mode::Beside).then(|| self.folder_name()),
            id: self.how.id.clone(),
            wanted: self.ledger.len() as u64 - unwanted,
            present: self.ledger.count(Mark::Present),
            open: self.ledger.count(Mark::Open),
            restored: self.ledger.count(Mark::Restored),
            bytes: self.bytes,
            folders: self.folders,
            refused: self.refused,
        }
    }
}
