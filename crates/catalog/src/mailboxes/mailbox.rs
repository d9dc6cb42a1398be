use std::fmt;

use model::{AccountId, Epoch, MailboxId, MailboxIdentity, Plan, Timestamp};
use tokio_postgres::Row;

use crate::catalog::{Catalog, row};
use crate::columns::{Number, count, get, maybe_word, small_count};
use crate::error::{Error, Result};

/// An address in lower case, its domain in ASCII; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(String);

impl Address {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Address {
    fn from(address: &str) -> Self {
        Address(model::mail_address::to_ascii(address))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

/// A mailbox as the catalogue knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its id in the catalogue: what jobs and backups refer to.
    pub id: MailboxId,
    /// The server's lasting name.
    pub server: String,
    /// The account there; `None` until somebody has asked the server.
    pub account: Option<AccountId>,
    /// Counts re-creations under the same account id.
    pub incarnation: u32,
    /// What it is called at present.
    pub address: Address,
    /// What its owner bought; `None` if nobody planned it.
    pub plan: Option<Plan>,
    /// A rule gave it the plan; another rule may change it.
    pub plan_by_rule: bool,
    /// Where its backups go; `None`: the service's usual zone.
    pub zone: Option<String>,
    /// IANA name of the owner's time zone; `None`: the service's.
    pub time_zone: Option<String>,
    /// Whose customer the owner is; `None`: nobody has said.
    pub tenant: Option<String>,
    /// When it was first heard of.
    pub first_seen_at: Timestamp,
    /// Since when it is gone; `None`: it is there.
    pub gone_at: Option<Timestamp>,
    /// That of its newest claim.
    pub epoch: Epoch,
    /// Its first backup of any state; `None`: it needs one.
    pub first_backup_at: Option<Timestamp>,
    /// When its newest good backup began.
    pub newest_good_at: Option<Timestamp>,
}

/// What a listing of a server has left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unlisted {
    /// Mailboxes that are there.
    pub active: u64,
    /// Those among them that were not listed since.
    pub unlisted: u64,
}

impl Mailbox {
    /// Its number, and since when it is gone: what tells mailboxes of one address apart.
    pub fn told_apart(&self) -> String {
        match self.gone_at {
            None => self.id.to_string(),
            Some(gone) => format!("{} (gone since {})", self.id, gone.strftime("%Y-%m-%d")),
        }
    }

    /// Whose repository it is; `None` while the account is unknown.
    pub fn identity(&self) -> Option<MailboxIdentity> {
        let (server, incarnation) = (self.server.clone(), self.incarnation);
        self.account.clone().map(|account| MailboxIdentity { server, account, incarnation })
    }

    /// From a row of [`COLUMNS`].
    pub(crate) fn of(row: &Row) -> Result<Mailbox> {
        Ok(Mailbox {
            id: Number::of(row, "id")?,
            server: get(row, "server")?,
            account: get::<Option<String>>(row, "account")?.map(AccountId::from),
            incarnation: small_count(row, "incarnation")?,
            address: Address(get(row, "address")?),
            plan: maybe_word(row, "plan")?,
            plan_by_rule: get(row, "plan_by_rule")?,
            zone: get(row, "zone")?,
            time_zone: get(row, "time_zone")?,
            tenant: get(row, "tenant")?,
            first_seen_at: get(row, "first_seen_at")?,
            gone_at: get(row, "gone_at")?,
            epoch: Number::of(row, "epoch")?,
            first_backup_at: get(row, "first_backup_at")?,
            newest_good_at: get(row, "newest_good_at")?,
        })
    }
}

pub(crate) const COLUMNS: &str = "id, server, account, incarnation, address, plan, plan_by_rule, zone, time_zone, tenant, \
                                  first_seen_at, gone_at, epoch, first_backup_at, newest_good_at";

impl Catalog {
    /// The mailbox, gone or not.
    pub async fn mailbox(&self, id: MailboxId) -> Result<Option<Mailbox>> {
        let sql = format!("SELECT {COLUMNS} FROM mailboxes WHERE id = $1");
        self.maybe(&sql, &[&id.sql()]).await?.as_ref().map(Mailbox::of).transpose()
    }

    /// Every mailbox that ever had this address, on any server, those that are there first, then the newest first.
    pub async fn mailboxes_at(&self, address: &Address) -> Result<Vec<Mailbox>> {
        let sql = format!("SELECT {COLUMNS} FROM mailboxes WHERE address = $1 ORDER BY state, id DESC");
        self.query(&sql, &[&address.as_str()]).await?.iter().map(Mailbox::of).collect()
    }

