//! What this machine remembers of a store, outside of it: how far each mailbox's log was seen, and what mail servers are called.
//!
//! **Layout.** `<state directory>/<store's id>/<mailbox's directory>.json` holds the number and the digest of the newest log
//! entry that a command saw; `servers.json` there maps a mail server's host to the name that `--server-name` gave it.
//! `<state directory>/places.json` maps places to the ids of the stores that were opened there.
//! **Order.** A file is read before the log is looked at, and written when the command ends, however it ends.
//! **Crash.** A file is whole before it takes the old one's place. What a crash leaves is an older number, which the log still has.
//! **Without it** nothing fails: a rollback is then not noticed, and a warning says that.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

use model::LogPosition;
use repository::{MailboxDir, Repository, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::terminal::failure::Failure;
use crate::terminal::output;

const SERVERS: &str = "servers.json";
const PLACES: &str = "places.json";

/// What is remembered of one store.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// `None`: nothing can be remembered.
    dir: Option<PathBuf>,
}

/// A log position as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PositionFile {
    number: u64,
    digest: String,
}

impl Memory {
    /// What is remembered of this store.
    pub(crate) fn of(store: &Store) -> Memory {
        let dir = state_dir();
        if dir.is_none() {
            warn("there is no place for it (set MALLE_STATE_DIR, or HOME)");
        }
        Memory { dir: dir.map(|dir| dir.join(store.id().to_string())) }
    }

    /// How far the mailbox's log was seen; `None`: it was never looked at from here.
    pub(crate) fn position(&self, mailbox: MailboxDir) -> Result<Option<LogPosition>, Failure> {
        let Some(path) = self.file(&format!("{mailbox}.json")) else { return Ok(None) };
        let file: Option<PositionFile> = read(&path)?;
        let parse = |file: PositionFile| {
            let digest = unhex(&file.digest).filter(|_| file.number > 0);
            digest.map(|digest| LogPosition { number: file.number, digest }).ok_or_else(|| damaged(&path))
        };
        file.map(parse).transpose()
    }

    /// The mailboxes whose logs were seen in this store.
    pub(crate) fn mailboxes(&self) -> Vec<MailboxDir> {
        let entries = self.dir.as_ref().and_then(|dir| fs::read_dir(dir).ok());
        let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.to_str()?.strip_suffix(".json")?.parse().ok()).collect()
    }

    /// Forgets a mailbox of which nothing is left, because somebody said that this is right.
    pub(crate) fn forget(&self, mailbox: MailboxDir) {
        if let Some(path) = self.file(&format!("{mailbox}.json")) {
            let _ = fs::remove_file(path);
        }
    }

    /// Demands that the mailbox's log is a continuation of `known`, and writes down how far it was seen when the answer is
    /// dropped.
    pub(crate) fn watch(&self, repository: &Repository, known: Option<LogPosition>) -> Watch {
        repository.remember(known);
        self.replace(repository, known)
    }

    /// Writes down how far the log was seen when the answer is dropped, in the place of `known`, which the log need not have.
    pub(crate) fn replace(&self, repository: &Repository, known: Option<LogPosition>) -> Watch {
        let path = self.file(&format!("{}.json", repository.dir()));
        Watch { repository: repository.clone(), path, known }
    }

    /// The name that `--server-name` gave the mail server at this host.
    pub(crate) fn server_name(&self, host: &str) -> Result<Option<String>, Failure> {
        let Some(path) = self.file(SERVERS) else { return Ok(None) };
        let names: Option<BTreeMap<String, String>> = read(&path)?;
        Ok(names.and_then(|mut names| names.remove(host)))
    }

    /// Remembers it.
    pub(crate) fn name_server(&self, host: &str, name: &str) {
        let Some(path) = self.file(SERVERS) else { return };
        let Ok(names) = read::<BTreeMap<String, String>>(&path) else { return };
        let mut names = names.unwrap_or_default();
        if names.insert(host.to_owned(), name.to_owned()).as_deref() != Some(name) {
            write(&path, &names);
        }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(name))
    }
}

