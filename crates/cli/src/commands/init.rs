//! `malle init`: makes a place a store. Nothing else does: a store that is not there has vanished, or its URL is mistyped.

use std::env;
use std::path::PathBuf;

use anyhow::Result;
use repository::Store;
use serde::Serialize;

use crate::args::shared::{KeyFile, StoreArgs};
use crate::args::upkeep::InitArgs;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::output::{Out, or_dash};

/// Returns the fleet's configuration whose stores are to be made: that of `--config`, or of its variable where no store is named.
pub(crate) fn configuration(args: &InitArgs) -> Option<PathBuf> {
    let by_variable = || env::var_os("MALLE_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from);
    args.config.clone().or_else(|| by_variable().filter(|_| named(args).is_none()))
}

fn named(args: &InitArgs) -> Option<String> {
    args.store.clone().filter(|store| !store.is_empty())
}

/// Makes the store of `--store` or its variable.
pub(crate) async fn run(args: &InitArgs, out: &Out) -> Result<Exit> {
    let key = KeyFile { key_file: None };
    let (zone, single_writer) = (args.zone.clone(), args.single_writer);
    let place = StoreArgs { store: named(args), key, zone, single_writer };
    if !args.again {
        from_url::may_begin(&place).await?;
    }
    let made = from_url::open_or_init(&place).await?;
    print(&made.store, &made.place, made.is_new, out)?;
    Ok(Exit::Good)
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
