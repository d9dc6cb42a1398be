use std::path::Path;

use anyhow::{Context, Result};
use repository::StoreOptions;

use crate::commands;
use crate::fleet::roles::parts;
use crate::fleet::settings::config::Config;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::output::Out;

/// `malle init` of each store that the configuration names. Those that are there stay as they are.
pub(crate) async fn init(file: &Path, out: &Out) -> Result<Exit> {
    let config = Config::load(Some(file))?;
    if config.stores.is_empty() {
        let what = "make the fleet's stores: the configuration names none";
        return Err(Failure::usage(what, "add [[stores]] to it").into());
    }
    // Found before any is made.
    config.check_zones()?;
    for store in &config.stores {
        let options = StoreOptions { zone: Some(store.zone.clone()), ..StoreOptions::default() };
        let opened = async {
            from_url::make_directory_of(&store.url)?;
            from_url::init(parts::objects(store, config.allow_plain_http)?, options).await
        };
        let (opened, is_new) = opened.await.with_context(|| format!("make the store {}", store.name))?;
        commands::init::print(&opened, &store.name, is_new, out)?;
    }
    Ok(Exit::Good)
}
