//! `malle key`: the ring, and the mailboxes wrapped with it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};
use repository::{KeyRing, OlderWraps};
use serde::Serialize;

use crate::args::shared::KeyFile;
use crate::args::upkeep::{KeyCommand, RewrapArgs};
use crate::mailboxes::mailbox::{self, Opened};
use crate::secrets;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::{Failure, explain};
use crate::terminal::hint::Setup;
use crate::terminal::output::{Out, count, remark};

/// Runs it.
pub(crate) async fn run(command: &KeyCommand, out: &Out) -> Result<Exit> {
    match command {
        KeyCommand::New { output, force } => new(output.as_deref(), *force, out)?,
        KeyCommand::List(key) => list(key, out)?,
        KeyCommand::Rotate(key) => rotate(key, out)?,
        KeyCommand::Rewrap(args) => return rewrap(args, out).await,
    }
    Ok(Exit::Good)
}

fn new(output: Option<&Path>, force: bool, out: &Out) -> Result<()> {
    let ring = KeyRing::generate();
    if let Some(path) = output {
        write_new(path, &ring).map_err(|error| {
            let what = format!("write the key ring to {}: {error}", path.display());
            Failure::new(
                Exit::Key,
                what,
                "name a new file in a directory you may write to; a ring is never replaced",
            )
        })?;
        return print(&ring, out);
    }
    if io::stdout().is_terminal() && !force {
        let hint = "write it to a file: malle key new --output ring.key";
        return Err(Failure::usage("make a key ring: it would show the secret on the terminal", hint).into());
    }
    keep_private()?;
    let mut stdout = io::stdout();
    stdout.write_all(ring.to_text().as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// `malle key new > ring.key` makes a file that only its owner reads, whatever the umask. A file that holds something already
/// may be a ring: it is refused (a shell empties it before, which nothing here can know: hence --output). Pipes are left alone.
fn keep_private() -> Result<(), Failure> {
    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() else { return Ok(()) };
    let file = File::from(stdout);
    let Some(meta) = file.metadata().ok().filter(fs::Metadata::is_file) else { return Ok(()) };
    if meta.len() > 0 {
        let what = "write the key ring to standard output: that file holds something already";
        return Err(Failure::new(Exit::Key, what, "name a new file: malle key new --output ring.key"));
    }
    let _ = file.set_permissions(Permissions::from_mode(0o600));
    Ok(())
}

/// Creates a file, private and on the disk before this returns.
fn write_new(path: &Path, ring: &KeyRing) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(ring.to_text().as_bytes())?;
    file.sync_all()
}

#[derive(Serialize)]
struct RingObject {
    current: String,
    masters: Vec<String>,
}

fn list(key: &KeyFile, out: &Out) -> Result<()> {
    print(&secrets::ring(key, out)?, out)
}

fn print(ring: &KeyRing, out: &Out) -> Result<()> {
    let masters = ring.ids();
    let current = masters.first().cloned().unwrap_or_default();
    if out.json() {
        return out.object(&RingObject { current, masters });
    }
    for id in &masters {
        let role = if *id == current { "current" } else { "older" };
        out.line(format_args!("{id}  {role}"))?;
    }
    Ok(())
}

/// The new ring is on the disk beside the old one before it takes its place: at every moment one whole ring is there.
fn rotate(key: &KeyFile, out: &Out) -> Result<()> {
    let ring = secrets::ring(key, out)?.rotated();
    let named = secrets::ring_path(key)?;
    let failed = |error: io::Error| {
        let what = format!("replace the key ring {}: {error}", named.display());
        let hint = "the old ring still stands; a file NAME.new beside it was left by a run that was cut off, remove it";
        Failure::new(Exit::Key, what, hint)
    };
    replace(&fs::canonicalize(named).map_err(failed)?, &ring).map_err(failed)?;
    print(&ring, out)
}

/// The new file gets the old one's owner and permissions, so that whoever could read the ring still can.
fn replace(path: &Path, ring: &KeyRing) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let old = fs::metadata(path)?;
    write_new(Path::new(&beside), ring)?;
    fs::set_permissions(&beside, old.permissions())?;
    chown(&beside, Some(old.uid()), Some(old.gid()))?;
    fs::rename(&beside, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[derive(Serialize)]
struct Rewrapped {
    mailbox: String,
    account: String,
    removed: Vec<String>,
}

async fn rewrap(args: &RewrapArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let older = if args.safe_copy_exists { OlderWraps::Remove } else { OlderWraps::KeepOne };
    let (mut exit, mut total, mut gone) = (Exit::Good, 0, 0);
    for Opened { dir, mailbox } in mailbox::open_all(&store, &ring).await? {
        match mailbox {
            Ok(None) | Err(repository::Error::Erased { .. }) => {}
            Ok(Some(mailbox)) => {
                let removed = mailbox.repository.rewrap(&ring, older).await;
                let removed = removed.with_context(|| format!("rewrap mailbox {dir}"))?;
                total += 1;
                gone += removed.len() as u64;
                if out.json() {
                    let account = mailbox.name().to_owned();
                    out.object(&Rewrapped { mailbox: dir.to_string(), account, removed })?;
                }
            }
            Err(error) => {
                let (code, line) = explain(&error.into(), Setup::OneShot);
                remark(format_args!("mailbox {dir}: {line}"));
                exit = code;
            }
        }
    }
    if !out.json() {
        let (ids, mailboxes) = (ring.ids(), count(total, "mailbox").replace("xs", "xes"));
        let current = ids.first().cloned().unwrap_or_default();
        out.line(format_args!(
            "{mailboxes} wrapped with master key {current}, {} of older ones removed",
            count(gone, "wrap")
        ))?;
        if ids.len() > 1 && older == OlderWraps::KeepOne {
            out.line(
                "the ring as it was before still opens them; when a safe copy of the new ring exists, \
                 `malle key rewrap --safe-copy-exists` ends that",
            )?;
        }
    }
    Ok(exit)
}
