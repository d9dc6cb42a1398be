use std::sync::Arc;

use anyhow::Result;
use model::{Clock, MailboxId, SystemClock};
use producer::{Asker, Asking, Extent, Refusal};
use queue::MailboxName;
use serde_json::json;

use super::config::Config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet_args::EnqueueArgs;
use crate::output::Out;
use crate::store_url;

/// `malle enqueue`: a backup by hand, by the rules of the HTTP API. A producer publishes its ticket within a second.
pub(crate) async fn enqueue(args: &EnqueueArgs, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let catalog = config.catalog("enqueue").await?;
    catalog.require_migrated().await?;
    let asking = Asking::new(catalog, Arc::new(SystemClock), config.producer()?.requests);
    let actor = format!("cli {}", store_url::writer());
    let fresh = format!("{actor} {}", SystemClock.now());
    let asker = Asker { actor: &actor, key: args.key.as_deref().unwrap_or(&fresh), traceparent: None };
    let mailbox = match args.mailbox.parse() {
        Ok(number) => MailboxName::Id(MailboxId(number)),
        Err(_) => MailboxName::Address(args.mailbox.clone()),
    };
    let extent = if args.full { Extent::Everything } else { Extent::Changes };
    let requested = asking.backup(&asker, &mailbox, extent).await.map_err(|refusal| match refusal {
        Refusal::Catalog(error) => anyhow::Error::from(error),
        refusal => Failure::new(exit(&refusal), format!("enqueue a backup: {refusal}"), "").into(),
    })?;
    match (out.json(), requested.new) {
        (true, new) => out.object(&json!({ "job": requested.job.0, "new": new }))?,
        (false, true) => out.line(format_args!("job {}", requested.job))?,
        (false, false) => out.line(format_args!("job {} (asked for before)", requested.job))?,
    }
    Ok(Exit::Good)
}

fn exit(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::UnknownMailbox | Refusal::Gone => Exit::NotFound,
        _ => Exit::Refused,
    }
}
