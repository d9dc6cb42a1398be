use std::time::Duration;

use async_trait::async_trait;

use crate::sign_ins::{PAUSES, ROW};
use crate::token::milliseconds;
use crate::{CoordinationError, Redis, SignInRefusal, SignIns};

/// Two keys: the fingerprints that are refused, which live as long as the refusal is in force, and how many refusals there were in a
/// row. Answer: the fingerprints, the milliseconds that are left.
pub(crate) const REFUSE: &str = "
local stands = redis.call('EXISTS', KEYS[1]) == 1
redis.call('SADD', KEYS[1], ARGV[1])
if not stands then
  local times = redis.call('INCR', KEYS[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[math.min(2 + times, #ARGV)])
end
return {redis.call('SMEMBERS', KEYS[1]), redis.call('PTTL', KEYS[1])}
";

/// The same of a refusal that is in force; nothing if none is.
pub(crate) const STANDING: &str = "
local fingerprints = redis.call('SMEMBERS', KEYS[1])
if #fingerprints == 0 then return false end
return {fingerprints, redis.call('PTTL', KEYS[1])}
";

/// Takes fingerprints away; with the last one the row ends.
pub(crate) const ACCEPT: &str = "
redis.call('SREM', KEYS[1], unpack(ARGV))
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end
return redis.status_reply('OK')
";

impl Redis {
    fn sign_in_keys(&self, server: &str) -> [String; 2] {
        ["refused", "refusals"].map(|part| self.key("sign-in", &format!("{server}:{part}")))
    }

    async fn standing(&self, server: &str) -> Result<Option<SignInRefusal>, CoordinationError> {
        let mut call = self.scripts.standing.prepare_invoke();
        call.key(&self.sign_in_keys(server)[0]);
        let found: Option<(Vec<String>, i64)> = self.invoke_if_awake(&call).await?;
        Ok(found.map(refusal))
    }

    async fn refuse(&self, server: &str, fingerprint: &str) -> Result<SignInRefusal, CoordinationError> {
        let mut call = self.scripts.refuse.prepare_invoke();
        call.key(&self.sign_in_keys(server)[..]).arg(fingerprint).arg(milliseconds(ROW));
        for pause in PAUSES {
            call.arg(milliseconds(pause));
        }
        Ok(refusal(self.invoke(&call).await?))
    }

    async fn accept(&self, server: &str, refused: &[String]) -> Result<(), CoordinationError> {
        let mut call = self.scripts.accept.prepare_invoke();
        call.key(&self.sign_in_keys(server)[..]).arg(refused);
        self.invoke_if_awake::<String>(&call).await.map(drop)
    }
}

fn refusal((fingerprints, left): (Vec<String>, i64)) -> SignInRefusal {
    SignInRefusal { fingerprints, left: Duration::from_millis(u64::try_from(left).unwrap_or(0)) }
}

/// What Redis cannot say this process knows of itself.
#[async_trait]
impl SignIns for Redis {
    async fn refusal(&self, server: &str) -> Option<SignInRefusal> {
        match self.standing(server).await {
            Ok(found) => found,
            Err(_) => self.local.refusal(server).await,
        }
    }

    async fn refused(&self, server: &str, fingerprint: &str) -> SignInRefusal {
        // For a Redis that hangs or is emptied a moment later.
        let local = self.local.refused(server, fingerprint).await;
        self.refuse(server, fingerprint).await.unwrap_or(local)
    }

    async fn accepted(&self, server: &str, refused: &[String]) {
        self.local.accepted(server, refused).await;
        // What is left of it ends by itself.
        let _ = self.accept(server, refused).await;
    }
}
