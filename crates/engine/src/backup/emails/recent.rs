//! The rows of a snapshot that a mail server put back to an older copy cannot have: those that came, changed or went last.
//!
//! Such a server has lost everything since the copy, gives the same ids and states out again, and its `/changes` tells nothing
//! of it. Each backup keeps some of these rows as digests, the next one asks for them in the request for the states: a row that
//! is another one now, although the server's changes do not name it, shows that the server's history was rolled back.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use jmap::{Changes, Email, Emails, Id};
use model::{EmailId, EmailRecord, FolderId};
use repository::{BlobHasher, RowDigest};

use super::rows::{folders_of, source_hash};

/// Rows kept of each kind of change: the last ones that the server named.
const EACH: usize = 6;
/// Rows kept of those that a listing found changed.
const NOTED: usize = 12;
/// Most rows that are kept, and asked for by the next backup: some 200 bytes each.
pub(crate) const MOST: usize = 32;
/// The digest of a row that is not there.
const NONE: u64 = 0;

/// Emails of the snapshot that grows that were touched last.
pub(crate) struct Recent {
    /// The base's, brought up to date by [`Recent::note`].
    kept: Vec<RowDigest>,
    /// By `/changes`: came, changed, gone; newest last.
    named: [VecDeque<EmailId>; 3],
    /// By a listing, which knows no order in time.
    noted: VecDeque<RowDigest>,
}

impl Recent {
    pub(crate) fn new(kept: &[RowDigest]) -> Recent {
        Recent { kept: kept.to_vec(), named: Default::default(), noted: VecDeque::new() }
    }

    /// Remembers the last ids of one answer to `/changes`.
    pub(crate) fn name(&mut self, changes: &Changes) {
        let kinds = [&changes.created, &changes.updated, &changes.destroyed];
        for (named, ids) in self.named.iter_mut().zip(kinds) {
            for id in ids.iter().rev().take(EACH).rev() {
                push(named, EmailId::from(id.as_str()), EACH);
            }
        }
    }

    /// Remembers that a listing found this row, or none (`None`), where the base has something else.
    pub(crate) fn note(&mut self, id: &EmailId, digest: Option<u64>) {
        let row = RowDigest { id: id.as_str().to_owned(), digest: digest.unwrap_or(NONE) };
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.id == row.id) {
            kept.digest = row.digest;
        }
        push(&mut self.noted, row, NOTED);
    }

    /// The rows to keep, most telling first, without emails that failed: their rows are not what the server has. `late` has
    /// the rows that this run changed one by one, `sampled` are of the state that the rows are of.
    pub(crate) fn list(
        &self,
        late: &HashMap<EmailId, Option<Box<EmailRecord>>>,
        sampled: &[Email],
        hasher: &BlobHasher,
        has_failed: impl Fn(&str) -> bool,
    ) -> Vec<RowDigest> {
        let named = self.named.iter().flatten().map(|id| (id.as_str(), None));
        let noted = self.noted.iter().map(|row| (row.id.as_str(), Some(row.digest)));
        let sampled = sampled.iter().map(|email| (email.id.as_str(), Some(digest_of(hasher, email))));
        let kept = self.kept.iter().map(|row| (row.id.as_str(), Some(row.digest)));
        let mut seen = HashSet::new();
        let rows = named.chain(noted).chain(sampled).chain(kept).filter_map(|(id, known)| {
            let digest = match late.get(&EmailId::from(id)) {
                Some(Some(record)) => digest_of_row(hasher, record),
                Some(None) => NONE,
                None => known?,
            };
            (!has_failed(id) && seen.insert(id)).then(|| RowDigest { id: id.to_owned(), digest })
        });
        rows.take(MOST).collect()
    }
}

/// Keeps the newest ones.
fn push<T>(ring: &mut VecDeque<T>, newest: T, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(newest);
}

/// Ids of rows that are not what they were. A row that cannot be read tells nothing.
pub(crate) fn differing(rows: &[RowDigest], now: &Emails, hasher: &BlobHasher) -> BTreeSet<Id> {
    let there: HashMap<&str, u64> =
        now.list.iter().map(|email| (email.id.as_str(), digest_of(hasher, email))).collect();
    let gone: HashSet<&str> = now.not_found.iter().map(Id::as_str).collect();
    let is_other = |row: &&RowDigest| match there.get(row.id.as_str()) {
        Some(digest) => *digest != row.digest,
        None => gone.contains(row.id.as_str()) && row.digest != NONE,
    };
    rows.iter().filter(is_other).filter_map(|row| Id::new(&row.id).ok()).collect()
}

/// Never 0.
pub(crate) fn digest_of_row(hasher: &BlobHasher, record: &EmailRecord) -> u64 {
    digest(hasher, record.source_hash, &record.folders, &record.keywords)
}

fn digest_of(hasher: &BlobHasher, email: &Email) -> u64 {
    digest(hasher, source_hash(hasher, email), &folders_of(email), &email.keywords)
}

fn digest<K: AsRef<str>>(hasher: &BlobHasher, blob: u64, folders: &[FolderId], keywords: &[K]) -> u64 {
    let mut text = blob.to_string();
    for folder in folders {
        text += &format!("\n{:?}", folder.as_str());
    }
    for keyword in keywords {
        text += &format!("\n {:?}", keyword.as_ref());
    }
    hasher.short(&text).max(1)
}
