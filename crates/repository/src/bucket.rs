//! A store that holds repositories: its descriptor, the proof that it keeps its promises, the mailboxes in it.

use std::sync::Arc;

use bytes::Bytes;
use model::{Clock, MailboxIdentity};
use object_store::ObjectStore;
use object_store::path::Path;
use prost::Message;
use proto::repository::StoreDescriptor;

use crate::error::{Error, Result};
use crate::layout::MailboxDir;
use crate::repository::Repository;
use crate::ring_file::KeyRing;
use crate::seal::{FORMAT, random};
use crate::sizes::Sizes;
use crate::store::{Created, MailboxObjects, Objects};

const DESCRIPTOR: &str = "malle-store";
const MAGIC: &[u8; 8] = b"MALLESTR";
const MAILBOXES: &str = "mailboxes";
/// Creates at once when a new store is tried.
const PROBE_RACERS: usize = 8;

/// How this program uses the store.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    /// The zone the store must lie in; when it is new, the zone it is given. `None`: whatever it says.
    pub zone: Option<String>,
    /// Never two writers at once is promised by whoever runs this; a store without conditional create will do then.
    pub single_writer: bool,
    /// Who writes, for the loser of a race to read: host, process, job.
    pub writer: String,
    /// How long packs and segments become.
    pub sizes: Sizes,
}

/// An object store that was made for repositories.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Objects,
    zone: String,
    writer: String,
    sizes: Sizes,
}

impl Store {
    /// Opens a store, and makes it one if it is new: proves that it creates conditionally, then writes the descriptor.
    pub async fn open_or_init(
        inner: Arc<dyn ObjectStore>,
        options: StoreOptions,
        clock: &dyn Clock,
    ) -> Result<Store> {
        let objects = Objects::new(inner, options.single_writer);
        let descriptor = match read_descriptor(&objects).await? {
            Some(found) => found,
            None => init(&objects, &options, clock).await?,
        };
        Store::with(objects, descriptor, options)
    }

    /// Opens a store that must exist already.
    pub async fn open(inner: Arc<dyn ObjectStore>, options: StoreOptions) -> Result<Store> {
        let objects = Objects::new(inner, options.single_writer);
        let descriptor = read_descriptor(&objects).await?.ok_or_else(|| Error::UnfitStore {
            what: "there is no malle store at this place; check the URL (the first `malle backup` makes one)"
                .to_owned(),
        })?;
        Store::with(objects, descriptor, options)
    }

    fn with(objects: Objects, descriptor: StoreDescriptor, options: StoreOptions) -> Result<Store> {
        if let Some(wanted) = options.zone.filter(|zone| *zone != descriptor.zone) {
            return Err(Error::WrongZone { found: descriptor.zone, wanted });
        }
        let is_guest = descriptor.single_writer && !options.single_writer;
        let objects = if is_guest { objects.read_only() } else { objects };
        Ok(Store { objects, zone: descriptor.zone, writer: options.writer, sizes: options.sizes })
    }

    /// Where the store lies; empty if it was never told.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The repository of a mailbox; its key is made if it is new, its log by the first snapshot.
    pub async fn create_mailbox(
        &self,
        ring: &KeyRing,
        identity: &MailboxIdentity,
        account_name: &str,
    ) -> Result<Repository> {
        self.objects.may_write()?;
        Repository::open_or_create(self, ring, identity, account_name).await
    }

    /// The repository in a directory; `Error::NoMailbox` if there is none.
    pub async fn mailbox(&self, ring: &KeyRing, dir: MailboxDir) -> Result<Repository> {
        Repository::open(self, ring, dir).await?.ok_or(Error::NoMailbox)
    }

