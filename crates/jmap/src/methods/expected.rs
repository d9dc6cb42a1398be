//! What a call refers to, and what its answer is measured against.

use std::collections::BTreeSet;

use crate::methods::ids::{Id, State};

/// A place in the result of an earlier call of the same batch.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    pub(crate) call: usize,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
}

/// What a call's answer is measured against.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) method: &'static str,
    /// The ids asked for, sorted, where they are known.
    pub(crate) ids: Option<Vec<Box<str>>>,
    /// Whether everything was asked for (`ids: null`).
    pub(crate) all: bool,
    /// `sinceState` of `/changes`.
    pub(crate) since: Option<State>,
    /// The call whose result gives the ids.
    pub(crate) after: Option<usize>,
    /// What a `/set` must account for.
    pub(crate) written: Option<Asked>,
}

/// What an answer must account for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) create: BTreeSet<String>,
    pub(crate) update: BTreeSet<Id>,
    pub(crate) destroy: BTreeSet<Id>,
}
