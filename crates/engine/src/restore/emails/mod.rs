//! Which emails of the account those of the snapshot are, and importing what is missing.

pub(super) mod account_emails;
pub(super) mod dates;
pub(super) mod import;
pub(super) mod ledger;
pub(super) mod twins;
pub(super) mod upload_target;
pub(super) mod wrapping;