    /// The directories of all mailboxes, in no order that means anything.
    pub async fn mailboxes(&self) -> Result<Vec<MailboxDir>> {
        let names = self.objects.directories(&Path::from(MAILBOXES)).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    pub(crate) fn mailbox_objects(&self, dir: MailboxDir) -> MailboxObjects {
        MailboxObjects::new(self.objects.clone(), dir)
    }

    pub(crate) fn writer(&self) -> &str {
        &self.writer
    }

    pub(crate) fn sizes(&self) -> Sizes {
        self.sizes
    }
}

async fn read_descriptor(objects: &Objects) -> Result<Option<StoreDescriptor>> {
    let Some(bytes) = objects.get(&Path::from(DESCRIPTOR)).await? else {
        return Ok(None);
    };
    let descriptor = parse_descriptor(&bytes)
        .ok_or_else(|| Error::corrupt(DESCRIPTOR, "it is not a store's descriptor, or it is damaged"))?;
    if descriptor.format > u32::from(FORMAT) {
        let (found, known) = (descriptor.format, FORMAT.into());
        return Err(Error::NewerFormat { object: DESCRIPTOR.to_owned(), found, known });
    }
    Ok(Some(descriptor))
}

/// Magic, the message, BLAKE3 of both: the descriptor is read before any key is at hand, so nothing seals it.
pub(crate) fn parse_descriptor(bytes: &[u8]) -> Option<StoreDescriptor> {
    let (content, sum) = bytes.split_last_chunk::<32>()?;
    (blake3::hash(content) == *sum).then_some(())?;
    let descriptor = StoreDescriptor::decode(content.strip_prefix(MAGIC)?).ok()?;
    (descriptor.format > 0).then_some(descriptor)
}

async fn init(objects: &Objects, options: &StoreOptions, clock: &dyn Clock) -> Result<StoreDescriptor> {
    probe(objects, options.single_writer).await?;
    let descriptor = StoreDescriptor {
        format: FORMAT.into(),
        zone: options.zone.clone().unwrap_or_default(),
        created_ms: clock.now().as_millisecond(),
        single_writer: options.single_writer,
    };
    let mut bytes = [MAGIC.as_slice(), &descriptor.encode_to_vec()].concat();
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(sum.as_bytes());
    let bytes = Bytes::from(bytes);
    match objects.create(&Path::from(DESCRIPTOR), &bytes).await? {
        Created::Ours => Ok(descriptor),
        Created::Theirs(_) => {
            let theirs = read_descriptor(objects).await?;
            theirs.ok_or_else(|| unfit("what was just created there is gone again"))
        }
    }
}

/// Tries on a scratch object everything the repository relies on.
async fn probe(objects: &Objects, single_writer: bool) -> Result<()> {
    let path = scratch();
    let (first, second) = (Bytes::from_static(b"malle probe 1"), Bytes::from_static(b"malle probe 2"));
    let outcome = async {
        if !single_writer {
            probe_race(objects).await?;
        }
        if objects.create(&path, &first).await? != Created::Ours {
            return Err(unfit("an object nobody ever wrote was said to exist"));
        }
        if !single_writer && objects.create(&path, &second).await? != Created::Theirs(first.clone()) {
            return Err(Error::unfit_create(
                "it overwrites an object although it was asked to create it only if absent",
            ));
        }
        if objects.range(&path, 6..11).await? != first.slice(6..11) {
            return Err(unfit("it does not answer range requests correctly"));
        }
        if objects.list(&Path::from("probe")).await?.iter().all(|(found, _)| *found != path) {
            return Err(unfit("an object that was just written is missing from the listing"));
        }
        Ok(())
    }
    .await;
    // Where nothing may be deleted (object lock, a writer without that right) backups are as good.
    let _ = objects.delete(&path).await;
    outcome
}

/// A store that looks first and writes then lets several creates at once succeed.
async fn probe_race(objects: &Objects) -> Result<()> {
    let path = scratch();
    let race = (0..PROBE_RACERS).map(|racer| {
        let bytes = Bytes::from(format!("malle probe racer {racer}"));
        let path = &path;
        async move { objects.create(path, &bytes).await }
    });
    let ends = futures::future::try_join_all(race).await;
    let _ = objects.delete(&path).await;
    match ends?.iter().filter(|end| **end == Created::Ours).count() {
        1 => Ok(()),
        winners => Err(Error::unfit_create(&format!(
            "of {PROBE_RACERS} writers that created one object at once, {winners} were told that they had"
        ))),
    }
}

fn scratch() -> Path {
    Path::from(format!("probe/{}", hex::encode(random::<16>())))
}

fn unfit(what: &str) -> Error {
    Error::UnfitStore { what: format!("{what}; choose another store") }
}
