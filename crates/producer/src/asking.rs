use std::sync::Arc;
use std::time::Duration;

use catalog::{Address, AuditEntry, Catalog, Mailbox, Request, Requested};
use model::{BackupNumber, Clock, ErrorClass, JobKind, MailboxId};
use queue::MailboxName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::settings::RequestSettings;

/// Grants or refuses what people and programs ask for, by the same rules whichever way they ask.
#[derive(Clone)]
pub struct Asking {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    settings: RequestSettings,
}

/// Why a wish is refused; the texts are for who asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No mailbox has this number or address.
    #[error("there is no such mailbox")]
    UnknownMailbox,
    /// Several servers have a mailbox of this address.
    #[error("several servers have a mailbox of this address: name the mailbox by its number")]
    Ambiguous,
    /// The mailbox was deleted.
    #[error("the mailbox is gone; its backups can be given back, it cannot be backed up")]
    Gone,
    /// The plan has no backups by hand.
    #[error("the personal plan has no backups by hand: the mailbox is backed up once each weekend")]
    PersonalPlan,
    /// The mailbox has no plan.
    #[error("the mailbox has no plan: list it with one first")]
    NoPlan,
    /// Too many wishes for this mailbox.
    #[error("too many requests for this mailbox: the next one is possible in {} s", retry_after.as_secs() + 1)]
    TooMany {
        /// Until then.
        retry_after: Duration,
    },
    /// A backup by hand runs that does not list everything.
    #[error("a backup by hand that does not list everything is running: ask again when it is done")]
    Underway,
    /// No backup has this number.
    #[error("there is no backup of this number")]
    UnknownBackup,
    /// It would remove all that was not selected.
    #[error("an exact restore of a selection would remove all the rest")]
    ExactSelection,
    /// The catalogue does not answer, or something is wrong with it.
    #[error("the request could not be recorded")]
    Catalog(#[source] catalog::Error),
}

impl Refusal {
    /// What who asked should do.
    pub fn class(&self) -> ErrorClass {
        match self {
            Refusal::Catalog(error) => error.class(),
            Refusal::TooMany { retry_after } => ErrorClass::Transient { retry_after: Some(*retry_after) },
            _ => ErrorClass::Permanent,
        }
    }
}

impl From<catalog::Error> for Refusal {
    fn from(error: catalog::Error) -> Self {
        match error {
            catalog::Error::UnknownMailbox(_) => Refusal::UnknownMailbox,
            catalog::Error::MailboxGone(_) => Refusal::Gone,
            catalog::Error::PersonalPlan => Refusal::PersonalPlan,
            catalog::Error::NoPlan => Refusal::NoPlan,
            catalog::Error::Underway(_) => Refusal::Underway,
            catalog::Error::TooMany { retry_after } => Refusal::TooMany { retry_after },
            other => Refusal::Catalog(other),
        }
    }
}

/// How a backup shall be given back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreWish {
    /// The number that people give to support.
    number: u64,
    #[serde(default)]
    mode: RestoreMode,
    /// Only emails that this query finds.
    #[serde(default)]
    select: Option<String>,
}

/// As `malle restore --mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RestoreMode {
    /// Into a folder of its own.
    #[default]
    Beside,
    /// What is not there any more.
    Missing,
    /// The account becomes the snapshot.
    Exact,
}

impl RestoreMode {
    fn as_str(self) -> &'static str {
        match self {
            RestoreMode::Beside => "beside",
            RestoreMode::Missing => "missing",
            RestoreMode::Exact => "exact",
        }
    }
}

/// What a backup by hand reads of the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What changed, as far as the server's states can be trusted.
    Changes,
    /// A list of everything, whatever the server says of changes.
    Everything,
}

impl Extent {
    /// As the job's parameters have it.
    fn parameters(self) -> Option<Value> {
        (self == Extent::Everything).then(|| json!({"full": true}))
    }
}

/// Who asks, and how.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// For the audit log.
    pub actor: &'a str,
    /// The same key is the same wish.
    pub key: &'a str,
    /// The trace that the wish belongs to.
    pub traceparent: Option<&'a str>,
}

impl Asking {
    /// Asks nobody yet.
    pub fn new(catalog: Catalog, clock: Arc<dyn Clock>, settings: RequestSettings) -> Asking {
        Asking { catalog, clock, settings }
    }

    /// A backup by hand, due at once.
    ///
    /// # Errors
    /// [`Refusal`], in words for who asks.
    pub async fn backup(
        &self,
        asker: &Asker<'_>,
        mailbox: &MailboxName,
        extent: Extent,
    ) -> Result<Requested, Refusal> {
        let mailbox = self.find(mailbox).await?;
        self.ask(asker, JobKind::Manual, mailbox, None, extent.parameters().as_ref()).await
    }

    /// A restore of a numbered backup into the mailbox that it is of.
    pub(crate) async fn restore(&self, asker: &Asker<'_>, wish: &RestoreWish) -> Result<Requested, Refusal> {
        if wish.mode == RestoreMode::Exact && wish.select.is_some() {
            return Err(Refusal::ExactSelection);
        }
        let number = BackupNumber(wish.number);
        let backup = self.catalog.backup(number).await?.ok_or(Refusal::UnknownBackup)?;
        let mut parameters = json!({"number": wish.number, "mode": wish.mode.as_str()});
        if let Some(select) = &wish.select {
            parameters["select"] = json!(select);
        }
        self.ask(asker, JobKind::Restore, backup.mailbox, Some(number), Some(&parameters)).await
    }

    async fn ask(
        &self,
        asker: &Asker<'_>,
        kind: JobKind,
        mailbox: MailboxId,
        number: Option<BackupNumber>,
        parameters: Option<&Value>,
    ) -> Result<Requested, Refusal> {
        let request = Request {
            kind,
            mailbox: Some(mailbox),
            key: asker.key,
            parameters,
            limit: Some(self.settings.limit),
            traceparent: asker.traceparent,
        };
        self.write_down(asker.actor, &format!("{kind}.requested"), Some(mailbox), number).await?;
        Ok(self.catalog.request(&request, self.clock.now()).await?)
    }

    /// Into the audit log, before it is done.
    pub(crate) async fn write_down(
        &self,
        actor: &str,
        action: &str,
        mailbox: Option<MailboxId>,
        number: Option<BackupNumber>,
    ) -> catalog::Result<()> {
        let entry = AuditEntry { actor, action, mailbox, number, details: &json!({}) };
        self.catalog.append_audit(&entry, self.clock.now()).await
    }

    async fn find(&self, name: &MailboxName) -> Result<MailboxId, Refusal> {
        let address = match name {
            MailboxName::Id(id) => return Ok(*id),
            MailboxName::Address(address) => Address::from(address.as_str()),
        };
        let found = self.catalog.mailboxes_at(&address).await?;
        let there: Vec<&Mailbox> = found.iter().filter(|mailbox| mailbox.gone_at.is_none()).collect();
        match there[..] {
            [one] => Ok(one.id),
            [] if found.is_empty() => Err(Refusal::UnknownMailbox),
            [] => Err(Refusal::Gone),
            _ => Err(Refusal::Ambiguous),
        }
    }
}
