use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Address, AuditEntry, Catalog, Mailbox, Request, Requested};
use model::{
    BackupNumber, BackupParameters, Clock, JobKind, JobParameters, MailboxId, RestoreMode, RestoreParameters,
    SignedDuration, VerifyParameters,
};
use queue::MailboxName;
use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::settings::RequestSettings;

/// Refusals of one kind, to one actor for one mailbox, are written into the audit log so far apart.
const REFUSED_APART: SignedDuration = SignedDuration::from_mins(1);

/// Grants or refuses what people and programs ask for, by the same rules whichever way they ask.
#[derive(Clone)]
pub struct Asking {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    settings: RequestSettings,
    read_selection: ReadSelection,
}

/// Reads a selection of emails, and says what is wrong with it if it cannot be read.
pub type ReadSelection = fn(&str) -> Result<(), String>;

/// A backup as people name it: a number alone, mistyped, would be another customer's.
#[derive(Debug, Clone)]
pub struct BackupName {
    /// Whose it is.
    pub mailbox: MailboxName,
    /// The number that people give to support.
    pub number: BackupNumber,
}

/// How a numbered backup is to come back.
#[derive(Debug, Clone, Default)]
pub struct RestoreRequest {
    /// What becomes of what is there.
    pub mode: RestoreMode,
    /// Only emails that this query finds.
    pub select: Option<String>,
    /// What the mail server refuses because it is no email comes as the attachment of one that says so.
    pub wrap_refused: bool,
    /// The mailbox that gets it; `None`: the one that the backup is of.
    pub to: Option<MailboxName>,
}

/// Who asks, and how.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// For the audit log.
    pub actor: &'a str,
    /// The same key is the same request.
    pub key: &'a str,
    /// The trace that the request belongs to.
    pub traceparent: Option<&'a str>,
    /// Only mailboxes of these tenants are there for who asks; `None`: everybody's.
    pub tenants: Option<&'a BTreeSet<String>>,
    /// Whether who asks may give what one tenant had to another.
    pub crosses_tenants: bool,
}

/// Whether a mailbox is one of these tenants'.
pub(crate) fn is_of(tenants: Option<&BTreeSet<String>>, mailbox: &Mailbox) -> bool {
    tenants.is_none_or(|tenants| mailbox.tenant.as_ref().is_some_and(|tenant| tenants.contains(tenant)))
}

/// Whether both are known to be one tenant's. Servers name their tenants themselves: one name on two servers may be two customers.
fn is_one_customer(from: &Mailbox, to: &Mailbox) -> bool {
    from.tenant.is_some() && from.tenant == to.tenant && from.server == to.server
}

/// A catalogue that failed is nobody's mailbox.
fn of_recipient(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Catalog(error) => Refusal::Catalog(error),
        refusal => Refusal::Recipient(Box::new(refusal)),
    }
}

impl Asking {
    /// Asks nobody yet.
    pub fn new(
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        settings: RequestSettings,
        read_selection: ReadSelection,
    ) -> Asking {
        Asking { catalog, clock, settings, read_selection }
    }

    /// The same for who waits no longer than this for one call of the catalogue.
    #[must_use]
    pub(crate) fn with_limit(&self, limit: Duration) -> Asking {
        Asking { catalog: self.catalog.with_limit(limit), ..self.clone() }
    }

    /// A backup by hand, due at once.
    ///
    /// # Errors
    /// [`Refusal`], in words for who asks.
    pub async fn backup(
        &self,
        asker: &Asker<'_>,
        mailbox: &MailboxName,
        how: BackupParameters,
    ) -> Result<Requested, Refusal> {
        let mailbox = self.find(asker, mailbox).await?;
        self.ask(asker, JobKind::Manual, mailbox.id, None, &JobParameters::Backup(how)).await
    }

    /// A restore of a numbered backup into the mailbox that it is of, or into another one of the same customer.
    ///
    /// # Errors
    /// [`Refusal`], in words for who asks.
    pub async fn restore(
        &self,
        asker: &Asker<'_>,
        of: &BackupName,
        how: &RestoreRequest,
    ) -> Result<Requested, Refusal> {
        let RestoreRequest { mode, select, wrap_refused, to } = how.clone();
        let number = of.number;
        let mut parameters = RestoreParameters { number, mode, select, wrap_refused, from_mailbox: None };
        parameters.check()?;
        if let Some(select) = &parameters.select {
            (self.read_selection)(select).map_err(Refusal::Selection)?;
        }
        let from = self.find(asker, &of.mailbox).await?;
        let to = match to {
            None => from.clone(),
            Some(name) => self.find(asker, &name).await.map_err(of_recipient)?,
        };
        let is_same = from.id == to.id;
        parameters.from_mailbox = (!is_same).then_some(from.id);
        // The audit log names the mailbox whose backup was asked for, not the one that was to get it.
        let refusal = match self.catalog.backup_of(from.id, of.number).await? {
            None => Refusal::UnknownBackup,
            Some(_) if to.gone_at.is_some() && is_same => Refusal::GoneFromServer,
            Some(_) if to.gone_at.is_some() => of_recipient(Refusal::GoneFromServer),
            Some(_) if !is_same && !asker.crosses_tenants && !is_one_customer(&from, &to) => {
                Refusal::OtherCustomer
            }
            Some(_) => {
                let parameters = JobParameters::Restore(parameters);
                return self.ask(asker, JobKind::Restore, to.id, Some(of.number), &parameters).await;
            }
        };
        self.refuse(asker, JobKind::Restore, from.id, of.number, refusal).await
    }