    /// Mailboxes of the server that are there, by account or, where none is given, by address; in any order.
    pub async fn mailboxes_named(
        &self,
        server: &str,
        names: &[(Option<AccountId>, Address)],
    ) -> Result<Vec<Mailbox>> {
        let accounts: Vec<_> = names.iter().filter_map(|(account, _)| account.as_ref()).collect();
        let accounts: Vec<_> = accounts.into_iter().map(AccountId::as_str).collect();
        let addresses = names.iter().filter(|(account, _)| account.is_none());
        let addresses: Vec<_> = addresses.map(|(_, address)| address.as_str()).collect();
        let there = format!("SELECT {COLUMNS} FROM mailboxes WHERE server = $1 AND state = 'active'");
        let sql = format!("{there} AND account = ANY ($2) UNION {there} AND address = ANY ($3)");
        self.query(&sql, &[&server, &accounts, &addresses]).await?.iter().map(Mailbox::of).collect()
    }

    /// The mailbox that is this account now.
    pub async fn mailbox_of(&self, server: &str, account: &AccountId) -> Result<Option<Mailbox>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM mailboxes WHERE server = $1 AND account = $2 AND state = 'active'"
        );
        self.maybe(&sql, &[&server, &account.as_str()]).await?.as_ref().map(Mailbox::of).transpose()
    }

    /// Writes down which account a mailbox is, for one that came without; asking twice is fine.
    ///
    /// # Errors
    /// [`Error::AccountTaken`] if another mailbox is this account, or this mailbox another account: a listing of the server
    /// will settle it.
    pub async fn learn_account(&self, id: MailboxId, account: &AccountId) -> Result<MailboxIdentity> {
        let work = async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            let locked = format!("SELECT {COLUMNS} FROM mailboxes WHERE id = $1 FOR NO KEY UPDATE");
            let found = row(&transaction, &locked, &[&id.sql()]).await?.ok_or(Error::UnknownMailbox(id))?;
            let mailbox = Mailbox::of(&found)?;
            match &mailbox.account {
                Some(known) if known == account => {
                    return Ok(mailbox.identity().expect("its account is known"));
                }
                Some(_) => return Err(Error::AccountTaken(id)),
                None if mailbox.gone_at.is_some() => return Err(Error::MailboxGone(id)),
                None => {}
            }
            let learn = format!(
                "UPDATE mailboxes m SET account = $2, incarnation = {NEXT_INCARNATION} WHERE id = $1 RETURNING {COLUMNS}",
            );
            let learned = row(&transaction, &learn, &[&id.sql(), &account.as_str()]).await?;
            let mailbox = Mailbox::of(&learned.expect("it is locked"))?;
            transaction.commit().await?;
            Ok(mailbox.identity().expect("its account was just written"))
        };
        match self.within(work).await {
            Err(error) if error.hurts("mailboxes_account") => {
                let server = self.mailbox(id).await?.ok_or(Error::UnknownMailbox(id))?.server;
                let owner = self.mailbox_of(&server, account).await?;
                Err(owner.map_or(error, |owner| Error::AccountTaken(owner.id)))
            }
            done => done,
        }
    }

    /// Mailboxes that are there and that nobody planned, by id, those after `after`.
    pub async fn unplanned_mailboxes(&self, after: Option<MailboxId>, limit: u32) -> Result<Vec<Mailbox>> {
        self.unplanned_mailboxes_of(None, after, limit).await
    }

    /// The same of these tenants only, if some are named.
    pub async fn unplanned_mailboxes_of(
        &self,
        tenants: Option<&[&str]>,
        after: Option<MailboxId>,
        limit: u32,
    ) -> Result<Vec<Mailbox>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM mailboxes WHERE state = 'active' AND plan IS NULL AND id > $1 \
                 AND ($3::text[] IS NULL OR tenant = ANY ($3)) ORDER BY id LIMIT $2"
        );
        let rows = self.query(&sql, &[&after.map_or(-1, Number::sql), &i64::from(limit), &tenants]).await?;
        rows.iter().map(Mailbox::of).collect()
    }

    /// Mailboxes that were gone before this time and have backups: nobody keeps those for them any more. By id, those after `after`.
    pub async fn expired_mailboxes(
        &self,
        gone_before: Timestamp,
        after: Option<MailboxId>,
        limit: u32,
    ) -> Result<Vec<Mailbox>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM mailboxes WHERE state = 'gone' AND gone_at < $3 AND first_backup_at IS NOT NULL AND id > $1 \
             ORDER BY id LIMIT $2"
        );
        let rows =
            self.query(&sql, &[&after.map_or(-1, Number::sql), &i64::from(limit), &gone_before]).await?;
        rows.iter().map(Mailbox::of).collect()
    }

    /// How many mailboxes of the server, or of one tenant there, are known, and how many of them
    /// [`Catalog::mark_unlisted_gone`] would mark.
    pub async fn count_unlisted(
        &self,
        server: &str,
        tenant: Option<&str>,
        listed_before: Timestamp,
    ) -> Result<Unlisted> {
        let sql = "SELECT count(*) AS active, \
                       count(*) FILTER (WHERE coalesce(listed_at, first_seen_at) < $2) AS unlisted \
                   FROM mailboxes WHERE server = $1 AND state = 'active' AND ($3::text IS NULL OR tenant = $3)";
        let row = self.one(sql, &[&server, &listed_before, &tenant]).await?;
        Ok(Unlisted { active: count(&row, "active")?, unlisted: count(&row, "unlisted")? })
    }

    /// How many mailboxes of the server are there, and how many of them a list of these names leaves out.
    pub async fn count_unnamed(
        &self,
        server: &str,
        names: &[(Option<&AccountId>, &Address)],
    ) -> Result<Unlisted> {
        let accounts: Vec<_> =
            names.iter().filter_map(|(account, _)| *account).map(AccountId::as_str).collect();
        let all: Vec<_> = names.iter().map(|(_, address)| address.as_str()).collect();
        let alone = names.iter().filter(|(account, _)| account.is_none());
        let alone: Vec<_> = alone.map(|(_, address)| address.as_str()).collect();
        // A mailbox without an account becomes the one that is listed with its address.
        let sql = "SELECT count(*) AS active, count(*) FILTER (WHERE NOT (coalesce(account = ANY ($2), false) \
                       OR address = ANY ($3) OR account IS NULL AND address = ANY ($4))) AS unlisted \
                   FROM mailboxes WHERE server = $1 AND state = 'active'";
        let row = self.one(sql, &[&server, &accounts, &alone, &all]).await?;
        Ok(Unlisted { active: count(&row, "active")?, unlisted: count(&row, "unlisted")? })
    }

    /// How many of these mailboxes of the server, by account or, where none is given, by address, have no plan.
    pub async fn count_unplanned(&self, server: &str, names: &[(Option<AccountId>, Address)]) -> Result<u64> {
        let named = self.mailboxes_named(server, names).await?;
        Ok(named.iter().filter(|mailbox| mailbox.plan.is_none()).count() as u64)
    }

    /// Its server said that it does not know the account: planning leaves it out for a while.
    pub async fn mark_unknown(&self, id: MailboxId, now: Timestamp) -> Result<()> {
        let sql = "UPDATE mailboxes SET unknown_at = $2 WHERE id = $1 AND state = 'active'";
        self.execute(sql, &[&id.sql(), &now]).await.map(drop)
    }

    /// The mailbox was deleted: no new jobs; backups stay.
    pub async fn mark_gone(&self, id: MailboxId, now: Timestamp) -> Result<()> {
        let sql = "UPDATE mailboxes SET state = 'gone', gone_at = $2 WHERE id = $1 AND state = 'active'";
        self.execute(sql, &[&id.sql(), &now]).await.map(drop)
    }

    /// After a full listing: mailboxes of the server, or of one tenant there, that no listing has named since are gone. Returns how
    /// many. A caller that wants to be sure gives a time some listings ago: what is gone never comes back: it begins again as another mailbox.
    pub async fn mark_unlisted_gone(
        &self,
        server: &str,
        tenant: Option<&str>,
        listed_before: Timestamp,
        now: Timestamp,
    ) -> Result<u64> {
        let sql = "UPDATE mailboxes SET state = 'gone', gone_at = $3 \
                   WHERE server = $1 AND state = 'active' AND coalesce(listed_at, first_seen_at) < $2 \
                     AND ($4::text IS NULL OR tenant = $4)";
        self.execute(sql, &[&server, &listed_before, &now, &tenant]).await
    }
}

/// For a mailbox `m` that becomes the account `$2`.
const NEXT_INCARNATION: &str = "(SELECT coalesce(max(o.incarnation) + 1, 0) FROM mailboxes o \
                                WHERE o.server = m.server AND o.account = $2)";
