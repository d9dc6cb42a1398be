//! What the base of a backup refers to is claimed by rows, not proven.

use std::collections::BTreeSet;

use repository::{Look, Object, Repository};

use super::options::Backup;
use super::run::Run;
use crate::error::Result;

/// Objects found damaged one by one before a backup gives up.
const MOST_FOUND: usize = 64;

/// Each question is asked of the store once.
#[derive(Default)]
pub(crate) struct Doubts {
    listed: bool,
    read: bool,
    /// What could not be read for renewing rows was noted.
    renewed: bool,
    /// Objects that could not be read, one an attempt.
    met: BTreeSet<Object>,
    /// Something was found missing or damaged that was not known to be.
    pub(crate) found: bool,
}

impl Doubts {
    /// Compares the base with a listing of the store. True if something is missing that was not known to be: begin again.
    pub(crate) async fn of_listing(&mut self, repository: &Repository, how: &Backup<'_>) -> Result<bool> {
        if std::mem::replace(&mut self.listed, true) {
            return Ok(false);
        }
        // Reading every row costs what the tables are long: for who asks for a full listing, not for each seventh night.
        let look = if how.full_listing { Look::Rows } else { Look::Listing };
        let is_new = repository.examine(look, how.clock).await?;
        self.found |= is_new;
        Ok(is_new)
    }

    /// Notes what could not be read of the base while rows were renewed. True if that was not known: begin again without it, once.
    pub(crate) async fn of_renewal(&mut self, run: &Run<'_>, repository: &Repository) -> Result<bool> {
        let met = run.draft.base.as_ref().filter(|_| !self.renewed).map(|base| base.damage_met());
        let Some(met) = met.filter(|met| !met.is_empty()) else { return Ok(false) };
        self.renewed = true;
        let is_new = repository.note_damage(met, run.how.clock).await?;
        self.found |= is_new;
        Ok(is_new)
    }

    /// Notes what could not be read and looks for more of the kind. True if that was not known: begin again without it.
    pub(crate) async fn of_what_failed(
        &mut self,
        error: &repository::Error,
        repository: &Repository,
        how: &Backup<'_>,
    ) -> Result<bool> {
        if error.class() != model::ErrorClass::Corrupt || self.met.len() >= MOST_FOUND {
            return Ok(false);
        }
        // Another process may have noted it since this attempt began.
        let is_first = error.damaged().is_some_and(|object| self.met.insert(object));
        let mut is_new = repository.note_damage(error.damaged(), how.clock).await?;
        if !std::mem::replace(&mut self.read, true) {
            is_new |= repository.examine(Look::Rows, how.clock).await?;
        }
        self.found |= is_new;
        Ok(is_new || is_first)
    }
}
