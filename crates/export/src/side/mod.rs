//! What account directory, Maildir and mbox have in common: objects as files beside, and the side files in `malle/` from
//! which our reader gives back exactly what was written.

pub(crate) mod beside;
pub(crate) mod collected;
pub(crate) mod directory;
pub(crate) mod files;
pub(crate) mod placed;
