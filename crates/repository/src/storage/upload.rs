//! Uploads sealed packs and segments, and reads a sample of each back.
//!
//! **Order.** The object is written, a sample of it is read back; only then does its name leave this module.
//! **Crash.** An object nobody refers to; a later prune removes it. So is one that the store changed: names are used once,
//! so the same content is sealed again for another name, and tried again.

use bytes::Bytes;
use object_store::PutPayload;

use crate::error::{Error, Result};
use crate::sealing::seal::{Cipher, FOOTER, Kind, Secret};
use crate::storage::layout::{Object, ObjectName};
use crate::storage::objects::MailboxObjects;
use crate::storage::proof::sample;

/// Under how many names one content is tried.
const TRIES: usize = 3;

/// A sealed pack or segment: its header, its frames, its footer, the footer's length.
pub(crate) struct Upload {
    kind: Kind,
    name: ObjectName,
    parts: Vec<Bytes>,
}

impl Upload {
    pub(crate) fn pack(name: ObjectName, parts: Vec<Bytes>) -> Upload {
        Upload { kind: Kind::Pack, name, parts }
    }

    pub(crate) fn segment(name: ObjectName, parts: Vec<Bytes>) -> Upload {
        Upload { kind: Kind::Segment, name, parts }
    }

    /// Stores it and returns the name under which the store proved to have it.
    pub(crate) async fn store(mut self, objects: &MailboxObjects, key: &Secret) -> Result<ObjectName> {
        let mut tried = 1;
        loop {
            let object = self.object();
            let payload = PutPayload::from_iter(self.parts.iter().cloned());
            let Some(what) = objects.put_proven(&object, payload, &sample(&self.parts)).await? else {
                return Ok(self.name);
            };
            let object = object.relative();
            tracing::warn!(object, what, "the store changed an object on its way; storing it again");
            if tried == TRIES {
                return Err(Error::NotKept { object, what, tries: TRIES });
            }
            let (objects, key) = (objects.clone(), key.clone());
            let renaming = tokio::task::spawn_blocking(move || self.renamed(&objects, &key));
            self = renaming.await.map_err(|_| Error::Stopped)??;
            tried += 1;
        }
    }

    fn object(&self) -> Object {
        match self.kind {
            Kind::Segment => Object::Segment(self.name),
            _ => Object::Pack(self.name),
        }
    }

    /// The same content, sealed for a fresh name.
    fn renamed(mut self, objects: &MailboxObjects, key: &Secret) -> Result<Upload> {
        let header = self.parts.first().cloned().unwrap_or_default();
        let old = Cipher::read(key, &header, self.kind, objects.dir(), self.object().relative())?;
        self.name = ObjectName::random();
        let new = Cipher::fresh(key, self.kind, objects.dir(), self.object().relative());
        let footer = self.parts.len().saturating_sub(2);
        for (i, part) in self.parts.iter_mut().enumerate().skip(1).take(footer) {
            let number = if i == footer { FOOTER } else { i as u64 - 1 };
            let mut bytes = part.to_vec();
            old.open(number, &mut bytes)?;
            let plain = bytes.clone();
            new.seal(number, &mut bytes);
            let sealed = Bytes::from(bytes.clone());
            new.open(number, &mut bytes)?;
            if bytes != plain {
                let what = "it does not open to what was sealed".to_owned();
                return Err(Error::Unverified { object: new.name().to_owned(), what });
            }
            *part = sealed;
        }
        if let Some(part) = self.parts.first_mut() {
            *part = Bytes::copy_from_slice(new.header());
        }
        Ok(self)
    }
}
