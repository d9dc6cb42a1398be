//! A restore as a job: the engine's id of it is written down first, so that every later claim goes on with the same restore, brings
//! nothing twice and reports the whole.

use std::sync::Arc;

use catalog::{Backup, Mailbox};
use engine::{FolderTree, Register, Restore, RestoreId, Restored, Selection};
use futures::future::BoxFuture;
use model::{BackupNumber, DataType, MailboxIdentity, RestoreMode, RestoreParameters};
use repository::{Repository, Snapshot};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::claim::watch::Answer;
use crate::error::{Error, Result};
use crate::job::adopt::assert_same;
use crate::job::run::Job;
use crate::job::safety::SafetyBackups;
use crate::job::server::Reached;
use crate::steps::Step;

/// With a selection only these come back; an email without its folders makes no sense.
const SELECTED: [DataType; 2] = [DataType::Mailbox, DataType::Email];

/// What comes back.
struct Source<'a> {
    identity: &'a MailboxIdentity,
    repository: &'a Repository,
    snapshot: &'a Arc<Snapshot>,
}

impl Job<'_> {
    pub(crate) async fn restore(&self, parameters: &RestoreParameters) -> Result<Answer> {
        let catalog = self.catalog();
        let backup = catalog.backup(parameters.number).await?.ok_or(Error::NoBackup)?;
        let source = self.source(parameters, &backup).await?.identity().ok_or(Error::NoBackup)?;
        let restored = self.restore_from(parameters, &backup, &source).await;
        if let Err(error) = &restored {
            self.mark_after(error, (backup.mailbox, &source), &backup.facts.store).await;
            // An exact restore backs its own mailbox up.
            if let (Some(identity), Ok(place)) =
                (self.mailbox.identity(), self.worker.stores.of(self.mailbox))
            {
                self.mark_after(error, (self.mailbox.id, &identity), &place.settings.name).await;
            }
        }
        restored
    }

    async fn restore_from(
        &self,
        parameters: &RestoreParameters,
        backup: &Backup,
        source: &MailboxIdentity,
    ) -> Result<Answer> {
        let catalog = self.catalog();
        let server = self.reach_server().await?;
        self.reach(Step::ServerReached).await;
        let (stores, store) = (&self.worker.stores, &backup.facts.store);
        let repository = stores.to_read(catalog, backup.mailbox, store, source).await?;
        let snapshot = repository.snapshot(Some(backup.facts.snapshot)).await?;
        assert_same(&snapshot, backup)?;
        let snapshot = Arc::new(repository.readable(snapshot).await?);
        if snapshot.lacks_rows() {
            let _ = repository.note_damage(snapshot.damage_met(), &*self.worker.services.clock).await;
            self.mark(backup.mailbox, &[backup.number]).await?;
        }
        self.reach(Step::RepositoryOpened).await;
        let id = self.begin(parameters.number).await?;
        self.reach(Step::RestoreBegun).await;
        let span = tracing::info_span!("give back", number = parameters.number.0);
        let from = Source { identity: source, repository: &repository, snapshot: &snapshot };
        let giving = self.give_back(parameters, &server, &from, id).instrument(span);
        let Some(restored) = self.stop.run_until_cancelled(Box::pin(giving)).await else {
            return Ok(Answer::Sliced { progressed: false });
        };
        let (restored, safety) = restored?;
        let report = report(&restored, safety);
        if !snapshot.damage_met().is_empty() {
            self.mark(backup.mailbox, &[backup.number]).await?;
            self.mark_as_it_is(backup.mailbox, source, store).await?;
        }
        self.reach(Step::GivenBack).await;
        let (worker, claim) = (self.worker, &self.claimed.claim);
        worker.persist(|| catalog.report_restore(claim, &report)).await?;
        self.reach(Step::RestoreReported).await;
        self.complete(None).await
    }

    /// Whose backup it is: the job's mailbox's, unless the job names another one.
    async fn source(&self, parameters: &RestoreParameters, backup: &Backup) -> Result<Mailbox> {
        match parameters.from_mailbox.unwrap_or(self.mailbox.id) {
            source if source != backup.mailbox => Err(Error::OtherMailbox),
            source if source == self.mailbox.id => Ok(self.mailbox.clone()),
            source => self.catalog().mailbox(source).await?.ok_or(Error::NoBackup),
        }
    }

    async fn begin(&self, number: BackupNumber) -> Result<RestoreId> {
        let (catalog, claim) = (self.catalog(), &self.claimed.claim);
        let (fresh, now) = (RestoreId::random(), self.worker.services.clock.now());
        let begun = || catalog.begin_restore(claim, number, fresh.as_str(), now);
        let id = self.worker.persist(begun).await?;
        RestoreId::parse(&id)
            .ok_or(Error::Parameters { reason: "the catalogue's id of the restore cannot be read" })
    }

    async fn give_back(
        &self,
        parameters: &RestoreParameters,
        server: &Reached,
        from: &Source<'_>,
        id: RestoreId,
    ) -> Result<(Restored, Option<BackupNumber>)> {
        let (catalog, stores) = (self.catalog(), &self.worker.stores);
        let Source { identity: source, repository, snapshot } = *from;
        let (identity, name) = (&server.identity, &server.account.name);
        let RestoreParameters { mode, select, wrap_refused, .. } = parameters;
        let safety = match mode {
            RestoreMode::Exact => Some(stores.to_write(catalog, self.mailbox, identity, name).await?),
            RestoreMode::Beside | RestoreMode::Missing => None,
        };
        let register = safety.as_ref().map(|repository| SafetyBackups { job: self, repository });
        if let Some(register) = &register {
            register.enter_earlier(&id).await?;
        }
        let folders = self.noting(repository, FolderTree::read(snapshot)).await?;
        let selection = read_selection(select.as_deref())?;
        if selection.missing_folder(std::slice::from_ref(&folders)).is_some() {
            return Err(Error::Parameters { reason: "the selection names a folder that the backup has not" });
        }
        let predicate = selection.among(&folders);
        if select.is_some() && !self.noting(repository, predicate.finds_any(snapshot)).await? {
            return Err(Error::Parameters { reason: "the selection fits no email of the backup" });
        }
        let owner = self.connect_as_owner(server).await.map_err(Error::Server)?;
        let how = Restore {
            mode: *mode,
            id,
            owner: owner.as_ref(),
            under_way: engine::UNDER_WAY,
            same_account: source == identity,
            records: repository,
            server: &identity.server,
            select: select.as_deref(),
            safety: safety.as_ref(),
            register: register.as_ref().map(|register| register as &dyn Register),
            grant_shares: false,
            wrap_refused: *wrap_refused,
            types: if select.is_some() { &SELECTED } else { &DataType::ALL },
            wanted: &|email| predicate.matches(email),
            dry_run: None,
            progress: self.shown,
            clock: &*self.worker.services.clock,
        };
        let giving: BoxFuture<'_, _> =
            Box::pin(engine::restore(&server.client, &server.account, snapshot, &how));
        let restored = self.noting(repository, giving).await;
        if let Some(safety) = &safety {
            self.remember(safety, &stores.of(self.mailbox)?.settings.name).await?;
        }
        let restored = restored.map_err(Error::of_restore)?;
        let number = match (&safety, restored.safety) {
            (Some(safety), Some(made)) => {
                safety.snapshot(Some(made)).await?.info().summary.origin.backup_number
            }
            _ => None,
        };
        Ok((restored, number))
    }
}

