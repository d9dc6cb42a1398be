//! How what a restore decides gets into the account: it is done, or it is told.

use jmap::{Set, Written};
use model::DataType;

use crate::error::Result;
use crate::restore::exact::Safety;
use crate::restore::objects::rules::plural;
use crate::restore::record::Before;
use crate::restore::request::{Planned, Tell};
use crate::restore::staging::Staging;
use crate::restore::target::Target;
use crate::server::types::to_jmap;

/// What each write of a restore goes through.
#[derive(Clone, Copy)]
pub(super) enum Seam<'a> {
    /// It is done.
    Real {
        staging: &'a Staging<'a>,
        /// Backups of the account (mode *exact*).
        safety: Option<&'a Safety>,
        /// What the account held before the first attempt.
        before: &'a Before,
    },
    /// A dry run: it is told, and nothing is written.
    Rehearsed(&'a Tell<'a>),
}

impl<'a> Seam<'a> {
    pub(super) fn is_rehearsed(self) -> bool {
        matches!(self, Seam::Rehearsed(_))
    }

    /// Tells what would be done; false if it has to be done.
    pub(super) fn tells(self, planned: &Planned<'_>) -> bool {
        match self {
            Seam::Real { .. } => false,
            Seam::Rehearsed(tell) => {
                tell(planned);
                true
            }
        }
    }

    /// Nothing is written by an attempt that another one has taken over.
    pub(super) async fn assert_alive(self) -> Result<()> {
        match self {
            Seam::Real { staging, .. } => staging.assert_alive().await,
            Seam::Rehearsed(_) => Ok(()),
        }
    }

    /// One `/set`, of which a dry run takes nothing to be refused.
    pub(super) async fn set(self, target: Target<'_>, data_type: DataType, set: Set) -> Result<Written> {
        match self {
            Seam::Real { .. } => target.set(plural(data_type), to_jmap(data_type), set).await,
            Seam::Rehearsed(_) => Ok(Written::default()),
        }
    }

    pub(super) fn safety(self) -> Option<&'a Safety> {
        match self {
            Seam::Real { safety, .. } => safety,
            Seam::Rehearsed(_) => None,
        }
    }

    pub(super) fn before(self) -> Option<&'a Before> {
        match self {
            Seam::Real { before, .. } => Some(before),
            Seam::Rehearsed(_) => None,
        }
    }
}
