//! Reads again, from the bytes in the repository, all envelopes that an earlier version of the scanner read.
//!
//! **Order.** That of each snapshot: segments, then the log entry. Packs are read and never written.
//! **Crash.** Before the log entry: segments that nobody refers to. After it: a complete snapshot.
//! **Retry.** Begin again: rows that a committed snapshot renewed are not read again.
//! **Beside a backup.** Of both the first to commit wins. A reindex that comes second begins again behind the other one, with what it
//! has not committed; a backup that comes second ends as beside another backup. Rows of slices are no state that the account ever had, so
//! behind them nothing is made again: the backup that left them has to come to its end first.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures::future::BoxFuture;
use model::{Clock, DataType, EmailId, EmailRecord, ErrorClass, SnapshotNumber};
use repository::{Damage, FailureRecord, Object, Origin, Repository, Snapshot, SnapshotWriter, Summary};

use crate::backup::emails::renewal::{Reading, read_envelope};
use crate::backup::options::Progress;
use crate::envelope::is_outdated;
use crate::error::{Error, Result};
use crate::stored_emails::{StoredEmail, StoredEmails, WINDOW};

/// How often in a row another writer may be first.
const MOST_LOST: u32 = 5;
/// What the log says of a snapshot that a reindex made.
const KIND: &str = "reindex";

/// What a reindex needs to know.
pub struct Reindex<'a> {
    /// Raw bytes of emails after which what was read is committed. More are read by the next snapshot: a kill, or another writer that was
    /// first, costs at most this much work.
    pub piece: u64,
    /// Told what is going on.
    pub progress: &'a dyn Progress,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// What a reindex did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reindexed {
    /// Rows of emails that were looked at.
    pub emails: u64,
    /// Those of them whose envelope was read again.
    pub renewed: u64,
    /// Those whose envelope stays as it is, because the repository has lost or damaged their bytes.
    pub damaged: u64,
    /// Bytes added to the store.
    pub stored_bytes: u64,
    /// The snapshots that it made, most often one; none if nothing was renewed.
    pub snapshots: Vec<SnapshotNumber>,
    /// Packs that could not be read. The log notes them.
    pub damage: BTreeSet<Object>,
}

/// Renews every outdated row of the newest snapshot by making one or more snapshots that differ from it in nothing else. Asks no mail server.
///
/// # Errors
/// [`Error::UnfinishedBackup`] and [`Error::DamagedBase`] where a backup has to come first; what was committed before an error stays.
pub fn reindex<'a>(repository: &'a Repository, how: &'a Reindex<'_>) -> BoxFuture<'a, Result<Reindexed>> {
    Box::pin(async move {
        let mut work = Work { repository, how, done: Reindexed::default(), behind: None };
        let ended = work.every_piece().await;
        if !work.done.damage.is_empty() {
            // Behind the snapshots: one that is newer than a note of damage counts as free of it.
            let noted = repository.note_damage(work.done.damage.iter().copied(), how.clock).await;
            return ended.and(noted.map_err(Error::from)).map(|_| work.done);
        }
        ended.map(|()| work.done)
    })
}

/// A reindex on its way.
struct Work<'a> {
    repository: &'a Repository,
    how: &'a Reindex<'a>,
    /// What is committed.
    done: Reindexed,
    /// Emails up to this id were looked at.
    behind: Option<EmailId>,
}