    /// Every byte of a numbered backup is read again.
    ///
    /// # Errors
    /// [`Refusal`], in words for who asks.
    pub async fn verify(&self, asker: &Asker<'_>, of: &BackupName) -> Result<Requested, Refusal> {
        let mailbox = self.find(asker, &of.mailbox).await?;
        let parameters = JobParameters::Verify(VerifyParameters { number: Some(of.number) });
        match self.catalog.backup_of(mailbox.id, of.number).await? {
            None => self.refuse(asker, JobKind::Verify, mailbox.id, of.number, Refusal::UnknownBackup).await,
            Some(_) => self.ask(asker, JobKind::Verify, mailbox.id, Some(of.number), &parameters).await,
        }
    }

    async fn refuse(
        &self,
        asker: &Asker<'_>,
        kind: JobKind,
        mailbox: MailboxId,
        number: BackupNumber,
        refusal: Refusal,
    ) -> Result<Requested, Refusal> {
        self.write_down_refused(asker, kind, mailbox, Some(number), &refusal).await?;
        Err(refusal)
    }

    /// The audit log tells of it once: with the job, or that it was refused.
    async fn ask(
        &self,
        asker: &Asker<'_>,
        kind: JobKind,
        mailbox: MailboxId,
        number: Option<BackupNumber>,
        parameters: &JobParameters,
    ) -> Result<Requested, Refusal> {
        let parameters = parameters.to_json();
        let (action, details) = (format!("{kind}.requested"), told(parameters.as_ref()));
        let entry = entry(asker, &action, mailbox, number, &details);
        let request = Request {
            kind,
            mailbox: Some(mailbox),
            key: asker.key,
            parameters: parameters.as_ref(),
            limit: Some(self.settings.limit),
            traceparent: asker.traceparent,
            audit: Some(&entry),
        };
        let requested = self.catalog.request(&request, self.clock.now()).await.map_err(Refusal::from);
        if let Err(refusal) = &requested {
            self.write_down_refused(asker, kind, mailbox, number, refusal).await?;
        }
        requested
    }

    async fn write_down_refused(
        &self,
        asker: &Asker<'_>,
        kind: JobKind,
        mailbox: MailboxId,
        number: Option<BackupNumber>,
        refusal: &Refusal,
    ) -> Result<(), Refusal> {
        // A row must name a mailbox that there is; a catalogue that failed is asked for nothing more.
        if matches!(refusal, Refusal::Catalog(_) | Refusal::UnknownMailbox) {
            return Ok(());
        }
        let (action, details) = (format!("{kind}.refused"), json!({"why": refusal.to_string()}));
        let entry = entry(asker, &action, mailbox, number, &details);
        Ok(self.catalog.append_audit_now_and_then(&entry, self.clock.now(), REFUSED_APART).await?)
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

    /// The one mailbox that is called so; one that is gone only if none is there.
    async fn find(&self, asker: &Asker<'_>, name: &MailboxName) -> Result<Mailbox, Refusal> {
        let is_there_for_them = |mailbox: &Mailbox| is_of(asker.tenants, mailbox);
        let address = match name {
            MailboxName::Id(id) => {
                let found = self.catalog.mailbox(*id).await?.filter(is_there_for_them);
                return found.ok_or(Refusal::UnknownMailbox);
            }
            MailboxName::Address(address) => Address::from(address.as_str()),
        };
        let mut found = self.catalog.mailboxes_at(&address).await?;
        found.retain(is_there_for_them);
        let is_there = |mailbox: &Mailbox| mailbox.gone_at.is_none();
        let (mut there, mut gone): (Vec<Mailbox>, Vec<_>) = found.into_iter().partition(is_there);
        match (there.len(), gone.len()) {
            (1, _) => Ok(there.remove(0)),
            (0, 1) => Ok(gone.remove(0)),
            (0, 0) => Err(Refusal::UnknownMailbox),
            _ => {
                let named: Vec<String> = there.iter().chain(&gone).map(Mailbox::told_apart).collect();
                Err(Refusal::Ambiguous { mailboxes: named.join(", ") })
            }
        }
    }
}

fn entry<'a>(
    asker: &Asker<'a>,
    action: &'a str,
    mailbox: MailboxId,
    number: Option<BackupNumber>,
    details: &'a Value,
) -> AuditEntry<'a> {
    AuditEntry { actor: asker.actor, action, mailbox: Some(mailbox), number, details }
}

/// What the audit log says of a request's parameters: not what a person looked for in the mail.
fn told(parameters: Option<&Value>) -> Value {
    let mut told = parameters.cloned().unwrap_or_else(|| json!({}));
    if let Some(select) = told.get_mut("select") {
        *select = json!(true);
    }
    told
}
