//! `malle key`: the ring, and the mailboxes wrapped with it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};
use repository::KeyRing;
use serde::Serialize;

use crate::args::{KeyCommand, KeyFile, StoreArgs};
use crate::exit::Exit;
use crate::failure::{Failure, explain};
use crate::mailbox::{self, Opened};
use crate::output::{Out, count, remark};
use crate::{secrets, store_url};

/// Runs it.
pub(crate) async fn run(command: &KeyCommand, out: &Out) -> Result<Exit> {
    match command {
        KeyCommand::New { output, force } => new(output.as_deref(), *force, out)?,
        KeyCommand::List(key) => list(key, out)?,
        KeyCommand::Rotate(key) => rotate(key, out)?,
        KeyCommand::Rewrap(store) => return rewrap(store, out).await,
    }
    Ok(Exit::Good)
}

fn new(output: Option<&Path>, force: bool, out: &Out) -> Result<()> {
    let ring = KeyRing::generate();
    if let Some(path) = output {
        write_new(path, &ring).map_err(|error| {
            let what = format!("write the key ring to {}: {error}", path.display());
            Failure::new(Exit::Key, what, "choose a new file in a directory you may write to")
        })?;
        return print(&ring, out);
    }
    if io::stdout().is_terminal() && !force {
        let hint = "write it to a file: malle key new > ring.key";
        return Err(Failure::usage("make a key ring: it would show the secret on the terminal", hint).into());
    }
    keep_private();
    let mut stdout = io::stdout();
    stdout.write_all(ring.to_text().as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// `malle key new > ring.key` makes a file that only its owner reads, whatever the umask. Pipes are left alone.
fn keep_private() {
    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() else {
        return;
    };
    let file = File::from(stdout);
    if file.metadata().is_ok_and(|meta| meta.is_file()) {
        let _ = file.set_permissions(Permissions::from_mode(0o600));
    }
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

async fn rewrap(args: &StoreArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.key, out)?;
    let store = store_url::open(args).await?;
    let (mut exit, mut total, mut changed) = (Exit::Good, 0, 0);
    for Opened { dir, mailbox } in mailbox::open_all(&store, &ring).await? {
        match mailbox {
            Ok(None) | Err(repository::Error::Erased { .. }) => {}
            Ok(Some(mailbox)) => {
                let removed = mailbox.repository.rewrap(&ring).await;
                let removed = removed.with_context(|| format!("rewrap mailbox {dir}"))?;
                total += 1;
                changed += u64::from(!removed.is_empty());
                if out.json() {
                    let account = mailbox.name().to_owned();
                    out.object(&Rewrapped { mailbox: dir.to_string(), account, removed })?;
                }
            }
            Err(error) => {
                let (code, line) = explain(&error.into());
                remark(format_args!("mailbox {dir}: {line}"));
                exit = code;
            }
        }
    }
    if !out.json() {
        out.line(format_args!(
            "{} of {} moved to master key {}",
            changed,
            count(total, "mailbox").replace("xs", "xes"),
            ring.ids().first().cloned().unwrap_or_default()
        ))?;
    }
    Ok(exit)
}
