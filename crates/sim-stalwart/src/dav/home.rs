//! An account as one of the dialects shows it to a user: its collections and resources.

use super::place;
use crate::account::Account;
use crate::dialect::Dialect;
use crate::resources::{Resource, Text};
use crate::server::Login;

/// An account by one of the dialects, as this user sees it.
#[derive(Clone, Copy)]
pub(super) struct Home<'a> {
    pub(super) dialect: Dialect,
    /// The account's name.
    pub(super) owner: &'a str,
    pub(super) account: &'a Account,
    pub(super) login: &'a Login,
}

impl Home<'_> {
    pub(super) fn collection(&self, name: &str) -> Option<String> {
        self.account.collection(self.dialect, name)
    }

    /// Every resource of a collection.
    pub(super) fn resources(&self, collection: &str) -> impl Iterator<Item = Resource> {
        let resources = self.account.resources(self.dialect).into_iter();
        resources.filter(move |resource| resource.collection == collection)
    }

    pub(super) fn resource(&self, collection: &str, name: &str) -> Option<Resource> {
        self.account.resource(self.dialect, &self.collection(collection)?, name)
    }

    pub(super) fn text(&self, resource: &Resource) -> Option<Text> {
        self.account.text(self.dialect, &resource.item)
    }

    pub(super) fn href(&self, resource: &Resource) -> String {
        place::href(self.dialect, self.owner, self.account, resource)
    }

    /// As in Stalwart, one number tells of changes in any collection of the account.
    pub(super) fn state(&self) -> u64 {
        let state = |kind| self.account.state(kind);
        state(self.dialect.container()).max(state(self.dialect.item()))
    }
}
