use std::collections::HashMap;
use std::time::Instant;

use async_trait::async_trait;
use model::MailboxId;

use crate::{Grant, Lease, Leases, Memory, Renewal};

/// Token of the holder and when it ends.
pub(crate) type Holders = HashMap<MailboxId, (String, Instant)>;

#[async_trait]
impl Leases for Memory {
    async fn acquire(&self, mailbox: MailboxId) -> Grant {
        let mut lease = Lease::new(mailbox);
        let now = Instant::now();
        let holders = &mut self.state().holders;
        holders.retain(|_, (_, end)| *end > now);
        if holders.contains_key(&mailbox) {
            return Grant::Taken;
        }
        holders.insert(mailbox, (lease.token.clone(), now + self.terms.ttl));
        lease.held(now, self.terms);
        Grant::Held(lease)
    }

    async fn renew(&self, lease: &mut Lease) -> Renewal {
        let now = Instant::now();
        let holders = &mut self.state().holders;
        let taken =
            holders.get(&lease.mailbox).is_some_and(|(token, end)| *token != lease.token && *end > now);
        if lease.is_expired() || taken {
            return Renewal::Lost;
        }
        holders.insert(lease.mailbox, (lease.token.clone(), now + self.terms.ttl));
        lease.held(now, self.terms);
        Renewal::Renewed
    }

    async fn release(&self, lease: Lease) {
        let holders = &mut self.state().holders;
        if holders.get(&lease.mailbox).is_some_and(|(token, _)| *token == lease.token) {
            holders.remove(&lease.mailbox);
        }
    }
}
