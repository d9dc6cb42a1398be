//! Calls of methods and their answers (RFC 8620 section 3, RFC 8621).

pub(crate) mod answer;
pub(crate) mod batch;
pub(crate) mod blobs;
pub(crate) mod capability;
pub(crate) mod changes;
pub(crate) mod date;
pub(crate) mod emails;
pub(crate) mod expected;
pub(crate) mod ids;
pub(crate) mod json;
pub(crate) mod method_error;
pub(crate) mod objects;
pub(crate) mod query;
pub(crate) mod set;
