use std::sync::Arc;

use catalog::{Catalog, Mailbox};
use model::{Clock, MailboxId};

use super::principal::{Principal, Tokens};
use super::problem::Problem;
use crate::asking::Asking;
use crate::directory::Rules;

/// What all requests share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) catalog: Catalog,
    /// For lists of thousands of mailboxes, which take their time.
    pub(super) lists: Catalog,
    pub(super) asking: Asking,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) rules: Arc<Rules>,
    /// As configured.
    pub(super) servers: Arc<[String]>,
    pub(super) zones: Arc<[String]>,
}

impl Shared {
    /// The mailbox, if it is there for who asks.
    pub(super) async fn mailbox(&self, principal: &Principal, id: MailboxId) -> Result<Mailbox, Problem> {
        let found = self.catalog.mailbox(id).await?.filter(|mailbox| principal.sees(mailbox));
        found.ok_or_else(|| Problem::unknown("there is no such mailbox"))
    }
}
