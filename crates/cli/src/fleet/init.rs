use std::path::Path;

use anyhow::{Context, Result};
use repository::StoreOptions;

use super::config::Config;
use super::parts;
use crate::commands;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Out;
use crate::store_url;

/// `malle init` of each store that the configuration names. Those that are there stay as they are.
pub(crate) async fn init(file: &Path, out: &Out) -> Result<Exit> {
    let config = Config::load(Some(file))?;
    if config.stores.is_empty() {
        let what = "make the fleet's stores: the configuration names none";
        return Err(Failure::usage(what, "add [[stores]] to it").into());
    }
    // Found before any is made.
    if let Some(store) = config.stores.iter().find(|store| store.zone == config.production_zone) {
        let what = format!("make the store {}: it lies in production's own zone, {}", store.name, store.zone);
        let hint = "name a place in another zone: it would be lost together with the mail";
        return Err(Failure::usage(what, hint).into());
    }
    for store in &config.stores {
        let options = StoreOptions { zone: Some(store.zone.clone()), ..StoreOptions::default() };
        let opened = async {
            store_url::make_directory_of(&store.url)?;
            store_url::init(parts::objects(store)?, options).await
        };
        let (opened, is_new) = opened.await.with_context(|| format!("make the store {}", store.name))?;
        commands::init::print(&opened, &store.name, is_new, out)?;
    }
    Ok(Exit::Good)
}