/// Numbers only: names of folders and reasons of servers may quote what is private.
fn report(restored: &Restored, safety: Option<BackupNumber>) -> Value {
    let objects = restored.objects.iter().filter(|of| of.wanted > 0 || of.left_out.is_some()).map(|of| {
        json!({
            "type": of.data_type.name(), "wanted": of.wanted, "restored": of.restored, "changed": of.changed,
            "removed": of.removed, "refused": of.refused_count, "left_out": of.left_out.is_some(),
        })
    });
    json!({
        "restore": restored.id.as_str(),
        "state": if restored.is_whole() { "good" } else { "partial" },
        "wanted": restored.wanted,
        "present": restored.present,
        "restored": restored.restored,
        "relabelled": restored.relabelled,
        "removed": restored.removed,
        "unremoved": restored.unremoved.count,
        "refused": restored.refused.count,
        "lacks_rows": restored.lacks_rows,
        "folders": restored.folders,
        "odd_folders": restored.odd_folders.len(),
        "shares": restored.shares.len(),
        "safety": safety.map(|number| number.0),
        "objects": objects.collect::<Vec<_>>(),
    })
}

fn read_selection(select: Option<&str>) -> Result<Selection> {
    let Some(text) = select else { return Ok(Selection::default()) };
    text.parse().map_err(|_| Error::Parameters { reason: "the selection cannot be read" })
}
