//! The data key of a mailbox.
//!
//! **Layout.** `keys/<master id>` holds the data key sealed under that master key, once per master key in use;
//! `copies/keys/<master id>` holds the same bytes.
//! **Order.** The key is created if absent and read back, then its copy, before log entry 1; entry 1 settles which key is the
//! mailbox's when two writers with different rings began at once (its header names the key).
//! **Crash.** A key without a log, packs and segments is an unused key: the next writer reads it back and uses it.
//! Re-wrapping writes the new wrap, opens it, makes sure that the mailbox was not erased meanwhile (else it takes the wrap
//! back), and only then deletes older ones: at every moment one wrap opens.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;
use proto::repository::WrappedKey;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::sealing::ring_file::KeyRing;
use crate::sealing::seal::{Cipher, Kind, Secret, check_header, open_sealed, seal_plain};
use crate::storage::layout::{Object, hex};
use crate::storage::objects::{Created, MailboxObjects};

/// Which wraps under older master keys a re-wrapping leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OlderWraps {
    /// One stays, so that the ring as it was before still opens the mailbox.
    KeepOne,
    /// All go: a safe copy of the new ring exists.
    Remove,
}

/// One wrap of the data key, its copy looked at where it has to be.
enum Wrap {
    Absent,
    Opens(Secret),
    Damaged(Error),
}

async fn read(objects: &MailboxObjects, master: &Secret) -> Result<Wrap> {
    let mut wrap = Wrap::Absent;
    for place in [object(master), Object::KeyCopy(master.id())] {
        match objects.get(&place).await?.map(|bytes| unwrap(objects, master, &bytes)) {
            Some(Ok(key)) => return Ok(Wrap::Opens(key)),
            Some(Err(error)) => wrap = Wrap::Damaged(error),
            None => {}
        }
    }
    Ok(wrap)
}

/// The mailbox's data key, if one of the ring's master keys opens a wrap; `None` if the mailbox has neither key nor log.
pub(crate) fn load<'a>(
    objects: &'a MailboxObjects,
    ring: &'a KeyRing,
) -> BoxFuture<'a, Result<Option<Secret>>> {
    Box::pin(async move {
        if let [only] = ring.masters()
            && let Wrap::Opens(key) = read(objects, only).await?
        {
            return Ok(Some(key));
        }
        let mut wraps = listed(objects).await?;
        if wraps.is_empty() {
            if settled(objects).await?.is_none() {
                return Ok(None);
            }
            // Somebody may have begun the mailbox in between.
            wraps = listed(objects).await?;
        }
        if wraps.is_empty() {
            let keys = objects.dir().prefix("keys").to_string();
            return Err(Error::KeyGone { keys });
        }
        choose(objects, ring, &wraps).await.map(Some)
    })
}

/// Ids of the master keys that the data key is wrapped with.
async fn listed(objects: &MailboxObjects) -> Result<BTreeSet<[u8; 8]>> {
    let mut listed = objects.list("keys").await?;
    listed.extend(objects.list("copies").await?);
    let id = |(object, _): (Object, u64)| match object {
        Object::Key(master) | Object::KeyCopy(master) => Some(master),
        _ => None,
    };
    Ok(listed.into_iter().filter_map(id).collect())
}

/// Id of the data key that entry 1 is sealed with; `None` for a log that has not begun.
async fn settled(objects: &MailboxObjects) -> Result<Option<[u8; 8]>> {
    let mut damage = None;
    for place in [Object::Log(1), Object::FirstEntryCopy] {
        let Some(bytes) = objects.get(&place).await? else { continue };
        match check_header(&bytes, Kind::Log, &place.relative()) {
            Ok(header) => return Ok(header[8..16].try_into().ok()),
            Err(error) => damage = Some(error),
        }
    }
    damage.map_or(Ok(None), Err)
}

