//! What differs between two snapshots of one mailbox.

use std::collections::{BTreeMap, VecDeque};

use futures::future::{BoxFuture, LocalBoxFuture};
use model::{BlobId, DataType, EmailRecord, FolderId};
use repository::{Differing, Keys, ObjectRecord, Repository, Snapshot};
use serde_json::Value;

use crate::error::Result;
use crate::search::folders::FolderTree;

/// Rows that are looked up at once.
const AT_ONCE: usize = 500;
/// Emails that came, and emails that went, whose bytes are remembered to see whether they did both: 8 bytes each.
const MOST_REMEMBERED: usize = 1 << 20;
/// What Mailbox objects say of emails (RFC 8621 §2): it changes with those.
pub(crate) const COUNTS: [&str; 4] = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

/// One thing that differs.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An email that only the second snapshot has.
    Came {
        /// The email.
        email: EmailRecord,
        /// The first one has the same bytes under an id that the second has not: the server gave the email a new id (it was
        /// moved by copy and delete, imported again, or the account was made anew).
        renumbered: bool,
    },
    /// An email that only the first snapshot has.
    Went {
        /// The email.
        email: EmailRecord,
        /// As for `Came`: its bytes are in the second snapshot under a new id.
        renumbered: bool,
    },
    /// An email that both have, and not alike: see the questions of [`Pair`].
    Changed(Box<Pair>),
    /// A folder.
    Folder(FolderChange),
    /// Any other object.
    Object {
        /// Its type.
        data_type: DataType,
        /// Its JMAP id.
        id: String,
        /// What it is called, if that can be told.
        name: String,
        /// What became of it.
        fate: Fate,
    },
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Only the second snapshot has it.
    Created,
    /// Only the first snapshot has it.
    Removed,
    /// Both have it, with other content.
    Changed,
}

/// One email in both snapshots.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// In the first.
    pub was: EmailRecord,
    /// In the second.
    pub now: EmailRecord,
}

impl Pair {
    /// It lies in other folders.
    pub fn is_moved(&self) -> bool {
        self.was.folders != self.now.folders
    }

    /// It has other keywords: read, flagged, labelled, or no longer.
    pub fn is_flagged(&self) -> bool {
        self.was.keywords != self.now.keywords
    }

    /// It has other bytes. Emails never change, so the id was given to another email: a server went back to an old copy of
    /// its data, or the account was made anew.
    pub fn is_replaced(&self) -> bool {
        self.was.blob != self.now.blob
    }

    /// It was received at another time, says the server.
    pub fn is_redated(&self) -> bool {
        self.was.received_at != self.now.received_at
    }
}

/// A folder in both snapshots, or in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderChange {
    /// Its id.
    pub id: FolderId,
    /// Its path in the first snapshot.
    pub was: Option<String>,
    /// Its path in the second.
    pub now: Option<String>,
    /// It has another name.
    pub is_renamed: bool,
    /// It lies in another folder.
    pub is_moved: bool,
}

/// How many there are of each kind of change. An email can be moved, flagged and replaced at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiffCounts {
    /// Emails that came, with new bytes.
    pub came: u64,
    /// Emails that went, and their bytes.
    pub went: u64,
    /// Emails that came and whose bytes went under another id.
    pub renumbered: u64,
    /// Emails in other folders.
    pub moved: u64,
    /// Emails with other keywords.
    pub flagged: u64,
    /// Emails with other bytes.
    pub replaced: u64,
    /// Emails with another date of receipt.
    pub redated: u64,
    /// Folders with another name.
    pub folders_renamed: u64,
    /// Folders that lie in another folder.
    pub folders_moved: u64,
    /// Objects but emails, by type and fate. A folder that was renamed or moved is changed.
    pub objects: BTreeMap<(DataType, Fate), u64>,
}

impl DiffCounts {
    fn add(&mut self, change: &Change) {
        match change {
            Change::Came { renumbered, .. } => {
                *(if *renumbered { &mut self.renumbered } else { &mut self.came }) += 1;
            }
            Change::Went { renumbered, .. } => self.went += u64::from(!renumbered),
            Change::Changed(pair) => {
                self.moved += u64::from(pair.is_moved());
                self.flagged += u64::from(pair.is_flagged());
                self.replaced += u64::from(pair.is_replaced());
                self.redated += u64::from(pair.is_redated());
            }
            Change::Folder(folder) => {
                self.folders_renamed += u64::from(folder.is_renamed);
                self.folders_moved += u64::from(folder.is_moved);
                *self.objects.entry((DataType::Mailbox, folder.fate())).or_default() += 1;
            }
            Change::Object { data_type, fate, .. } => {
                *self.objects.entry((*data_type, *fate)).or_default() += 1;
            }
        }
    }
}

