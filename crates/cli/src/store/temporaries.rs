//! Files that a store in a directory was writing when its writer ended: `object_store` gives them the object's name and
//! `#NUMBER` behind it, and hides them from listings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How many there are, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Temporaries {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

impl Temporaries {
    /// Counts those below a directory; a store that is no directory has none. What cannot be read is left out.
    pub(crate) async fn below(dir: Option<PathBuf>) -> Temporaries {
        let Some(dir) = dir else { return Temporaries::default() };
        let counting = tokio::task::spawn_blocking(move || {
            let mut found = Temporaries::default();
            found.add_below(&dir);
            found
        });
        counting.await.unwrap_or_default()
    }

    fn add_below(&mut self, dir: &Path) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries.flatten() {
            // One that is gone again was of a writer that is at work.
            let _ = self.add(&entry);
        }
    }

    fn add(&mut self, entry: &fs::DirEntry) -> io::Result<()> {
        let meta = entry.metadata()?;
        if meta.is_dir() {
            self.add_below(&entry.path());
        } else if is_temporary(&entry.file_name().to_string_lossy()) {
            self.count += 1;
            self.bytes += meta.len();
        }
        Ok(())
    }
}

fn is_temporary(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_in_a_sign_and_a_number_is_one() {
        for (name, expected) in [
            ("6f00#1", true),
            ("a#b#22", true),
            ("6f00", false),
            ("6f00#", false),
            ("#x1", false),
            ("1", false),
        ] {
            assert_eq!(is_temporary(name), expected, "{name}");
        }
    }
}
