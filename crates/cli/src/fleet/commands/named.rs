//! A mailbox as it is named on the command line.

use anyhow::Result;
use catalog::{Catalog, Mailbox};
use model::MailboxId;

use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;

/// Finds a mailbox by its number, or by an address that it has or had.
pub(crate) async fn find(catalog: &Catalog, named: &str, purpose: &str) -> Result<Mailbox> {
    let found = match named.parse() {
        Ok(number) => catalog.mailbox(MailboxId(number)).await?,
        Err(_) => {
            let mut all = catalog.mailboxes_at(&named.into()).await?;
            match all.len() {
                0 | 1 => all.pop(),
                several => {
                    let what = format!("find {named}: {several} mailboxes have or had this address");
                    let numbers: Vec<String> = all.iter().map(Mailbox::told_apart).collect();
                    let hint = format!("name one by its number: {}", numbers.join(", "));
                    return Err(Failure::usage(what, hint).into());
                }
            }
        }
    };
    found.ok_or_else(|| not_found(named, purpose, "no such mailbox").into())
}

/// `purpose` is what was to be done with it: "list the backups".
pub(crate) fn not_found(named: &str, purpose: &str, why: &str) -> Failure {
    let hint = "name an address that `malle mailbox import` listed, or the mailbox's number";
    Failure::new(Exit::NotFound, format!("{purpose} of {named}: {why}"), hint)
}