impl FolderChange {
    /// What became of it.
    pub fn fate(&self) -> Fate {
        match (&self.was, &self.now) {
            (None, _) => Fate::Created,
            (_, None) => Fate::Removed,
            _ => Fate::Changed,
        }
    }
}

/// The changes from one snapshot to another, one by one: folders first, then other objects by type, then emails by id.
/// Memory follows the folders, not the mailbox; where the snapshots share segments, those are only looked into.
pub struct Diff {
    was: Side,
    now: Side,
    differing: Differing,
    objects: Option<Keys>,
    emails: Option<(Keys, Renumbered)>,
    ready: VecDeque<Change>,
    counts: DiffCounts,
}

struct Side {
    snapshot: Snapshot,
    folders: FolderTree,
}

impl Diff {
    /// From `was` to `now`, two snapshots of this repository.
    pub fn new(repository: &Repository, was: Snapshot, now: Snapshot) -> BoxFuture<'_, Result<Diff>> {
        Box::pin(async move {
            let differing = repository.differing(was.info(), now.info()).await?;
            Ok(Diff {
                was: Side::read(was).await?,
                now: Side::read(now).await?,
                objects: Some(differing.objects()),
                emails: None,
                differing,
                ready: VecDeque::new(),
                counts: DiffCounts::default(),
            })
        })
    }

    /// The next change; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        while self.ready.is_empty() {
            if !self.read().await? {
                return Ok(None);
            }
        }
        let change = self.ready.pop_front();
        change.iter().for_each(|change| self.counts.add(change));
        Ok(change)
    }

    /// Of the changes that `next` has returned.
    pub fn counts(&self) -> &DiffCounts {
        &self.counts
    }

    /// The folders of the first and of the second snapshot.
    pub fn folders(&self) -> (&FolderTree, &FolderTree) {
        (&self.was.folders, &self.now.folders)
    }

    /// Always true: emails come after the last object.
    /// Reads the next changes. Returns false at the end.
    fn read(&mut self) -> LocalBoxFuture<'_, Result<bool>> {
        if self.objects.is_some() { Box::pin(self.read_objects()) } else { Box::pin(self.read_emails()) }
    }

    async fn read_objects(&mut self) -> Result<bool> {
        let Some(keys) = &mut self.objects else { return Ok(true) };
        let ids = keys.next_objects(AT_ONCE).await?;
        if ids.is_empty() {
            self.objects = None;
        }
        let was = self.was.snapshot.find_objects(&ids).await?;
        let now = self.now.snapshot.find_objects(&ids).await?;
        let pairs = side_by_side(was, now, |object| (object.data_type, object.id.clone()));
        let (was, now) = (&self.was.folders, &self.now.folders);
        self.ready.extend(pairs.filter_map(|pair| object_change(pair, was, now)));
        Ok(true)
    }

    async fn read_emails(&mut self) -> Result<bool> {
        if self.emails.is_none() {
            let renumbered = self.renumbered().await?;
            self.emails = Some((self.differing.emails(), renumbered));
        }
        let Some((keys, renumbered)) = &mut self.emails else { return Ok(false) };
        let Some(pairs) = next_pairs(keys, &self.was, &self.now).await? else {
            return Ok(false);
        };
        self.ready.extend(pairs.filter_map(|pair| email_change(pair, renumbered)));
        Ok(true)
    }

    /// A walk of its own, for what came may stand before or behind what went.
    async fn renumbered(&self) -> Result<Renumbered> {
        let (mut came, mut went) = (Vec::new(), Vec::new());
        let mut keys = self.differing.emails();
        while let Some(pairs) = next_pairs(&mut keys, &self.was, &self.now).await? {
            for pair in pairs {
                match pair {
                    (None, Some(email)) if came.len() < MOST_REMEMBERED => came.push(short(&email.blob)),
                    (Some(email), None) if went.len() < MOST_REMEMBERED => went.push(short(&email.blob)),
                    _ => {}
                }
            }
        }
        went.sort_unstable();
        came.retain(|blob| went.binary_search(blob).is_ok());
        came.sort_unstable();
        Ok(Renumbered(came))
    }
}

