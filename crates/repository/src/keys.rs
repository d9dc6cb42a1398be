//! The data key of a mailbox.
//!
//! **Layout.** `keys/<master id>` holds the data key sealed under that master key, once per master key in use.
//! **Order.** The key is created if absent and read back before log entry 1; entry 1 settles which key is the mailbox's
//! when two writers with different rings began at once (its header names the key).
//! **Crash.** A key without a log is an unused key: the next writer reads it back and uses it.
//! Re-wrapping writes the new copy, opens it, makes sure that the mailbox was not erased meanwhile (else it takes the copy
//! back), and only then deletes the old one: at every moment one copy opens.

use bytes::Bytes;
use prost::Message;
use proto::repository::WrappedKey;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::layout::{Object, hex};
use crate::ring_file::KeyRing;
use crate::seal::{Cipher, Kind, Secret, check_header, open_sealed, seal_plain};
use crate::store::{Created, MailboxObjects};

/// The mailbox's data key, if one of the ring's master keys opens a copy; `None` if the mailbox has neither key nor log.
pub(crate) async fn load(objects: &MailboxObjects, ring: &KeyRing) -> Result<Option<Secret>> {
    if let [only] = ring.masters()
        && let Some(bytes) = objects.get(&object(only)).await?
    {
        return unwrap(objects, only, &bytes).map(Some);
    }
    let mut copies = listed(objects).await?;
    if copies.is_empty() {
        if settled(objects).await?.is_none() {
            return Ok(None);
        }
        // Somebody may have begun the mailbox in between.
        copies = listed(objects).await?;
    }
    if copies.is_empty() {
        let keys = objects.dir().prefix("keys").to_string();
        return Err(Error::KeyGone { keys });
    }
    choose(objects, ring, &copies).await.map(Some)
}

/// Ids of the master keys that the data key is wrapped with.
async fn listed(objects: &MailboxObjects) -> Result<Vec<[u8; 8]>> {
    let listed = objects.list("keys").await?;
    Ok(listed
        .into_iter()
        .filter_map(|(object, _)| match object {
            Object::Key(master) => Some(master),
            _ => None,
        })
        .collect())
}

/// Id of the data key that entry 1 is sealed with; `None` for a log that has not begun.
async fn settled(objects: &MailboxObjects) -> Result<Option<[u8; 8]>> {
    let first = Object::Log(1);
    let Some(bytes) = objects.get(&first).await? else {
        return Ok(None);
    };
    let header = check_header(&bytes, Kind::Log, &first.relative())?;
    let mut id = [0; 8];
    id.copy_from_slice(&header[8..16]);
    Ok(Some(id))
}

/// Of several copies the one that entry 1 is sealed with. One damaged copy does no harm while another opens.
async fn choose(objects: &MailboxObjects, ring: &KeyRing, copies: &[[u8; 8]]) -> Result<Secret> {
    let (mut keys, mut failure) = (Vec::<Secret>::new(), None);
    for master in ring.masters().iter().filter(|m| copies.contains(&m.id())) {
        let bytes = objects.must_get(&Object::Key(master.id())).await;
        match bytes.and_then(|bytes| unwrap(objects, master, &bytes)) {
            Ok(key) => keys.push(key),
            Err(error) => failure = Some(error),
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
            wrapped: copies.iter().map(|id| hex(id)).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Creates the data key, or takes the one that a faster writer created.
pub(crate) async fn create(objects: &MailboxObjects, ring: &KeyRing) -> Result<Secret> {
    let key = Secret::random();
    match objects.create(&object(ring.current()), &wrap(objects, ring.current(), &key)).await? {
        Created::Ours => {}
        Created::Theirs(bytes) => return unwrap(objects, ring.current(), &bytes),
    }
    let back = objects.must_get(&object(ring.current())).await?;
    unwrap(objects, ring.current(), &back)
}

/// Wraps the data key under the ring's current master key and proves that the copy opens. True if the copy is new.
pub(crate) async fn wrap_anew(objects: &MailboxObjects, ring: &KeyRing, key: &Secret) -> Result<bool> {
    // Before entry 1 it is open which writer's key the mailbox's will be: no copy may go.
    if settled(objects).await? != Some(key.id()) {
        return Err(Error::NoMailbox);
    }
    let copy = object(ring.current());
    let wrapped = wrap(objects, ring.current(), key);
    let is_new = match objects.create(&copy, &wrapped).await? {
        Created::Ours => true,
        Created::Theirs(found) if opens_as(objects, ring.current(), &found, key) => false,
        // A damaged copy, or the unused key of a writer that lost the race for entry 1, which proves that it opens nothing.
        Created::Theirs(_) => {
            objects.put(&copy, wrapped).await?;
            true
        }
    };
    prove(objects, ring.current(), key).await.map(|()| is_new)
}

/// Removes the copies under the ring's older master keys, each only while the current one's opens; their ids.
pub(crate) async fn remove_older(
    objects: &MailboxObjects,
    ring: &KeyRing,
    key: &Secret,
) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let copies = listed(objects).await?;
    for old in ring.masters()[1..].iter().filter(|old| copies.contains(&old.id())) {
        // A ring that lists the same masters in another order may be at work the other way round.
        prove(objects, ring.current(), key).await?;
        objects.delete(&object(old)).await?;
        removed.push(hex(&old.id()));
    }
    Ok(removed)
}

/// Removes the copy under the ring's current master key: the mailbox was erased while it was made.
pub(crate) async fn take_back(objects: &MailboxObjects, ring: &KeyRing) -> Result<()> {
    objects.delete(&object(ring.current())).await
}

async fn prove(objects: &MailboxObjects, master: &Secret, key: &Secret) -> Result<()> {
    let copy = object(master);
    match opens_as(objects, master, &objects.must_get(&copy).await?, key) {
        true => Ok(()),
        false => Err(Error::corrupt(copy.relative(), "it does not open to the mailbox's data key")),
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
