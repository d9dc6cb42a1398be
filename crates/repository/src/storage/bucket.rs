//! A store that holds repositories: its descriptor, the proof that it keeps its promises, the mailboxes in it.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use model::Clock;
use object_store::ObjectStore;
use object_store::path::Path;
use prost::Message;
use proto::repository::StoreDescriptor;

use crate::check::report::Problem;
use crate::error::{Error, Result};
use crate::sealing::seal::{FORMAT, random};
use crate::sizes::Sizes;
use crate::storage::layout::MailboxDir;
use crate::storage::objects::{Created, MailboxObjects, Objects};

const DESCRIPTOR: &str = "malle-store";
/// The same bytes once more.
const DESCRIPTOR_COPY: &str = "malle-store-copy";
const MAGIC: &[u8; 8] = b"MALLESTR";
const MAILBOXES: &str = "mailboxes";
/// Creates at once when a new store is tried.
const PROBE_RACERS: usize = 8;

/// How this program uses the store.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    /// The zone the store must lie in; when it is new, the zone it is given. `None`: whatever it says.
    pub zone: Option<String>,
    /// The operator promises that there is never more than one writer. Conditional create is then not needed.
    pub single_writer: bool,
    /// Who writes, for the loser of a race to read: host, process, job.
    pub writer: String,
    /// How long packs and segments become.
    pub sizes: Sizes,
}

/// Tells stores apart: the hash of a store's descriptor. A mirror of a store has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId([u8; 16]);

impl std::fmt::Display for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// An object store that was made for repositories.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Objects,
    id: StoreId,
    /// The format of its descriptor.
    format: u32,
    zone: String,
    writer: String,
    sizes: Sizes,
}

impl Store {
    /// Opens a store, and makes it one if it is new: proves that it creates conditionally, then writes the descriptor.
    pub fn open_or_init<'a>(
        inner: Arc<dyn ObjectStore>,
        options: StoreOptions,
        clock: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<Store>> {
        Box::pin(async move {
            let objects = Objects::new(inner, options.single_writer);
            let found = match read_descriptor(&objects).await? {
                Some(found) => found,
                None => init(&objects, &options, clock).await?,
            };
            Store::with(objects, found, options)
        })
    }

    /// Whether there is a store at this place.
    pub async fn exists(inner: Arc<dyn ObjectStore>) -> Result<bool> {
        Ok(read_descriptor(&Objects::new(inner, false)).await?.is_some())
    }

