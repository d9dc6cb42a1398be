use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use repository::KeyRing;
use worker::Rings;

use crate::secrets::read_file;
use crate::terminal::exit::Exit;

/// The file with the key ring, read again whenever it was replaced: `malle key rotate` needs no restart.
#[derive(Debug)]
pub(crate) struct RingFile {
    path: PathBuf,
    read: Mutex<(Option<Stamp>, KeyRing)>,
}

/// What tells one content of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let meta = fs::metadata(path).ok()?;
        Some(Stamp { inode: meta.ino(), length: meta.len(), changed: (meta.mtime(), meta.mtime_nsec()) })
    }
}

impl RingFile {
    /// `ring` is what the file held a moment ago.
    pub(crate) fn new(path: PathBuf, ring: KeyRing) -> RingFile {
        // The stamp is not known to be that content's: the first look reads the file again.
        RingFile { path, read: Mutex::new((None, ring)) }
    }
}

impl Rings for RingFile {
    /// While the file cannot be read the ring that was read last stays.
    fn current(&self) -> KeyRing {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path);
        if stamp.is_none() || stamp == read.0 {
            return read.1.clone();
        }
        let text = read_file(&self.path, Exit::Key).ok();
        if let Some(ring) = text.and_then(|text| text.parse::<KeyRing>().ok()) {
            // Taken before the file was read: what was written in between is read at the next look.
            *read = (stamp, ring);
        }
        read.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_was_replaced_is_read_again_and_a_damaged_one_is_not_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ring.key");
        let first = KeyRing::generate();
        fs::write(&path, first.to_text().as_bytes()).expect("is written");
        let file = RingFile::new(path.clone(), first.clone());
        assert_eq!(file.current().ids(), first.ids());

        let rotated = first.rotated();
        let beside = dir.path().join("new");
        fs::write(&beside, rotated.to_text().as_bytes()).expect("is written");
        fs::rename(&beside, &path).expect("replaces it");
        assert_eq!(file.current().ids(), rotated.ids());

        fs::write(&path, "half a ring").expect("is written");
        assert_eq!(file.current().ids(), rotated.ids());
        fs::remove_file(&path).expect("is removed");
        assert_eq!(file.current().ids(), rotated.ids());
    }
}