impl Side {
    async fn read(snapshot: Snapshot) -> Result<Side> {
        Ok(Side { folders: FolderTree::read(&snapshot).await?, snapshot })
    }
}

/// Blobs, shortened and sorted, of emails that went and came under another id.
struct Renumbered(Vec<u64>);

impl Renumbered {
    fn has(&self, email: &EmailRecord) -> bool {
        self.0.binary_search(&short(&email.blob)).is_ok()
    }
}

/// Of a keyed hash: two among millions are as good as never the same.
fn short(blob: &BlobId) -> u64 {
    blob.0[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// In the first snapshot, in the second; at least one of them.
type Both<T> = (Option<T>, Option<T>);

async fn next_pairs(
    keys: &mut Keys,
    was: &Side,
    now: &Side,
) -> Result<Option<impl Iterator<Item = Both<EmailRecord>> + use<>>> {
    let ids = keys.next_emails(AT_ONCE).await?;
    if ids.is_empty() {
        return Ok(None);
    }
    let was = was.snapshot.find_emails(&ids).await?;
    let now = now.snapshot.find_emails(&ids).await?;
    Ok(Some(side_by_side(was, now, |email| email.id.clone())))
}

/// Two lists joined by key, in the order of keys.
fn side_by_side<T, K: Ord>(was: Vec<T>, now: Vec<T>, key: impl Fn(&T) -> K) -> impl Iterator<Item = Both<T>> {
    let mut joined = BTreeMap::<K, Both<T>>::new();
    for one in was {
        let key = key(&one);
        joined.insert(key, (Some(one), None));
    }
    for one in now {
        let key = key(&one);
        joined.entry(key).or_insert((None, None)).1 = Some(one);
    }
    joined.into_values()
}

fn email_change(pair: Both<EmailRecord>, renumbered: &Renumbered) -> Option<Change> {
    match pair {
        (None, Some(email)) => Some(Change::Came { renumbered: renumbered.has(&email), email }),
        (Some(email), None) => Some(Change::Went { renumbered: renumbered.has(&email), email }),
        (Some(was), Some(now)) => {
            let pair = Pair { was, now };
            let differs = pair.is_moved() || pair.is_flagged() || pair.is_replaced() || pair.is_redated();
            differs.then(|| Change::Changed(Box::new(pair)))
        }
        (None, None) => None,
    }
}

fn object_change(pair: Both<ObjectRecord>, was: &FolderTree, now: &FolderTree) -> Option<Change> {
    let fate = match &pair {
        (None, Some(_)) => Fate::Created,
        (Some(_), None) => Fate::Removed,
        (Some(was), Some(now)) if is_other(was, now) => Fate::Changed,
        _ => return None,
    };
    let object = pair.1.or(pair.0)?;
    if object.data_type == DataType::Mailbox {
        return Some(Change::Folder(folder_change(object.id.as_str().into(), was, now)));
    }
    Some(Change::Object { data_type: object.data_type, name: name_of(&object), id: object.id, fate })
}

fn folder_change(id: FolderId, was: &FolderTree, now: &FolderTree) -> FolderChange {
    let both = was.get(&id).zip(now.get(&id));
    FolderChange {
        was: was.path(&id),
        now: now.path(&id),
        is_renamed: both.is_some_and(|(was, now)| was.name != now.name),
        is_moved: both.is_some_and(|(was, now)| was.parent != now.parent),
        id,
    }
}

fn is_other(was: &ObjectRecord, now: &ObjectRecord) -> bool {
    if was.json == now.json {
        return was.blob != now.blob;
    }
    let parse = |object: &ObjectRecord| -> Option<Value> {
        let mut value: Value = serde_json::from_slice(&object.json).ok()?;
        if let Some(members) = value.as_object_mut().filter(|_| object.data_type == DataType::Mailbox) {
            members.retain(|name, _| !COUNTS.contains(&name.as_str()));
        }
        Some(value)
    };
    was.blob != now.blob || parse(was).is_none_or(|was| parse(now) != Some(was))
}

/// What a person would call it: JMAP's types name their name differently.
fn name_of(object: &ObjectRecord) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(&object.json) else {
        return String::new();
    };
    let candidates =
        [&value["name"], &value["name"]["full"], &value["title"], &value["subject"], &value["email"]];
    let name = candidates.into_iter().filter_map(Value::as_str).find(|name| !name.is_empty());
    name.unwrap_or_default().to_owned()
}
