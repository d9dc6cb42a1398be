use anyhow::{Context, Result};
use catalog::{AuditEntry, Catalog, Mailbox};
use model::{Clock, LogPosition, MailboxId, SystemClock};
use repository::Error;
use serde_json::json;

use super::config::Config;
use super::rebuild::Shelf;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet_args::HistoryAccept;
use crate::output::Out;
use crate::store_url;

/// `malle mailbox accept-history`: from now on the log counts as the store shows it, whatever workers remembered of it.
///
/// The entry in the log is written first. A crash before the catalogue knows it leaves what was, and one more such entry.
pub(crate) async fn accept_history(args: &HistoryAccept, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let ring = config.ring(out)?;
    let catalog = config.catalog("accept-history").await?;
    catalog.require_migrated().await?;
    let mailbox = find(&catalog, &args.mailbox).await?;
    let Some(identity) = mailbox.identity() else {
        return Err(not_found(&args.mailbox, "it was never backed up, so there is no history").into());
    };
    let mut accepted = 0;
    for settings in config.stores()? {
        let Some(remembered) = catalog.log_position(mailbox.id, &settings.name).await? else { continue };
        let shelf = Shelf::open(settings).await?;
        let name = &shelf.of.name;
        let repository = shelf.store.mailbox(&ring, ring.directory(&identity)).await;
        let repository = repository.with_context(|| format!("open the mailbox in the store {name}"))?;
        repository.remember(Some(remembered));
        match repository.listing().await {
            Ok(_) => continue,
            Err(Error::History { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let now = repository.accept_history(&SystemClock).await?;
        catalog.accept_log(mailbox.id, name, &now).await?;
        accepted += 1;
        tell(&catalog, mailbox.id, name, (&remembered, &now), out).await?;
    }
    if accepted == 0 && !out.json() {
        out.line(format_args!("nothing to accept: the stores go on from what was remembered"))?;
    }
    Ok(Exit::Good)
}

/// Says what was accepted, to the audit log first.
async fn tell(
    catalog: &Catalog,
    mailbox: MailboxId,
    store: &str,
    (remembered, now): (&LogPosition, &LogPosition),
    out: &Out,
) -> Result<()> {
    let details = json!({ "store": store, "remembered": remembered.number, "now": now.number });
    let actor = format!("cli {}", store_url::writer());
    let entry = AuditEntry {
        actor: &actor,
        action: "history.accepted",
        mailbox: Some(mailbox),
        number: None,
        details: &details,
    };
    catalog.append_audit(&entry, SystemClock.now()).await?;
    match out.json() {
        true => out.object(&details),
        false => out.line(format_args!(
            "{store}: log entry {} was remembered, and the log goes on behind {} now; `malle enqueue --full` makes a full backup",
            remembered.number, now.number
        )),
    }
}

async fn find(catalog: &Catalog, named: &str) -> Result<Mailbox> {
    let found = match named.parse() {
        Ok(number) => catalog.mailbox(MailboxId(number)).await?,
        Err(_) => {
            let mut all = catalog.mailboxes_at(&named.into()).await?;
            match all.len() {
                0 | 1 => all.pop(),
                several => {
                    let what = format!("find {named}: {several} mailboxes have or had this address");
                    let numbers: Vec<String> = all.iter().map(|one| one.id.to_string()).collect();
                    let hint = format!("name one by its number: {}", numbers.join(", "));
                    return Err(Failure::usage(what, hint).into());
                }
            }
        }
    };
    found.ok_or_else(|| not_found(named, "no such mailbox").into())
}

fn not_found(named: &str, why: &str) -> Failure {
    let hint = "name an address that `malle mailbox import` listed, or the mailbox's number";
    Failure::new(Exit::NotFound, format!("accept the history of {named}: {why}"), hint)
}
