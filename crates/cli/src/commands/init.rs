//! `malle init`: makes a place a store. Nothing else does: a store that is not there has vanished, or its URL is mistyped.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;
use repository::Store;
use serde::Serialize;

use crate::args::shared::{KeyFile, StoreArgs};
use crate::args::upkeep::InitArgs;
use crate::store::from_url;
use crate::terminal::exit::Exit;
#[cfg(not(feature = "fleet"))]
use crate::terminal::failure::Failure;
use crate::terminal::output::{Out, or_dash};

/// Runs it. What is made: the stores of `--config`, else `--store` or its variable, else those of the variable's configuration.
pub(crate) async fn run(args: &InitArgs, out: &Out) -> Result<Exit> {
    let store = args.store.clone().filter(|store| !store.is_empty());
    let by_variable = || env::var_os("MALLE_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from);
    let config = args.config.clone().or_else(|| by_variable().filter(|_| store.is_none()));
    if let Some(config) = config {
        return stores_of(&config, out).await;
    }
    let key = KeyFile { key_file: None };
    let (zone, single_writer) = (args.zone.clone(), args.single_writer);
    let place = StoreArgs { store, key, zone, single_writer };
    if !args.again {
        from_url::may_begin(&place).await?;
    }
    let made = from_url::open_or_init(&place).await?;
    print(&made.store, &made.place, made.is_new, out)?;
    Ok(Exit::Good)
}

#[cfg(feature = "fleet")]
async fn stores_of(config: &Path, out: &Out) -> Result<Exit> {
    crate::fleet::init(config, out).await
}

#[cfg(not(feature = "fleet"))]
async fn stores_of(_config: &Path, _out: &Out) -> Result<Exit> {
    let what = "this malle was built without the fleet, whose configuration this is";
    Err(Failure::usage(what, "name the store by --store, or build it with `--features fleet`").into())
}

#[derive(Serialize)]
struct Made<'a> {
    store: &'a str,
    id: String,
    zone: &'a str,
    made: bool,
}

/// Says of one store where it is, its zone, and whether it was there before.
pub(crate) fn print(store: &Store, place: &str, is_new: bool, out: &Out) -> Result<()> {
    if out.json() {
        let (id, zone) = (store.id().to_string(), store.zone());
        return out.object(&Made { store: place, id, zone, made: is_new });
    }
    let what = if is_new { "made a store" } else { "there is a store already" };
    out.line(format_args!("{what}: {place}, zone {}", or_dash(store.zone())))?;
    if is_new && store.zone().is_empty() {
        out.warn("the store was given no zone and keeps that: --zone says where a store lies");
    }
    Ok(())
}
