//! Names of objects. Nothing in a name tells an address, a content or a key.

use std::fmt;
use std::str::FromStr;

use object_store::path::Path;

/// Directory of one mailbox's repository under the store's root: 16 bytes, in hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxDir(pub(crate) [u8; 16]);

/// Random name of a pack or segment, used once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(pub [u8; 16]);

impl ObjectName {
    pub(crate) fn random() -> ObjectName {
        ObjectName(crate::sealing::seal::random())
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<ObjectName> {
        bytes.try_into().ok().map(ObjectName)
    }
}

/// Where the second copies of small objects lie.
const COPIES: &str = "copies/";

/// Every kind of object in a mailbox's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// `keys/<master key id>`: the data key, wrapped.
    Key([u8; 8]),
    /// `copies/keys/<master key id>`: the same bytes once more.
    KeyCopy([u8; 8]),
    /// `log/<number>`: a log entry.
    Log(u64),
    /// `copies/log/<1>`: the bytes of entry 1 once more.
    FirstEntryCopy,
    /// `packs/<name>`: blobs.
    Pack(ObjectName),
    /// `segments/<name>`: rows.
    Segment(ObjectName),
    /// `restores/<restore>/<number>`: what is written down of a restore.
    Restore(RestoreName, u32),
}

/// Name of a restore: 8 lower-case letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RestoreName([u8; 8]);

impl RestoreName {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("letters and digits")
    }
}

impl FromStr for RestoreName {
    type Err = ();

    fn from_str(text: &str) -> Result<RestoreName, ()> {
        let bytes: [u8; 8] = text.as_bytes().try_into().map_err(|_| ())?;
        let fits = bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        fits.then_some(RestoreName(bytes)).ok_or(())
    }
}

impl fmt::Debug for RestoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Object {
    /// Path below the mailbox's directory.
    pub fn relative(&self) -> String {
        match self {
            Object::Key(master) => format!("keys/{}", hex(master)),
            Object::KeyCopy(master) => format!("{COPIES}{}", Object::Key(*master).relative()),
            Object::Log(number) => format!("log/{number:020}"),
            Object::FirstEntryCopy => format!("{COPIES}{}", Object::Log(1).relative()),
            Object::Pack(name) => format!("packs/{}", hex(&name.0)),
            Object::Segment(name) => format!("segments/{}", hex(&name.0)),
            Object::Restore(restore, number) => format!("restores/{}/{number:04}", restore.as_str()),
        }
    }

    /// The object a relative path names; `None` for a stranger.
    pub fn parse(relative: &str) -> Option<Object> {
        if let Some(original) = relative.strip_prefix(COPIES) {
            return Object::parse(original)?.copy();
        }
        let (kind, name) = relative.split_once('/')?;
        let object = match kind {
            "keys" => Object::Key(unhex(name)?),
            "log" => Object::Log(name.parse().ok()?),
            "packs" => Object::Pack(ObjectName(unhex(name)?)),
            "segments" => Object::Segment(ObjectName(unhex(name)?)),
            "restores" => {
                let (restore, number) = name.split_once('/')?;
                Object::Restore(restore.parse().ok()?, number.parse().ok()?)
            }
            _ => return None,
        };
        (object.relative() == relative).then_some(object)
    }
}

impl Object {
    /// The object that holds the same bytes, if there is to be one.
    pub(crate) fn copy(&self) -> Option<Object> {
        match self {
            Object::Key(master) => Some(Object::KeyCopy(*master)),
            Object::Log(1) => Some(Object::FirstEntryCopy),
            _ => None,
        }
    }

    /// The object that this one is the copy of, or itself.
    pub(crate) fn original(&self) -> Object {
        match self {
            Object::KeyCopy(master) => Object::Key(*master),
            Object::FirstEntryCopy => Object::Log(1),
            other => *other,
        }
    }
}

impl MailboxDir {
    pub(crate) fn path(&self, object: &Object) -> Path {
        Path::from(format!("mailboxes/{self}/{}", object.relative()))
    }

    pub(crate) fn prefix(&self, below: &str) -> Path {
        Path::from(format!("mailboxes/{self}/{below}"))
    }
}

impl fmt::Display for MailboxDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for MailboxDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MailboxDir {
    type Err = ();

    fn from_str(text: &str) -> Result<MailboxDir, ()> {
        unhex(text).map(MailboxDir).ok_or(())
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Lower-case hex of exactly `N` bytes.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_strangers_do_not() {
        let name = ObjectName([0xab; 16]);
        let restore = Object::Restore("abcd2345".parse().expect("a name"), 12);
        assert_eq!(restore.relative(), "restores/abcd2345/0012");
        for object in [
            Object::Key([1; 8]),
            Object::KeyCopy([1; 8]),
            Object::Log(7),
            Object::FirstEntryCopy,
            Object::Pack(name),
            Object::Segment(name),
            restore,
        ] {
            assert_eq!(Object::parse(&object.relative()), Some(object));
        }
        for stranger in [
            "log/7",
            "packs/AB",
            "packs/",
            "other/00",
            "",
            "hint",
            "log/-0000000000000000001",
            "copies/log/00000000000000000002",
            "restores/abcd2345",
            "restores/abcd2345/12",
            "restores/ABCD2345/0012",
            "restores/abc/0012",
        ] {
            assert_eq!(Object::parse(stranger), None, "{stranger}");
        }
    }
}
