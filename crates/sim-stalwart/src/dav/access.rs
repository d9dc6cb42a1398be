//! Which accounts a user may visit.

use http::StatusCode;

use super::Visit;
use crate::server::SharedAccount;

impl Visit<'_> {
    /// The account of this name: 404 if the server has no such account, 403 if it is not the user's.
    pub(super) fn account(&self, name: &str) -> Result<SharedAccount, StatusCode> {
        let id = {
            let directory = self.server.directory();
            directory.names.get(name).or_else(|| directory.groups.get(name)).cloned()
        };
        let id = id.ok_or(StatusCode::NOT_FOUND)?;
        self.server.account(&id, self.login).map_err(|_| StatusCode::FORBIDDEN)
    }

    /// The name and the account of the user's own home, if there is one.
    pub(super) fn own(&self) -> Option<(String, SharedAccount)> {
        let own = self.login.account.as_ref()?;
        let (_, name) = self.server.accounts().into_iter().find(|(id, _)| id == own)?;
        let account = self.account(&name).ok()?;
        Some((name, account))
    }
}
