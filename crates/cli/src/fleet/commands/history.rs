use anyhow::{Context, Result};
use catalog::{AuditEntry, Backup, Catalog};
use model::{BackupState, Clock, LogPosition, MailboxId, MailboxIdentity, SystemClock};
use repository::{Error, KeyRing};
use serde_json::json;

use super::named::{find, not_found};
use super::rebuild::Shelf;
use crate::args::fleet::HistoryAccept;
use crate::fleet::settings::config::Config;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::output::{Out, count};

const PURPOSE: &str = "accept the history";

/// Runs `malle mailbox accept-history`: accepts the log as the store shows it.
///
/// Backups in the catalogue that the store no longer has, or has replaced by others, are marked as damaged.
///
/// **Crash.** The entry in the log is written first. What a crash leaves undone the next run does.
pub(crate) async fn accept_history(args: &HistoryAccept, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let ring = config.ring(out)?;
    let catalog = config.catalog("accept-history").await?;
    catalog.require_migrated().await?;
    let mailbox = find(&catalog, &args.mailbox, PURPOSE).await?;
    let Some(identity) = mailbox.identity() else {
        return Err(
            not_found(&args.mailbox, PURPOSE, "it was never backed up, so there is no history").into()
        );
    };
    let backups = catalog.backups_of(mailbox.id, None, u32::MAX).await?;
    let accepting = Accepting { catalog: &catalog, mailbox: mailbox.id, backups, args, out };
    let mut accepted = 0;
    for settings in config.stores()? {
        let remembered = catalog.log_position(mailbox.id, &settings.name).await?;
        let is_whole =
            |one: &Backup| one.facts.store == settings.name && one.facts.state != BackupState::Damaged;
        if remembered.is_none() && !accepting.backups.iter().any(is_whole) {
            continue;
        }
        let shelf = Shelf::open(settings).await?;
        accepted += u64::from(accepting.on(&shelf, &ring, &identity, remembered).await?);
    }
    if accepted == 0 && !out.json() {
        out.line(format_args!("nothing to accept: the stores continue what was remembered"))?;
    }
    Ok(Exit::Good)
}

struct Accepting<'a> {
    catalog: &'a Catalog,
    mailbox: MailboxId,
    backups: Vec<Backup>,
    args: &'a HistoryAccept,
    out: &'a Out,
}

impl Accepting<'_> {
    /// Accepts the log in one store. Returns false if it continues what was remembered, and nothing of it is lost.
    async fn on(
        &self,
        shelf: &Shelf,
        ring: &KeyRing,
        identity: &MailboxIdentity,
        remembered: Option<LogPosition>,
    ) -> Result<bool> {
        let (catalog, name) = (self.catalog, &shelf.of.name);
        let repository = match shelf.store.mailbox(ring, ring.directory(identity)).await {
            Err(error @ (Error::KeyGone { .. } | Error::LogGone { .. })) => {
                self.mark_all(name).await?;
                let context = format!(
                    "open the mailbox in the store {name} (its backups there are marked as damaged; once what is left of it is \
                     moved away, --new-history lets the next backup start again)"
                );
                return Err(anyhow::Error::from(error).context(context));
            }
            Err(Error::NoMailbox) if self.args.new_history => {
                let lost = self.mark_all(name).await?;
                catalog.forget_log(self.mailbox, name).await?;
                self.tell(name, remembered, None, lost).await?;
                return Ok(true);
            }
            Err(Error::NoMailbox) => return Err(self.nothing_there(name).into()),
            opened => opened.with_context(|| format!("open the mailbox in the store {name}"))?,
        };
        repository.remember(remembered);
        let accepted = match repository.listing().await {
            Ok(_) => None,
            Err(Error::History { .. }) => Some(repository.accept_history(&SystemClock).await?),
            Err(error) => return Err(error.into()),
        };
        let listing = repository.listing().await?;
        let lost = worker::lost_backups(&self.backups, name, &listing, &repository.hasher());
        let lost = catalog.mark_damaged(self.mailbox, &lost).await?;
        if let Some(now) = &accepted {
            catalog.accept_log(self.mailbox, name, now).await?;
        }
        if accepted.is_some() || lost > 0 {
            self.tell(name, remembered, repository.position(), lost).await?;
        }
        Ok(accepted.is_some() || lost > 0)
    }

    async fn mark_all(&self, store: &str) -> Result<u64> {
        let here = self.backups.iter().filter(|backup| backup.facts.store == *store);
        let all: Vec<_> = here.map(|backup| backup.number).collect();
        Ok(self.catalog.mark_damaged(self.mailbox, &all).await?)
    }

    fn nothing_there(&self, store: &str) -> Failure {
        let what =
            format!("accept the history of {}: the store {store} has nothing of it", self.args.mailbox);
        let hint = "is it the right store, and the right key ring? If everything of the mailbox is lost, say \
                    --new-history: its backups there are marked as damaged, and the next backup starts a new history";
        Failure::new(Exit::Damage, what, hint)
    }

    /// Writes what was accepted to the audit log, then to the terminal.
    async fn tell(
        &self,
        store: &str,
        remembered: Option<LogPosition>,
        now: Option<LogPosition>,
        lost: u64,
    ) -> Result<()> {
        let number = |position: Option<LogPosition>| position.map_or(0, |position| position.number);
        let (remembered, at) = (number(remembered), number(now));
        let details = json!({ "store": store, "remembered": remembered, "now": at, "lost": lost });
        let actor = format!("cli {}", from_url::writer());
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
            Some(_) => format!("the log goes on behind {at} now"),
            None => "the next backup starts a new history".to_owned(),
        };
        let lost = count(lost, "backup");
        self.out.line(format_args!(
            "{store}: log entry {remembered} was remembered, and {goes_on}; newly marked as damaged: {lost}; \
             `malle enqueue --full` makes a full backup"
        ))
    }
}
