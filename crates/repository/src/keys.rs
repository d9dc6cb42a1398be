//! The data key of a mailbox.
//!
//! **Layout.** `keys/<master id>` holds the data key sealed under that master key, once per master key in use.
//! **Order.** The key is created if absent and read back before log entry 1; entry 1 settles which key is the mailbox's
//! when two writers with different rings began at once (its header names the key).
//! **Crash.** A key without a log is an unused key: the next writer reads it back and uses it.
//! Re-wrapping writes the new copy, opens it, and only then deletes the old one: at every moment one copy opens.

use bytes::Bytes;
use prost::Message;
use proto::repository::WrappedKey;

use crate::error::{Error, Result};
use crate::layout::{Object, hex};
use crate::ring_file::KeyRing;
use crate::seal::{Cipher, Kind, Secret, open_object, seal_object};
use crate::store::{Created, MailboxObjects};

/// The mailbox's data key, if one of the ring's master keys opens a copy; `None` if the mailbox has no key at all.
pub(crate) async fn load(objects: &MailboxObjects, ring: &KeyRing) -> Result<Option<Secret>> {
    for master in ring.masters() {
        if let Some(bytes) = objects.get(&Object::Key(master.id())).await? {
            return unwrap(objects, master, &bytes).map(Some);
        }
    }
    let wrapped: Vec<String> = objects
        .list("keys")
        .await?
        .into_iter()
        .filter_map(|(object, _)| match object {
            Object::Key(master) => Some(hex(&master)),
            _ => None,
        })
        .collect();
    if wrapped.is_empty() {
        return Ok(None);
    }
    Err(Error::WrongKey {
        ring: ring.ids().join(", "),
        wrapped: wrapped.join(", "),
    })
}

/// Creates the data key, or takes the one that a faster writer created.
pub(crate) async fn create(objects: &MailboxObjects, ring: &KeyRing) -> Result<Secret> {
    let key = Secret::random();
    match put(objects, ring.current(), &key).await? {
        Created::Ours => {}
        Created::Theirs(bytes) => return unwrap(objects, ring.current(), &bytes),
    }
    let back = objects.must_get(&Object::Key(ring.current().id())).await?;
    unwrap(objects, ring.current(), &back)
}

/// Wraps the data key under the ring's current master key and removes the copies under the older ones.
/// Returns the ids of the copies that were removed.
pub(crate) async fn rewrap(objects: &MailboxObjects, ring: &KeyRing, key: &Secret) -> Result<Vec<String>> {
    put(objects, ring.current(), key).await?;
    let back = objects.must_get(&Object::Key(ring.current().id())).await?;
    if unwrap(objects, ring.current(), &back)?.id() != key.id() {
        return Err(Error::corrupt(name(ring.current()), "it holds another data key"));
    }
    let mut removed = Vec::new();
    for old in &ring.masters()[1..] {
        let object = Object::Key(old.id());
        if objects.get(&object).await?.is_some() {
            objects.delete(&object).await?;
            removed.push(hex(&old.id()));
        }
    }
    Ok(removed)
}

async fn put(objects: &MailboxObjects, master: &Secret, key: &Secret) -> Result<Created> {
    let cipher = Cipher::fresh(master, Kind::Key, objects.dir(), name(master));
    let plain = zeroize::Zeroizing::new(
        WrappedKey {
            data_key: key.bytes().to_vec().into(),
        }
        .encode_to_vec(),
    );
    let bytes = Bytes::from(seal_object(&cipher, &plain));
    objects.create(&Object::Key(master.id()), &bytes).await
}

fn unwrap(objects: &MailboxObjects, master: &Secret, bytes: &[u8]) -> Result<Secret> {
    let cipher = Cipher::read(master, bytes, Kind::Key, objects.dir(), name(master))?;
    let plain = zeroize::Zeroizing::new(open_object(&cipher, bytes)?);
    let key =
        WrappedKey::decode(plain.as_slice()).map_err(|_| Error::corrupt(name(master), "it is no key"))?;
    let bytes = key.data_key.as_ref().try_into();
    bytes
        .map(Secret::from_bytes)
        .map_err(|_| Error::corrupt(name(master), "its key has a wrong length"))
}

fn name(master: &Secret) -> String {
    Object::Key(master.id()).relative()
}