/// The id of the store that was opened at a place last; `None`: none was, from here.
pub(crate) fn store_at(place: &str) -> Result<Option<String>, Failure> {
    let Some(path) = state_dir().map(|dir| dir.join(PLACES)) else { return Ok(None) };
    let places: Option<BTreeMap<String, String>> = read(&path)?;
    Ok(places.and_then(|mut places| places.remove(place)))
}

/// Remembers which store lies at a place.
pub(crate) fn note_store(place: &str, store: &Store) {
    let Some(path) = state_dir().map(|dir| dir.join(PLACES)) else { return };
    let Ok(places) = read::<BTreeMap<String, String>>(&path) else { return };
    let (mut places, id) = (places.unwrap_or_default(), store.id().to_string());
    if places.insert(place.to_owned(), id.clone()).as_ref() != Some(&id) {
        write(&path, &places);
    }
}

/// A mailbox whose log is looked at.
#[derive(Debug)]
pub(crate) struct Watch {
    repository: Repository,
    path: Option<PathBuf>,
    known: Option<LogPosition>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let seen = self.repository.position().filter(|seen| self.known != Some(*seen));
        let (Some(seen), Some(path)) = (seen, &self.path) else { return };
        // Another command may have seen more meanwhile. What it wrote in the moment between may be lost; the older position
        // is one that the log has, too.
        let there = read::<PositionFile>(path).ok().flatten();
        let is_ours = there.as_ref().is_none_or(|there| {
            self.known.is_some_and(|known| known.number == there.number) || there.number < seen.number
        });
        if is_ours {
            write(path, &PositionFile { number: seen.number, digest: hex(&seen.digest) });
        }
    }
}

/// `MALLE_STATE_DIR`, else `malle` in `XDG_STATE_HOME`, else `~/.local/state/malle`.
fn state_dir() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG specification: a relative path in the variable is to be ignored.
    let xdg = || set("XDG_STATE_HOME").filter(|dir| dir.is_absolute());
    let home = || set("HOME").map(|home| home.join(".local/state"));
    set("MALLE_STATE_DIR").or_else(|| xdg().or_else(home).map(|state| state.join("malle")))
}

/// The content of a file; `None`: it is not there, or cannot be read, which is warned about.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| damaged(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            warn(&format!("{}: {error}", path.display()));
            Ok(None)
        }
    }
}

fn damaged(path: &Path) -> Failure {
    let what = format!("read {}: it does not hold what malle wrote there", path.display());
    let hint =
        "remove this file; only a store that was rolled back since the last command is then not noticed";
    Failure::usage(what, hint)
}

/// Best effort: a warning is all that comes of a failure.
fn write(path: &Path, content: &impl Serialize) {
    let written = serde_json::to_vec(content).map_err(io::Error::from).and_then(|text| replace(path, &text));
    if let Err(error) = written {
        warn(&format!("{}: {error}", path.display()));
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = write_private(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn warn(why: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        output::warn(format_args!(
            "warning: what was seen of the store cannot be remembered on this machine, so a store that is rolled back would \
             not be noticed: {why}"
        ));
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..text.len()).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn digests_come_back_and_nothing_else_is_one() {
        let digest: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 7).expect("small"));
        assert_eq!(unhex(&hex(&digest)), Some(digest));
        let good = hex(&digest);
        for bad in ["", &good[1..], &good.replace('0', "g"), &format!("{good}00"), "é"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_is_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b/c.json");
        for text in ["a long text", "short"] {
            replace(&path, text.as_bytes()).expect("is written");
            assert_eq!(fs::read_to_string(&path).expect("is there"), text);
        }
        let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("has one"))), (0o600, 0o700));
        assert_eq!(
            fs::read_dir(path.parent().expect("has one")).expect("lists").count(),
            1,
            "nothing else stays"
        );
    }
}
