use anyhow::Result;
use model::{AccountId, Clock, SystemClock};
use serde_json::json;

use crate::args::fleet::ExpiredList;
use crate::fleet::settings::config::Config;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::output::Out;

/// Mailboxes that the catalogue is asked for at once.
const PAGE: u32 = 500;

/// `malle mailbox expired`.
pub(crate) async fn expired(args: &ExpiredList, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let Some(keep) = config.keep_gone() else {
        let what = "list mailboxes whose backups are kept no longer: the configuration keeps them for ever"
            .to_owned();
        return Err(Failure::usage(what, "set plan.keep_gone_days").into());
    };
    let catalog = config.catalog("expired").await?;
    catalog.require_migrated().await?;
    let (gone_before, mut after) = (SystemClock.now() - keep, None);
    loop {
        let page = catalog.expired_mailboxes(gone_before, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(Exit::Good) };
        after = Some(last.id);
        for one in &page {
            let (account, gone) = (one.account.as_ref().map(AccountId::as_str), one.gone_at);
            match out.json() {
                true => out.object(&json!({
                    "mailbox": one.id.0, "server": one.server, "account": account, "address": one.address.as_str(),
                    "gone_at": gone.map(|at| at.to_string()),
                }))?,
                false => {
                    let gone = gone.map(|at| format!("{at:.0}")).unwrap_or_default();
                    out.line(format_args!("{:<8}  {gone:<20}  {}  {}", one.id.0, one.server, one.address.as_str()))?;
                }
            }
        }
    }
}
