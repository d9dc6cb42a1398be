//! Which emails of the account those of the snapshot are, and importing what is missing.

pub(super) mod dates;
pub(super) mod held;
pub(super) mod import;
pub(super) mod landing;
pub(super) mod ledger;
pub(super) mod twins;
pub(super) mod wrapping;