/// Of several wraps the one that entry 1 is sealed with. A damaged one does no harm while another opens.
async fn choose(objects: &MailboxObjects, ring: &KeyRing, wraps: &BTreeSet<[u8; 8]>) -> Result<Secret> {
    let (mut keys, mut failure) = (Vec::<Secret>::new(), None);
    for master in ring.masters().iter().filter(|m| wraps.contains(&m.id())) {
        match read(objects, master).await? {
            Wrap::Opens(key) => keys.push(key),
            Wrap::Damaged(error) => failure = Some(error),
            Wrap::Absent => failure = Some(Error::Missing { object: object(master).relative() }),
        }
    }
    keys.dedup_by_key(|key| key.id());
    if keys.len() > 1
        && let Some(settled) = settled(objects).await?
    {
        keys.retain(|key| key.id() == settled);
    }
    match (keys.into_iter().next(), failure) {
        (Some(key), _) => Ok(key),
        (None, Some(failure)) => Err(failure),
        (None, None) => Err(Error::WrongKey {
            ring: ring.ids().join(", "),
            wrapped: wraps.iter().map(|id| hex(id)).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Creates the data key, or takes the one that a faster writer created.
pub(crate) fn create<'a>(objects: &'a MailboxObjects, ring: &'a KeyRing) -> BoxFuture<'a, Result<Secret>> {
    Box::pin(async move {
        let (key, place) = (Secret::random(), object(ring.current()));
        let bytes = match objects.create(&place, &wrap(objects, ring.current(), &key)).await? {
            Created::Ours => objects.must_get(&place).await?,
            Created::Theirs(bytes) => bytes,
        };
        let key = unwrap(objects, ring.current(), &bytes)?;
        objects.create(&Object::KeyCopy(ring.current().id()), &bytes).await?;
        Ok(key)
    })
}

/// Makes the second copy of each wrap that the ring opens, if it is not there or not as it should be; what was written.
pub(crate) fn heal_copies<'a>(
    objects: &'a MailboxObjects,
    ring: &'a KeyRing,
    key: &'a Secret,
) -> BoxFuture<'a, Result<Vec<Object>>> {
    Box::pin(async move {
        let mut healed = Vec::new();
        for master in ring.masters() {
            let good = |bytes: &[u8]| opens_as(objects, master, bytes, key);
            healed.extend(objects.heal_copies(&object(master), good).await?);
        }
        Ok(healed)
    })
}

/// Wraps the data key under the ring's current master key and proves that the wrap opens. True if the wrap is new.
pub(crate) async fn wrap_again(objects: &MailboxObjects, ring: &KeyRing, key: &Secret) -> Result<bool> {
    // Before entry 1 it is open which writer's key the mailbox's will be: no wrap may go.
    if settled(objects).await? != Some(key.id()) {
        return Err(Error::NoMailbox);
    }
    let place = object(ring.current());
    let wrapped = wrap(objects, ring.current(), key);
    let is_new = match objects.create(&place, &wrapped).await? {
        Created::Ours => true,
        Created::Theirs(found) if opens_as(objects, ring.current(), &found, key) => false,
        // A damaged wrap, or the unused key of a writer that lost the race for entry 1, which proves that it opens nothing.
        Created::Theirs(_) => {
            objects.put(&place, wrapped).await?;
            true
        }
    };
    prove(objects, ring.current(), key).await?;
    let bytes = objects.must_get(&place).await?;
    objects.put(&Object::KeyCopy(ring.current().id()), bytes).await?;
    Ok(is_new)
}

/// Removes wraps under the ring's older master keys, each only while the current one's opens; the ids of their master keys.
pub(crate) async fn remove_older(
    objects: &MailboxObjects,
    ring: &KeyRing,
    key: &Secret,
    older: OlderWraps,
) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let wraps = listed(objects).await?;
    let there = ring.masters()[1..].iter().filter(|old| wraps.contains(&old.id()));
    let stay = match older {
        OlderWraps::KeepOne => 1,
        OlderWraps::Remove => 0,
    };
    for old in there.skip(stay) {
        // A ring that lists the same masters in another order may be at work the other way round.
        prove(objects, ring.current(), key).await?;
        remove(objects, old).await?;
        removed.push(hex(&old.id()));
    }
    Ok(removed)
}

/// Removes the wrap under the ring's current master key: the mailbox was erased while it was made.
pub(crate) async fn take_back(objects: &MailboxObjects, ring: &KeyRing) -> Result<()> {
    remove(objects, ring.current()).await
}

async fn remove(objects: &MailboxObjects, master: &Secret) -> Result<()> {
    objects.delete(&object(master)).await?;
    objects.delete(&Object::KeyCopy(master.id())).await
}

async fn prove(objects: &MailboxObjects, master: &Secret, key: &Secret) -> Result<()> {
    let copy = object(master);
    if opens_as(objects, master, &objects.must_get(&copy).await?, key) {
        Ok(())
    } else {
        Err(Error::corrupt(copy.relative(), "it does not open to the mailbox's data key"))
    }
}

fn opens_as(objects: &MailboxObjects, master: &Secret, bytes: &[u8], key: &Secret) -> bool {
    unwrap(objects, master, bytes).is_ok_and(|found| found.id() == key.id())
}

fn wrap(objects: &MailboxObjects, master: &Secret, key: &Secret) -> Bytes {
    let cipher = Cipher::fresh(master, Kind::Key, objects.dir(), object(master).relative());
    let data_key = key.bytes().to_vec().into();
    let plain = Zeroizing::new(WrappedKey { data_key }.encode_to_vec());
    Bytes::from(seal_plain(&cipher, &plain))
}

fn unwrap(objects: &MailboxObjects, master: &Secret, bytes: &[u8]) -> Result<Secret> {
    let name = object(master).relative();
    let cipher = Cipher::read(master, bytes, Kind::Key, objects.dir(), name.clone())?;
    let plain = Zeroizing::new(open_sealed(&cipher, bytes)?);
    parse(&plain).ok_or_else(|| Error::corrupt(name, "it is no key"))
}

/// The data key from an opened copy.
pub(crate) fn parse(plain: &[u8]) -> Option<Secret> {
    let key = WrappedKey::decode(plain).ok()?;
    key.data_key.as_ref().try_into().ok().map(Secret::from_bytes)
}

fn object(master: &Secret) -> Object {
    Object::Key(master.id())
}