    /// Opens a store that must exist already.
    pub fn open(inner: Arc<dyn ObjectStore>, options: StoreOptions) -> BoxFuture<'static, Result<Store>> {
        Box::pin(async move {
            let objects = Objects::new(inner, options.single_writer);
            let found = read_descriptor(&objects).await?.ok_or_else(|| Error::UnfitStore {
            what: "there is no malle store at this place; check the URL, or make a store there with `malle init`"
                .to_owned(),
        })?;
            Store::with(objects, found, options)
        })
    }

    fn with(
        objects: Objects,
        (id, descriptor): (StoreId, StoreDescriptor),
        options: StoreOptions,
    ) -> Result<Store> {
        if let Some(wanted) = options.zone.filter(|zone| *zone != descriptor.zone) {
            return Err(Error::WrongZone { found: descriptor.zone, wanted });
        }
        let is_guest = descriptor.single_writer && !options.single_writer;
        let objects = if is_guest { objects.read_only() } else { objects };
        Ok(Store {
            objects,
            id,
            format: descriptor.format,
            zone: descriptor.zone,
            writer: options.writer,
            sizes: options.sizes,
        })
    }

    /// Tells it apart from other stores.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// Whether the descriptor lies there twice; a store of format 1 has it once.
    pub async fn check_copies(&self) -> Result<Vec<Problem>> {
        let (first, second) = (
            self.objects.get(&Path::from(DESCRIPTOR)).await?,
            self.objects.get(&Path::from(DESCRIPTOR_COPY)).await?,
        );
        let is_old = second.is_none() && self.format < FORMAT.into();
        Ok(if first == second || is_old {
            Vec::new()
        } else {
            vec![Problem {
                snapshot: None,
                what: format!(
                    "{DESCRIPTOR} and {DESCRIPTOR_COPY} are not the same bytes; `malle repair` makes them so again"
                ),
            }]
        })
    }

    /// Makes the descriptor and its copy alike, if one of them is missing or damaged. Returns the name of the one that was
    /// written.
    pub async fn heal_copies(&self) -> Result<Option<&'static str>> {
        let Some((lost, bytes)) = self.lost_copy().await? else { return Ok(None) };
        self.objects.put(&Path::from(lost), bytes.into()).await?;
        Ok(Some(lost))
    }

    /// Returns the name of the descriptor or of its copy, if that one is missing or damaged. Format 1 had no copy.
    pub async fn damaged_copy(&self) -> Result<Option<&'static str>> {
        let is_old = self.format < FORMAT.into();
        let lost = self.lost_copy().await?.map(|(name, _)| name);
        Ok(lost.filter(|name| !is_old || *name != DESCRIPTOR_COPY))
    }

    /// The one of the two that is not sound, and the bytes of the other.
    async fn lost_copy(&self) -> Result<Option<(&'static str, Bytes)>> {
        let read = async |path| Ok::<_, Error>(self.objects.get(&Path::from(path)).await?.filter(is_sound));
        Ok(match (read(DESCRIPTOR).await?, read(DESCRIPTOR_COPY).await?) {
            (Some(bytes), None) => Some((DESCRIPTOR_COPY, bytes)),
            (None, Some(bytes)) => Some((DESCRIPTOR, bytes)),
            _ => None,
        })
    }

    /// Where the store lies; empty if it was never told.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// Before something is written: the store allows it, and has what this version of the format needs.
    pub(crate) async fn prepare_to_write(&self) -> Result<()> {
        self.objects.may_write()?;
        if self.format < FORMAT.into() {
            self.heal_copies().await?;
        }
        Ok(())
    }

    /// The directories of all mailboxes, in no order that means anything.
    pub fn mailboxes<'a>(&'a self) -> BoxFuture<'a, Result<Vec<MailboxDir>>> {
        Box::pin(async move {
            let names = self.objects.directories(&Path::from(MAILBOXES)).await?;
            Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
        })
    }

    /// The directory of one mailbox, or `None` if there is no mailbox. Costs one request.
    pub async fn any_mailbox(&self) -> Result<Option<MailboxDir>> {
        let name = self.objects.first_directory(&Path::from(MAILBOXES)).await?;
        Ok(name.and_then(|name| name.parse().ok()))
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

/// `None`: there is no store here. A place that holds mailboxes and no descriptor is not taken for a new one.
async fn read_descriptor(objects: &Objects) -> Result<Option<(StoreId, StoreDescriptor)>> {
    let mut is_damaged = false;
    for path in [DESCRIPTOR, DESCRIPTOR_COPY] {
        let Some(bytes) = objects.get(&Path::from(path)).await? else { continue };
        let Some(descriptor) = parse_descriptor(&bytes) else {
            is_damaged = true;
            continue;
        };
        if descriptor.format > u32::from(FORMAT) {
            let (found, known) = (descriptor.format, FORMAT.into());
            return Err(Error::NewerFormat { object: path.to_owned(), found, known });
        }
        return Ok(Some((store_id(&bytes), descriptor)));
    }
    if is_damaged {
        return Err(Error::corrupt(DESCRIPTOR, "it is not a store's descriptor, or it is damaged"));
    }
    match objects.directories(&Path::from(MAILBOXES)).await?.is_empty() {
        true => Ok(None),
        // Another may have made the store, and a mailbox in it, since it was looked for.
        false => match objects.get(&Path::from(DESCRIPTOR)).await? {
            Some(_) => Box::pin(read_descriptor(objects)).await,
            None => Err(Error::DescriptorGone),
        },
    }
}

fn store_id(descriptor: &[u8]) -> StoreId {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(descriptor).as_bytes()[..16]);
    StoreId(id)
}

fn is_sound(bytes: &Bytes) -> bool {
    parse_descriptor(bytes).is_some()
}

/// Magic, the message, BLAKE3 of both: the descriptor is read before any key is at hand, so nothing seals it.
pub(crate) fn parse_descriptor(bytes: &[u8]) -> Option<StoreDescriptor> {
    let (content, sum) = bytes.split_last_chunk::<32>()?;
    (blake3::hash(content) == *sum).then_some(())?;
    let descriptor = StoreDescriptor::decode(content.strip_prefix(MAGIC)?).ok()?;
    (descriptor.format > 0).then_some(descriptor)
}

async fn init(
    objects: &Objects,
    options: &StoreOptions,
    clock: &dyn Clock,
) -> Result<(StoreId, StoreDescriptor)> {
    probe(objects, options.single_writer).await?;
    let descriptor = StoreDescriptor {
        format: FORMAT.into(),
        zone: options.zone.clone().unwrap_or_default(),
        created_ms: clock.now().as_millisecond(),
        single_writer: options.single_writer,
        id: random::<16>().to_vec().into(),
    };
    let mut bytes = [MAGIC.as_slice(), &descriptor.encode_to_vec()].concat();
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(sum.as_bytes());
    let bytes = Bytes::from(bytes);
    objects.create(&Path::from(DESCRIPTOR), &bytes).await?;
    let made = objects.get(&Path::from(DESCRIPTOR)).await?;
    let made = made.ok_or_else(|| unfit("what was just created there is gone again"))?;
    // Another may have made the store at the same time: its descriptor is the one.
    objects.create(&Path::from(DESCRIPTOR_COPY), &made).await?;
    let found = read_descriptor(objects).await?;
    found.ok_or_else(|| unfit("what was just created there is gone again"))
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
