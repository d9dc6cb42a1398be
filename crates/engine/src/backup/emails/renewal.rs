//! Envelopes that an earlier version of the scanner read are read again, from the bytes in the repository.
//!
//! **When.** In each backup that lists everything and finds rows of the base outdated: that one reads every row of an email anyway, so
//! finding them costs nothing. A backup that lists nothing reads no rows and renews none; a night without changes costs what it did.
//! **How much.** At most [`MOST_ROWS`] rows, the blocks of the index that they and their places lie in, and [`MOST_BYTES`] of packs
//! a backup, from the lowest id on. The mail server is asked nothing. `reindex` renews all rows at once.
//! **Damage.** What cannot be read is noted, and the backup begins again without it, as if it had met the damage otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{EmailId, EmailRecord, Envelope, ErrorClass};
use repository::{Located, Snapshot};

use crate::backup::run::Run;
use crate::envelope::{EnvelopeScanner, is_outdated};
use crate::error::{Error, Result};
use crate::stored_emails::locate;

/// Rows that one backup renews.
pub(crate) const MOST_ROWS: usize = 8_192;
/// Sealed bytes of packs that one backup reads for that; one frame may come on top.
const MOST_BYTES: u64 = 64 << 20;
/// Longer emails are left to `reindex`: one of them could use up what a backup may read, each time.
const LONGEST_EMAIL: u64 = 8 << 20;
/// Rows that are held in memory together: enough that they share blocks of the index and frames.
const ROWS_TOGETHER: usize = 1_024;

/// What came of reading an email from the repository.
pub(crate) enum Reading {
    Read(Envelope),
    /// The repository has lost or damaged it.
    Damaged,
    /// Nothing more may be read.
    Stopped,
}

/// Reads the envelope of an email; `may_read` is asked before each piece of it.
pub(crate) async fn read_envelope(
    snapshot: &Snapshot,
    blob: Located,
    may_read: impl Fn() -> bool,
) -> Result<Reading> {
    match scan(snapshot, blob, may_read).await {
        Err(Error::Repository(error)) if error.class() == ErrorClass::Corrupt => Ok(Reading::Damaged),
        read => read,
    }
}

async fn scan(snapshot: &Snapshot, blob: Located, may_read: impl Fn() -> bool) -> Result<Reading> {
    let mut pieces = snapshot.read_located(blob).await?;
    let mut scanner = EnvelopeScanner::new();
    while may_read() {
        match pieces.next().await? {
            Some(piece) => scanner.push(&piece),
            None => return Ok(Reading::Read(scanner.finish())),
        }
    }
    Ok(Reading::Stopped)
}

/// Whether a backup renews this row.
pub(crate) fn is_renewable(record: &EmailRecord) -> bool {
    is_outdated(&record.envelope) && record.size <= LONGEST_EMAIL
}

impl Run<'_> {
    /// Renews rows that the listing found outdated, as far as this backup may read for it.
    pub(crate) async fn renew_envelopes(&mut self) -> Result<()> {
        let outdated = std::mem::take(&mut self.emails.outdated);
        let Some(base) = self.draft.base.clone().filter(|_| !outdated.is_empty()) else { return Ok(()) };
        let places = locate(&base, outdated.iter().map(|(_, blob)| *blob).collect()).await?;
        let most = base.pack_bytes_read() + MOST_BYTES;
        for rows in outdated.chunks(ROWS_TOGETHER) {
            // Rows that changed after they were listed are written already.
            let rows = rows.iter().filter(|(id, _)| !self.emails.changed_rows.contains_key(id));
            let held = rows.filter_map(|(id, blob)| Some((id.clone(), places.get(blob)?.clone())));
            if !self.renew_some(&base, held.collect(), most).await? {
                break;
            }
        }
        Ok(())
    }

    /// Returns false when nothing more may be read.
    async fn renew_some(
        &mut self,
        base: &Arc<Snapshot>,
        mut rows: Vec<(EmailId, Located)>,
        most: u64,
    ) -> Result<bool> {
        let ids: Vec<EmailId> = rows.iter().map(|(id, _)| id.clone()).collect();
        let found = base.find_emails(&ids).await?;
        let mut records: BTreeMap<EmailId, EmailRecord> =
            found.into_iter().map(|record| (record.id.clone(), record)).collect();
        // Neighbours in a pack one behind the other, and last those that lie in several pieces.
        rows.sort_by_cached_key(|(_, place)| (place.is_in_pieces(), place.order()));
        let alarm = self.alarm.clone();
        let may_read = || base.pack_bytes_read() < most && !alarm.is_told();
        for (id, place) in rows {
            let Some(record) = records.remove(&id) else { continue };
            match read_envelope(base, place, may_read).await? {
                Reading::Read(envelope) => {
                    self.draft.writer.put_email(EmailRecord { envelope, ..record }).await?;
                    self.draft.counts.renewed += 1;
                }
                Reading::Damaged => {}
                Reading::Stopped => return Ok(false),
            }
        }
        Ok(true)
    }
}
