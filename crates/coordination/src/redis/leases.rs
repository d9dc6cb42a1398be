use std::time::Instant;

use async_trait::async_trait;
use model::MailboxId;

use crate::token::milliseconds;
use crate::{CoordinationError, Grant, Lease, Leases, Redis, Renewal};

/// Ours lives on; none (Redis was emptied, or could not be asked before) becomes ours; somebody else's stays.
pub(crate) const RENEW: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
";

pub(crate) const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
";

impl Redis {
    fn lease_key(&self, mailbox: MailboxId) -> String {
        self.key("lease", &mailbox.to_string())
    }

    async fn set_if_absent(&self, lease: &Lease) -> Result<bool, CoordinationError> {
        let mut set = redis::cmd("SET");
        set.arg(self.lease_key(lease.mailbox)).arg(&lease.token);
        set.arg("NX").arg("PX").arg(milliseconds(self.settings.lease.ttl));
        let answer: Option<String> = self.query(&set).await?;
        Ok(answer.is_some())
    }

    /// Whether a SET that was not answered was executed.
    async fn landed(&self, lease: &Lease) -> Result<Landed, CoordinationError> {
        let mut get = redis::cmd("GET");
        get.arg(self.lease_key(lease.mailbox));
        let holder: Option<String> = self.query(&get).await?;
        Ok(match holder {
            Some(holder) if holder == lease.token => Landed::Ours,
            Some(_) => Landed::Theirs,
            None => Landed::No,
        })
    }
}

enum Landed {
    Ours,
    Theirs,
    No,
}

#[async_trait]
impl Leases for Redis {
    async fn acquire(&self, mailbox: MailboxId) -> Grant {
        let mut lease = Lease::new(mailbox);
        let sent = Instant::now();
        match self.set_if_absent(&lease).await {
            Ok(true) => {}
            Ok(false) => return Grant::Taken,
            Err(error) => match self.landed(&lease).await {
                Ok(Landed::Ours) => {}
                Ok(Landed::Theirs) => return Grant::Taken,
                // It may still arrive; a renewal finds it then, or it ends by itself.
                Ok(Landed::No) | Err(_) => return Grant::Unprotected(lease, error),
            },
        }
        lease.held(sent, self.settings.lease);
        Grant::Held(lease)
    }

    async fn renew(&self, lease: &mut Lease) -> Renewal {
        if lease.is_expired() {
            return Renewal::Lost;
        }
        let sent = Instant::now();
        let mut call = self.scripts.renew.prepare_invoke();
        call.key(self.lease_key(lease.mailbox)).arg(&lease.token).arg(milliseconds(self.settings.lease.ttl));
        match self.invoke::<i64>(&call).await {
            // An answer that comes after the deadline comes too late: somebody else may have been in between.
            Ok(1) if !lease.is_expired() => {
                lease.held(sent, self.settings.lease);
                Renewal::Renewed
            }
            Ok(_) => Renewal::Lost,
            Err(error) => Renewal::Unreachable(error),
        }
    }

    async fn release(&self, lease: Lease) {
        let mut call = self.scripts.release.prepare_invoke();
        call.key(self.lease_key(lease.mailbox)).arg(&lease.token);
        // If it fails, the key ends by itself.
        let _ = self.invoke::<i64>(&call).await;
    }
}
