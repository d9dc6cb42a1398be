//! One job under one claim: what its kinds do.

pub(crate) mod adopt;
pub(crate) mod backup;
pub(crate) mod damage;
pub(crate) mod leftovers;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod safety;
pub(crate) mod server;
pub(crate) mod sign_in;
pub(crate) mod verify;
