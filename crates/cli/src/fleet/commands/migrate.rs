use anyhow::Result;
use serde_json::json;

use crate::args::fleet::RoleArgs;
use crate::fleet::settings::config::Config;
use crate::terminal::exit::Exit;
use crate::terminal::output::Out;

/// `malle migrate`: brings the catalogue's schema up to date. Any number may try at once.
pub(crate) async fn migrate(args: &RoleArgs, out: &Out) -> Result<Exit> {
    let catalog = Config::load(args.config.config.as_deref())?.catalog("migrate").await?;
    let applied = catalog.migrate().await?;
    match out.json() {
        true => out.object(&json!({ "applied": applied }))?,
        false => out.line(format_args!("{applied} migrations applied, the catalogue is up to date"))?,
    }
    Ok(Exit::Good)
}
