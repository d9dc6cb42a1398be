use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use catalog::{AuditEntry, Catalog, Facts, Mailbox};
use model::{Clock, LogPosition, MailboxId, MailboxIdentity, SnapshotNumber, SystemClock};
use repository::{Error, KeyRing};
use serde_json::json;

use super::config::Config;
use super::rebuild::Shelf;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet_args::HistoryAccept;
use crate::output::Out;
use crate::store_url;

/// Runs `malle mailbox accept-history`: accepts the log as the store shows it.
///
/// Backups in the catalogue that the store no longer has, or has replaced by others, are marked as damaged.
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
    let accepting = Accepting { catalog: &catalog, mailbox: mailbox.id, out };
    let mut accepted = 0;
    for settings in config.stores()? {
        let Some(remembered) = catalog.log_position(mailbox.id, &settings.name).await? else { continue };
        let shelf = Shelf::open(settings).await?;
        accepted += u64::from(accepting.on(&shelf, &ring, &identity, &remembered).await?);
    }
    if accepted == 0 && !out.json() {
        out.line(format_args!("nothing to accept: the stores go on from what was remembered"))?;
    }
    Ok(Exit::Good)
}

struct Accepting<'a> {
    catalog: &'a Catalog,
    mailbox: MailboxId,
    out: &'a Out,
}

impl Accepting<'_> {
    /// Accepts the log in one store. Returns false if it continues what was remembered.
    async fn on(
        &self,
        shelf: &Shelf,
        ring: &KeyRing,
        identity: &MailboxIdentity,
        remembered: &LogPosition,
    ) -> Result<bool> {
        let (catalog, mailbox, name) = (self.catalog, self.mailbox, &shelf.of.name);
        let repository = match shelf.store.mailbox(ring, ring.directory(identity)).await {
            Err(Error::NoMailbox) => {
                let lost = self.lost(name, &BTreeMap::new()).await?;
                catalog.mark_damaged(mailbox, name, &lost).await?;
                catalog.forget_log(mailbox, name).await?;
                self.tell(name, remembered, None, lost.len()).await?;
                return Ok(true);
            }
            opened => opened.with_context(|| format!("open the mailbox in the store {name}"))?,
        };
        repository.remember(Some(*remembered));
        match repository.listing().await {
            Ok(_) => return Ok(false),
            Err(Error::History { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let now = repository.accept_history(&SystemClock).await?;
        let listing = repository.listing().await?;
        let hasher = repository.hasher();
        let there = listing.snapshots.iter().map(|info| (info.number, info.digest(&hasher))).collect();
        let mut lost = self.lost(name, &there).await?;
        lost.extend(listing.not_whole());
        catalog.mark_damaged(mailbox, name, &lost).await?;
        catalog.accept_log(mailbox, name, &now).await?;
        self.tell(name, remembered, Some(&now), lost.len()).await?;
        Ok(true)
    }

    /// Returns the backups whose snapshots are not among `there`, by number and digest.
    async fn lost(
        &self,
        store: &str,
        there: &BTreeMap<SnapshotNumber, [u8; 32]>,
    ) -> Result<BTreeSet<SnapshotNumber>> {
        let backups = self.catalog.backups_of(self.mailbox, None, u32::MAX).await?;
        let is_there = |facts: &Facts| {
            let found = there.get(&facts.snapshot);
            found.is_some_and(|found| facts.digest.is_none_or(|digest| digest == *found))
        };
        let lost = backups.into_iter().map(|backup| backup.facts);
        let lost = lost.filter(|facts| facts.store == store && !is_there(facts));
        Ok(lost.map(|facts| facts.snapshot).collect())
    }

    /// Writes what was accepted to the audit log, then to the terminal.
    async fn tell(
        &self,
        store: &str,
        remembered: &LogPosition,
        now: Option<&LogPosition>,
        lost: usize,
    ) -> Result<()> {
        let at = now.map_or(0, |now| now.number);
        let details = json!({ "store": store, "remembered": remembered.number, "now": at, "lost": lost });
        let actor = format!("cli {}", store_url::writer());
        let entry = AuditEntry {
            actor: &actor,
            action: "history.accepted",
            mailbox: Some(self.mailbox),
            number: None,
            details: &details,
        };
        self.catalog.append_audit(&entry, SystemClock.now()).await?;
        if self.out.json() {
            return self.out.object(&details);
        }
        let goes_on = match now {
            Some(now) => format!("the log goes on behind {} now", now.number),
            None => "the store has nothing of the mailbox any more; its next backup starts a new history"
                .to_owned(),
        };
        self.out.line(format_args!(
            "{store}: log entry {} was remembered, and {goes_on}; {lost} backups are marked as damaged; \
             `malle enqueue --full` makes a full backup",
            remembered.number
        ))
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