impl Work<'_> {
    async fn every_piece(&mut self) -> Result<()> {
        let mut lost = 0;
        loop {
            match self.piece().await {
                Ok(true) => lost = 0,
                Ok(false) => return Ok(()),
                Err(Error::Repository(repository::Error::Lost { .. })) if lost < MOST_LOST => lost += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// One snapshot. Returns whether there may be more to do.
    async fn piece(&mut self) -> Result<bool> {
        let started = self.how.clock.now();
        self.how.progress.phase("reading");
        let mut writer = self.repository.begin_snapshot(self.how.clock).await?;
        let Some(base) = writer.base().cloned() else { return Ok(false) };
        if writer.damage().is_some_and(|damage| damage.lacks_rows) {
            return Err(Error::DamagedBase);
        }
        let mut piece = Piece { behind: self.behind.clone(), ..Piece::default() };
        let read = piece.renew(&base, &mut writer, self.how).await;
        self.done.damage.extend(base.damage_met());
        let is_over = read?;
        if piece.renewed > 0 {
            self.how.progress.phase("committing");
            let mut summary = Summary { started, ..summary_of(&base) };
            if let Some(damage) = writer.damage() {
                (summary.emails, summary.email_bytes) = damage.counted;
                let lost = lost_of(damage);
                summary.failures += name_lost(&base, &mut writer, lost, self.how).await?;
            }
            self.commit(writer, summary).await?;
        }
        self.done.emails += piece.emails;
        self.done.renewed += piece.renewed;
        self.done.damaged += piece.damaged;
        self.behind = piece.behind;
        Ok(!is_over)
    }

    async fn commit(&mut self, writer: SnapshotWriter, summary: Summary) -> Result<()> {
        let committed = writer.commit(summary, self.how.clock).await?;
        self.done.snapshots.push(committed.number);
        self.done.stored_bytes += committed.stored_bytes;
        if committed.checkpoint_due {
            // The snapshot stands already. A checkpoint that fails is made by a later backup.
            let _ = self.repository.checkpoint_if_due(self.how.clock).await;
        }
        Ok(())
    }
}

/// An error unless a snapshot that differs from the base in its envelopes alone would be true.
async fn check_base(base: &Snapshot, writer: &SnapshotWriter) -> Result<()> {
    if writer.slices().is_some() {
        return Err(Error::UnfinishedBackup);
    }
    for (data_type, id) in writer.damage().iter().flat_map(|damage| &damage.objects) {
        // One that has lost its content is named. One that has lost its JSON would stop the next backup.
        match base.find_object(*data_type, id).await {
            Err(error) if error.class() == ErrorClass::Corrupt => return Err(Error::DamagedBase),
            read => drop(read?),
        }
    }
    Ok(())
}

/// Emails and objects whose bytes are known to be lost.
fn lost_of(damage: &Damage) -> Vec<(DataType, String)> {
    let emails = damage.emails.iter().map(|id| (DataType::Email, id.as_str().to_owned()));
    emails.chain(damage.objects.iter().cloned()).collect()
}

/// What is true of the base is true of the new snapshot.
fn summary_of(base: &Snapshot) -> Summary {
    let origin = Origin { kind: KIND.to_owned(), ..Origin::default() };
    Summary { new_emails: 0, removed_emails: 0, origin, ..base.info().summary.clone() }
}

/// Names what is known to be lost, as a backup does that cannot have it again; the next backup asks the mail server for it. Returns how
/// much was not named before.
async fn name_lost(
    base: &Snapshot,
    writer: &mut SnapshotWriter,
    lost: Vec<(DataType, String)>,
    how: &Reindex<'_>,
) -> Result<u64> {
    let known: BTreeSet<(DataType, String)> =
        base.failures().await?.into_iter().map(|known| (known.data_type, known.id)).collect();
    let mut named = 0;
    for (data_type, id) in lost.into_iter().filter(|name| !known.contains(name)) {
        let reason = "its bytes are lost from the store, and no mail server was asked for them".to_owned();
        let first_ms = how.clock.now().as_millisecond();
        writer.put_failure(FailureRecord { data_type, id, reason, attempts: 1, first_ms }).await?;
        named += 1;
    }
    Ok(named)
}

/// What goes into one snapshot.
#[derive(Default)]
struct Piece {
    emails: u64,
    renewed: u64,
    damaged: u64,
    bytes: u64,
    behind: Option<EmailId>,
}

impl Piece {
    /// Renews rows until there are enough for one snapshot. Returns whether these were the last ones.
    async fn renew(
        &mut self,
        base: &Snapshot,
        writer: &mut SnapshotWriter,
        how: &Reindex<'_>,
    ) -> Result<bool> {
        how.progress.expect(base.info().summary.emails);
        let (emails, behind) = (AtomicU64::new(0), self.behind.clone());
        let wanted = |_, email: &EmailRecord| {
            let is_new = behind.as_ref().is_none_or(|behind| email.id.as_str() > behind.as_str());
            emails.fetch_add(is_new.into(), Relaxed);
            is_new && is_outdated(&email.envelope)
        };
        let mut stored = StoredEmails::new(base, wanted).await?;
        let is_over = loop {
            let seen = emails.load(Relaxed);
            let window = stored.next_window().await?;
            how.progress.advance(emails.load(Relaxed) - seen, 0);
            if window.is_empty() {
                break true;
            }
            if self.behind == behind {
                check_base(base, writer).await?;
            }
            let last = window.iter().map(|stored_email| &stored_email.email.id).max_by_key(|id| id.as_str());
            self.behind = last.cloned();
            let is_last = window.len() < WINDOW;
            for stored_email in window {
                self.renew_one(base, writer, stored_email).await?;
            }
            writer.look_for_rival().await?;
            if is_last || self.bytes >= how.piece {
                break is_last;
            }
        };
        self.emails = emails.load(Relaxed);
        Ok(is_over)
    }

    async fn renew_one(
        &mut self,
        base: &Snapshot,
        writer: &mut SnapshotWriter,
        StoredEmail { email, blob, .. }: StoredEmail,
    ) -> Result<()> {
        let read = match blob {
            Some(place) => read_envelope(base, place, || true).await?,
            None => Reading::Damaged,
        };
        let Reading::Read(envelope) = read else {
            self.damaged += 1;
            return Ok(());
        };
        self.bytes += email.size;
        self.renewed += 1;
        writer.put_email(EmailRecord { envelope, ..email }).await?;
        Ok(())
    }
}
