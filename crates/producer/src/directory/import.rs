use std::collections::BTreeMap;

use catalog::{Catalog, Ruled, Unlisted};
use model::mail_address::to_ascii;
use model::{ErrorClass, SignedDuration, Timestamp};

use super::lines::{BadLine, List};
use super::listing::Sight;
use super::rules::Rules;

/// Mailboxes written at once.
pub(super) const BATCH: usize = 2000;

/// What happens to a list with bad lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadLines {
    /// Nothing of it is written.
    Refuse,
    /// The others are written; nothing is marked as gone, because a bad line may have named it.
    WriteOthers,
}

/// What happens to mailboxes that a whole list does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disappeared {
    /// They stay: the list is one of changes.
    Stay,
    /// They are gone: backups stay, new ones are not made, and what is gone never comes back but as a new mailbox.
    Gone {
        /// Only those that no list has named for so long.
        missing_for: SignedDuration,
        /// A list that would drop a larger share of the server's mailboxes is taken for one with holes; 100 allows anything.
        at_most_percent: u8,
    },
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Mailboxes named and written.
    pub listed: u64,
    /// Those among them that were unknown.
    pub new: u64,
    /// Those among them that have no plan, from now or before: they are not backed up, and [`Catalog::unplanned_mailboxes`] names
    /// them.
    pub unplanned: u64,
    /// Mailboxes marked as gone.
    pub gone: u64,
    /// Mailboxes that a whole list left out, and that were named too lately to be gone already.
    pub missing: u64,
    /// Lines left out.
    pub bad: Vec<BadLine>,
    /// A server that was asked named all that it says it has; a list that somebody gives is not asked.
    pub is_whole: bool,
    /// Which mailboxes the credentials could list.
    pub sight: Sight,
}

/// Why a list was not taken, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Lines that cannot be used; nothing was written.
    #[error("{} lines of the list cannot be used; nothing was written", .0.len())]
    BadLines(Vec<BadLine>),
    /// The mailboxes are listed; none was marked as gone.
    #[error(
        "list leaves out {unlisted} of {active} mailboxes, more than {at_most_percent} %; none was marked as gone"
    )]
    TooManyGone {
        /// Mailboxes on the server.
        active: u64,
        /// Those that would be gone.
        unlisted: u64,
        /// What is allowed.
        at_most_percent: u8,
    },
    /// The catalogue failed; what was written stays, and the same list may be given again.
    #[error("list could not be written down")]
    Catalog(#[from] catalog::Error),
    /// The server could not be listed to its end; what was written stays.
    #[error("server could not be listed")]
    Listing(#[from] super::listing::ListingError),
}

impl DirectoryError {
    /// What who imports should do.
    pub fn class(&self) -> ErrorClass {
        match self {
            DirectoryError::BadLines(_) | DirectoryError::TooManyGone { .. } => ErrorClass::Permanent,
            DirectoryError::Catalog(error) => error.class(),
            DirectoryError::Listing(error) => error.class(),
        }
    }
}

/// Writes down a list of one server's mailboxes. Giving the same list again changes nothing; a crash in the middle leaves the
/// first part of it written and nothing marked as gone. A whole list that leaves out too many is refused before anything is
/// written.
pub async fn import(
    catalog: &Catalog,
    server: &str,
    list: List,
    rules: &Rules,
    on_bad_lines: OnBadLines,
    disappeared: Disappeared,
    now: Timestamp,
) -> Result<Imported, DirectoryError> {
    let (listed, bad) = checked(list, rules);
    if !bad.is_empty() && on_bad_lines == OnBadLines::Refuse {
        return Err(DirectoryError::BadLines(bad));
    }
    let mut imported = Imported::default();
    if let (true, Disappeared::Gone { at_most_percent, .. }) = (bad.is_empty(), disappeared) {
        let names: Vec<_> =
            listed.iter().map(|Ruled { listed, .. }| (listed.account.as_ref(), &listed.address)).collect();
        let unnamed = catalog.count_unnamed(server, &names).await?;
        allow(unnamed, at_most_percent)?;
        imported.missing = unnamed.unlisted;
    }
    for batch in listed.chunks(BATCH) {
        imported.write(catalog, server, batch, now).await?;
    }
    if bad.is_empty() {
        imported.gone = mark_gone(catalog, server, None, disappeared, now).await?;
        imported.missing = imported.missing.saturating_sub(imported.gone);
    }
    imported.bad = bad;
    Ok(imported)
}

impl Imported {
    pub(super) async fn write(
        &mut self,
        catalog: &Catalog,
        server: &str,
        batch: &[Ruled],
        now: Timestamp,
    ) -> catalog::Result<()> {
        self.new += catalog.list_ruled(server, batch, now).await?;
        self.listed += batch.len() as u64;
        let unplanned = batch.iter().filter(|ruled| ruled.listed.plan.or(ruled.rule).is_none());
        let names: Vec<_> =
            unplanned.map(|Ruled { listed, .. }| (listed.account.clone(), listed.address.clone())).collect();
        if !names.is_empty() {
            self.unplanned += catalog.count_unplanned(server, &names).await?;
        }
        Ok(())
    }
}

/// What is usable, and all that is not, by line.
pub(super) fn checked(list: List, rules: &Rules) -> (Vec<Ruled>, Vec<BadLine>) {
    let (mut listed, mut bad) = (Vec::new(), list.bad);
    let (mut accounts, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    for (line, entry) in list.entries {
        let (account, address) = (entry.account.clone(), to_ascii(&entry.address));
        match entry.checked(rules) {
            Err(reason) => bad.push(BadLine::new(line, reason)),
            Ok(one) => {
                let has_account = account.is_some();
                let of_account = account.and_then(|account| accounts.insert(account, line));
                let of_address = addresses.insert(address, line);
                match (of_account, of_address) {
                    (None, None) => listed.push(one),
                    (None, Some(first)) if has_account => {
                        bad.push(BadLine::new(line, format!("has the same address as {first}")));
                    }
                    (Some(first), _) | (None, Some(first)) => {
                        bad.push(BadLine::new(line, format!("names the same mailbox as {first}")));
                    }
                }
            }
        }
    }
    bad.sort_by_key(|bad| bad.line);
    (listed, bad)
}

/// What is to be dropped is counted before it is dropped. Somebody who lists the server meanwhile makes it less. `tenant`: mailboxes
/// of others stay.
pub(super) async fn mark_gone(
    catalog: &Catalog,
    server: &str,
    tenant: Option<&str>,
    disappeared: Disappeared,
    now: Timestamp,
) -> Result<u64, DirectoryError> {
    let Disappeared::Gone { missing_for, at_most_percent } = disappeared else { return Ok(0) };
    let listed_before = now - missing_for;
    allow(catalog.count_unlisted(server, tenant, listed_before).await?, at_most_percent)?;
    Ok(catalog.mark_unlisted_gone(server, tenant, listed_before, now).await?)
}

fn allow(Unlisted { active, unlisted }: Unlisted, at_most_percent: u8) -> Result<(), DirectoryError> {
    if unlisted.saturating_mul(100) > active.saturating_mul(at_most_percent.into()) {
        Err(DirectoryError::TooManyGone { active, unlisted, at_most_percent })
    } else {
        Ok(())
    }
}
