//! `make bench`: Malle, the floor and the peers on one real Stalwart, in one run.
//!
//! Prints Markdown tables. Ratios count; the seconds are those of a noisy machine. `bench restore` runs only one part, and
//! the one that all need.

#![expect(clippy::print_stdout, reason = "printing tables is what it is for")]

mod cost;
mod cpu;
mod floor;
mod nights;
mod programs;
mod requests;
mod restore;
mod size;
mod speed;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::stalwart::Stalwart;
use tests::{Importer, attachments, real_mail};

const USER: &str = "alice@example.org";
const PASSWORD: &str = "bench-secret";

/// A server full of mail, and where everything else goes.
struct Bench {
    dir: PathBuf,
    server: Stalwart,
    malle: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let only = std::env::args().nth(1);
    let wants = |part: &str| only.as_deref().is_none_or(|only| only == part);
    if wants("requests") {
        requests::requests().await;
    }
    if only.as_deref() == Some("requests") {
        return Ok(());
    }
    let corpus = PathBuf::from(std::env::var("MALLE_CORPUS").context("run it by `make bench`")?);
    let malle = PathBuf::from(std::env::var("MALLE_BIN").context("run it by `make bench`")?);
    let dir = tempfile::tempdir()?;
    let server = Stalwart::start(&dir.path().join("server")).await?;
    let account = server.create_account(USER, PASSWORD).await?;
    let mut messages = real_mail(&corpus)?;
    messages.extend(attachments());
    let bytes: u64 = messages.iter().map(|m| m.raw.len() as u64).sum();
    println!("{} messages, {:.1} MB", messages.len(), mb(bytes));
    let mut importer = Importer::new(&server, USER, PASSWORD, &account);
    importer.import(&messages).await?;
    drop(importer);
    // A server that has not just swallowed all this, as at night.
    let bench = Bench { dir: dir.path().to_owned(), server: server.restart().await?, malle };
    // Makes the repository that the others work on.
    bench.speed(&messages, bytes).await?;
    if wants("size") {
        bench.size(&messages).await?;
    }
    if wants("nights") {
        bench.nights(bytes).await?;
    }
    if wants("restore") {
        let bench = Bench { server: bench.server.restart().await?, ..bench };
        bench.giving_back(&messages, bytes).await?;
    }
    Ok(())
}

fn size_of(dir: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        size += if meta.is_dir() { size_of(&entry.path())? } else { meta.len() };
    }
    Ok(size)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
